"""Synthesizes every case with what this environment has: `python -m scripts.synthesize FILE PACKAGE ...`.

What is deprecated, in Python or in aws-cdk-lib, is an error where this library uses it.
"""

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

warnings.filterwarnings("error", module=r"(ak_constructs|scripts)\b")
os.environ.setdefault("JSII_DEPRECATED", "fail")  # or aws-cdk-lib only prints

import aws_cdk as cdk  # noqa: E402 - the settings come first

from scripts.cases import CASES  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """Write the versions of Python and these packages, and the templates, into the file."""
    file, *packages = arguments
    with tempfile.TemporaryDirectory() as folder:
        templates = synthesize(Path(folder))
    versions = {"python": ".".join(map(str, sys.version_info[:3])), **{name: version(name) for name in packages}}
    Path(file).write_text(json.dumps({"versions": versions, "templates": templates}), encoding="utf-8")
    return 0


def synthesize(folder: Path) -> dict[str, Any]:
    """Give the template of each case, by its number and the first construct that it is a case of."""
    app = cdk.App(analytics_reporting=False, outdir=str(folder), context={"aws:cdk:bundling-stacks": []})
    defines = {define: construct for construct, cases in reversed(CASES.items()) for define in cases.values()}
    stacks = {f"{construct}{number}": define for number, (define, construct) in enumerate(defines.items())}
    for name, define in stacks.items():
        define(cdk.Stack(app, name))
    app.synth()
    return {name: json.loads((folder / f"{name}.template.json").read_text(encoding="utf-8")) for name in stacks}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
