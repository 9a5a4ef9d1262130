"""The paths through WebSocket APIs that need permissions: taken with all of them, and with one less."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from websockets import Subprotocol
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from ak_constructs.local.signing import signed_headers
from examples.websocket_chat.client import Chat
from examples.websocket_chat.replies import Frame
from test.local.permission_paths import (
    ACCESS_DENIED,
    AGENT,
    CREDENTIALS,
    LARGE,
    QUICK,
    RESPONSES,
    Failing,
    Paths,
    overdue,
)
from test.local.queued_pipeline import new_id, until
from test.local.websocket_talk import Talk

CHATS = "WebSocketChat"
CONNECTIONS, MESSAGES = "ApiConnectionHandler", "ApiMessageHandler"
DIRECT, SIGNED = "Direct", "SignedConnectionHandler"
ASKS, HEARS, KEEPS = "asks", "hears", "keeps"  # users with a connection each; the last has an answer in S3
POSTS = "prod/POST/@connections/*"
NOWHERE = "nowhere"


def _table(api: str) -> str:
    return f"{api}Connections"


def _endpoint(paths: Paths, api: str) -> str:
    return paths.own["Url" if api == "Api" else f"{api}Url"].replace("wss://", "https://")


def _to(paths: Paths, user: str) -> dict[str, str]:
    """What a message says of somebody who waits at a WebSocket."""
    return {"user_id": user, "endpoint_url": _endpoint(paths, "Api")}


@contextlib.contextmanager
def _opened(paths: Paths, user: str) -> Iterator[Talk]:
    """Connect with a token."""
    protocols = [Subprotocol("bearer"), Subprotocol(paths.token(user))]
    with connect(paths.aws.reachable(paths.own["Url"]), subprotocols=protocols) as socket:
        yield Talk(socket)


@contextlib.contextmanager
def _opened_signed(paths: Paths) -> Iterator[Talk]:
    """Connect with a signature."""
    url = paths.aws.reachable(paths.own["SignedUrl"])
    http = url.replace("ws://", "http://")
    headers = signed_headers("GET", http, b"", credentials=CREDENTIALS, region="us-east-1")
    with connect(url, additional_headers=headers) as socket:
        yield Talk(socket)


def _told(talk: Talk, request_id: str, *types: str) -> Frame:
    """Give the next frame of a request that is one of these."""
    while True:
        frame = talk.hear()
        if frame.get("request_id") == request_id and frame["type"] in types:
            return frame


def _haunted(paths: Paths, api: str = "Api", user: str = "") -> str:
    """Keep a connection that is gone and has not been missed yet, the only one of its user unless one is given."""
    ghost = new_id("ghost")
    row = {"user_id": user or ghost, "connection_id": ghost, "endpoint": _endpoint(paths, api)}
    paths.write(_table(api), {**row, "connected_at": 1, "expiry_time": int(time.time()) + 3600})
    return ghost


def _is_there(paths: Paths, ghost: str, api: str = "Api", user: str = "") -> bool:
    return bool(paths.read(_table(api), user_id=user or ghost, connection_id=ghost))


def _event(message: Mapping[str, Any], ghost: str) -> dict[str, Any]:
    """Write the message of a connection that is gone, as API Gateway says it."""
    about = {"eventType": "MESSAGE", "routeKey": message["route"], "connectionId": ghost}
    return {"requestContext": {**about, "authorizer": {"user_id": KEEPS}}, "body": json.dumps(message)}


# With all permissions


def talks(paths: Paths) -> None:
    """People who connect by each proof, chat, stream, resume, ping and leave; answers in parts; who is gone."""
    chats = paths.of(CHATS)
    asyncio.run(_converse(chats))
    for user in (ASKS, HEARS, KEEPS):
        chats.talks[user] = chats.opened.enter_context(_opened(chats, user))
    chats.talks[SIGNED] = chats.opened.enter_context(_opened_signed(chats))
    _is_large(chats)
    frame = chats.talks[ASKS].ask(route="resume", request_id=overdue(chats, ASKS))
    assert (frame["type"], frame["status_code"]) == ("CHAT_RESPONSE", 502)
    assert _chat(chats.talks[SIGNED], "CHAT_RESPONSE")["result"]
    _passes_signed(chats)
    for miss, *where in ((_miss_run,), (_miss_reply,), (_miss_resume, "Api", KEEPS), (_miss_answer, "Signed")):
        ghost = _haunted(chats, *where)
        miss(chats, ghost)
        assert until(lambda ghost=ghost, where=where: not _is_there(chats, ghost, *where))  # type: ignore[misc]


async def _converse(paths: Paths) -> None:
    """Use the example's client."""
    url, user = paths.aws.reachable(paths.own["Url"]), "talks"

    def rows() -> list[object]:
        return paths.query(_table("Api"), user_id=user)

    async with asyncio.timeout(60):
        token = lambda: paths.token(user)  # noqa: E731
        async with Chat(url, token) as chat, Chat(url, token, by_header=True) as other:
            assert len(rows()) == 2
            first = await chat.send("y" * 20_000, **QUICK)
            text = "".join([delta async for delta in first])
            answer = await first.answer
            assert text == answer["result"]
            second = await chat.send("z" * 20_000, session_id=answer["session_id"], **QUICK)
            assert "y" * 20_000 in (await second.answer)["result"]
            await chat.ping()
            resumed = await other.resume(second.message["request_id"])
            assert await resumed.answer == await second.answer
    until(lambda: not rows())


