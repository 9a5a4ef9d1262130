"""Checks the types as users meet them: against the wheel, in an environment of its own, outside of this checkout.

    uv run projen types

mypy --strict and pyright read examples/ and test/typing; then pyright says whether the interface's types are complete.
mypy's cache is the checkout's: what `uv run projen check` has read of aws-cdk-lib need not be read again.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.project import ROOT, build, project, uv

CONSTRAINTS = ROOT / "constraints.txt"
CACHE = ROOT / ".mypy_cache"
PYRIGHT = ROOT / "node_modules" / "pyright" / "index.js"
SOURCES = ("examples", "test/typing")
NEEDED = ("cdk-nag", "httpx", "pyjwt[crypto]", "types-boto3[lambda]", "websockets")  # by the examples' demos
SETTINGS = {
    "pythonVersion": "3.11",
    "typeCheckingMode": "standard",
    "strict": ["test/typing"],
    "exclude": ["examples/*/agent", "examples/*/agents"],  # a user's, without types
    "enableTypeIgnoreComments": False,  # those are mypy's
    "reportUnnecessaryTypeIgnoreComment": "error",
}


class TypesError(Exception):
    """What a type checker complains of."""


def install(folder: Path, wheel: Path) -> Path:
    """Install the wheel with all its extras as users do, at the pinned versions, and give the environment's Python."""
    python = folder / "env" / "bin" / "python"
    subprocess.run([uv(), "venv", "-q", "-p", sys.executable, folder / "env"], check=True, cwd="/")
    wanted = f"{project()['name']}[{','.join(project()['optional-dependencies'])}] @ {wheel.as_uri()}"
    command: list[str | Path] = [uv(), "pip", "install", "-q", "-p", python, "-c", CONSTRAINTS, wanted, *NEEDED]
    subprocess.run(command, check=True, cwd="/")
    return python


def check_with_mypy(folder: Path, python: Path, sources: Sequence[str]) -> str:
    """Raise unless mypy is content, by the project's own settings."""
    options: list[str | Path] = ["--strict", "--config-file", ROOT / "pyproject.toml", "--cache-dir", CACHE]
    return _run([sys.executable, "-m", "mypy", *options, "--python-executable", python, *sources], folder)


def check_with_pyright(folder: Path, python: Path, sources: Sequence[str]) -> str:
    """Raise unless pyright is content: in its standard mode, and strict where the interface is tried."""
    settings = json.dumps({**SETTINGS, "include": list(sources)})
    (folder / "pyrightconfig.json").write_text(settings, encoding="utf-8")
    return _run(["node", PYRIGHT, "-p", folder, "--pythonpath", python], folder)


def check_completeness(folder: Path, python: Path, package: str) -> str:
    """Raise unless every public name of an installed package has a type."""
    command: list[str | Path] = ["node", PYRIGHT, "--verifytypes", package, "--ignoreexternal", "--outputjson"]
    # It ignores --pythonpath here, and takes what the first `python` on the path sees.
    environment = {**os.environ, "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]])}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    try:
        report = json.loads(ran.stdout)
    except json.JSONDecodeError:
        raise TypesError(ran.stdout + ran.stderr) from None
    found = report.get("typeCompleteness", {})
    place = Path(found.get("packageRootDirectory", "/"))
    if not place.resolve().is_relative_to(python.parents[1].resolve()):
        raise TypesError(f"pyright read {place}, not what is installed: {report['generalDiagnostics']}")
    lacking = [each["name"] for each in found["symbols"] if each["isExported"] and not each["isTypeKnown"]]
    lacking += [each["message"] for each in report["generalDiagnostics"]]
    if ran.returncode or lacking or found["completenessScore"] != 1:
        raise TypesError("these public names have no type: " + ", ".join(lacking))
    return f"{sum(found['exportedSymbolCounts'].values())} public names, all typed"


def _run(command: Sequence[str | Path], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in {"MYPYPATH", "PYTHONPATH"}}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise TypesError(ran.stdout + ran.stderr)
    return ran.stdout.strip()


def main(arguments: Sequence[str]) -> int:
    """Build, install, check."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        wheels = [Path(each).resolve() for each in arguments]
        if not wheels:
            wheels = [build(folder / "dist")]
        python = install(folder, wheels[0])
        for source in SOURCES:
            shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "cdk.out"))
        (folder / "test" / "__init__.py").touch()
        with ThreadPoolExecutor() as pool:
            checks = {
                "mypy --strict": pool.submit(check_with_mypy, folder, python, SOURCES),
                "pyright": pool.submit(check_with_pyright, folder, python, SOURCES),
                "pyright --verifytypes": pool.submit(check_completeness, folder, python, "ak_constructs"),
            }
            complaints = {tool: str(check.exception()) for tool, check in checks.items() if check.exception()}
        for tool, check in checks.items():
            print(f"{tool}: {complaints[tool] if tool in complaints else check.result()}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
