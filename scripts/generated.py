"""What scripts that write files of the project have in common: with --check, they only say which are old."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.project import ROOT


def write(files: Mapping[Path, str], arguments: Sequence[str], command: str) -> int:
    """Write each file that is not as it should be; with --check, name it and what would write it, and give 1."""
    old = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" not in arguments:
        for path in old:
            path.write_text(files[path], encoding="utf-8")
        return 0
    for path in old:
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
        print(f"{name} is not up to date; run `{command}`")
    return 1 if old else 0
