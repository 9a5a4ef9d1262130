"""For your own tests: snapshots of your stacks that survive an edit of code, and your agent without a Lambda.

docs/testing.md shows all of it.
"""

import asyncio
import atexit
import contextvars
import functools
import json
import re
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import aws_cdk as cdk

__all__ = ["FakeTurn", "answer_of", "normalised"]

MAX_RESPONSE_BYTES = 6 * 1024 * 1024 - 64 * 1024  # as the runner has it: Lambda's 6 MB less what is around the body
MAX_ERROR_CHARACTERS = 2000
RESERVED_KEY = "$ak_constructs_ref"

# Where CDK writes the hash of an asset, which must be one of the stack's own: a file in a bucket or an image that
# somebody pinned by such a number is not what changes with every edit.
_ASSETS = (
    re.compile(r"\b(?P<hash>[0-9a-f]{64})(?=\.(?:zip|json)\b)"),  # in its key, or a nested stack's
    re.compile(r"(?<=\basset\.)(?P<hash>[0-9a-f]{64})\b"),  # in the metadata that the command line asks for
    re.compile(r"container-assets-[^\"@]*?:(?P<hash>[0-9a-f]{64})\b"),
)
_IDS = {  # ends of logical ids that are made of hashes, by the types that have such
    "AWS::ApiGateway::Deployment": re.compile(r"(?<=Deployment[0-9A-F]{8})[0-9a-f]{32}$"),
    "AWS::Lambda::Version": re.compile(r"(?<=CurrentVersion[0-9A-F]{8})[0-9a-f]{32}$"),
}


def normalised(stack: "cdk.Stack") -> dict[str, Any]:
    """Give a stack's template without what changes with every edit of code: a snapshot of it shows what else does.

    The hashes of the stack's assets, and those in the logical ids of function versions and of an API's deployments,
    become `<asset>` and `<hash>`; nothing else does, so that a file or an image that you pinned by its hash counts. The
    context `{"aws:cdk:bundling-stacks": []}` of the app makes the synthesis install nothing.

    Args:
        stack: The stack, in its app.
    """
    from aws_cdk import Stage  # noqa: PLC0415 - tests of an agent do without CDK, and start at once
    from aws_cdk.assertions import Template  # noqa: PLC0415

    template = Template.from_stack(stack).to_json()
    stage = Stage.of(stack)
    lists = Path(stage.outdir).glob("*.assets.json") if stage else ()
    return without_hashes(template, {hash_ for each in lists for hash_ in _listed(each)})


def without_hashes(template: Mapping[str, Any], assets: Collection[str]) -> dict[str, Any]:
    """Give a template so, whose assets have these hashes."""

    def mask(found: re.Match[str]) -> str:
        return found[0].replace(found["hash"], "<asset>") if found["hash"] in assets else found[0]

    text = json.dumps(template, sort_keys=True)
    for pattern in _ASSETS:
        text = pattern.sub(mask, text)
    for id_, masked in _generated(template.get("Resources", {})).items():
        text = re.sub(rf"{id_}\b", masked, text)
    found: dict[str, Any] = json.loads(text)
    return found


def _generated(resources: Mapping[str, Any]) -> dict[str, str]:
    """Give what logical ids with a hash become; none where two would become the same."""
    masked = {id_: _IDS[each["Type"]].sub("<hash>", id_) for id_, each in resources.items() if each.get("Type") in _IDS}
    return {id_: new for id_, new in masked.items() if list(masked.values()).count(new) == 1}


def _listed(assets: Path) -> Iterator[str]:
    """Give the hashes in the list of what the command line uploads."""
    found = json.loads(assets.read_text(encoding="utf-8"))
    for kind, name in (("files", "objectKey"), ("dockerImages", "imageTag")):
        for asset in found.get(kind, {}).values():
            for destination in asset["destinations"].values():
                yield from re.findall(r"[0-9a-f]{64}", destination[name])


