"""Keeps tools for the user, each made once: virtual environments whose packages would not fit another's, npm's too."""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ak_constructs.local.needs import REMEDY, find_uv

OTHERS_PINS = {"UV_BUILD_CONSTRAINT", "UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_OVERRIDE"}


def cache() -> Path:
    """Give the folder that tools are kept in."""
    named = os.environ.get("AK_CONSTRUCTS_CACHE")
    return Path(named).absolute() if named else Path.home() / ".cache" / "ak-constructs"


def kept(key: bytes, make: Callable[[Path], None]) -> Path:
    """Make a folder unless it is there, and give it.

    Args:
        key: What it is made of: another key is another folder.
        make: Makes it, at the path that it gets. What an earlier run left there half made is gone by then.

    Raises:
        RuntimeError: The folder of tools is another user's, or others may write to it.
    """
    try:
        folder = _own(cache()) / hashlib.sha256(key).hexdigest()[:12]
        folder.with_suffix(".lock").touch()
    except OSError as error:
        remedy = "name a folder that you may write to: AK_CONSTRUCTS_CACHE=..."
        raise OSError(f"tools cannot be kept in {cache()} ({error.strerror}); {remedy}") from None
    complete = folder / "complete"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # others may need it at the same moment
        if not complete.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            folder.chmod(0o700)  # a group may be let in by the umask
            complete.touch()
    return folder


def _own(folder: Path) -> Path:
    """Give a folder that nobody else may write to: whoever may could leave programs there for us to run."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.resolve().stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise RuntimeError(
            f"the folder of tools must be yours, and nobody else may write to it, got {folder} with mode "
            f"{stat.S_IMODE(found.st_mode):o} of user {found.st_uid}; name another one in AK_CONSTRUCTS_CACHE"
        )
    return folder.resolve()


def make_environment(requirements: Path, base: str = sys.executable) -> Path:
    """Make an environment of pins with hashes, unless it is there, and give its Python.

    Args:
        requirements: The pins.
        base: The Python to make it of. Defaults to the one that runs this.
    """

    def make(folder: Path) -> None:
        uv = find_uv()
        if uv is None:
            raise RuntimeError(f"uv is needed to make an environment: {REMEDY}")
        _run_uv([uv, "venv", "-q", "-p", base, str(folder)])
        install = [uv, "pip", "install", "-q", "--require-hashes", "--only-binary", ":all:"]
        _run_uv([*install, "-p", str(folder / "bin" / "python"), "-r", str(requirements.absolute())])

    return kept(requirements.read_bytes() + os.path.realpath(base).encode(), make) / "bin" / "python"


def _run_uv(command: list[str]) -> None:
    """Run uv from outside any project, whose own pins are not meant for this environment; nor are a person's."""
    own = {name: value for name, value in os.environ.items() if name not in OTHERS_PINS}
    ran = subprocess.run(command, check=False, cwd="/", env=own, stderr=subprocess.PIPE, text=True, errors="replace")
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} ended with status {ran.returncode}:\n{ran.stderr.rstrip()}")
