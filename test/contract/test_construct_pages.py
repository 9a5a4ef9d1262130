"""docs/constructs: every page has all parts, its code runs, its tables and numbers are those of the code."""

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

import ak_constructs
from ak_constructs import _limits, _rest_api, agent_function
from ak_constructs.testing import normalised
from benchmarks import keep_warm
from benchmarks.prices import OTHERS
from scripts.construct_pages import OVERVIEW, filled, standing, whys
from scripts.pages import costs
from scripts.pages.stacks import PAGES, Defined, blocks, page_of, running

ROOT = PAGES.parents[1]
SECTIONS = [
    "The smallest example",
    "What it defines",
    "Defaults",
    "Limits",
    "Permissions",
    "What it costs",
    "What it does not do",
    "Testing a stack that uses it",
    "Errors",
    "Reference",
]
MOST_LINES = 190
# Numbers in sentences; those of tables are written from the code.
NUMBERS: dict[str, dict[str, float]] = {
    "AgentFunction": {},
    "AgentApi": {"1.2": float(_rest_api.SECURITY_POLICY.removeprefix("TLS_").replace("_", "."))},
    "AgentQueue": {},
    "QueuedAgentPipeline": {},
    "WebSocketAgentApi": {},
    "Authorization": {},
    "SessionStore": {},
    "SharedCapacityProvider": {"1": costs.SCHEDULED_SECONDS["VersionCounter"]},
    "VersionPruner": {"10": costs.SCHEDULED_SECONDS["Function"]},
    "KeepWarm": {},
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, and what its code defined."""

    construct: str
    text: str
    app: types.ModuleType
    defined: Defined

    @property
    def reasons(self) -> dict[str, str]:
        """Why each resource is there, by the ids in the table."""
        tables = [part for part in re.findall(PART, self.text) if part.startswith("<!-- begin: resources")]
        return {ids: why for part in tables for ids, why in whys(part).items()}

    @property
    def picture(self) -> str:
        """Its one picture, without what is written on nodes and arrows."""
        (picture,) = re.findall(r"```mermaid\nflowchart (?:LR|TD)\n(.*?)```", self.text, flags=re.DOTALL)
        return re.sub(r'"[^"]*"|\(\[.*?\]\)|\[\(.*?\)\]|\[.*?\]', "", picture)


PART = re.compile(r"<!-- begin: .*?<!-- end -->", flags=re.DOTALL)


def without_code(text: str) -> str:
    """Leave out code, pictures and addresses."""
    return re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", text, flags=re.DOTALL)


@pytest.fixture(scope="module", params=ak_constructs.__all__)
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """Run the code of each page once: defining things takes longest."""
    text = page_of(request.param).read_text(encoding="utf-8")
    with running(text) as app:
        yield Page(construct=request.param, text=text, app=app, defined=Defined(app))


def test_a_page_has_all_parts_in_order(page: Page) -> None:
    """Who knows one page knows where to look on the others."""
    assert page.text.startswith(f"# {page.construct}\n")
    assert re.findall(r"^## (.+)$", page.text, flags=re.MULTILINE) == SECTIONS
    assert re.findall(r"<!-- begin: (\w+)", page.text)[-1] in {"costs", "idle"}
    assert {"resources", "defaults", "limits", "permissions", "costs"} <= set(
        re.findall(r"<!-- begin: (\w+)", page.text)
    )
    assert f"](../../API.md#ak_constructs{page.construct.lower()})" in page.text
    assert "](../findings.md#" in page.text
    assert "](../troubleshooting.md)" in page.text
    assert len(page.text.splitlines()) <= MOST_LINES


def test_its_tables_are_those_of_templates_docstrings_and_prices(page: Page) -> None:
    """Written by `python -m scripts.construct_pages`; why a resource is there is written by hand."""
    assert filled(page.construct, page.text, page.defined) == page.text
    assert page.reasons
    assert all(why.strip() for why in page.reasons.values())


def test_its_docstring_names_every_resource(page: Page) -> None:
    """The page finds what a docstring forgets."""
    said = getattr(ak_constructs, page.construct).__doc__ or ""
    if page.construct == "Authorization":
        said = ak_constructs.AgentApi.__doc__ or ""  # it is no construct: its resources are its API's
    if page.construct == "AgentFunction":
        said = said.replace("`<id>", "`Agent")
    assert [ids for ids in page.reasons if ids.partition(",")[0] not in said] == []


def test_its_picture_shows_every_resource_and_no_other(page: Page) -> None:
    """Nodes that begin with a capital are ids of the table."""
    shown = set(re.findall(r"\b[A-Z]\w+", page.picture))
    ids = [re.findall(r"`(\w+)`", each) for each in page.reasons]
    assert {first for first, *_ in ids} <= shown
    assert shown <= {id_ for each in ids for id_ in each}


def test_its_tests_hold_and_would_not_of_an_empty_stack(page: Page, tmp_path: Path) -> None:
    """A test that passes without the construct says nothing of it."""
    expected = normalised(page.defined.stack)
    of_page = run_tests(page.text, expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            page.app,
            "stack",
            cdk.Stack(cdk.App(outdir=str(tmp_path), builtin_cloud_formation_validation=False), "Empty"),
        )
        of_nothing = run_tests(page.text, expected)
    assert len(of_page) == 3
    assert not any(of_page.values())
    assert all(of_nothing.values())


def run_tests(text: str, expected: object) -> dict[str, Exception | None]:
    """Run the tests of a page, whose stack is imported anew, and say what each raised; a snapshot has what is given."""
    names: dict[str, Any] = {}
    exec(dict(blocks(text))["test_app.py"], names)  # noqa: S102 - our own documentation
    raised: dict[str, Exception | None] = {}
    for name in [name for name in names if name.startswith("test_")]:
        arguments = {"snapshot": expected} if "snapshot" in inspect.signature(names[name]).parameters else {}
        raised[name] = None
        try:
            names[name](**arguments)
        except (AssertionError, RuntimeError) as error:
            raised[name] = error
    return raised


def test_numbers_in_its_sentences_are_those_of_the_code(page: Page) -> None:
    """A number that no constant holds must not be written."""
    sentences = "\n".join([re.sub(PART, "", without_code(page.text)), *page.reasons.values()])
    written = set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?", sentences))
    statuses = {"200", "202", "303", "401", "403", "404", "409", "429", "502", "503", "504"}
    assert written - statuses == set(NUMBERS[page.construct])
    assert {number: float(number) for number in NUMBERS[page.construct]} == NUMBERS[page.construct]


def test_the_overview_has_every_construct_with_its_price(page: Page) -> None:
    """In the table and in the picture."""
    text = OVERVIEW.read_text(encoding="utf-8")
    (row,) = re.findall(rf"^.*\[{page.construct}\]\({page_of(page.construct).name}\) \| (\S+) \|$", text, re.MULTILINE)
    assert row == f"{standing(page.text, page.defined):,.2f}"
    (picture,) = re.findall(r"```mermaid\n(.*?)```", text, flags=re.DOTALL)
    assert re.search(rf"\b{page.construct}\b", picture)


def test_numbers_in_the_overview_are_those_of_the_code() -> None:
    """What it costs is compared above."""
    text = re.sub(r" \d+\.\d\d \|$", "", without_code(OVERVIEW.read_text(encoding="utf-8")), flags=re.MULTILINE)
    seconds, minutes = _limits.API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS, _limits.LAMBDA_TIMEOUT_SECONDS // 60
    assert set(re.findall(r"\d+", text)) == {str(seconds), str(minutes)}


def test_warm_environments_cost_what_their_own_document_says() -> None:
    """Two pages, one price."""
    agent, environments = agent_function.DEFAULT_MEMORY_MIB, 1
    total = f"**{keep_warm.pings(agent, environments):.2f}**"
    assert total in page_of("KeepWarm").read_text(encoding="utf-8")


def test_every_price_has_a_source() -> None:
    """Of those that only these pages use."""
    assert all(price.source.startswith("https://") and price.dollars > 0 for price in OTHERS.values())


def test_links_lead_to_headings() -> None:
    """As GitHub numbers them; whether the file is there another test asks."""
    for document in PAGES.glob("*.md"):
        for target, anchor in re.findall(r"\]\((?!http)([^)#]+)#([^)]+)\)", document.read_text(encoding="utf-8")):
            headings = re.findall(r"^#+ (.+)$", (document.parent / target).read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{target}#{anchor} in {document.name}"