class FakeTurn:
    """A turn as an agent gets it, made up for a test.

    Args:
        prompt: The caller's message.
        session_id: The conversation.
        request_id: This message.
        user_id: Who is asking; None where nobody was asked to prove it.
        agent: Which agent the caller named, or None.
        extra: Every other key of the request. Defaults to none.
        history: Earlier turns of the session, oldest first: `{"prompt", "answer", "request_id", "created_at"}`.
        remaining_ms: Milliseconds until Lambda would end this run; they do not pass.

    Attributes:
        progress_texts: What the agent said by `progress`, in order.
        pieces: What it yielded, in order, once `answer_of` has run it.

    Raises:
        ValueError: The prompt is empty, which no agent is ever given.
    """

    __slots__ = (
        "_remaining_ms",
        "agent",
        "extra",
        "history",
        "pieces",
        "progress_texts",
        "prompt",
        "request_id",
        "session_id",
        "user_id",
    )

    def __init__(
        self,
        prompt: str = "Hello",
        *,
        session_id: str = "test-session",
        request_id: str = "test-request",
        user_id: str | None = None,
        agent: str | None = None,
        extra: Mapping[str, Any] | None = None,
        history: Sequence[Mapping[str, Any]] = (),
        remaining_ms: int = 60_000,
    ) -> None:
        if not prompt:
            raise ValueError("prompt must not be empty, got ''; no agent is ever given that")
        self.prompt: str = prompt
        self.session_id: str = session_id
        self.request_id: str = request_id
        self.user_id: str | None = user_id
        self.agent: str | None = agent
        self.extra: Mapping[str, Any] = extra or {}
        self.history: Sequence[Mapping[str, Any]] = history
        self.progress_texts: list[str] = []
        self.pieces: list[str] = []
        self._remaining_ms = remaining_ms

    def progress(self, text: str) -> None:
        """Take what the agent says that it does."""
        self.progress_texts.append(text)

    def remaining_ms(self) -> int:
        """Give the time that was given."""
        return self._remaining_ms


def answer_of(respond: Callable[..., object], turn: FakeTurn) -> dict[str, Any]:
    """Run an agent as its function does, be it async or not, and give the JSON object that a caller of its API gets.

    What is no answer is `{"status": "FAILED", "request_id", "error"}` here, too: something else than a text, a dict or
    pieces of text, what cannot be written as JSON, what is too large. An exception of the agent's is raised as it is;
    a caller would only be told that the agent failed.

    Args:
        respond: The agent.
        turn: What it is given; its `pieces` are what the agent yielded.
    """
    result = contextvars.copy_context().run(_complete, respond, turn)
    body = _body(result, turn)
    try:
        text = json.dumps(body, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return _failed(turn, "the agent's answer cannot be written as JSON")
    if len(json.dumps(text)) > MAX_RESPONSE_BYTES:
        return _failed(turn, f"the agent's answer is too large: at most {MAX_RESPONSE_BYTES:,} bytes")
    answer: dict[str, Any] = json.loads(text)
    return answer


def _body(result: object, turn: FakeTurn) -> dict[Any, Any]:
    if isinstance(result, str):
        return {"result": result, "session_id": turn.session_id, "request_id": turn.request_id}
    if not isinstance(result, Mapping):
        return _failed(turn, f"the agent returned {type(result).__name__}, expected a str, a dict or pieces of str")
    if "error" in result and "result" not in result:
        return _failed(turn, str(result["error"])[:MAX_ERROR_CHARACTERS])
    if RESERVED_KEY in result:
        return _failed(turn, f"the agent's answer must not have the key {RESERVED_KEY}")
    return {**result, "session_id": turn.session_id}


def _failed(turn: FakeTurn, error: str) -> dict[str, Any]:
    return {"status": "FAILED", "request_id": turn.request_id, "error": error}


def _complete(respond: Callable[..., object], turn: FakeTurn) -> object:
    """Call an agent, wait for what it promises, join what it yields."""
    turn.pieces = []
    result: Any = respond(turn)
    if hasattr(result, "__await__"):
        result = _wait(_awaited(result))
    if hasattr(result, "__anext__"):
        return _wait(_joined(result, turn))
    if hasattr(result, "__next__"):
        return "".join(_recorded(result, turn))
    return result


def _recorded(pieces: Iterator[Any], turn: FakeTurn) -> Iterator[Any]:
    for piece in pieces:
        turn.pieces.append(piece)
        yield piece


async def _awaited(result: Any) -> Any:  # noqa: ANN401
    return await result


async def _joined(pieces: Any, turn: FakeTurn) -> str:  # noqa: ANN401
    async for piece in pieces:
        turn.pieces.append(piece)
    return "".join(turn.pieces)


def _wait(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
    return _loop().run(coroutine, context=contextvars.copy_context())


@functools.cache
def _loop() -> asyncio.Runner:
    """One event loop for all runs, as in a Lambda environment: clients that an agent keeps stay bound to it."""
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner
