"""Makes virtual environments of their own for tools whose packages would not fit the project's."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_environment(requirements: Path, base: str = sys.executable) -> Path:
    """Make an environment of pins with hashes, unless it is there, and give its Python.

    Args:
        requirements: The pins.
        base: The Python to make it of. Defaults to the one that runs this.
    """
    key = hashlib.sha256(requirements.read_bytes() + os.path.realpath(base).encode()).hexdigest()[:12]
    folder = ROOT / ".environments" / key
    python = folder / "bin" / "python"
    complete = folder / "complete"
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others may need it at the same moment
        if not complete.is_file():
            _make(folder, requirements, base)
            complete.touch()
    return python


def _make(folder: Path, requirements: Path, base: str) -> None:
    uv = str(Path(_find_uv()).absolute())
    # From outside the project, whose own pins are not meant for this environment.
    subprocess.run([uv, "venv", "-q", "--clear", "-p", base, folder], check=True, cwd="/")
    install = [uv, "pip", "install", "-q", "--require-hashes", "--only-binary", ":all:"]
    install += ["-p", str(folder / "bin" / "python"), "-r", str(requirements)]
    subprocess.run(install, check=True, cwd="/")


def _find_uv() -> str:
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        raise RuntimeError("uv is needed to make an environment; run this with `uv run`")
    return found
