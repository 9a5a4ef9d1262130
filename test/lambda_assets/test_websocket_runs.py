"""Runs for people who wait at a WebSocket, by the queue and without it."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ak_lambda.agent_runner import handler as agent_runner
from ak_lambda.agent_runner.agent import loop
from ak_lambda.agent_runner.audience import Audience
from ak_lambda.shared import clients, heartbeat, sockets
from ak_lambda.shared.connections import Connection
from ak_lambda.shared.frames import MAX_PUSHED_BYTES
from test.lambda_assets.events import rest, socket
from test.lambda_assets.fake_connections import ENDPOINT, FORBIDDEN, GONE, FakeConnection
from test.lambda_assets.functions import Functions
from test.lambda_assets.hostile import ODD

ASSETS = Path(__file__).parents[2] / "lambda_assets"
CHAT = {"route": "chat", "prompt": "hi", "request_id": "r", "session_id": "s"}
ABOUT = {"request_id": "r", "session_id": "s"}


class World(Functions):
    """All functions, and an agent's that has a WebSocket."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        monkeypatch.setenv("AK_CONSTRUCTS_CONNECTIONS_TABLE", "connections")
        monkeypatch.setattr(agent_runner, "_audience", self._audience)
        monkeypatch.setattr(sockets, "open_sockets", self._sockets)
        for name in ("LOOK_SECONDS", "RETRY_SECONDS"):
            monkeypatch.setattr(f"ak_lambda.agent_runner.deltas.{name}", 0.01)
        monkeypatch.setattr("ak_lambda.agent_runner.delta_rules.CUT_SECONDS", 0.005)
        monkeypatch.setattr("ak_lambda.agent_runner.delta_rules.PROGRESS_SECONDS", 0.005)

    def connect(self, name: str, user: str = "alice") -> FakeConnection:
        """Open a connection."""
        self.connections.add(Connection(user, name, ENDPOINT), now=int(self.clock.now))
        return self.gateway.connect(name)

    def chat(self, body: object = None, **context: object) -> Any:  # noqa: ANN401
        """Send a message straight to the agent, and give the frame that is the route's response."""
        response = self.agent_function(socket(CHAT if body is None else body, **context))
        assert set(response) == {"statusCode", "body"}, "without a body the client would get an empty message"
        assert response["statusCode"] == 200
        return json.loads(response["body"])

    def _audience(self) -> Audience:
        return Audience(
            connections=self.connections,  # type: ignore[arg-type]
            client_for=self.gateway.client_for,
            now=lambda: int(self.clock.now),
            clock=time.monotonic,
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Make a world."""
    return World(monkeypatch)


def until(holds: Callable[[], object]) -> None:
    """Wait for what must come."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def text(connection: FakeConnection, attempt: int) -> str:
    """Join the deltas of a run, which must be without a gap."""
    chunks = [chunk for chunk in connection.of_type("STREAM_CHUNK") if chunk["attempt"] == attempt]
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert not any(chunk["done"] for chunk in chunks[:-1])
    return "".join(chunk.get("delta", "") for chunk in chunks) + "." * (chunks[-1:] != [] and chunks[-1]["done"])


def hello(turn: Any) -> Iterator[str]:  # noqa: ANN401
    """Stream an answer."""
    turn.progress("Thinking")
    yield "Hello, "
    yield "world"


# By the queue


def test_who_waits_at_a_websocket_sees_the_answer_come(world: World) -> None:
    """All connections of the user, and nobody else's; the deltas join to the answer that is kept."""
    mine, too, hers = world.connect("c-1"), world.connect("c-2"), world.connect("c-3", "bob")
    world.agent = hello
    world.websocket(socket(CHAT))
    world.deliver_requests()
    assert text(mine, 1) == text(too, 1) == "Hello, world."
    assert mine.of_type("PROGRESS") == [{"type": "PROGRESS", **ABOUT, "attempt": 1, "progress": "Thinking"}]
    assert hers.posted == []
    assert json.loads(world.table.items["r"]["answer"])["result"] == "Hello, world"


def test_a_run_that_fails_in_the_middle_begins_anew(world: World) -> None:
    """The first has no end, and the second a higher attempt."""
    mine = world.connect("c-1")
    failures = iter([True])

    def agent(_turn: object) -> Iterator[str]:
        yield "Hello, "
        until(lambda: mine.posted)
        if next(failures, False):
            raise KeyError
        yield "world"

    world.agent = agent
    world.websocket(socket(CHAT))
    world.deliver_requests()
    assert (text(mine, 1), text(mine, 2)) == ("Hello, ", "Hello, world.")


def test_an_async_generator_streams_too(world: World) -> None:
    """Piece by piece, while it runs."""
    mine = world.connect("c-1")

    async def agent(_turn: object) -> Any:  # noqa: ANN401
        yield "a"
        until(lambda: mine.posted)
        yield "b"

    world.agent = agent
    try:
        world.websocket(socket(CHAT))
        world.deliver_requests()
    finally:
        loop().close()
        loop.cache_clear()
    assert text(mine, 1) == "ab."
    assert len(mine.of_type("STREAM_CHUNK")) >= 2


@pytest.mark.parametrize("piece", [7, None, b"bytes"])
def test_a_piece_that_is_no_text_fails_the_run_and_has_no_end(world: World, piece: object) -> None:
    """As it does without a WebSocket."""
    mine = world.connect("c-1")
    world.agent = lambda _turn: iter(["a", piece])
    world.websocket(socket(CHAT))
    world.deliver_requests()
    assert "." not in text(mine, 1)
    assert world.table.items["r"]["status"] == "FAILED"


def test_an_answer_in_one_piece_makes_no_chunks(world: World) -> None:
    """It comes by the reply queue alone."""
    mine = world.connect("c-1")
    world.websocket(socket(CHAT))
    world.deliver_requests()
    assert mine.of_type("STREAM_CHUNK") == []
    assert world.table.items["r"]["status"] == "DONE"


@pytest.mark.parametrize("without", ["endpoint", "user", "table"])
def test_nothing_is_posted_where_nobody_waits(world: World, monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    """A request of the REST API, one of nobody, a queue without a WebSocket: nobody's connections are looked for."""
    world.connect("c-1")
    world.agent = hello
    if without == "table":
        monkeypatch.delenv("AK_CONSTRUCTS_CONNECTIONS_TABLE")
    if without == "endpoint":
        world.pipeline(rest(CHAT, rule="iam", requestContext={"identity": {"user": "alice"}}))
    else:
        world.websocket(socket(CHAT))
    (sent,) = world.queues["requests"].messages
    if without == "user":
        del sent.sent.attributes["user_id"]  # type: ignore[attr-defined]
        world.table.items["r"] = {**world.table.items["r"], "user_id": ""}
        world.sessions.owners.clear()
    reads = world.connections.reads
    assert world.agent_function({"Records": world.queues["requests"].receive(1, hold_seconds=1)}) == {
        "batchItemFailures": []
    }
    assert (world.gateway.posts, world.connections.reads) == ([], reads)
    assert json.loads(world.queues["replies"].sent[0].body)["result"] == "Hello, world"


def test_a_run_that_lost_its_lease_falls_silent(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another run has the request now, and its deltas are the ones that count."""
    monkeypatch.setattr(heartbeat, "BETWEEN_TEXTS_SECONDS", 0.01)
    mine = world.connect("c-1")

    def agent(turn: Any) -> Iterator[str]:  # noqa: ANN401
        yield "a"
        until(lambda: mine.posted)
        world.table.items["r"] = {**world.table.items["r"], "attempt": 2}
        turn.progress("still here")
        until(lambda: "lost the lease" in caplog.text)
        yield "b"

    world.agent = agent
    world.websocket(socket(CHAT))
    assert world.agent_function({"Records": world.queues["requests"].receive(1, hold_seconds=1)}) == {
        "batchItemFailures": []
    }
    assert text(mine, 1) == "a"


# Without the queue


def test_every_connection_of_the_user_gets_the_answer(world: World) -> None:
    """And nobody else's; what the route responds is for no request."""
    mine, too, hers = world.connect("c-1"), world.connect("c-2"), world.connect("c-3", "bob")
    world.agent = lambda turn: f"{turn.user_id} said {turn.prompt} {dict(turn.extra)}"
    told = world.chat({**CHAT, "x": 1})
    assert told == {"type": "SYSTEM_RESPONSE", "status": "SUCCESS", "status_code": 200, "message": "answered"}
    answer = {"type": "CHAT_RESPONSE", **ABOUT, "status_code": 200, "result": "alice said hi {'x': 1}"}
    assert mine.frames == too.frames == [answer]
    assert hers.posted == []


def test_deltas_and_progress_come_before_the_answer(world: World) -> None:
    """A message that is sent again has a higher attempt: there is no table that counts."""
    mine = world.connect("c-1")
    world.agent = hello
    world.chat()
    first = int(world.clock.now)
    world.clock.now += 1
    world.chat({**CHAT, "body": {"prompt": "ignored"}})
    assert text(mine, first) == text(mine, first + 1) == "Hello, world."
    assert [frame["attempt"] for frame in mine.of_type("PROGRESS")] == [first, first + 1]
    assert [frame["result"] for frame in mine.of_type("CHAT_RESPONSE")] == ["Hello, world"] * 2
    assert mine.frames[-1]["type"] == "CHAT_RESPONSE"


def test_agent_kernels_form_of_a_message_is_taken_too(world: World) -> None:
    """Nested, and with a user whom the authorizer knows better."""
    mine = world.connect("c-1")
    world.agent = lambda turn: f"{turn.user_id}: {turn.prompt}"
    world.chat({"route": "chat", "request_id": "r", "user_id": "eve", "body": {"prompt": "hi", "session_id": "s"}})
    assert mine.frames[0]["result"] == "alice: hi"


@pytest.mark.parametrize(
    ("body", "context", "status", "message"),
    [
        ("no JSON", {}, 400, "body must be a JSON object, got something that is not JSON"),
        ({"route": "chat"}, {}, 400, "prompt must be a string, got nothing"),
        ({"route": "chat", "prompt": "hi", "request_id": "/"}, {}, 400, "request_id must match"),
        (CHAT, {"authorizer": {}}, 403, "not allowed: the authorizer passed no user id"),
        (CHAT, {"kind": "CONNECT"}, 400, "event must be a message of a WebSocket"),
        (CHAT, {"route": "resume"}, 400, "this API keeps no answers; send the message again"),
    ],
)
def test_what_cannot_be_run_is_refused_by_a_frame(
    world: World, body: object, context: dict[str, Any], status: int, message: str
) -> None:
    """To who asked alone, and the agent never hears of it."""
    world.agent = lambda _turn: pytest.fail("it was run")
    mine = world.connect("c-1")
    told = world.chat(body, **context)
    assert (told["type"], told["status"], told["status_code"]) == ("SYSTEM_RESPONSE", "FAILED", status)
    assert told["message"].startswith(message)
    assert told.get("request_id") == ("r" if body == CHAT and "kind" not in context else None)
    assert mine.posted == []


CONTEXT = ["routeKey", "eventType", "connectionId", "connectedAt", "requestTimeEpoch", "authorizer", "identity"]


@pytest.mark.parametrize("rule", ["lambda:user_id", "iam"])
@pytest.mark.parametrize("name", CONTEXT)
def test_no_spoilt_event_breaks_the_function(world: World, rule: str, name: str) -> None:
    """Nobody is answered whom the API does not name."""
    world.rule = rule
    for odd in ODD:
        event = socket({**CHAT, "session_id": "s"}, **{name: odd} if name not in {"routeKey", "eventType"} else {})
        event["requestContext"][name] = odd
        response = world.agent_function(event)
        assert response["statusCode"] == 200
        assert json.loads(response["body"])["type"] in {"SYSTEM_RESPONSE", "CHAT_RESPONSE"}


def test_a_session_belongs_to_who_opened_it(world: World) -> None:
    """Anyone else is refused, as by the REST API."""
    mine, hers = world.connect("c-1"), world.connect("c-3", "bob")
    world.chat()
    told = world.chat({**CHAT, "request_id": "r-2"}, authorizer={"user_id": "bob"})
    assert (told["status_code"], told["request_id"]) == (403, "r-2")
    assert told["message"] == "session_id belongs to somebody else"
    assert (len(mine.posted), hers.posted) == (1, [])


def test_a_failed_run_is_told_by_its_one_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """In our words: its own may quote the prompt."""
    caplog.set_level(logging.INFO)
    mine = world.connect("c-1")

    def agent(_turn: object) -> Iterator[str]:
        yield "a"
        raise ValueError("a secret")

    world.agent = agent
    world.chat()
    (answer,) = mine.of_type("CHAT_RESPONSE")
    assert (answer["status"], answer["status_code"], answer["request_id"]) == ("FAILED", 502, "r")
    assert "a secret" not in str(mine.posted) + str([vars(record) for record in caplog.records])
    assert not any(chunk["done"] for chunk in mine.of_type("STREAM_CHUNK"))


@pytest.mark.parametrize(("size", "status"), [(200_000, 200), (MAX_PUSHED_BYTES, 502)])
def test_a_long_answer_comes_in_parts_and_too_long_a_one_fails(world: World, size: int, status: int) -> None:
    """There is no bucket behind, from which it could be fetched."""
    mine = world.connect("c-1")
    world.agent = lambda _turn: "x" * size
    world.chat()
    (answer,) = mine.frames
    assert answer["status_code"] == status
    if status == 200:
        assert len(answer["result"]) == size
        assert len(mine.posted) > 6
    else:
        assert answer["error"] == f"the agent's answer is too large: at most {MAX_PUSHED_BYTES:,} bytes"


@pytest.mark.parametrize("size", [5, 100_000])
def test_where_nobody_can_be_posted_to_the_route_responds_with_the_answer(
    world: World, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """Of a long one with its last part, and the others are posted to who asked."""
    mine = world.connect("c-1")
    mine.fails = [FORBIDDEN]
    world.agent = lambda _turn: "x" * size
    told = world.chat()
    if size > 5:
        mine.posted.append(json.dumps(told).encode())
        (told,) = mine.frames
    assert (told["type"], len(told["result"])) == ("CHAT_RESPONSE", size)
    assert "not posted to all" in caplog.text


def test_posting_ends_while_who_asked_can_still_be_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections there are, and however long the answer is."""
    mine = world.connect("c-1")
    monkeypatch.setattr(agent_runner, "_left_seconds", lambda _context: lambda: 2.0)
    assert world.chat()["result"] == "ok"
    assert mine.posted == []


def test_one_connection_that_is_gone_does_not_hide_the_answer_from_the_others(world: World) -> None:
    """It is forgotten."""
    gone, well = world.connect("c-0"), world.connect("c-1")
    gone.always = GONE
    assert world.chat()["status"] == "SUCCESS"
    assert well.frames[0]["result"] == "ok"
    assert list(world.connections.rows) == [("alice", "c-1")]


def test_a_table_that_fails_does_not_cost_the_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who asked has it; the others do not."""
    world.connect("c-1")

    def fail(_user_id: str, *, now: int) -> list[Any]:
        raise RuntimeError(f"a secret {now}")

    monkeypatch.setattr(world.connections, "of_user", fail)
    assert world.chat()["result"] == "ok"
    assert "not posted" in caplog.text
    assert "a secret" not in caplog.text


def test_a_refusal_for_now_says_which_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the client would wait for its answer."""

    def fail(_self: object, _event: object) -> str:
        raise RuntimeError("a secret")

    monkeypatch.setattr(sockets.Sockets, "user", fail)
    told = world.chat({**CHAT, "request_id": "r-7"})
    assert (told["type"], told["status_code"], told["request_id"]) == ("SYSTEM_RESPONSE", 503, "r-7")
    assert "a secret" not in json.dumps(told)


def test_a_function_that_is_not_told_who_asks_answers_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Behind somebody's own WebSocket API, for one."""

    def fail() -> None:
        raise RuntimeError("AK_CONSTRUCTS_IDENTITY must be set")

    monkeypatch.setattr(sockets, "open_sockets", fail)
    world.agent = lambda _turn: pytest.fail("it was run")
    told = world.chat()
    assert (told["status_code"], told["message"]) == (503, "not now; send it again")
    assert "not answered" in caplog.text


# What it costs


def test_what_deltas_are_posted_with_gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt of two seconds: a second one is for the run's thread to decide, which knows whether it may."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AK_CONSTRUCTS_CONNECTIONS_TABLE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    made = agent_runner._audience()
    try:
        config = made.client_for(ENDPOINT).meta.config
        assert (config.read_timeout, config.connect_timeout) == (2, 1)
        assert config.retries["total_max_attempts"] == 1
        assert made.client_for(ENDPOINT) is made.client_for(ENDPOINT)
        assert abs(made.now() - time.time()) < 60
    finally:
        agent_runner._audience.cache_clear()
        clients.client.cache_clear()
        clients._callback_client.cache_clear()


def test_an_agent_without_a_websocket_imports_nothing_for_it(tmp_path: Path) -> None:
    """Neither for a request nor for a message of the queue: a cold start stays what it was."""
    (tmp_path / "agent.py").write_text("def respond(turn):\n    yield turn.prompt\n", encoding="utf-8")
    code = """
import sys
from ak_lambda.agent_runner import handler
from ak_lambda.shared import clients, queues, requests_table
from ak_lambda.agent_runner.queued import QueuedRuns

class Context:
    def get_remaining_time_in_millis(self):
        return 1000

QueuedRuns.handle = lambda *_: True
clients.client = lambda _service: None
assert handler.handler({"prompt": "hi"}, Context())["result"] == "hi"
assert handler.handler({"Records": [{"eventSource": "aws:sqs"}]}, Context()) == {"batchItemFailures": []}
ours = ("deltas", "delta_rules", "audience", "websocket", "frames", "connections", "posting", "sockets")
print([name for name in sys.modules if name.startswith("ak_lambda") and name.rpartition(".")[2] in ours])
"""
    names = ["REQUESTS_TABLE", "REQUEST_QUEUE_URL", "REPLY_QUEUE_URL", "PAYLOADS_BUCKET"]
    numbers = ["RETENTION_SECONDS", "MAX_RECEIVE_COUNT"]
    environment = {f"AK_CONSTRUCTS_{name}": "5" for name in (*names, *numbers)} | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ASSETS}{os.pathsep}{tmp_path}",
        "AK_CONSTRUCTS_AGENT": "agent:respond",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_a_queue_without_a_websocket_loads_nothing_that_pushes() -> None:
    """Its response handler starts as it did before there were WebSockets."""
    code = """
import sys
from ak_lambda.response_handler import handler

ours = ("pushing", "showing", "streams", "pieces", "frames", "answer_frames", "connections", "posting")
assert handler.replies().push is None
print([name for name in sys.modules if name.startswith("ak_lambda") and name.rpartition(".")[2] in ours])
"""
    names = ["REQUESTS_TABLE", "REPLY_QUEUE_URL", "PAYLOADS_BUCKET", "RETENTION_SECONDS"]
    environment = {f"AK_CONSTRUCTS_{name}": "5" for name in names} | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ASSETS),
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.strip() == "[]", ran.stderr
