"""The Python client of examples/websocket_chat: what it makes of frames, and of connections that break."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from examples.websocket_chat import client
from examples.websocket_chat.client import Chat
from examples.websocket_chat.replies import MAX_MESSAGE_BYTES, MOST_BEGUN, MOST_SENDS, Frame, Parts, Reply

Script = Callable[[ServerConnection, list[Frame]], Awaitable[None]]


def chunk(delta: str, seq: int, attempt: int = 1) -> Frame:
    """Write a piece of an answer."""
    return {"type": "STREAM_CHUNK", "attempt": attempt, "seq": seq, "delta": delta, "done": False}


ANSWER: Frame = {"type": "CHAT_RESPONSE", "request_id": "r", "session_id": "s", "status_code": 200, "result": "abc"}


@pytest.mark.parametrize(
    ("chunks", "shown", "text"),
    [
        ([chunk("a", 0), chunk("b", 1), chunk("c", 2)], "abc", "abc"),
        ([chunk("a", 0), chunk("b", 1), chunk("a", 0, 2), chunk("b", 1, 2), chunk("c", 2, 2)], "ab", "abc"),
        ([chunk("a", 0), chunk("a", 0, 2), chunk("b", 1, 1), chunk("b", 1, 2), chunk("c", 2, 2)], "a", "abc"),
        ([chunk("a", 0), chunk("c", 2), chunk("d", 3)], "a", "a"),
        ([chunk("a", 0), chunk("a", 0), chunk("b", 1)], "ab", "ab"),
        ([chunk("b", 1), chunk("c", 2)], "", ""),
        ([chunk("a", 0, 2), chunk("x", 0, 1)], "a", "a"),
        ([], "", ""),
    ],
    ids=["all", "again", "a late one of before", "a gap", "twice", "from the middle", "the second alone", "none"],
)
def test_no_text_is_shown_twice_or_in_part(chunks: Sequence[Frame], shown: str, text: str) -> None:
    """What was shown is a beginning of what the newest attempt wrote; a gap or a new attempt ends it."""

    async def play() -> tuple[str, str, Frame]:
        reply = Reply({})
        for frame in (*chunks, ANSWER, {**ANSWER, "result": "another"}):
            reply.take(frame)
        return "".join([delta async for delta in reply]), reply.text, await reply.answer

    assert asyncio.run(play()) == (shown, text, ANSWER)


def test_what_the_agent_does_and_the_conversation_are_kept_as_last_said() -> None:
    """A frame that says neither changes neither."""

    async def play() -> tuple[str, str]:
        reply = Reply({})
        said: list[Frame] = [
            {"type": "CHAT_QUEUED", "session_id": "s", "progress": "reads"},
            {"type": "PROGRESS", "progress": "writes"},
        ]
        for frame in (*said, chunk("a", 0)):
            assert not reply.take(frame)
        return reply.progress, reply.session_id

    assert asyncio.run(play()) == ("writes", "s")


@pytest.mark.parametrize(("route", "sends"), [("chat", MOST_SENDS), ("resume", 1)])
def test_a_message_that_is_never_kept_is_not_sent_for_ever(route: str, sends: int) -> None:
    """Then that there is no such request is the answer; of what was asked elsewhere, it is at once."""

    async def play() -> int:
        reply = Reply({"route": route})
        frame = {"type": "SYSTEM_RESPONSE", "status": "NOT_FOUND"}
        return 1 + next(number for number in range(10) if not reply.is_lost(frame))

    assert asyncio.run(play()) == sends


def test_parts_are_joined_in_their_order() -> None:
    """Those of several frames at once, too."""
    parts = Parts()
    texts = {name: json.dumps({"type": "CHAT_RESPONSE", "result": name * 10}) for name in "ab"}
    frames = [
        {"type": "PART", "part_id": name, "i": i, "n": 2, "data": text[:20] if i == 0 else text[20:]}
        for i in (1, 0)
        for name, text in texts.items()
    ]
    joined = [parts.joined(frame) for frame in frames]
    assert joined[:2] == frames[:2]
    assert [frame["result"] for frame in joined[2:]] == ["a" * 10, "b" * 10]


@pytest.mark.parametrize(
    "wrong", [{"n": 10**9}, {"n": -1}, {"n": 0}, {"i": -1}, {"i": 2}, {"i": 10**9}, {"i": 5, "n": 1}]
)
def test_parts_that_make_no_sense_are_not_kept(wrong: Frame) -> None:
    """Nor do they end the connection."""
    parts = Parts()
    frame = {"type": "PART", "part_id": "p", "i": 0, "n": 2, "data": "{", **wrong}
    assert parts.joined(frame) == frame
    assert not parts._pieces


def test_frames_that_are_never_whole_are_forgotten() -> None:
    """The oldest first; the others can still become whole."""
    parts = Parts()
    for name in range(100):
        parts.joined({"type": "PART", "part_id": str(name), "i": 0, "n": 2, "data": "{"})
    assert len(parts._pieces) == MOST_BEGUN
    assert parts.joined({"type": "PART", "part_id": "99", "i": 1, "n": 2, "data": "}"}) == {}


@pytest.mark.parametrize("said", [{"message": "pong"}, {"status": "NOT_FOUND"}])
def test_whatever_an_agent_answers_is_an_answer(said: Frame) -> None:
    """And neither a pong nor the word that a message was lost."""

    async def answers(connection: ServerConnection, heard: list[Frame]) -> None:
        await hear(connection, heard)
        await say(connection, {**ANSWER, **said})
        await connection.wait_closed()

    async def talk(url: str) -> Frame:
        async with Chat(url, lambda: "token") as chat:
            return await asyncio.wait_for((await chat.send("hi", request_id="r")).answer, 3)

    server = Server(answers)
    assert asyncio.run(server.run(talk)) == {**ANSWER, **said}
    assert len(server.heard[0]) == 1


def test_it_rests_longer_after_each_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is down is not asked every second by every client."""
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 8:
            raise EOFError

    monkeypatch.setattr(client, "REST_SECONDS", (1, 1))
    monkeypatch.setattr("examples.websocket_chat.client.asyncio.sleep", rest)
    with pytest.raises(EOFError):
        asyncio.run(Chat("ws://127.0.0.1:1/prod", lambda: "token").__aenter__())
    assert rests == [2, 4, 8, 16, 32, 32, 32, 32]


