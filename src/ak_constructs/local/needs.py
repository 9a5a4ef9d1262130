"""Says what is missing before an app can run here."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("boto3", "httpx", "websockets")
REMEDY = "pip install 'ak-constructs[local]'"


def programs() -> str:
    """Give the PATH for programs that an environment brings, which need not be active: its own first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def find_uv() -> str | None:
    """Find uv: `uv run` says where it is, an environment or a package has it, or the machine."""
    found = os.environ.get("UV") or shutil.which("uv", path=programs())
    return str(Path(found).absolute()) if found else None


def missing() -> str | None:
    """Give what is missing and how to get it, or nothing."""
    if sys.platform == "win32":
        return "ak_constructs.local runs on Linux, on macOS and in WSL; on Windows install WSL and run it there"
    absent = [name for name in PACKAGES if find_spec(name) is None]
    absent += [name for name in ("node", "npm") if shutil.which(name, path=programs()) is None]
    absent += [] if find_uv() else ["uv"]
    return f"ak_constructs.local needs {', '.join(absent)}: {REMEDY}" if absent else None
