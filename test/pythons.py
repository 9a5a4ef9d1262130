"""Finds other Pythons on this machine, for tests of what must not depend on one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def this_version() -> str:
    """Give the minor version that runs the tests."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def require_python(*versions: str) -> str:
    """Give the first Python of these versions that is here; without one the test is skipped, or fails in CI."""
    return find_python(*versions) or missing(f"a Python of version {' or '.join(versions)}")


def find_python(*versions: str) -> str | None:
    """Give the first Python of these versions that is here."""
    return next((found for found in map(_find, versions) if found), None)


def missing(what: str) -> str:
    """Skip loudly for want of something that only some tests need; `.ci/run` makes that a failure."""
    if os.environ.get("AK_CONSTRUCTS_SKIP_NOTHING"):
        pytest.fail(f"{what} is needed and not here")
    pytest.skip(f"{what} is not here: this test shows nothing")


def _find(version: str) -> str | None:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    command = [str(Path(shutil.which("uv") or "uv").absolute()), "python", "find", version]
    found = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return found.stdout.strip()
    for shims in (Path(entry) for entry in os.environ["PATH"].split(os.pathsep) if entry.endswith("shims")):
        for python in sorted((shims.parent / "versions").glob(f"{version}*/bin/python")):
            return str(python)
    return None
