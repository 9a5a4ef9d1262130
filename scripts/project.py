"""What several scripts need of this project: where it is, what it says of itself, what is built of it.

Needs nothing but the standard library: the release workflow imports it before it installs anything.
"""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def project() -> dict[str, Any]:
    """Give the table `project` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def uv() -> str:
    """Find uv: `uv run` says where it is."""
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        raise RuntimeError("uv is needed; run this with `uv run`")
    return str(Path(found).absolute())


def build(out: Path, kind: str = "--wheel", *, source: Path = ROOT) -> Path:
    """Build a distribution and give its file; hatchling makes the same bytes of the same sources."""
    subprocess.run([uv(), "build", "-q", kind, "--out-dir", out, source], check=True, cwd="/")
    (built,) = out.glob("*.whl" if kind == "--wheel" else "*.tar.gz")
    return built
