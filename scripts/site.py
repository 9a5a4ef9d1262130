"""Builds the documentation's site into site/, with no network, and reads it as a browser would.

mkdocs fails at a warning. Then every page must be in the nav and have a title, every link and anchor must lead
somewhere, and nothing may be loaded from another host.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from scripts.project import ROOT

SITE = ROOT / "site"
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src", "audio": "src"}
LOADED_LINKS = {"stylesheet", "icon", "preload", "preconnect", "prefetch", "modulepreload", "dns-prefetch", "manifest"}
# Refuses every connection, whoever in mkdocs or its plugins wants one, and then is mkdocs.
OFFLINE = """
import runpy, sys
def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        raise ConnectionRefusedError(f"the site is built offline: {event} {arguments[1:]}")
sys.addaudithook(refuse)
runpy.run_module("mkdocs", run_name="__main__")
"""


@dataclass
class Read(HTMLParser):
    """What a page has, loads and leads to."""

    loads: list[str] = field(default_factory=list)
    leads: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    title: str = ""
    nav: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self._in: str = ""
        self._navs = 0

    @classmethod
    def of(cls, path: Path) -> "Read":
        """Read a page."""
        page = cls()
        page.feed(path.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what it says."""
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        self._in = tag
        self._navs += tag == "nav"
        if tag in LOADED and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])
        if tag == "link" and LOADED_LINKS & set(given.get("rel", "").split()):
            self.loads.append(given["href"])
        if tag == "a" and given.get("href"):
            self.leads.append(given["href"])
            if self._navs:
                self.nav.add(given["href"])

    def handle_endtag(self, tag: str) -> None:
        """Leave it."""
        self._in = ""
        self._navs -= tag == "nav"

    def handle_data(self, data: str) -> None:
        """Note the title."""
        if self._in == "title":
            self.title += data.strip()


def build(site: Path = SITE) -> str:
    """Build, and give what mkdocs printed if it failed or warned."""
    command = [sys.executable, "-c", OFFLINE, "build", "--strict", "--clean", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # material's, about the next mkdocs
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = made.stdout + made.stderr
    return said if made.returncode or re.search("warning|error", said, re.IGNORECASE) else ""


def complaints(site: Path = SITE) -> Iterator[str]:
    """Read every page and give what is wrong with them."""
    pages = {path: Read.of(path) for path in sorted(site.rglob("*.html"))}
    known = {urldefrag(href)[0] for href in pages[site / "index.html"].nav}
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        if not page.title:
            yield f"{name} has no title"
        if name != "404.html" and name not in known | {"index.html"}:
            yield f"{name} is not in the nav"
        for address in page.loads:
            if urlsplit(address).netloc:
                yield f"{name} loads {address}"
        for address in [*page.loads, *page.leads]:
            if not urlsplit(address).scheme and not urlsplit(address).netloc and name != "404.html":
                yield from _missing(path, address, pages)
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        yield from (f"{style.name} loads {part[:60]}" for part in text.split("url(")[1:] if "//" in part[:10])


def _missing(path: Path, address: str, pages: dict[Path, Read]) -> Iterator[str]:
    """Say so when an address leads nowhere."""
    target, anchor = urldefrag(unquote(address))
    target = target.partition("?")[0]
    to = Path(os.path.normpath(path.parent / target)) if target else path
    if to.is_dir():
        to /= "index.html"
    if not to.exists():
        yield f"{path.name}: {address} is not there"
    elif anchor and to in pages and anchor not in pages[to].ids | {"__top"}:
        yield f"{path.name}: {address} has no such place"


def main(arguments: list[str]) -> int:
    """Build and read."""
    if arguments:
        print("usage: python -m scripts.site")
        return 2
    if not (ROOT / "node_modules" / "@mermaid-js").exists():
        print("what draws the pictures is missing: npm ci --ignore-scripts")
        return 1
    shutil.rmtree(SITE, ignore_errors=True)
    wrong = build()
    found = [] if wrong else list(complaints())
    print(wrong or "\n".join(found) or f"site/index.html and {len(list(SITE.rglob('*.html'))) - 1} more pages")
    return 1 if wrong or found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
