"""Keeps docs/benchmarks.md, of which each benchmark writes its own part."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def write(report: Callable[[int], str], description: str | None, *, runs: int = 21) -> None:
    """Measure as often as the command line says, write the part, and print it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs)
    text = report(parser.parse_args().runs)
    write_part(text)
    print(text)


def write_part(text: str, document: Path = DOCUMENT) -> None:
    """Put a part in place of the one with the same heading, or at the end."""
    old = document.read_text(encoding="utf-8") if document.exists() else ""
    parts = {_heading(part): part for part in re.split(r"(?m)^(?=#{1,2} )", old) if part.strip()}
    parts[_heading(text)] = text
    document.write_text("\n".join(part.strip() + "\n" for part in parts.values()), encoding="utf-8")


def _heading(part: str) -> str:
    return part.strip().partition("\n")[0]
