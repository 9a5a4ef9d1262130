"""The documentation's site: built with no network and without a warning, and read in a browser that has none."""

import functools
import http.server
import json
import re
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from scripts import site, site_pages
from test.local.browser import chromium
from test.local.browser import complaints as complaints_of

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / ".artifacts"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RULES = {  # of the dark pages only the colours are others
    "light": "{rules: {'landmark-unique': {enabled: false}}}",  # the theme's script puts a nav into each block of code
    "dark": "{runOnly: ['color-contrast']}",
}
OPEN = "const attach = Element.prototype.attachShadow; Element.prototype.attachShadow = function (how) {"
OPEN += " return attach.call(this, { ...how, mode: 'open' }) }"  # pictures are drawn where no test could look


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it once."""
    folder = tmp_path_factory.mktemp("site")
    assert site.build(folder) == ""
    return folder


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    """Serve it on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:  # noqa: ANN401
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=built)) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # browsers hang up
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all."""
    with chromium() as running:
        yield running


def opened(browser: Browser, address: str, **how: Any) -> tuple[Page, list[str]]:  # noqa: ANN401
    """Open a page, and list what it complains of and what it asks other hosts for."""
    page = browser.new_context(reduced_motion="reduce", **how).new_page()
    page.add_init_script(OPEN)
    wrong = complaints_of(page)
    page.on(
        "request", lambda request: None if request.url.startswith("http://127.0.0.1") else wrong.append(request.url)
    )
    page.goto(address)
    return page, wrong


def test_every_page_is_in_the_nav_and_has_a_title_and_every_link_leads_somewhere(built: Path) -> None:
    """Anchors too, and nothing is loaded from another host."""
    assert list(site.complaints(built)) == []
    pages = {path.relative_to(built).with_suffix(".md").as_posix() for path in built.rglob("*.html")}
    docs = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages == docs | set(site_pages.FROM_FILES.values()) | {
        *site_pages.reference(),
        "reference/index.md",
        "404.md",
    }


def test_what_is_wrong_with_a_page_is_found(built: Path, tmp_path: Path) -> None:
    """Each kind once."""
    spoilt = tmp_path / "site"
    spoilt.mkdir()
    nav = (built / "index.html").read_text(encoding="utf-8")
    bad = '<a href="gone.html">1</a><a href="#gone">2</a><img src="https://example.com/i.png"><img src="gone.png">'
    (spoilt / "index.html").write_text('<title>Home</title><nav><a href="index.html">Home</a></nav>', encoding="utf-8")
    (spoilt / "page.html").write_text(bad, encoding="utf-8")
    (spoilt / "style.css").write_text("@font-face { src: url(https://example.com/f) }", encoding="utf-8")
    assert "<title>ak-constructs</title>" in nav
    assert sorted(site.complaints(spoilt)) == [
        "page.html has no title",
        "page.html is not in the nav",
        "page.html loads https://example.com/i.png",
        "page.html: #gone has no such place",
        "page.html: gone.html is not there",
        "page.html: gone.png is not there",
        "style.css loads https://example.com/f) }",
    ]


def test_a_link_into_the_repository_leads_to_the_page_or_the_file(built: Path) -> None:
    """As a reader of the repository has it."""
    findings = (built / "findings.html").read_text(encoding="utf-8")
    security = (built / "project" / "security.html").read_text(encoding="utf-8")
    assert re.search(r'href="https://github.com/\S+/blob/(main|v[\d.]+)/\S+/nag.py"', findings)
    assert 'href="../findings.html"' in security
    assert not re.search(r'href="[^"]*\.md[#"]', findings + security)


def test_the_build_asks_no_other_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would break where there is no network: a hook that asks one fails."""
    asks = "import socket\nsocket.create_connection(('192.0.2.1', 80))\n"
    refused = site.OFFLINE.replace('runpy.run_module("mkdocs", run_name="__main__")', asks)
    assert refused != site.OFFLINE
    monkeypatch.setattr(site, "OFFLINE", refused)
    assert "the site is built offline" in site.build(tmp_path)


def test_a_warning_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a plugin that does not tell mkdocs."""
    monkeypatch.setattr(site, "OFFLINE", "print('WARNING -  a heading is there twice')")
    assert "there twice" in site.build(tmp_path)


def test_home_says_what_the_readme_says() -> None:
    """The code and the pictures, whose tests are the README's."""
    home, readme = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/index.md", "README.md"))
    blocks = re.findall(r"^```\w+\n.*?^```", home, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    assert [block for block in blocks if block not in readme] == []


def test_home_and_the_links_name_what_the_package_does() -> None:
    """The least versions, and where the repository is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    least = next(each for each in project["dependencies"] if each.startswith("aws-cdk-lib"))
    said = (
        f"Python {project['requires-python'].removeprefix('>=')} or later, `aws-cdk-lib` {least[13:].split(',')[0]} or"
    )
    assert said in (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pinned = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]["aws-cdk"]
    assert set(re.findall(r"aws-cdk@([\d.]+)", (ROOT / "docs/tutorial.md").read_text(encoding="utf-8"))) == {pinned}
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    addresses = dict(re.findall(r"^(repo_url|site_url): (\S+)$", config, flags=re.MULTILINE))
    assert addresses == {"repo_url": project["urls"]["Repository"], "site_url": project["urls"]["Documentation"]}


@pytest.mark.parametrize("page", ["index.html", "authorization.html"])
def test_pictures_are_drawn_without_a_network(browser: Browser, address: str, page: str) -> None:
    """Each of them, and the console says nothing."""
    shown, wrong = opened(browser, address + page)
    expect(shown.locator(".picture svg").first).to_be_visible()
    expect(shown.locator(".picture svg")).to_have_count(shown.locator(".picture").count())
    assert wrong == []


def test_a_word_is_found(browser: Browser, address: str) -> None:
    """By the search that comes with the pages."""
    shown, wrong = opened(browser, address + "index.html")
    search = shown.get_by_role("textbox", name="Search")
    search.click()  # what is typed before the index is there is forgotten
    expect(shown.locator(".md-search-result__meta")).to_have_text("Type to start searching")
    search.press_sequentially("lease")  # it listens to keys
    expect(shown.locator(".md-search-result__link", has_text="The requests table is the truth").first).to_be_attached()
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_readable_on_a_phone_and_by_a_screen_reader(
    browser: Browser, address: str, scheme: Literal["light", "dark"]
) -> None:
    """Nothing is wider than the screen, and axe finds nothing; pictures of them are kept."""
    ARTIFACTS.mkdir(exist_ok=True)
    shown, wrong = opened(browser, address + "index.html", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for page in ("tutorial", "constructs/agent-api", "reference/AgentApi"):
        shown.goto(f"{address}{page}.html")
        assert shown.evaluate("document.documentElement.scrollWidth") <= 390, page
        shown.evaluate(AXE.read_text(encoding="utf-8"))
        found = shown.evaluate(f"axe.run(document, {RULES[scheme]})")
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == [], page
        assert len(found["passes"]) > (20 if scheme == "light" else 0)
        shown.screenshot(path=ARTIFACTS / f"site_{page.replace('/', '_')}_{scheme}.png")
    assert wrong == []
