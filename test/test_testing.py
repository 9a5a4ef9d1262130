"""ak_constructs.testing: what users test their stacks and their agents with."""

import asyncio
import contextvars
import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template
from hypothesis import given, settings
from hypothesis import strategies as st

from ak_constructs import AgentApi, AgentFunction, Authorization, KeepWarm, _bundling, testing
from ak_constructs import _assets as assets
from ak_constructs._lambda_assets import lambda_assets
from ak_constructs.testing import FakeTurn, answer_of, normalised, without_hashes
from ak_lambda.agent_runner import core
from ak_lambda.agent_runner import handler as runner
from ak_lambda.agent_runner.agent import loop
from ak_lambda.agent_runner.turn import Turn
from ak_lambda.shared.answers import MAX_RESPONSE_BYTES
from ak_lambda.shared.fields import REFERENCE
from ak_lambda.shared.requests import Request
from test.lambda_assets.events import Context

HASH = re.compile(r"[0-9a-f]{64}|(?<=[0-9A-F]{8})[0-9a-f]{32}")


def define(folder: Path, **agent: Any) -> cdk.Stack:  # noqa: ANN401 - whatever a test changes
    """Define an app with every kind of hash in its template: a version's, a deployment's, assets'."""
    app = cdk.App(outdir=str(folder / "cdk.out"), context={"aws:cdk:bundling-stacks": []}, analytics_reporting=False)
    stack = cdk.Stack(app, "Stack")
    function = AgentFunction(stack, "Agent", entry=folder / "agent", **agent)
    AgentApi(stack, "Api", agent=function, authorization=Authorization.iam())
    KeepWarm(stack, "Warm", targets=[function.add_alias("live")])
    nested = cdk.NestedStack(stack, "Nested")
    lambda_.Function(
        nested,
        "Theirs",
        code=lambda_.Code.from_asset(str(folder / "agent")),
        handler="agent.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
    )
    return stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with an agent in it."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "agent.py").write_text("def respond(turn):\n    return turn.prompt\n", encoding="utf-8")
    return tmp_path


