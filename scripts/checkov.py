"""What Checkov finds in templates, run in an environment of its own and without a network."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ak_constructs.local.environment import make_environment

REQUIREMENTS = Path(__file__).with_name("requirements-checkov.txt")
OFFLINE = ["--skip-download", "--skip-results-upload", "--download-external-modules", "false"]


def checkov(templates: Sequence[Path]) -> list[set[tuple[str, str]]]:
    """Give (path, id) of every failed check in each template, which must have CDK's paths in its metadata."""
    program = make_environment(REQUIREMENTS).with_name("checkov")
    command = [str(program), "--framework", "cloudformation", "--output", "json", "--compact", "--quiet", *OFFLINE]
    command += ["--soft-fail", "-f", *map(str, templates)]
    environment = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "HOME": str(program.parent),
    }  # no credentials, no settings
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd="/")
    results = json.loads(ran.stdout)["results"]
    if results.get("parsing_errors"):
        raise ValueError(f"Checkov must read every template, could not read {results['parsing_errors']}")
    failed: dict[Path, set[tuple[str, str]]] = {template.resolve(): set() for template in templates}
    resources = {path: json.loads(path.read_text(encoding="utf-8"))["Resources"] for path in failed}
    for check in results["failed_checks"]:
        path = Path("/", check["file_abs_path"]).resolve()
        resource = resources[path][check["resource"].rpartition(".")[2]]
        failed[path].add((_path(resource), check["check_id"]))
    return list(failed.values())


def _path(resource: Mapping[str, Any]) -> str:
    """Give the path of a resource below its stack."""
    return str(resource["Metadata"]["aws:cdk:path"]).partition("/")[2]
