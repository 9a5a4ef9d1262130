"""Writes test/contract/contents.txt: every file that the wheel and the sdist hold. A test compares it with both.

    uv run python -m scripts.contents

Read the difference before you commit it: what is published cannot be taken back.
"""

import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from scripts.project import ROOT, build

LIST = ROOT / "test" / "contract" / "contents.txt"


def contents(wheel: Path, sdist: Path) -> str:
    """List both, without the version in their folders' names."""
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = [name for name in archive.namelist() if not name.endswith("/")]
    with tarfile.open(sdist) as archive:
        in_sdist = [member.name for member in archive.getmembers() if not member.isdir()]
    version = "-".join(wheel.name.split("-")[:2])
    lists = {"wheel": in_wheel, "sdist": in_sdist}
    lines = sorted(f"{kind} {name.replace(version, '<version>')}" for kind, names in lists.items() for name in names)
    return "\n".join(lines) + "\n"


def main(_arguments: Sequence[str]) -> int:
    """Build both and list them."""
    with tempfile.TemporaryDirectory() as folder:
        wheel, sdist = (build(Path(folder), kind) for kind in ("--wheel", "--sdist"))
        LIST.write_text(contents(wheel, sdist), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
