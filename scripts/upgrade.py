"""Moves every pin to its newest release, and says what moved.

    uv run projen upgrade            # in a clean checkout; then `uv run projen install docs check test`
    uv run projen upgrade --dry-run  # only says what would move

It works in a copy, so that a step that fails changes nothing. What stays: the exact pins of a `.in` file that are other
programs' (the emulator, hatchling), and the CDK command line, whose `latest` cannot read today's assemblies.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.audit import PIN, npm_pins
from scripts.project import ROOT

EXPORT = (
    "uv",
    "export",
    "--frozen",
    "--no-emit-project",
    "--no-annotate",
    "--no-header",
    "--all-extras",
    "--all-groups",
)
COMPILE = ("uv", "pip", "compile", "-q", "--universal", "--generate-hashes", "--no-header", "--no-annotate")
TOOLS = "scripts/requirements-*.in"
STAYING = {"aws-cdk", "hatchling"}
LOCKED = {  # by the Python that installs them
    "src/ak_constructs/local/requirements.in": "3.11",
    "lambda_assets/redis_layer/requirements.in": "3.12",
    "lambda_assets/jwt_layer/requirements.in": "3.13",
    TOOLS: "3.11",
}

Pins = Mapping[str, Mapping[str, str]]  # version by name, by file


class UpgradeError(Exception):
    """Why nothing was moved."""


def pins(root: Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read what the locked files among these pin; several versions of one name are one text."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        path = root / name
        if path.name == "package-lock.json":
            pairs = sorted(npm_pins(json.loads(path.read_text(encoding="utf-8"))))
        elif path.name == "constraints.txt" or re.fullmatch(r"requirements.*\.txt", path.name):
            pairs = sorted(set(PIN.findall(path.read_text(encoding="utf-8"))))
        else:
            continue
        for package, version in pairs:
            known = found.setdefault(name, {}).get(package)
            found[name][package] = f"{known}, {version}" if known else version
    return found


def moves(before: Pins, after: Pins) -> list[str]:
    """Say what moved from where to where, once for all files that have it."""
    files: dict[str, list[str]] = {}
    for name in sorted({*before, *after}):
        old, new = before.get(name, {}), after.get(name, {})
        for package in sorted({*old, *new}):
            if old.get(package) != new.get(package):
                move = f"{package} {old.get(package, '(new)')} -> {new.get(package, '(gone)')}"
                files.setdefault(move, []).append(name)
    return [f"{move}  [{', '.join(names)}]" for move, names in sorted(files.items())]


def loosened(requirements: str) -> str:
    """Take the versions off exact requirements, but for what stays."""
    lines = (
        line if line.partition("==")[0] in STAYING else line.partition("==")[0] for line in requirements.split("\n")
    )
    return "\n".join(lines)


def relock(copy: Path) -> None:
    """Write every locked file anew, as CONTRIBUTING.md says what each is for."""
    (copy / "constraints.txt").write_text("", encoding="utf-8")
    _projen(copy)
    _run(["uv", "lock", "-q", "--upgrade"], copy)
    (copy / "constraints.txt").write_text(_run([*EXPORT, "--no-hashes"], copy), encoding="utf-8")
    _projen(copy)
    (copy / "requirements-dev.txt").write_text(_run(EXPORT, copy), encoding="utf-8")
    for pattern, python in LOCKED.items():
        for path in sorted(copy.glob(pattern)):
            _compile(path, python, loosen=pattern == TOOLS)
    package = json.loads((copy / "package.json").read_text(encoding="utf-8"))
    newest = [f"{name}@latest" for name in package["devDependencies"] if name not in STAYING]
    npm = ["npm", "install", "--silent", "--ignore-scripts", "--package-lock-only", "--save-dev", "--save-exact"]
    _run([*npm, *newest], copy)
    _run([sys.executable, "-m", "scripts.sbom"], copy)


def _compile(path: Path, python: str, *, loosen: bool) -> None:
    """Lock one file elsewhere: there neither what was pinned nor the project's own settings are believed."""
    with tempfile.TemporaryDirectory() as folder:
        source, locked = Path(folder, path.name), Path(folder, path.with_suffix(".txt").name)
        text = path.read_text(encoding="utf-8")
        source.write_text(loosened(text) if loosen else text, encoding="utf-8")
        _run([*COMPILE, "--python-version", python, source.name, "-o", locked.name], Path(folder))
        path.with_suffix(".txt").write_bytes(locked.read_bytes())
    if loosen:
        versions = dict(PIN.findall(path.with_suffix(".txt").read_text(encoding="utf-8")))
        names = (line.partition("==")[0] for line in text.splitlines())
        path.write_text("".join(f"{name}=={versions[name]}\n" for name in names), encoding="utf-8")


def _projen(copy: Path) -> None:
    _run([sys.executable, ".projenrc.py"], copy)


def _run(command: Sequence[str], folder: Path) -> str:
    settings = {
        **os.environ,
        "UV_PYTHON_DOWNLOADS": "never",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    ran = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise UpgradeError(f"{' '.join(command)} ended with {ran.returncode}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return ran.stdout


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Relock a copy, say what moved, and take over what was written."""
    parser = argparse.ArgumentParser(prog="projen upgrade", description=__doc__.partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="only say what would move")
    options = parser.parse_args(arguments)
    if _run(["git", "status", "--porcelain"], root):
        print("the tree must be clean, or nobody could tell what moved; commit or stash first")
        return 1
    names = _run(["git", "ls-files"], root).splitlines()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in names:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, copy / name)
        before = pins(copy, names)
        try:
            relock(copy)
        except UpgradeError as error:
            print(f"{error}\nnothing was moved")
            return 1
        told = moves(before, pins(copy, names))
        print("\n".join(told) or "everything is at its newest release")
        written = [name for name in names if (copy / name).read_bytes() != (root / name).read_bytes()]
        for name in [] if options.dry_run else written:
            (root / name).chmod(0o644)  # projen's are read-only
            shutil.copy(copy / name, root / name)
    if written and not options.dry_run:
        print(f"{len(told)} moved in {', '.join(written)}; now `uv run projen install`, `docs`, `check` and `test`")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
