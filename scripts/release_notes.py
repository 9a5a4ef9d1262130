"""Says what a release brings, from CHANGELOG.md, and refuses a tag that is not the version that the project says.

    python -m scripts.release_notes v0.1.0

Needs nothing but the standard library: the release workflow runs it before it installs anything.
"""

import datetime as dt
import re
import sys
from collections.abc import Sequence

from scripts.project import ROOT, project

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(rc[1-9]\d*)?")
HEADING = re.compile(r"^## \[?(?P<name>[^\]\s]+)\]?(?: - (?P<date>\S+))?$", re.MULTILINE)


class ReleaseError(Exception):
    """Why a tag cannot be released."""


def notes(tag: str, *, version: str, changelog: str, today: dt.date) -> str:
    """Give the section of the changelog that a tag is about.

    Raises:
        ReleaseError: The tag is not `v` and the project's version, the version is none that is released, or the
            changelog has no section of it with a day that has been, or has lines that no release has.
    """
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"a released version must be like 1.2.3 or 1.2.3rc1, got {version}; change .projenrc.py")
    if tag != f"v{version}":
        raise ReleaseError(f"the tag must be v{version}, as the project says, got {tag}; delete it and tag again")
    headings = list(HEADING.finditer(changelog))
    ends = [*(heading.start() for heading in headings[1:]), len(changelog)]
    sections = [
        (heading["name"], heading["date"], changelog[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=True)
    ]
    if any(name == "Unreleased" and text for name, _, text in sections):
        raise ReleaseError(f"the changelog must have nothing under Unreleased; move it under {version}")
    found = [(date, text) for name, date, text in sections if name == version]
    if len(found) != 1:
        raise ReleaseError(f"the changelog must have one section {version}, got {len(found)}")
    date, text = found[0]
    try:
        day = dt.date.fromisoformat(date or "")
    except ValueError:
        raise ReleaseError(
            f"the section {version} must have a date, got {date}; write `## {version} - {today}`"
        ) from None
    if day > today:
        raise ReleaseError(f"the section {version} must have a day that has been, got {day}")
    if not text:
        raise ReleaseError(f"the section {version} must say something")
    return text + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the notes of a tag, or why there are none."""
    (tag,) = arguments
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    try:
        told = notes(tag, version=project()["version"], changelog=changelog, today=dt.datetime.now(tz=dt.UTC).date())
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    print(told, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