def both(stack: cdk.Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a stack's template as it is and normalised."""
    return dict(Template.from_stack(stack).to_json()), normalised(stack)


def test_a_snapshot_survives_an_edit_of_the_agent(folder: Path) -> None:
    """And the template does not: the test would see nothing."""
    before = both(define(folder))
    (folder / "agent" / "agent.py").write_text("def respond(turn):\n    return 'Hello'\n", encoding="utf-8")
    after = both(define(folder))
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert not HASH.search(json.dumps(after[1]))


def test_a_snapshot_survives_an_edit_of_our_lambda_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a patch release brings it."""
    before = both(define(folder))
    edited = folder / "lambda_assets"
    shutil.copytree(lambda_assets(), edited, ignore=shutil.ignore_patterns("__pycache__"))
    (edited / "ak_lambda" / "added.py").write_text("", encoding="utf-8")
    for module in (assets, _bundling):
        monkeypatch.setattr(module, "lambda_assets", lambda: edited)
    after = both(define(folder))
    assert before[0] != after[0]
    assert before[1] == after[1]


@pytest.mark.parametrize(
    "change", [{"memory_size": 2048}, {"environment": {"DIGEST": "a" * 64}}, {"timeout": cdk.Duration.seconds(3)}]
)
def test_a_snapshot_changes_with_anything_else(folder: Path, change: dict[str, Any]) -> None:
    """Also with what only looks like a hash of an asset's."""
    assert normalised(define(folder)) != normalised(define(folder, **change))


def leaves(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of every value in JSON that has no others inside."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, key))
    else:
        yield path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give a template as it is."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "agent").mkdir()
    (folder / "agent" / "agent.py").write_text("def respond(turn): ...\n", encoding="utf-8")
    found = dict(Template.from_stack(define(folder)).to_json())
    image = "${AWS::AccountId}.dkr.ecr/cdk-hnb659fds-container-assets-${AWS::AccountId}:" + "0a" * 32
    found["Resources"]["Image"] = {"Properties": {"Code": {"ImageUri": {"Fn::Sub": image}}}}
    found["Resources"]["Nested"] = {"Metadata": {"aws:asset:path": "asset." + "0b" * 32}}
    return found


@settings(deadline=None)
@given(data=st.data())
def test_every_value_but_those_hashes_counts(template: dict[str, Any], data: st.DataObject) -> None:
    """Change any one value of a template, in any way: only one that differs in a hash alone may be the same."""
    path = data.draw(st.sampled_from(sorted(leaves(template), key=str)))
    changed = copy.deepcopy(template)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    value = inner[path[-1]]
    at = data.draw(st.integers(0, max(0, len(value) - 1))) if isinstance(value, str) else 0
    other = "Y" if isinstance(value, str) and value[at : at + 1] == "Z" else "Z"
    inner[path[-1]] = f"{value[:at]}{other}{value[at + 1 :]}" if isinstance(value, str) else [value]
    hashes = HASH.findall(value) if isinstance(value, str) else []
    in_hash = bool(hashes) and any(found.start() <= at < found.end() for found in HASH.finditer(value))
    if in_hash:  # it is another one wherever it stands
        changed = json.loads(json.dumps(template).replace(hashes[0], "f" * len(hashes[0])))
    assert (masked(changed) == masked(template)) == in_hash


def masked(template: dict[str, Any]) -> dict[str, Any]:
    """Give a template as if each number in it that looks so were an asset's."""
    return without_hashes(template, set(re.findall(r"[0-9a-f]{64}", json.dumps(template))))


def pinned(properties: dict[str, Any]) -> dict[str, Any]:
    """Give the normalised template of a stack without an asset."""
    stack = cdk.Stack(cdk.App(builtin_cloud_formation_validation=False, analytics_reporting=False), "Stack")
    cdk.CfnResource(stack, "Theirs", type="AWS::Lambda::Function", properties=properties)
    return normalised(stack)


@pytest.mark.parametrize(
    "text",
    [
        "their-releases/{64}.zip",
        "arn:aws:s3:::orders/{64}.json",
        "asset.{64}",
        "111122223333.dkr.ecr.eu-west-1.amazonaws.com/cdk-container-assets-1@sha256:{64}",
        "111122223333.dkr.ecr.eu-west-1.amazonaws.com/my-container-assets-1:{64}",
        "arn:aws:lambda:eu-west-1:111122223333:function:CurrentVersion0A0A0A0A{32}",
        "Deployment0A0A0A0A{32}",
    ],
)
def test_a_snapshot_changes_with_what_was_pinned_by_a_hash(text: str) -> None:
    """Code, an image, a policy's object: it is not of this stack's assets, and a review must see it."""
    first, second = ({"Pinned": text.replace("{64}", each * 64).replace("{32}", each * 32)} for each in "ab")
    assert pinned(first) != pinned(second)


def test_no_resource_hides_behind_another() -> None:
    """Ids that would become the same stay as they are, and so do those of other types."""
    types = {"a": "AWS::Lambda::Version", "b": "AWS::Lambda::Version", "c": "AWS::IAM::Role"}
    resources = {f"CurrentVersion0A0A0A0A{each * 32}": {"Type": type_} for each, type_ in types.items()}
    assert without_hashes({"Resources": resources}, ()) == {"Resources": resources}
    assert without_hashes({}, ()) == {}, "an empty stack has none"


def test_a_turn_is_what_agents_get() -> None:
    """The same attributes, and the same defaults where a caller says nothing."""
    request = Request("Hello", "test-session", "test-request", None, None, {})
    real = Turn(request, remaining_ms=lambda: 60_000, progress=lambda _text: None)
    fake = FakeTurn()
    public = {name for name in dir(Turn) if not name.startswith("_")}
    assert {name for name in dir(FakeTurn) if not name.startswith("_")} - public == {"pieces", "progress_texts"}
    for name in public - {"progress", "remaining_ms"}:
        assert getattr(fake, name) == getattr(real, name), name
    assert fake.remaining_ms() == real.remaining_ms()
    for turn in (real, fake):
        with pytest.raises(AttributeError):
            cast(Any, turn).note = "an agent keeps nothing here"


def test_a_turn_has_what_it_is_given_and_keeps_what_is_said() -> None:
    """Whatever a test is about."""
    said = {"prompt": "Hi", "answer": "Hello", "request_id": "r0", "created_at": 1}
    given_ = {"session_id": "s", "request_id": "r", "user_id": "u", "agent": "a", "extra": {"x": 1}, "history": [said]}
    turn = FakeTurn("Why?", remaining_ms=5, **given_)  # type: ignore[arg-type]
    assert {name: getattr(turn, name) for name in given_} == given_
    turn.progress("reads")
    turn.progress("writes")
    assert (turn.prompt, turn.remaining_ms(), turn.progress_texts) == ("Why?", 5, ["reads", "writes"])
    with pytest.raises(ValueError, match=r"^prompt must not be empty, got ''; no agent is ever given that$"):
        FakeTurn("")


async def promised(turn: Any) -> str:  # noqa: ANN401
    """Answer later."""
    await asyncio.sleep(0)
    return f"{turn.prompt}, later"


def yielded(turn: Any) -> Iterator[str]:  # noqa: ANN401
    """Answer bit by bit."""
    turn.progress("writes")
    yield turn.prompt
    yield ""
    yield "!"


async def streamed(turn: Any) -> Any:  # noqa: ANN401
    """Do both."""
    for piece in yielded(turn):
        await asyncio.sleep(0)
        yield piece


async def promised_pieces(turn: Any) -> Any:  # noqa: ANN401
    """Promise what answers bit by bit."""
    await asyncio.sleep(0)
    return yielded(turn)


class Answering:
    """Is called as an agent."""

    def __call__(self, turn: Any) -> str:  # noqa: ANN401
        """Answer."""
        return f"{turn.session_id} {turn.request_id} {turn.user_id} {turn.agent} {turn.extra} {list(turn.history)}"


def nested(depth: int) -> dict[str, Any]:
    """Nest too deeply for JSON."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"": value}
    return value


ANSWERS: dict[str, Callable[[Any], object]] = {
    "a text": lambda turn: f"You said {turn.prompt}",
    "an empty text": lambda _turn: "",
    "a dict": lambda turn: {"result": turn.prompt, "sources": ("a", "b"), 1: None},
    "a dict that names a session": lambda _turn: {"session_id": "another"},
    "an empty dict": lambda _turn: {},
    "an error": lambda _turn: {"error": "no such order"},
    "an error that is long": lambda _turn: {"error": "x" * 3000},
    "an error that is no text": lambda _turn: {"error": 5},
    "an error and a result": lambda _turn: {"error": "partly", "result": "this"},
    "promised": promised,
    "yielded": yielded,
    "yielded nothing": lambda _turn: iter(()),
    "streamed": streamed,
    "promised pieces": promised_pieces,
    "an object": Answering(),
    "nothing": lambda _turn: None,
    "a number": lambda _turn: 5,
    "bytes": lambda _turn: b"text",
    "a list": lambda _turn: ["a", "b"],
    "not JSON": lambda _turn: {"result": object()},
    "not a number": lambda _turn: {"result": float("nan")},
    "too deep": lambda _turn: nested(100_000),
    "a key of ours": lambda _turn: {REFERENCE: "x"},
    "too large": lambda _turn: "x" * MAX_RESPONSE_BYTES,
    "as large as can be": lambda _turn: "x" * (MAX_RESPONSE_BYTES - 200),
}
RAISING: dict[str, Callable[[Any], object]] = {
    "a piece that is no text": lambda _turn: iter(["a", 5]),
    "an error of its own": lambda turn: turn.extra["missing"],
    "no argument": cast("Callable[[Any], object]", lambda: "text"),
}


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[dict[str, Any], list[object]]]]:
    """Give what runs an agent as Lambda does, and gives the answer with the pieces that were fed."""

    def run(respond: Callable[[Any], object]) -> tuple[dict[str, Any], list[object]]:
        fed: list[object] = []
        request = Request("Hello", "test-session", "test-request", None, None, {})
        monkeypatch.setattr(runner, "_agent", lambda: respond)
        answer = runner._run(request, Context(), feed=fed.append)
        return json.loads(answer.text), fed

    yield run
    if loop.cache_info().currsize:
        loop().close()
        loop.cache_clear()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_test_gets_what_a_caller_gets(name: str, real: Callable[..., tuple[dict[str, Any], list[object]]]) -> None:
    """Every kind of agent, run by our runner and by the test's stand-in."""
    turn = FakeTurn()
    answer, fed = real(ANSWERS[name])
    assert answer_of(ANSWERS[name], turn) == answer
    assert turn.pieces == fed[1:]  # the first says that there will be some
    assert answer_of(ANSWERS[name], turn) == answer, "a second time"


@pytest.mark.parametrize("name", RAISING)
def test_an_agents_error_is_the_tests(name: str, real: Callable[..., tuple[dict[str, Any], list[object]]]) -> None:
    """A caller is told no more than that it failed."""
    answer, _ = real(RAISING[name])
    assert answer == core.failure(ValueError(), "test-request").body
    with pytest.raises((TypeError, KeyError)):
        answer_of(RAISING[name], FakeTurn())


def test_what_one_run_sets_in_its_context_the_next_does_not_see() -> None:
    """As in an environment that serves one user after the other; but they share an event loop."""
    loops: list[object] = []

    async def respond(_turn: FakeTurn) -> str:
        loops.append(asyncio.get_running_loop())
        return "text"

    for _ in range(2):
        answer_of(respond, FakeTurn())
    assert loops[0] is loops[1]


def test_the_numbers_are_the_runners() -> None:
    """The constructs' side cannot import them."""
    assert (testing.MAX_RESPONSE_BYTES, testing.MAX_ERROR_CHARACTERS, testing.RESERVED_KEY) == (
        MAX_RESPONSE_BYTES,
        core.MAX_ERROR_CHARACTERS,
        REFERENCE,
    )


def test_what_an_agent_sets_in_its_context_stays_there() -> None:
    """As in its function, where each run has a context of its own."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")

    def respond(_turn: object) -> str:
        variable.set("something")
        return "done"

    assert answer_of(respond, FakeTurn())["result"] == "done"
    assert variable.get() == "nothing"
