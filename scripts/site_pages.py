"""What the site has beyond docs/: pages of other files, a reference of every public name, links that lead there.

mkdocs calls these functions (`hooks` in mkdocs.yml).
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import ak_constructs
from scripts.project import ROOT, project

FROM_FILES = {
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "CONTRIBUTING.md": "project/contributing.md",
}
FOLDERS = {
    "docs/decisions": "docs/decisions/0001-python-native.md",
    "docs/constructs": "docs/constructs/index.md",
}
MODULES = {"local": "ak_constructs.local", "testing": "ak_constructs.testing"}
DRAWS = "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"
SCROLLS = '<div class="picture" role="group" aria-label="Diagram" tabindex="0">'  # on a phone
LINK = re.compile(r"(\]\(|^\[[^\]]+\]: )((?!\w+:|#)[^)\s#]+)(#[^)\s]*)?", re.MULTILINE)


def reference() -> dict[str, str]:
    """Give each page of the reference: its file, and what it is of."""
    names = {name: f"ak_constructs.{name}" for name in ak_constructs.__all__}
    return {f"reference/{name}.md": of for name, of in {**names, **MODULES}.items()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let a star in the nav stand for files."""
    config.nav = _starless(config.nav, Path(config.docs_dir))
    return config


def _starless(entry: Any, docs: Path) -> Any:  # noqa: ANN401 - YAML
    """Give a part of the nav without stars."""
    if isinstance(entry, dict):
        return {title: _starless(below, docs) for title, below in entry.items()}
    if not isinstance(entry, list):
        return entry
    given: list[Any] = []
    for each in entry:
        given += _found(each, docs) if isinstance(each, str) and "*" in each else [_starless(each, docs)]
    return given


def _found(star: str, docs: Path) -> list[str]:
    if star == "reference/*.md":
        return list(reference())
    return sorted(path.relative_to(docs).as_posix() for path in docs.glob(star))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/, and what draws the pictures."""
    for name, page in FROM_FILES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    for page, of in reference().items():
        title = f"---\ntitle: {of if of in MODULES.values() else PurePosixPath(page).stem}\n---\n\n"
        files.append(File.generated(config, page, content=f"{title}::: {of}\n"))
    listed = "".join(f"- [`{of}`]({PurePosixPath(page).name})\n" for page, of in reference().items())
    written = f"# All public names\n\nWritten from signatures and docstrings.\n\n{listed}"
    files.append(File.generated(config, "reference/index.md", content=written))
    files.append(File.generated(config, "site/mermaid.js", abs_src_path=str(ROOT / DRAWS)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:  # noqa: ANN401 - mkdocs' own
    """Rewrite links as they stand in the repository to those of the site."""
    origin = {to: of for of, to in FROM_FILES.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    if page.file.src_uri in {"index.md", "tutorial.md"}:
        page.meta["hide"] = ["navigation"]
    if page.file.src_uri.startswith("reference/"):
        return markdown

    def leads(link: re.Match[str]) -> str:
        target = normpath(str(PurePosixPath(origin).parent / link[2]))
        return link[1] + _address(target, link[3] or "", page.file.src_uri, config)

    blocks = re.split(r"(^ *```.*?^ *```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(block if block.lstrip().startswith("```") else LINK.sub(leads, block) for block in blocks)


def _address(target: str, anchor: str, page: str, config: MkDocsConfig) -> str:
    """Give where a file of the repository is to be read."""
    if to := _page_of(target, anchor):
        return relpath(to, str(PurePosixPath(page).parent))
    if not (ROOT / target).exists():
        return target  # mkdocs says so
    kind = "tree" if (ROOT / target).is_dir() else "blob"
    return f"{config.repo_url}/{kind}/{revision()}/{target}{anchor}"


def _page_of(target: str, anchor: str) -> str:
    """Give the page of a file of the repository, if it has one."""
    if target == "API.md":
        name = _named(anchor)
        return f"reference/{name.split('.')[1]}.md#{name}" if name else f"reference/index.md{anchor}"
    if target == "README.md" and not anchor:
        return "index.md"
    if target.startswith("docs/"):
        return FOLDERS.get(target, target).removeprefix("docs/") + anchor
    return FROM_FILES[target] + anchor if target in FROM_FILES else ""


def _named(anchor: str) -> str:
    """Give the public name that a heading of API.md is of."""
    headings: list[str] = re.findall(
        r"^#{3,} `([\w.]+)`", (ROOT / "API.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return {f"#{name.replace('.', '').lower()}": name for name in headings}.get(anchor, "")


def revision() -> str:
    """Give where links into the repository lead: a release's tag, or main in between."""
    version: str = project()["version"]
    return "main" if "dev" in version else f"v{version}"


def on_post_page(output: str, page: Page, **_: Any) -> str:  # noqa: ANN401
    """Name the search for screen readers, and load what draws pictures where there are some: it is large."""
    output = output.replace('role="dialog"', 'role="dialog" aria-label="Search"')
    if 'class="mermaid"' not in output:
        return output
    script = f'<script src="{relpath("site/mermaid.js", str(PurePosixPath(page.file.dest_uri).parent))}"></script>'
    output = re.sub(r'<pre class="mermaid">.*?</pre>', rf"{SCROLLS}\g<0></div>", output, flags=re.DOTALL)
    return output.replace("</head>", f"{script}</head>", 1)
