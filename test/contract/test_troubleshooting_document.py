"""docs/troubleshooting.md has every message of ours, and none that is gone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ak_constructs import _queues, agent_queue
from ak_lambda.agent_runner import core as agent_core
from ak_lambda.shared import answers
from scripts import troubleshooting
from test.contract.test_docs import ROOT

TEXT = troubleshooting.DOCUMENT.read_text(encoding="utf-8")
ANSWERS = (  # who makes what callers are told, beside refusals
    "agent_runner/core.py",
    "request_handler/core.py",
    "shared/protocol.py",
    "response_handler/streams.py",
    "response_handler/pieces.py",
    "response_handler/replies.py",
)
FOR_LOGS = {
    "the agent failed",
    "the agent returned an error",
    "the run failed",
}  # reasons, and what Agent Kernel's says
LOGS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def section(title: str) -> str:
    """Give what stands below a title, up to the next one of its rank."""
    _, found, rest = TEXT.partition(f"\n{title}\n")
    assert found, title
    return re.split(rf"\n#{{1,{title.count('#')}}} ", rest)[0]


def firsts(text: str, column: int = 0) -> list[str]:
    """Give the spans of code in one column of all tables."""
    lines = [line.strip("|\n").split(" | ") for line in re.findall(r"(?m)^\|.*$", text)]
    return [span for line in lines if len(line) > column for span in re.findall(r"`([^`]+)`", line[column])]


def calls(folder: Path) -> Iterator[tuple[Path, ast.Call]]:
    """Find all calls in the modules of a folder."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node


def texts(path: Path) -> set[str]:
    """Give a module's texts of several words, but for what it documents, logs and refuses."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = {part for node in ast.walk(tree) for left_out in _left_out(node) for part in ast.walk(left_out)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            silent |= set(ast.walk(node)) - {node}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr) and node not in silent]
    said = {troubleshooting.plain(node) for node in found}
    return {each for each in said if re.fullmatch(r"[a-z…][^|{}]* .*[^:]", each)}


def _left_out(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return [node]
    if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {*LOGS, "RefusedError", "compile"}:
        return [node]
    if isinstance(node, ast.FunctionDef) and node.returns:
        return [node.returns]
    return []


def gateway_texts(path: Path) -> Iterator[str]:
    """Give what API Gateway is told to say: pairs of a kind of response and its text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Tuple(elts=[ast.Attribute(attr=kind), ast.Constant(value=str(text))]) if kind.isupper():
                yield text


def test_the_lists_are_up_to_date() -> None:
    """Every refusal at synthesis and at run time, as the sources have it."""
    assert troubleshooting.written(TEXT) == TEXT, "run `uv run python -m scripts.troubleshooting`"


def test_a_list_that_is_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --check; without it, it is written anew."""
    document = tmp_path / "troubleshooting.md"
    document.write_text(TEXT.replace("| `rate_limit must be at least 1` |", "| `gone` |"), encoding="utf-8")
    monkeypatch.setattr(troubleshooting, "DOCUMENT", document)
    assert troubleshooting.main(["--check"]) == 1
    assert troubleshooting.main([]) == 0
    assert document.read_text(encoding="utf-8") == TEXT


def test_a_module_that_refuses_has_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or its messages would be missing, and nobody would know."""
    monkeypatch.delitem(troubleshooting.GROUPS, "KeepWarm")
    with pytest.raises(ValueError, match=r"got none for \['_warmth', 'keep_warm'\]; add it$"):
        troubleshooting.synthesis()


def test_the_usual_refusals_are_refusals() -> None:
    """By hand, each of those that the list has."""
    usual = re.findall(r"(?m)^- \*\*`([^`]+)`\*\*", section("### The usual ones"))
    refused = set(firsts(section("### All refusals")))
    assert len(usual) == len(set(usual)) == 25
    assert set(usual) <= refused


def test_every_warning_is_there() -> None:
    """By its id."""
    ids = {
        node.args[0].value
        for _, node in calls(troubleshooting.SOURCES)
        if ast.unparse(node.func).endswith("add_warning_v2") and isinstance(node.args[0], ast.Constant)
    }
    assert set(firsts(section("### Warnings"))) >= ids
    assert {each for each in firsts(section("### Warnings")) if ":" in each} == ids