def _is_large(paths: Paths) -> None:
    """A request by S3 and an answer by S3, pushed in parts, and resumed."""
    paths.large_request = new_id("large")
    message = paths.keep(json.dumps({"prompt": "x" * LARGE, **QUICK}))
    paths.put(paths.large_request, user_id=KEEPS)
    paths.send("QueueRequestQueue", message, paths.large_request, **_to(paths, KEEPS))
    pushed = _told(paths.talks[KEEPS], paths.large_request, "CHAT_RESPONSE")
    assert "x" * LARGE in pushed["result"]
    assert paths.talks[KEEPS].ask(route="resume", request_id=paths.large_request) == pushed


def _chat(talk: Talk, *types: str, **fields: object) -> Frame:
    """Chat, and give the frame that counts."""
    message = {"request_id": new_id("chat"), **QUICK, **fields}
    talk.send(route="chat", prompt="hi", **message)
    return _told(talk, str(message["request_id"]), *types)


# Who is gone, and is forgotten


def _miss_run(paths: Paths, ghost: str) -> None:
    paths.send("QueueRequestQueue", {"prompt": "hi", **QUICK}, new_id("missed"), **_to(paths, ghost))


def _miss_reply(paths: Paths, ghost: str) -> None:
    paths.send("QueueReplies", {"result": "hi"}, new_id("missed"), **_to(paths, ghost))


def _miss_resume(paths: Paths, ghost: str) -> None:
    """A long answer goes in parts, to a connection that is gone: the row is of whoever may read the answer."""
    message = {"route": "resume", "request_id": paths.large_request}
    paths.invoke(paths.named[MESSAGES], _event(message, ghost))


def _miss_answer(paths: Paths, ghost: str) -> None:
    paths.invoke(paths.named[DIRECT], _event({"route": "chat", "prompt": "hi", **QUICK}, ghost))


def _misses(function: str, miss: Callable[[Paths, str], None], *where: str) -> Failing:
    """The log says that the row stays, for the next one who misses it."""

    def path(paths: Paths) -> None:
        ghost = _haunted(paths, *where)
        paths.said_more(function, "not forgotten", lambda: miss(paths, ghost))

    return path


# Connections


def _passes(paths: Paths) -> None:
    with _opened(paths, "passes by"):
        pass


def _passes_signed(paths: Paths) -> None:
    with _opened_signed(paths):
        pass


def _connects(passes: Callable[[Paths], None]) -> Failing:
    """Nobody gets in."""

    def path(paths: Paths) -> Callable[[], None]:
        with pytest.raises(InvalidStatus):
            passes(paths)
        return lambda: passes(paths)

    return path


def _leaves(function: str, passes: Callable[[Paths], None]) -> Failing:
    """The row stays, and the log says so."""

    def path(paths: Paths) -> None:
        paths.said_more(function, "not forgotten", lambda: passes(paths))

    return path


# Messages


def _chats(**fields: object) -> Failing:
    """Nothing is submitted, and the client may send the same again."""

    def path(paths: Paths) -> Callable[[], None]:
        message = {"request_id": new_id("again"), **fields}
        if fields.get("session_id"):
            message["session_id"] = new_id("s")
        refused = _chat(paths.talks[ASKS], "SYSTEM_RESPONSE", **message)
        assert refused["status_code"] == 503

        def again() -> None:
            assert _chat(paths.talks[ASKS], "CHAT_QUEUED", "CHAT_RESPONSE", **message)

        return again

    return path


def _resumes(user: str, of: Callable[[Paths], str], *then: object) -> Failing:
    """No answer is told, and the same is answered afterwards."""

    def path(paths: Paths) -> Callable[[], None]:
        talk, request_id = paths.talks[user], of(paths)
        talk.send(route="resume", request_id=request_id)
        assert _told(talk, request_id, "SYSTEM_RESPONSE")["status_code"] == 503

        def again() -> None:
            talk.send(route="resume", request_id=request_id)
            frame = _told(talk, request_id, "SYSTEM_RESPONSE", "CHAT_RESPONSE")
            assert (frame["type"], frame["status_code"]) == then

        return again

    return path