def test_fails_when_a_message_is_longer_than_a_frame_may_be() -> None:
    """The service would close the connection."""

    async def make() -> None:
        Reply({"prompt": "x" * MAX_MESSAGE_BYTES})

    with pytest.raises(ValueError, match="at most 32768 bytes"):
        asyncio.run(make())


class Server:
    """A server that follows a script for each connection, the last one for all later ones."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.heard: list[list[Frame]] = []
        self.offers: list[str] = []
        self.open = True
        self.second = asyncio.Event()

    async def check(self, _connection: ServerConnection, request: Request) -> Response | None:
        """Refuse when closed."""
        self.offers.append(request.headers.get("Sec-WebSocket-Protocol") or request.headers["Authorization"])
        return None if self.open else _connection.respond(HTTPStatus.FORBIDDEN, "no")

    async def play(self, connection: ServerConnection) -> None:
        """Follow the script of this connection."""
        heard: list[Frame] = []
        self.heard.append(heard)
        if len(self.heard) > 1:
            self.second.set()
        await self.scripts[min(len(self.heard), len(self.scripts)) - 1](connection, heard)

    async def run(self, talk: Callable[[str], Awaitable[Any]]) -> Any:  # noqa: ANN401 - whatever the talk gives
        """Serve while somebody talks."""
        async with serve(
            self.play,
            "127.0.0.1",
            0,
            process_request=self.check,
            select_subprotocol=lambda _, offered: next(iter(offered), None),
        ) as server:
            port = server.sockets[0].getsockname()[1]
            return await asyncio.wait_for(talk(f"ws://127.0.0.1:{port}/prod"), 10)


async def hear(connection: ServerConnection, heard: list[Frame]) -> Frame:
    """Take one message."""
    message: Frame = json.loads(await connection.recv())
    heard.append(message)
    return message


async def say(connection: ServerConnection, *frames: Frame) -> None:
    """Send frames."""
    for frame in frames:
        await connection.send(json.dumps(frame))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again without a rest."""
    monkeypatch.setattr(client, "REST_SECONDS", (0, 0))


