"""Writes API.md from signatures and docstrings; with --check, fails when it is not up to date."""

import re
import sys
import tomllib

from griffe2md import ConfigDict, render_package_docs

from scripts.generated import write
from scripts.project import ROOT

API_MD = ROOT / "API.md"
HEADER = "<!-- Written by `uv run projen docs`: change the docstrings instead. -->\n\n"


def api_md() -> str:
    """Render the public interface as Markdown."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["griffe2md"]
    text = render_package_docs("ak_constructs", ConfigDict(**settings))
    text = re.sub(r"\*\*Modules:\*\*\n\n(?:.+\n)+\n", "", text)
    text = re.sub(r"^(\w+: [^=\n]+) = .*$", r"\1", text, flags=re.MULTILINE)  # not the value
    headings = set(re.findall(r"^#+ `([\w.]+)`", text, flags=re.MULTILINE))
    text = re.sub(r"\[([^\]]+)\]\(#([\w.]+)\)", lambda link: _link(link[1], link[2], headings), text)
    return HEADER + "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _link(label: str, target: str, headings: set[str]) -> str:
    """Link to the heading of a public name as GitHub numbers it; anything else is only text."""
    target = re.sub(r"^ak_constructs\.[a-z_]+\.", "ak_constructs.", target)
    return f"[{label}](#{target.replace('.', '').lower()})" if target in headings else label


def main(arguments: list[str]) -> int:
    """Write or check."""
    return write({API_MD: api_md()}, arguments, "uv run projen docs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