def _large(paths: Paths) -> str:
    return paths.large_request


# What is pushed


def _streams(message: str) -> Failing:
    """The log says that nobody heard the agent."""

    def path(paths: Paths) -> None:
        paths.said_more(
            AGENT,
            message,
            lambda: paths.send("QueueRequestQueue", {"prompt": "hi", **QUICK}, new_id("unheard"), **_to(paths, HEARS)),
        )

    return path


def _pushes(size: int = 1) -> Failing:
    """The answer waits in the reply queue, and is heard when the handler may post it."""

    def path(paths: Paths) -> Callable[[], None]:
        request_id = new_id("unheard")
        paths.put(request_id, user_id=HEARS)
        message_id = paths.send("QueueReplies", {"result": "x" * size}, request_id, **_to(paths, HEARS))
        line = paths.said(RESPONSES, "a message comes back", message_id=message_id)
        assert line["error_type"] in {*ACCESS_DENIED, "RuntimeError"}  # of several connections some may have it

        def heard() -> None:
            assert len(_told(paths.talks[HEARS], request_id, "CHAT_RESPONSE")["result"]) == size

        return heard

    return path


def _answers(message: str) -> Failing:
    """Who asked is answered all the same, and the log says that nobody else was."""

    def path(paths: Paths) -> None:
        talk = paths.talks[SIGNED]
        paths.said_more(DIRECT, message, lambda: _chat(talk, "CHAT_RESPONSE"))

    return path


def _answers_nobody(paths: Paths) -> None:
    """Messages do not say who sends them, and who that is cannot be looked up."""
    assert _chat(paths.talks[SIGNED], "SYSTEM_RESPONSE")["status_code"] == 503


CASES: dict[str, dict[tuple[str, str], Failing]] = {
    CONNECTIONS: {
        ("dynamodb:PutItem", "ApiConnections"): _connects(_passes),
        ("dynamodb:DeleteItem", "ApiConnections"): _leaves(CONNECTIONS, _passes),
    },
    MESSAGES: {
        ("dynamodb:GetItem", "QueueRequests"): _resumes(ASKS, lambda _: new_id("unknown"), "SYSTEM_RESPONSE", 404),
        ("dynamodb:PutItem", "QueueRequests"): _chats(),
        ("dynamodb:UpdateItem", "QueueRequests"): _resumes(
            ASKS, lambda paths: overdue(paths, ASKS), "CHAT_RESPONSE", 502
        ),
        ("sqs:SendMessage", "QueueRequestQueue"): _chats(),
        ("s3:GetObject", "queuepayloads/answers/*"): _resumes(KEEPS, _large, "CHAT_RESPONSE", 200),
        ("dynamodb:GetItem", "SessionsTable"): _chats(session_id=True),
        ("dynamodb:PutItem", "SessionsTable"): _chats(session_id=True),
        ("dynamodb:DeleteItem", "ApiConnections"): _misses(MESSAGES, _miss_resume, "Api", KEEPS),
        ("execute-api:ManageConnections", POSTS): _resumes(KEEPS, _large, "CHAT_RESPONSE", 200),
    },
    AGENT: {
        ("dynamodb:Query", "ApiConnections"): _streams("the connections cannot be read"),
        ("dynamodb:DeleteItem", "ApiConnections"): _misses(AGENT, _miss_run),
        ("execute-api:ManageConnections", POSTS): _streams("not posted"),
    },
    RESPONSES: {
        ("dynamodb:Query", "ApiConnections"): _pushes(),
        ("dynamodb:DeleteItem", "ApiConnections"): _misses(RESPONSES, _miss_reply),
        ("execute-api:ManageConnections", POSTS): _pushes(),
        ("s3:GetObject", "queuepayloads/answers/*"): _pushes(400_000),
    },
    SIGNED: {
        ("dynamodb:PutItem", "SignedConnections"): _connects(_passes_signed),
        ("dynamodb:DeleteItem", "SignedConnections"): _leaves(SIGNED, _passes_signed),
        ("dynamodb:Query", "SignedConnections/index/connection_id-index"): _leaves(SIGNED, _passes_signed),
    },
    DIRECT: {
        ("dynamodb:Query", "SignedConnections"): _answers("not posted"),
        ("dynamodb:Query", "SignedConnections/index/connection_id-index"): _answers_nobody,
        ("dynamodb:DeleteItem", "SignedConnections"): _misses(DIRECT, _miss_answer, "Signed"),
        ("execute-api:ManageConnections", POSTS): _answers("not posted"),
    },
}
