"""An environment in which ours is measured beside Agent Kernel."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from test.pythons import find_python

ROOT = Path(__file__).parents[1]
AGENT_KERNEL = "agentkernel[aws]==0.9.5"


class Bench:
    """An environment with both sides in it, and a folder to work in."""

    def __init__(self, work: Path, python: str) -> None:
        self.work = work
        self.python = str(work / "venv" / "bin" / "python")
        self.uv = str(Path(os.environ.get("UV") or shutil.which("uv") or "uv").absolute())
        self._run("venv", "-q", "-p", python, str(work / "venv"))
        constraints = ["-c", str(ROOT / "constraints.txt")]
        self._run(
            "pip", "install", "-q", "--compile-bytecode", "-p", self.python, *constraints, str(ROOT), "uv", "boto3"
        )
        # Without our pins: theirs are their own. With bytecode, as both sides have in the like-for-like comparison.
        self._run("pip", "install", "-q", "--compile-bytecode", "-p", self.python, AGENT_KERNEL)

    def install(self, target: Path, *packages: str) -> None:
        """Install packages into a folder as a zip would have them: without bytecode."""
        self._run(
            "pip", "install", "-q", "-p", self.python, "--no-compile-bytecode", "--target", str(target), *packages
        )

    def environment(self, *, path: Path | None = None, bytecode: bool = True, **more: str) -> dict[str, str]:
        """Give an environment that finds a folder's modules first."""
        found = {name: each for name, each in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "VIRTUAL_"))}
        found |= {"PATH": f"{Path(self.python).parent}{os.pathsep}{os.environ['PATH']}"}
        found |= {"AWS_DEFAULT_REGION": "us-east-1", **more}
        if path:
            found["PYTHONPATH"] = str(path)
        if not bytecode:
            found["PYTHONDONTWRITEBYTECODE"] = "1"
        return found

    def versions(self) -> str:
        """Name what is measured."""
        command = [self.uv, "pip", "list", "-q", "--format", "json", "-p", self.python]
        listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=self.work).stdout)
        found = {each["name"]: each["version"] for each in listed}
        python = subprocess.run([self.python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
        return ", ".join([python, *(f"{name} {found[name]}" for name in ("aws-cdk-lib", "agentkernel", "boto3"))])

    def _run(self, *arguments: str) -> None:
        subprocess.run([self.uv, *arguments], check=True, cwd=self.work)


def beside_agent_kernel(report: Callable[[Bench, int], str], runs: int) -> str:
    """Write a report with an environment that is removed afterwards."""
    python = find_python("3.13", "3.12")
    if python is None:
        sys.exit("Python 3.12 or 3.13 is needed, since Agent Kernel needs it")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as work:
        return report(Bench(Path(work), python), runs)


def zipped(folder: Path, target: Path) -> int:
    """Zip a folder without bytecode, and give the size."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(folder))
    return target.stat().st_size
