"""Synthesizes every construct with the lowest and the newest aws-cdk-lib, and with each Python that is here.

`python -m scripts.matrix [--python 3.12 ...] [--cdk lowest|pinned|newest|X.Y.Z ...]`: with neither, this Python with
the lowest and the newest, and every other Python with the pinned one. Templates must be those of the pinned versions to
the last hash: neither a newer Python nor a newer aws-cdk-lib may redeploy anything.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import metadata
from pathlib import Path
from typing import Any

from scripts.debian_python import borrow
from scripts.project import ROOT, build, project
from test.pythons import find_python, this_version

FOLDER = ROOT / ".environments" / "matrix"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
RUNTIME = ["boto3", "pyjwt[crypto]", "pytest", "hypothesis"]  # Lambda's, our layer's, and what tests need
PACKAGES = ("aws-cdk-lib", "constructs", "jsii")  # what decides how a template looks
# What may differ from the pinned templates, as `Stack/Resources/...`, and why. Nothing does.
ACCEPTED: Mapping[str, str] = {}


@dataclass(frozen=True)
class Combination:
    """A Python, an aws-cdk-lib (`lowest`, `pinned`, `newest` or a version), and whether somebody asked for it."""

    python: str
    cdk: str
    needed: bool = False

    def __str__(self) -> str:
        return f"Python {self.python} with aws-cdk-lib {self.cdk}"


def main(arguments: Sequence[str]) -> int:
    """Try the combinations, two at once, and say what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m scripts.matrix", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", action="append", metavar="3.12", default=[])
    parser.add_argument("--cdk", action="append", metavar="lowest|pinned|newest|X.Y.Z", default=[])
    asked = parser.parse_args(arguments)
    shutil.rmtree(FOLDER, ignore_errors=True)
    build(FOLDER)
    with ThreadPoolExecutor(2) as pool:
        pinned = pool.submit(synthesize, [sys.executable], FOLDER / "pinned.json")
        tried = [pool.submit(attempt, each, pinned) for each in combinations(asked.python, asked.cdk)]
    found = [each.result() for each in tried]
    shutil.rmtree(FOLDER)
    print("every template is the pinned one's" if all(found) else "!! not every combination is as it must be")
    return 0 if all(found) else 1


def combinations(pythons: Sequence[str], cdks: Sequence[str]) -> list[Combination]:
    """Give what to try: everything that was asked for with everything, or else each alone."""
    if pythons or cdks:
        asked = itertools.product(pythons or [this_version()], cdks or ["pinned"])
        return [Combination(*each, needed=True) for each in asked]
    others = [Combination(version, "pinned") for version in reversed(PYTHONS) if version != this_version()]
    return [*others, Combination(this_version(), "lowest"), Combination(this_version(), "newest")]


def attempt(combination: Combination, pinned: Future[dict[str, Any]]) -> bool:
    """Try one, print what is to say of it, and give whether it is as it must be."""
    started = time.perf_counter()
    try:
        result = _try(combination)
    except subprocess.CalledProcessError as error:
        print(f"!! {combination}: {error}\n{error.stdout}\n{error.stderr}", flush=True)
        return False
    if result is None:
        print(f"!! {combination}: THIS PYTHON IS NOT HERE, nothing was tried with it", flush=True)
        return not combination.needed
    expected = pinned.result()["templates"]
    paths = [f"!! {path} differs" for path in differences(expected, result["templates"] or expected)]
    had = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    print("\n".join([f"{combination}: {had}; {time.perf_counter() - started:.0f} s", *paths]), flush=True)
    return not paths


def _try(combination: Combination) -> dict[str, Any] | None:
    """Install, synthesize and, for the sake of the Python, run the runner's tests; None without that Python."""
    folder = FOLDER / f"{combination.python}-{combination.cdk}"
    found = find_python(combination.python)
    base = [found] if found else borrow(combination.python, folder / "python")
    if base is None:
        return None
    packages = folder / "packages"
    (wheel,) = FOLDER.glob("*.whl")
    target = ["--target", str(packages), "--python", sys.executable, "--python-version", combination.python]
    # Wheels alone: what is newest is pinned by nobody, and must not run anything while it is installed.
    _run(["uv", "pip", "install", "-q", "--only-binary", ":all:", *target, str(wheel), *requirements(combination.cdk)])
    python = [*base, "-S"]  # so that it finds no other packages than these
    if combination.cdk == "pinned":
        _run([*python, "-W", "error", "-m", "compileall", "-q", "-f", str(packages / "ak_constructs")], packages)
        _run([*python, "-W", "error", "-c", "import ak_constructs"], packages)
        _run([*python, "-m", "scripts.runner_tests"], packages, CI="1")  # Hypothesis then has no deadline
    elif combination.python == this_version() and versions(packages) == versions():
        return {"versions": versions(), "templates": None}  # the newest is the pinned one
    # What the lowest uses of itself was deprecated after it was released.
    deprecated = "quiet" if combination.cdk == "lowest" else "fail"
    return synthesize(python, folder / "result.json", packages, deprecated=deprecated)


def requirements(cdk: str) -> list[str]:
    """Say to the installer which aws-cdk-lib to take."""
    if cdk == "newest":
        return ["--upgrade", "--refresh-package", "aws-cdk-lib"]
    if cdk == "pinned":
        return [*RUNTIME, "--constraints", str(ROOT / "constraints.txt")]
    return floor() if cdk == "lowest" else [f"aws-cdk-lib=={cdk}"]


def floor() -> list[str]:
    """Give the lowest versions that pyproject.toml allows."""
    return [re.sub(r">=([\d.]+),.*", r"==\1", requirement) for requirement in project()["dependencies"]]


def versions(packages: Path | None = None) -> dict[str, str]:
    """Give what is installed there, or here, of these packages."""
    found = metadata.distributions(path=[str(packages)]) if packages else metadata.distributions()
    return {each.name: each.version for each in found if each.name in PACKAGES}


def synthesize(
    python: Sequence[str], file: Path, packages: Path | None = None, *, deprecated: str = "fail"
) -> dict[str, Any]:
    """Give the versions and the templates that scripts/synthesize.py has in a Python."""
    _run([*python, "-m", "scripts.synthesize", str(file), *PACKAGES], packages, JSII_DEPRECATED=deprecated)
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - a part of a template
    """Give where two templates differ, but for what is accepted."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key), theirs.get(key), f"{path}/{key}".lstrip("/"))
    elif ours != theirs and not any(fnmatchcase(path, pattern) for pattern in ACCEPTED):
        yield f"{path}: {str(theirs)[:100]}, not {str(ours)[:100]},"


def _run(command: Sequence[str], packages: Path | None = None, **environment: str) -> None:
    """Run a command in the project, or the installer outside it, where the pins are not meant for it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # Node.js is there
    environment |= {"PATH": path, "CDK_VALIDATION": "false", **({"PYTHONPATH": str(packages)} if packages else {})}
    inherited = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "UV_CONSTRAINT"}}
    cwd = "/" if command[0] == "uv" else ROOT
    subprocess.run(command, cwd=cwd, env=inherited | environment, capture_output=True, text=True, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
