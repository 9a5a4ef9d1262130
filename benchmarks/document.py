"""Keeps docs/benchmarks.md, of which each benchmark writes its own part."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def write_part(text: str, document: Path = DOCUMENT) -> None:
    """Put a part in place of the one with the same heading, or at the end."""
    old = document.read_text(encoding="utf-8") if document.exists() else ""
    parts = {_heading(part): part for part in re.split(r"(?m)^(?=#{1,2} )", old) if part.strip()}
    parts[_heading(text)] = text
    document.write_text("\n".join(part.strip() + "\n" for part in parts.values()), encoding="utf-8")


def _heading(part: str) -> str:
    return part.strip().partition("\n")[0]