def test_every_line_of_a_log_is_there() -> None:
    """And none that nobody writes any more."""
    logged = {
        re.sub("(%s)+", "…", troubleshooting.plain(argument))
        for _, node in calls(troubleshooting.ASSETS)
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in LOGS
        and ast.unparse(node.func.value) in {"_log", "log"}
        for argument in node.args[: 1 + (node.func.attr == "log")]
        if isinstance(argument, ast.Constant | ast.JoinedStr)
    }
    ours = section("## What logs say").partition("Lines of Lambda's own")[0]
    assert set(firsts(ours)) == logged


def test_every_alarm_is_there() -> None:
    """By its id, with a row."""
    alarms: set[str] = set()
    queues: set[str] = set()
    for _, node in calls(troubleshooting.SOURCES):
        called = ast.unparse(node.func)
        if called == "define_alarm":
            alarms.add(troubleshooting.plain(node.args[1]))
        elif called == "_alarms":
            queues.add(troubleshooting.plain(node.args[1]))
    of_queues = {alarm for alarm in alarms if alarm.startswith("…")}
    alarms |= {alarm.replace("…", queue) for alarm in of_queues for queue in queues}
    assert set(firsts(section("## Alarms"))) == alarms - of_queues


def test_every_answer_is_there() -> None:
    """What API Gateway, our functions, and a request that failed say."""
    gateway = {text for path in troubleshooting.SOURCES.glob("*.py") for text in gateway_texts(path)}
    ours = {text for path in ANSWERS for text in texts(troubleshooting.ASSETS / path)} - FOR_LOGS
    expected = {re.sub(r"\$[\w.]+", "…", text) for text in gateway} | ours | {"no such route"}
    told = section("## What callers get").partition("What is refused with the caller at fault")[0]
    assert set(firsts(told, column=1)) - {"error"} == expected


def test_what_is_said_of_frames_is_in_the_sources() -> None:
    """Messages that no list has."""
    sources = "".join(path.read_text(encoding="utf-8") for path in troubleshooting.ASSETS.rglob("*.py"))
    for said in (*re.findall(r"`(not now; [^`]+)`", section("## WebSockets")), "; its last value goes on"):
        assert f'"{said}"' in sources
        assert said.removeprefix("; ") in TEXT


def test_log_groups_and_links_are_there() -> None:
    """Children by their ids, files, and titles of this page and of others."""
    sources = "".join(path.read_text(encoding="utf-8") for path in troubleshooting.SOURCES.glob("*.py"))
    for group in set(re.findall(r"`([A-Z]\w+)Logs`", TEXT)) - {"Agent"}:
        assert f'"{group}"' in sources or f'"{group}Logs"' in sources, group
    for file, anchor in re.findall(r"\]\((?!https:)([^)#]*)#?([^)]*)\)", TEXT):
        text = (ROOT / "docs" / file).read_text(encoding="utf-8") if file else TEXT
        titles = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^#+ (.*)$", text)
        }
        assert not anchor or anchor in titles, f"{file}#{anchor}"


def test_numbers_are_those_of_the_code() -> None:
    """Of what is kept, tried and taken."""
    days = agent_queue.DEAD_LETTER_RETENTION.to_days()
    for said in (
        f"{_queues.ABOUT_TO_BE_LOST_AFTER.to_days():.0f} of its {days:.0f} days",
        f"parked for {_queues.ABOUT_TO_BE_LOST_AFTER.to_days():.0f} days",
        f"get through for {_queues.STUCK_AFTER.to_minutes():.0f} minutes",
        f"after {agent_queue.REPLY_MAX_RECEIVE_COUNT} tries",
        f"behind a queue {agent_core.MAX_KEPT_BYTES // 2**20} MiB",
        f"Lambda takes {answers.MAX_RESPONSE_BYTES // 2**20 + 1} MB",
    ):
        assert said in TEXT, said
