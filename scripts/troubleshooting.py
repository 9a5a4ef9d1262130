"""Writes the lists of messages in docs/troubleshooting.md from the sources; with --check, fails when they are old."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.generated import write
from scripts.project import ROOT

DOCUMENT = ROOT / "docs" / "troubleshooting.md"
SOURCES = ROOT / "src" / "ak_constructs"
ASSETS = ROOT / "lambda_assets" / "ak_lambda"

GROUPS = {  # who says what: the public module, and those that work for it
    "AgentFunction": ["agent_function", "_entry", "_bundling", "_dependencies", "_secrets"],
    "AgentApi and QueuedAgentPipeline": [
        "agent_api",
        "queued_agent_pipeline",
        "_rest_api",
        "_custom_routes",
        "_chat_path",
        "_private_api",
    ],
    "AgentQueue": ["agent_queue", "_agent", "_queue_wiring"],
    "WebSocketAgentApi": ["websocket_agent_api", "_connections", "_websocket_wiring"],
    "Authorization": ["authorization", "_proof", "_jwt_authorizer"],
    "SessionStore": ["session_store", "_session_backends"],
    "SharedCapacityProvider": [
        "shared_capacity_provider",
        "_managed_instances",
        "_instance_types",
        "_pool_network",
    ],
    "KeepWarm": ["keep_warm", "_warmth"],
    "VersionPruner": ["version_pruner"],
    "Keys": ["_encryption"],
    "ak_constructs.testing": ["testing"],
}
SHARED = {"_validation"}  # its messages are made of what the others give it

CHECKS = {  # what the checks of _validation.py say, of their arguments
    "check_matches": "{0} must be {3}",
    "check_at_least": "{0} must be at least {2}; {3}",
    "check_at_most": "{0} must be at most {2}; {3}",
    "check_whole": "{0} must be a whole number; round it",
    "check_between": "{0} must be between two bounds; leave it out or change it",
    "check_duration_between": "{0} must be between two bounds; leave it out or change it",
    "check_duration_at_least": "{0} must be at least {2} s; {3}",
    "check_timeout_at_most": "{0} must be at most {2} s; {3}",
    "_uv": "{1}; {2}",
}
GOT = re.compile(r", got (?:[^;]|;(?! ))*")


def synthesis() -> str:
    """List what constructs refuse, by construct."""
    said = {path.stem: sorted(set(refusals(path))) for path in SOURCES.glob("*.py") if path.stem not in SHARED}
    silent = {name for name, messages in said.items() if messages} - {
        each for modules in GROUPS.values() for each in modules
    }
    if silent:
        raise ValueError(f"every module that refuses must be in GROUPS, got none for {sorted(silent)}; add it")
    parts = []
    for title, modules in GROUPS.items():
        rows = dict.fromkeys(_row(message) for module in modules for message in said.get(module, ()))
        if rows:
            parts.append("\n".join([f"#### {title}", "", "| refused | what to do |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def refusals(path: Path) -> Iterator[str]:
    """Find what a module refuses: its stable part, without what it got, and its remedy."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node, texts in _with_texts(tree, {}):
        found = (_refusal(node, texts) or "").partition("\n")[0]
        if found.strip("… ;"):
            yield GOT.sub("", found)


def _refusal(node: ast.AST, texts: Mapping[str, ast.expr]) -> str | None:
    """Give what a piece of code refuses, if it does: by raising, by a check, or in a list of refusals."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in CHECKS:
            return CHECKS[name].format(*(_text(each, texts) for each in arguments))
        case ast.Raise(exc=ast.Call(func=ast.Name(id="ValueError" | "TypeError"), args=[message, *_])):
            return _text(message, texts)
        case ast.Yield(value=ast.JoinedStr() as message):
            return _text(message, texts)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="found"), attr="append"), args=[message]):
            return _text(message, texts)
    return None


def _with_texts(node: ast.AST, outer: Mapping[str, ast.expr]) -> Iterator[tuple[ast.AST, Mapping[str, ast.expr]]]:
    """Walk through code; with each piece, the texts that have names there."""
    texts = outer
    if isinstance(node, ast.Module | ast.FunctionDef):
        texts = {**outer, **_constants(node)}
    yield node, texts
    for child in ast.iter_child_nodes(node):
        yield from _with_texts(child, texts)


def refused_at_run_time() -> dict[int, set[str]]:
    """Find what our functions refuse, by status."""
    found: dict[int, set[str]] = {}
    for path in ASSETS.rglob("*.py"):
        for node, texts in _with_texts(ast.parse(path.read_text(encoding="utf-8")), {}):
            match node:
                case ast.Call(func=ast.Name(id="RefusedError"), args=[ast.Constant(value=int(status)), message]):
                    found.setdefault(status, set()).add(GOT.sub("", _text(message, texts)))
    return found


def run_time() -> str:
    """List what callers are told, by status."""
    rows = [
        f"| {status} | `{each}` |" for status, texts in sorted(refused_at_run_time().items()) for each in sorted(texts)
    ]
    return "\n".join(["| status | `error`, or `message` of a WebSocket |", "|---|---|", *rows])


def raised() -> str:
    """List what our functions raise for people to read, who find it in a log, and what the command for people says."""
    command = ASSETS / "version_pruner" / "__main__.py"
    parts = []
    for head, paths, kinds in (
        ("raised", sorted(set(ASSETS.rglob("*.py")) - {command}), {"RuntimeError", "TypeError", "SecretError"}),
        ("`ak-prune` says", [command], {"ValueError"}),
    ):
        found = {each for path in paths for each in _raised_in(path, kinds)}
        parts.append("\n".join([f"| {head} | what to do |", "|---|---|", *sorted({_row(each) for each in found})]))
    return "\n\n".join(parts)


def _raised_in(path: Path, kinds: set[str]) -> Iterator[str]:
    for node, texts in _with_texts(ast.parse(path.read_text(encoding="utf-8")), {}):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id=kind), args=[message, *_])) if kind in kinds:
                yield GOT.sub("", _text(message, texts))


def _row(message: str) -> str:
    refused, _, remedy = re.sub(r"…(\s*…)+", "…", message).partition("; ")
    return f"| `{refused}` | {remedy if remedy.strip('… ') else 'as it says'} |"


def _constants(block: ast.Module | ast.FunctionDef) -> dict[str, ast.expr]:
    """Give the texts that have names in a module, or in a function of it."""
    return {
        target.id: node.value
        for node in block.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant | ast.JoinedStr)
    }


def plain(node: ast.expr) -> str:
    """Give a text that needs nothing else to be read."""
    return _text(node, {})


def _text(node: ast.expr, texts: Mapping[str, ast.expr]) -> str:
    """Give a text as it is written, with three dots for what is only known when it is said."""
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.JoinedStr(values=values):
            return "".join(str(each.value) if isinstance(each, ast.Constant) else "…" for each in values)
        case ast.Name(id=name) if name in texts:
            return _text(texts[name], texts)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="format")) if name in texts:
            return re.sub(r"{\w*}", "…", _text(texts[name], texts))
    return "…"


def written(text: str) -> str:
    """Give the document with its lists as the sources are."""
    for name, made in (("synthesis", synthesis()), ("run time", run_time()), ("raised", raised())):
        begin, end = f"<!-- {name}: written by `python -m scripts.troubleshooting` -->", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{made}\n\n{end}{rest.partition(end)[2]}"
    return text


def main(arguments: list[str]) -> int:
    """Write or check."""
    text = written(DOCUMENT.read_text(encoding="utf-8"))
    return write({DOCUMENT: text}, arguments, "uv run python -m scripts.troubleshooting")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