def test_a_broken_connection_is_opened_again_and_asks_for_what_is_open() -> None:
    """Messages that the server never got are sent again."""

    async def breaks(connection: ServerConnection, heard: list[Frame]) -> None:
        first = await hear(connection, heard)
        await say(connection, {**chunk("a", 0), "request_id": first["request_id"]})
        await hear(connection, heard)
        connection.transport.abort()

    async def goes_on(connection: ServerConnection, heard: list[Frame]) -> None:
        for _ in range(2):
            asked = (await hear(connection, heard))["request_id"]
            if asked == "one":
                await say(connection, {**ANSWER, "request_id": asked})
            else:
                await say(connection, {"type": "SYSTEM_RESPONSE", "status": "NOT_FOUND", "request_id": asked})
        await say(connection, {**ANSWER, "request_id": (await hear(connection, heard))["request_id"]})
        await connection.wait_closed()

    server = Server(breaks, goes_on)
    tokens = iter(["first", "second"])

    async def talk(url: str) -> list[str]:
        async with Chat(url, lambda: next(tokens)) as chat:
            replies = [await chat.send("hi", request_id=name, session_id="s") for name in ("one", "two")]
            shown = [delta async for delta in replies[0]]
            return [*shown, *[(await reply.answer)["result"] for reply in replies]]

    assert asyncio.run(server.run(talk)) == ["a", "abc", "abc"]
    resumed, lost = [{"route": "resume", "request_id": name} for name in ("one", "two")]
    again = {"route": "chat", "request_id": "two", "session_id": "s", "prompt": "hi"}
    assert server.heard[1] == [resumed, lost, again]
    assert server.offers == ["bearer, first", "bearer, second"]


def test_a_connection_is_left_when_the_server_says_so_and_nothing_is_open() -> None:
    """And not while an answer is on its way."""

    async def hints(connection: ServerConnection, heard: list[Frame]) -> None:
        asked = await hear(connection, heard)
        await say(connection, {"type": "CHAT_QUEUED", "request_id": asked["request_id"], "reconnect": True})
        await say(connection, {**ANSWER, "request_id": asked["request_id"]})
        await connection.wait_closed()

    async def answers_pings(connection: ServerConnection, heard: list[Frame]) -> None:
        await hear(connection, heard)
        await say(connection, {"type": "SYSTEM_RESPONSE", "message": "pong", "status": "SUCCESS", "reconnect": False})
        await connection.wait_closed()

    server = Server(hints, answers_pings)

    async def talk(url: str) -> None:
        async with Chat(url, lambda: "token", by_header=True) as chat:
            await (await chat.send("hi")).answer
            await asyncio.wait_for(server.second.wait(), 5)
            await chat.ping()

    asyncio.run(server.run(talk))
    assert len(server.heard) == 2
    assert set(server.offers) == {"Bearer token"}


def test_what_api_gateway_itself_says_makes_it_ask_again() -> None:
    """It does not say which message was not taken."""

    async def fails(connection: ServerConnection, heard: list[Frame]) -> None:
        await hear(connection, heard)
        await say(connection, {"message": "Internal server error", "connectionId": "c", "requestId": "x"})
        await connection.wait_closed()

    async def answers(connection: ServerConnection, heard: list[Frame]) -> None:
        await say(connection, {**ANSWER, "request_id": (await hear(connection, heard))["request_id"]})
        await connection.wait_closed()

    async def talk(url: str) -> Frame:
        async with Chat(url, lambda: "token") as chat:
            return await (await chat.resume("r")).answer

    assert asyncio.run(Server(fails, answers).run(talk)) == ANSWER


def test_a_refused_token_raises_where_somebody_waits() -> None:
    """At once, or later with what is open."""

    async def breaks(connection: ServerConnection, heard: list[Frame]) -> None:
        await hear(connection, heard)
        server.open = False
        connection.transport.abort()

    server = Server(breaks)

    async def talk(url: str) -> None:
        async with Chat(url, lambda: "token") as chat:
            reply = await chat.send("hi")
            assert [delta async for delta in reply] == []
            with pytest.raises(InvalidStatus):
                await reply.answer
            with pytest.raises(InvalidStatus):
                await chat.send("hi again")
        with pytest.raises(InvalidStatus):
            await Chat(url, lambda: "token").__aenter__()

    asyncio.run(server.run(talk))
