"""Runs the user's app for the `cdk` command line, and makes of its stacks ones for the emulator's only account.

What it has to say goes into the file that AK_CONSTRUCTS_SYNTHESIS names: an error of the app's, and notes.

An assembly whose stacks name an account or a region is rewritten: these become the emulator's, in all values of its
manifests, templates and lists of assets. What CDK would look up in an account stays at the placeholders that CDK itself
takes until then: nothing is asked of an account, and cdk.context.json is not written.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ACCOUNT, REGION = "000000000000", "us-east-1"
UNKNOWN = {"unknown-account", "unknown-region"}
FILES = ("manifest.json", "*.template.json", "*.assets.json")
NAMES = frozenset({"directoryName", "displayName", "file", "path", "stackName", "templateFile"})  # of files and stacks


class AppError(Exception):
    """The app cannot be deployed here."""


def main(arguments: Sequence[str]) -> int:
    """Run the app as Python's arguments, and give its status."""
    told = Path(os.environ["AK_CONSTRUCTS_SYNTHESIS"])
    ran = subprocess.run([sys.executable, *arguments], stderr=subprocess.PIPE, check=False)
    error = ran.stderr.decode(errors="replace")
    sys.stderr.write(error)
    notes: list[str] = []
    status = ran.returncode
    if status == 0:
        try:
            notes, error = settle(Path(os.environ["CDK_OUTDIR"])), ""
        except AppError as problem:
            status, error = 1, str(problem)
    told.write_text(json.dumps({"error": error, "notes": notes}), encoding="utf-8")
    return status


def settle(out: Path) -> list[str]:
    """Rewrite an assembly for the emulator, where it must be, and say what was changed."""
    if not (out / "manifest.json").is_file():
        raise AppError("the app made no stacks; it must define a cdk.App, and synthesize it: app.synth()")
    folders = [path.parent for path in sorted(out.rglob("manifest.json")) if not _in_asset(path.relative_to(out))]
    manifests = [json.loads((folder / "manifest.json").read_text(encoding="utf-8")) for folder in folders]
    stacks = [stack for manifest in manifests for stack in _stacks(manifest)]
    twice = [name for name, count in Counter(name for name, _ in stacks).items() if count > 1]
    if twice:
        raise AppError(
            f"the emulator has one account and one region, and stacks of the same name: {', '.join(twice)}; "
            "synthesize one environment at a time"
        )
    elsewhere = sorted({part for _, environment in stacks for part in environment.split("/")[2:]} - UNKNOWN)
    elsewhere = [part for part in elsewhere if part not in {ACCOUNT, REGION}]
    lookups = sorted({str(each["provider"]) for manifest in manifests for each in manifest.get("missing") or []})
    if elsewhere or lookups:
        _rewrite(folders, _translation(elsewhere))
    notes = [f"{', '.join(elsewhere)} of the app's stacks: here {ACCOUNT}, {REGION}"] if elsewhere else []
    return [*notes, *(f"not looked up here, CDK's placeholder is deployed: {provider}" for provider in lookups)]


def _stacks(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for id_, artifact in manifest.get("artifacts", {}).items():
        if artifact["type"] == "aws:cloudformation:stack":
            yield artifact.get("properties", {}).get("stackName", id_), artifact["environment"]


def _in_asset(path: Path) -> bool:
    return any(part.startswith("asset.") for part in path.parts)


def _translation(elsewhere: Sequence[str]) -> Callable[[str], str]:
    """Give what puts the emulator's account and region in the place of others; `eu-west-1a` keeps its letter."""
    accounts = [re.escape(part) for part in elsewhere if part.isdigit()]
    regions = [re.escape(part) for part in elsewhere if not part.isdigit()]

    def translate(text: str) -> str:
        if accounts:
            text = re.sub(rf"(?<!\d)({'|'.join(accounts)})(?!\d)", ACCOUNT, text)
        if regions:
            text = re.sub(rf"(?<![a-z])({'|'.join(regions)})(?!\d)", REGION, text)
        return text

    return translate


def _rewrite(folders: Sequence[Path], translate: Callable[[str], str]) -> None:
    for folder in folders:
        for path in {path for pattern in FILES for path in folder.glob(pattern)}:
            content = _translated(json.loads(path.read_text(encoding="utf-8")), translate)
            if path.name == "manifest.json":
                content.pop("missing", None)
            path.write_text(json.dumps(content), encoding="utf-8")


def _translated(value: Any, translate: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return translate(value)
    if isinstance(value, list):
        return [_translated(each, translate) for each in value]
    if isinstance(value, dict):
        return {key: each if key in NAMES else _translated(each, translate) for key, each in value.items()}
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
