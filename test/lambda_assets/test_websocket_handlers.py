"""What a client of a WebSocket is answered: when it connects, pings, chats, asks again and hangs up."""

import base64
import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ak_lambda.connection_handler import handler as connection_handler
from ak_lambda.request_handler import websocket
from ak_lambda.shared import sockets
from ak_lambda.shared.sockets import RECONNECT_MS
from test.lambda_assets.events import rest, socket
from test.lambda_assets.fake_connections import ENDPOINT, FORBIDDEN
from test.lambda_assets.functions import Functions

BEGAN = 1_780_000_000_000
CHAT = {"route": "chat", "prompt": "hi", "request_id": "r", "session_id": "s"}
QUEUED = {"type": "CHAT_QUEUED", "request_id": "r", "session_id": "s", "status": "PENDING"}
BOB: dict[str, Any] = {"authorizer": {"user_id": "bob"}}
ROUTES = '"chat", "resume", "ping" or one that this API adds'


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Functions:
    """Make all functions."""
    return Functions(monkeypatch)


def frame(response: Any) -> dict[str, Any]:  # noqa: ANN401
    """Give the one frame of an answer, which is of the contract's shape."""
    assert set(response) == {"statusCode", "body"}
    assert response["statusCode"] == 200, "or the service would answer in its own words"
    told: dict[str, Any] = json.loads(response["body"])
    assert len(response["body"].encode()) <= 32_000
    assert isinstance(told["type"], str)
    return told


def chat(functions: Functions, body: object = None, /, **context: Any) -> dict[str, Any]:  # noqa: ANN401
    """Send a message to the agent."""
    return frame(functions.websocket(socket(CHAT if body is None else body, **context)))


def resume(functions: Functions, request_id: object = "r", /, **context: Any) -> dict[str, Any]:  # noqa: ANN401
    """Ask how a request is."""
    said = {"route": "resume", "request_id": request_id}
    return frame(functions.websocket(socket(said, route="resume", **context)))


def refused(told: dict[str, Any]) -> tuple[int, str, object]:
    """Give what a refusal says."""
    assert (told["type"], told["status"]) == ("SYSTEM_RESPONSE", "FAILED")
    return told["status_code"], told["message"], told.get("request_id")


def raising(code: str) -> Callable[..., None]:
    """Make a call of AWS that fails."""

    def fails(*_args: object, **_more: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "a secret"}}, "Call")

    return fails


# $connect and $disconnect


def test_who_connects_is_kept(functions: Functions) -> None:
    """Whom the authorizer named, with the endpoint of this API's stage."""
    assert functions.connection(socket(kind="CONNECT", route="$connect")) == {"statusCode": 200, "headers": {}}
    ((key, row),) = functions.connections.rows.items()
    assert (key, row["endpoint"]) == (("alice", "c-1"), ENDPOINT)
    assert row["connected_at"] == BEGAN // 1000


@pytest.mark.parametrize(
    ("headers", "many", "offered"),
    [
        ({"Sec-WebSocket-Protocol": "bearer, token"}, {}, True),
        ({"sec-websocket-protocol": "bearer"}, {}, True),
        ({"SEC-WEBSOCKET-PROTOCOL": " x ,bearer"}, {}, True),
        ({}, {"Sec-WebSocket-Protocol": ["x", "bearer, token"]}, True),
        ({"Sec-WebSocket-Protocol": "token"}, {"Sec-WebSocket-Protocol": ["token"]}, False),
        ({"Sec-WebSocket-Protocol": "Bearer, bearers"}, {}, False),
        ({"Authorization": "bearer"}, {}, False),
        (None, None, False),
        ({"Sec-WebSocket-Protocol": None}, {"Sec-WebSocket-Protocol": 7}, False),
    ],
)
def test_a_browser_is_answered_with_the_subprotocol_that_it_offered(
    functions: Functions, headers: object, many: object, offered: bool
) -> None:
    """And nobody with one that they did not: both would make it hang up. Never the token."""
    event = {**socket(kind="CONNECT"), "headers": headers, "multiValueHeaders": many}
    expected = {"Sec-WebSocket-Protocol": "bearer"} if offered else {}
    assert functions.connection(event) == {"statusCode": 200, "headers": expected}


@pytest.mark.parametrize(
    ("context", "status"),
    [({"authorizer": None}, 403), ({"authorizer": {"principalId": "u"}}, 403), ({"connectionId": None}, 400)],
)
def test_who_is_nobody_is_not_let_in(functions: Functions, context: dict[str, Any], status: int) -> None:
    """Without words: they would reach nobody."""
    assert functions.connection(socket(kind="CONNECT", **context)) == {"statusCode": status}
    assert functions.connections.rows == {}


def test_a_connection_that_cannot_be_kept_is_refused(functions: Functions, caplog: pytest.LogCaptureFixture) -> None:
    """Rather than one that would never hear a thing."""
    functions.connections.add = raising("ThrottlingException")  # type: ignore[method-assign]
    assert functions.connection(socket(kind="CONNECT")) == {"statusCode": 503}
    assert [vars(line)["reason"] for line in caplog.records] == ["ClientError"]
    assert "secret" not in str([vars(line) for line in caplog.records])


def test_who_hangs_up_is_forgotten(functions: Functions) -> None:
    """And nobody else."""
    for context in ({}, {"connectionId": "c-2"}, BOB):
        functions.connection(socket(kind="CONNECT", **context))
    assert functions.connection(socket(kind="DISCONNECT", route="$disconnect")) == {"statusCode": 200}
    assert list(functions.connections.rows) == [("alice", "c-2"), ("bob", "c-1")]


def test_who_hangs_up_without_a_row_is_no_trouble(functions: Functions, caplog: pytest.LogCaptureFixture) -> None:
    """Nor is a table that fails: the row expires."""
    assert functions.connection(socket(kind="DISCONNECT")) == {"statusCode": 200}
    assert not caplog.records
    functions.connections.remove = raising("ThrottlingException")  # type: ignore[method-assign]
    assert functions.connection(socket(kind="DISCONNECT")) == {"statusCode": 200}
    assert "not forgotten" in caplog.text


# ping and $default


@pytest.mark.parametrize(("age", "due"), [(0, False), (RECONNECT_MS - 1, False), (RECONNECT_MS, True)])
def test_a_ping_is_answered_and_says_when_to_connect_anew(functions: Functions, age: int, due: bool) -> None:
    """Ten minutes before the service hangs up."""
    assert RECONNECT_MS == 110 * 60 * 1000
    told = frame(functions.connection(socket({"route": "ping"}, route="ping", connectedAt=BEGAN - age)))
    expected = {"type": "SYSTEM_RESPONSE", "status": "SUCCESS", "status_code": 200, "message": "pong"}
    assert told == {**expected, "reconnect": due}


@pytest.mark.parametrize("connected_at", [None, "1", [], 1.5])
def test_a_ping_without_a_time_is_answered(functions: Functions, connected_at: object) -> None:
    """With no hint."""
    told = frame(functions.connection(socket("x", route="ping", connectedAt=connected_at)))
    assert (told["message"], told["reconnect"]) == ("pong", False)


@pytest.mark.parametrize(
    ("body", "status", "message", "request_id"),
    [
        ({"route": "zzz"}, 404, f'route must be {ROUTES}, got "zzz"', None),
        ({"route": "zzz", "request_id": "r"}, 404, f'route must be {ROUTES}, got "zzz"', "r"),
        ({"route": "zzz", "body": {"request_id": "r"}}, 404, f'route must be {ROUTES}, got "zzz"', "r"),
        ({"route": "zzz", "request_id": "a b"}, 404, f'route must be {ROUTES}, got "zzz"', None),
        ({"route": "x" * 9000}, 404, f'route must be {ROUTES}, got "{"x" * 40}"', None),
        ({"route": "\n😀"}, 404, f'route must be {ROUTES}, got "\\n\\ud83d\\ude00"', None),
        ('{"route": "\\ud800"}', 404, f'route must be {ROUTES}, got "\\ud800"', None),
        ({"route": "$connect"}, 404, f'route must be {ROUTES}, got "$connect"', None),
        ({"prompt": "hi"}, 400, "route must be a string, got nothing", None),
        ({"route": 7, "request_id": "r"}, 400, "route must be a string, got a number", "r"),
        ({"route": ["chat"]}, 400, "route must be a string, got an array", None),
        ("hello", 400, "body must be a JSON object, got something that is not JSON", None),
        ("[1]", 400, "body must be a JSON object, got an array", None),
        (None, 400, "body must be a JSON object, got nothing", None),
    ],
)
def test_a_message_that_no_route_takes_is_told_so(
    functions: Functions, body: object, status: int, message: str, request_id: str | None
) -> None:
    """With the routes that there are, and what of the message is wrong; never with much of it."""
    told = frame(functions.connection(socket(body, route="$default")))
    assert refused(told) == (status, message, request_id)


@pytest.mark.parametrize("route", ["$connect", "$disconnect", "$default"])
def test_a_message_is_one_whatever_its_route_is_called(functions: Functions, route: str) -> None:
    """An event is told by its type: nobody connects or hangs up for others by a message."""
    functions.connection(socket(kind="CONNECT"))
    told = frame(functions.connection(socket({"route": route}, route=route, **BOB)))
    assert told["status_code"] == 404
    assert list(functions.connections.rows) == [("alice", "c-1")]


@pytest.mark.parametrize("kind", ["connect", "", None, [], {}])
def test_what_is_no_event_of_a_websocket_is_refused(functions: Functions, kind: object) -> None:
    """By both handlers."""
    for call in (functions.connection, functions.websocket):
        event = {**socket(CHAT), "requestContext": {"eventType": kind}}
        assert refused(frame(call(event))) == (400, "event must be a message of a WebSocket", None)


def test_our_own_failure_is_a_frame(
    functions: Functions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of both handlers; the service would answer in its own words."""
    for module in (connection_handler, websocket):
        monkeypatch.setattr(module, "open_sockets", raising("AccessDeniedException"))
    assert refused(frame(functions.connection(socket(route="ping")))) == (503, "not now; send it again", None)
    again = "not now; send the same request again, with its request_id"
    assert refused(frame(functions.websocket(socket(CHAT)))) == (503, again, None)
    assert "secret" not in str([vars(line) for line in caplog.records])


# chat


def test_a_chat_message_is_in_the_table_and_in_the_queue(functions: Functions) -> None:
    """As REST would have put it there, but that somebody waits at a WebSocket; the route is no part of it."""
    assert chat(functions) == QUEUED
    (item,) = functions.table.items.values()
    assert (item["user_id"], item["session_id"], item["status"]) == ("alice", "s", "PENDING")
    (sent,) = functions.queues["requests"].sent
    assert json.loads(sent.body) == {"prompt": "hi", "session_id": "s", "user_id": "alice"}
    assert sent.attributes == {"request_id": "r", "user_id": "alice", "endpoint_url": ENDPOINT}
    assert (sent.group, sent.deduplication_id) == ("s", "r")


def test_the_agent_gets_what_the_client_sent(functions: Functions) -> None:
    """But the route, and what a client says of who it is."""
    seen: list[Any] = []

    def agent(turn: Any) -> str:  # noqa: ANN401
        seen.append((turn.prompt, turn.user_id, turn.agent, dict(turn.extra)))
        return "ok"

    functions.agent = agent
    chat(functions, {**CHAT, "user_id": "mallory", "agent": "a", "temperature": 1, "images": [{}]})
    functions.deliver_requests()
    assert seen == [("hi", "alice", "a", {"temperature": 1, "images": [{}]})]


def test_agent_kernels_nested_form_is_a_chat_message(functions: Functions) -> None:
    """Only the outer route is API Gateway's; what is called so inside is the user's."""
    nested = {"route": "chat", "request_id": "r", "user_id": "x", "body": {"prompt": "hi", "session_id": "s"}}
    assert chat(functions, nested) == QUEUED
    inner = {"route": "chat", "request_id": "r2", "body": {"prompt": "hi", "session_id": "s", "route": "north"}}
    assert chat(functions, inner)["type"] == "CHAT_QUEUED"
    bodies = [json.loads(sent.body) for sent in functions.queues["requests"].sent]
    assert bodies == [
        {"prompt": "hi", "session_id": "s", "user_id": "alice", **more} for more in ({}, {"route": "north"})
    ]


def test_ids_are_made_where_none_are_given(functions: Functions) -> None:
    """And told."""
    told = chat(functions, {"route": "chat", "prompt": "hi"})
    assert list(functions.table.items) == [told["request_id"]]
    assert functions.queues["requests"].sent[0].group == told["session_id"]


def test_a_binary_message_is_a_message(functions: Functions) -> None:
    """It comes in base64."""
    encoded = base64.b64encode(json.dumps(CHAT).encode()).decode()
    assert frame(functions.websocket({**socket(encoded), "isBase64Encoded": True})) == QUEUED


def test_a_message_sent_twice_is_one_request(functions: Functions) -> None:
    """Until it is answered it is sent on again under its name; whoever sends it hears that it waits."""
    assert [chat(functions), chat(functions)] == [QUEUED, QUEUED]
    assert [sent.deduplication_id for sent in functions.queues["requests"].sent] == ["r", "r"]


def test_a_message_sent_by_rest_and_by_websocket_is_one_request(functions: Functions) -> None:
    """The same body under the same id is the same request, whichever way it comes."""
    given: dict[str, Any] = {"requestContext": {"authorizer": {"user_id": "alice"}}, "rule": "lambda:user_id"}
    body = {name: value for name, value in CHAT.items() if name != "route"}
    assert functions.pipeline(rest(body, **given))["statusCode"] == 202
    assert chat(functions) == QUEUED
    functions.deliver_requests()
    assert resume(functions)["result"] == "ok"
    assert functions.pipeline(rest(body, **given))["statusCode"] == 200


def test_a_finished_request_sent_again_is_answered_at_once(functions: Functions) -> None:
    """And not run again."""
    chat(functions)
    functions.deliver_requests()
    answer = {"result": "ok", "session_id": "s", "request_id": "r", "type": "CHAT_RESPONSE", "status_code": 200}
    assert chat(functions) == answer
    assert functions.queues["requests"].sent == []


def test_a_failed_request_sent_again_is_answered_at_once(functions: Functions) -> None:
    """With its failure."""
    functions.agent = lambda _turn: 1 / 0
    chat(functions)
    functions.deliver_requests()
    for told in (chat(functions), resume(functions)):
        assert told["error"]
        assert {name: told[name] for name in told if name != "error"} == {
            "type": "CHAT_RESPONSE",
            "status": "FAILED",
            "status_code": 502,
            "request_id": "r",
            "session_id": "s",
        }


@pytest.mark.parametrize(
    ("changes", "status", "field", "request_id"),
    [
        ({"prompt": None}, 400, "prompt", "r"),
        ({"prompt": " "}, 400, "prompt", "r"),
        ({"session_id": "a b"}, 400, "session_id", "r"),
        ({"request_id": "a b"}, 400, "request_id", None),
        ({"request_id": 7}, 400, "request_id", None),
        ({"images": "x"}, 400, "images", "r"),
        ({"agent": 7}, 400, "agent", "r"),
    ],
)
def test_a_wrong_field_is_named(
    functions: Functions, changes: dict[str, Any], status: int, field: str, request_id: str | None
) -> None:
    """By REST's own rules; and of which request, where that is known."""
    told = chat(functions, {**CHAT, **changes})
    assert refused(told) == (status, told["message"], request_id)
    assert told["message"].split(" ")[0] == field
    assert (functions.table.items, functions.queues["requests"].sent) == ({}, [])


def test_somebody_elses_session_is_refused(functions: Functions) -> None:
    """403, as REST does."""
    chat(functions)
    told = chat(functions, {**CHAT, "request_id": "r2"}, **BOB)
    assert refused(told) == (403, "session_id belongs to somebody else", "r2")


def test_a_request_id_that_is_taken_is_refused(functions: Functions) -> None:
    """409, by its own user for another body, and by others."""
    chat(functions)
    functions.sessions.owners.clear()
    for told in (chat(functions, {**CHAT, "prompt": "x"}), chat(functions, {**CHAT, "session_id": "s2"}, **BOB)):
        assert refused(told) == (409, "request_id is taken by another request; choose a new one", "r")


def test_what_is_too_large_for_the_agents_own_handler_is_refused(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """413; our runner would take it."""
    monkeypatch.setattr("ak_lambda.request_handler.submissions.MAX_MESSAGE_BYTES", 1000)
    assert chat(functions, {**CHAT, "prompt": "x" * 1000})["type"] == "CHAT_QUEUED"
    functions.takes_large = False
    told = chat(functions, {**CHAT, "request_id": "r2", "prompt": "x" * 1000})
    assert refused(told) == (413, "body must be at most 1,000 bytes for this agent", "r2")


@pytest.mark.parametrize(("code", "reason"), [("ThrottlingException", "throttled"), ("AccessDenied", "ClientError")])
@pytest.mark.parametrize("part", ["table", "sessions", "queue"])
def test_a_service_that_fails_is_503_with_the_request(
    functions: Functions, caplog: pytest.LogCaptureFixture, part: str, code: str, reason: str
) -> None:
    """So that the same may be sent again under the same id, also where we made it."""
    caplog.set_level("INFO")
    broken = {"table": functions.table, "sessions": functions.sessions, "queue": functions.queues["requests"]}[part]
    setattr(broken, {"table": "write", "sessions": "claim", "queue": "send"}[part], raising(code))
    told = chat(functions, {"route": "chat", "prompt": "hi"})
    again = "not now; send the same request again, with its request_id"
    assert refused(told) == (503, again, told["request_id"])
    (line,) = (vars(each) for each in caplog.records)
    assert (line["levelname"], line["reason"], line["status"]) == ("ERROR", reason, 503)
    assert (line["request_id"], "secret" in str(line)) == (told["request_id"], False)


def test_a_hint_to_connect_anew_comes_with_the_answer(functions: Functions) -> None:
    """From the tenth minute before the end on."""
    assert chat(functions, connectedAt=BEGAN - RECONNECT_MS) == {**QUEUED, "reconnect": True}


def test_an_answer_names_what_was_done_in_one_line(functions: Functions, caplog: pytest.LogCaptureFixture) -> None:
    """By type and status."""
    caplog.set_level("INFO")
    chat(functions)
    resume(functions, "r2")
    lines = [(vars(line)["request_id"], vars(line)["type"], vars(line)["status"]) for line in caplog.records]
    assert lines == [("r", "CHAT_QUEUED", 202), ("r2", "SYSTEM_RESPONSE", 404)]


def test_a_route_that_is_not_ours_is_refused(functions: Functions) -> None:
    """Somebody else's integration may point here."""
    told = frame(functions.websocket(socket(CHAT, route="other")))
    assert refused(told) == (404, "route must be one that this API has", "r")


# resume


def test_a_request_that_is_pending_is_told_with_its_progress(functions: Functions) -> None:
    """And nothing is sent again."""
    chat(functions)
    assert resume(functions) == QUEUED
    functions.table.items["r"] = {**functions.table.items["r"], "progress": "Fetching"}
    assert resume(functions, connectedAt=BEGAN - RECONNECT_MS) == {**QUEUED, "progress": "Fetching", "reconnect": True}
    assert len(functions.queues["requests"].sent) == 1


def test_a_request_is_told_in_agent_kernels_form_too(functions: Functions) -> None:
    """With its id inside."""
    chat(functions)
    nested = socket({"route": "resume", "body": {"request_id": "r"}}, route="resume")
    assert frame(functions.websocket(nested)) == QUEUED


def test_an_answer_that_came_while_nobody_was_there_is_told(functions: Functions) -> None:
    """As often as it is asked for."""
    chat(functions)
    functions.deliver_requests()
    answer = {"result": "ok", "session_id": "s", "request_id": "r", "type": "CHAT_RESPONSE", "status_code": 200}
    assert [resume(functions), resume(functions)] == [answer, answer]


def test_what_is_not_there_is_not_found(functions: Functions) -> None:
    """Whether nobody submitted it, somebody else did, or it has expired: which, is not said."""
    not_found = {
        "type": "SYSTEM_RESPONSE",
        "status": "NOT_FOUND",
        "status_code": 404,
        "message": "no such request, or it has expired",
        "request_id": "r",
    }
    assert resume(functions) == not_found
    chat(functions)
    assert resume(functions, **BOB) == not_found
    functions.clock.now += 2000
    assert resume(functions) == not_found


def test_a_request_that_no_message_can_answer_has_failed(functions: Functions) -> None:
    """It is ended by whoever asks."""
    chat(functions)
    functions.clock.now += 1000
    told = resume(functions)
    assert (told["type"], told["status"], told["status_code"]) == ("CHAT_RESPONSE", "FAILED", 502)
    assert told["error"].startswith("expired")


@pytest.mark.parametrize(("given", "request_id"), [(None, None), (7, None), ("a b", None)])
def test_a_resume_must_name_its_request(functions: Functions, given: object, request_id: object) -> None:
    """Or it is told which field is wrong."""
    told = resume(functions, given)
    assert refused(told) == (400, told["message"], request_id)
    assert told["message"].startswith("request_id must")
    assert (told["message"] == "request_id must be given, got nothing") == (given is None), "no path and no query"


LONG = 'é\\"😀\n' * 40_000


def connected(functions: Functions) -> Any:  # noqa: ANN401
    """Connect two tabs of alice's and one of bob's, and give the first."""
    for connection_id, context in (("c-1", {}), ("c-2", {}), ("c-3", BOB)):
        functions.connection(socket(kind="CONNECT", connectionId=connection_id, **context))
        functions.gateway.connect(connection_id)
    return functions.gateway.connections["c-1"]


def finished(functions: Functions, answer: str) -> None:
    """Submit a request and answer it."""
    functions.agent = lambda _turn: answer
    chat(functions)
    functions.deliver_requests()
    for connection in functions.gateway.connections.values():
        connection.posted.clear()


def test_a_long_answer_goes_in_parts_to_who_asked_alone(functions: Functions) -> None:
    """All but the last are posted, in order; the last is the route's own answer."""
    tab = connected(functions)
    finished(functions, LONG)
    response = functions.websocket(socket({"route": "resume", "request_id": "r"}, route="resume"))
    tab.posted.append(response["body"].encode())
    assert len(tab.posted) > 10
    assert all(len(each) <= 32_000 for each in tab.posted)
    (told,) = tab.frames
    assert (told["type"], told["request_id"], told["result"]) == ("CHAT_RESPONSE", "r", LONG)
    assert not functions.gateway.connections["c-2"].posted
    assert not functions.gateway.connections["c-3"].posted


def test_parts_that_do_not_arrive_are_told_as_a_failure(functions: Functions) -> None:
    """The client asks again; of a connection that is gone nobody is told."""
    tab = connected(functions)
    finished(functions, LONG)
    tab.fails = [None, FORBIDDEN]
    assert refused(resume(functions)) == (503, "not now; ask again with resume", "r")
    assert len(tab.posted) == 1
    tab.close()
    resume(functions)
    assert ("alice", "c-1") not in functions.connections.rows


def test_parts_that_take_too_long_are_told_as_a_failure(functions: Functions) -> None:
    """Before API Gateway gives up on the answer."""
    tab = connected(functions)
    finished(functions, LONG)
    began = functions.clock.now
    tab.before = lambda _data: functions.clock.sleep(7)
    assert refused(resume(functions)) == (503, "not now; ask again with resume", "r")
    assert functions.clock.now - began < 29
    assert len(tab.posted) == 3


def test_an_answer_of_megabytes_is_a_link(functions: Functions) -> None:
    """As REST has one, a little larger."""
    tab = connected(functions)
    finished(functions, "x" * 1_100_000)
    told = resume(functions)
    assert set(told) == {"type", "request_id", "session_id", "status_code", "location"}
    assert told["location"].startswith("https://payloads/answers/")
    assert not tab.posted


def test_an_answers_numbers_survive(functions: Functions) -> None:
    """Whatever their length."""
    functions.agent = lambda _turn: {"result": "ok", "n": 10**4000, "f": 1e-300}
    chat(functions)
    functions.deliver_requests()
    response = functions.websocket(socket({"route": "resume", "request_id": "r"}, route="resume"))
    assert f'"n":{10**4000}' in response["body"]


def test_a_redriven_request_is_still_waited_for(functions: Functions) -> None:
    """Wherever its message was in between."""
    functions.agent = lambda _turn: 1 / 0
    chat(functions)
    functions.deliver_requests()
    assert functions.redrive({}) == {"redrive": 1}
    (sent,) = functions.queues["requests"].sent
    assert sent.attributes == {"request_id": "r", "user_id": "alice", "redrives": "1", "endpoint_url": ENDPOINT}
    assert resume(functions) == QUEUED
    functions.agent = lambda _turn: "at last"
    functions.deliver_requests()
    assert resume(functions)["result"] == "at last"


# iam: only the connection's row says who it is


def test_a_message_of_an_iam_connection_is_its_users(functions: Functions) -> None:
    """Whom its row names."""
    functions.rule = "iam"
    signed: dict[str, Any] = {"authorizer": None, "identity": {"user": "AROAX:session"}}
    assert functions.connection(socket(kind="CONNECT", **signed))["statusCode"] == 200
    assert list(functions.connections.rows) == [("AROAX", "c-1")]
    assert chat(functions, authorizer={"user_id": "mallory"}, identity={"user": "AROAMALLORY"}) == QUEUED
    assert functions.table.items["r"]["user_id"] == "AROAX"
    functions.connection(socket(kind="DISCONNECT", authorizer=None))
    assert functions.connections.rows == {}


def test_an_index_that_is_late_is_asked_again(functions: Functions) -> None:
    """Some times, a little later each time; then the connection is nobody's."""
    functions.rule = "iam"
    asked: list[float] = []
    found: list[str | None] = [None, None, "AROAX"]

    def user_of(connection_id: str, *, now: int, endpoint: str) -> str | None:
        assert (connection_id, now, endpoint) == ("c-1", int(functions.clock.now), ENDPOINT)
        asked.append(round(functions.clock.now - BEGAN / 1000, 1))
        return found.pop(0) if found else None

    functions.connections.user_of = user_of  # type: ignore[method-assign, assignment]
    assert chat(functions) == QUEUED
    assert asked == [0, 0.1, 0.4]
    asked.clear()
    assert refused(chat(functions)) == (403, "not allowed: this connection is nobody's", "r")
    assert len(asked) == 4
    assert functions.clock.now - BEGAN / 1000 < 2, "the client waits for it"


@pytest.mark.parametrize("rule", ["public", "", "api_key", "cognito", "iam-body", "lambda", "?", "IAM"])
def test_a_rule_that_lets_anybody_in_lets_nobody_in(functions: Functions, rule: str) -> None:
    """What is pushed is addressed to a user; no construct of ours sets it."""
    functions.rule = rule
    everything = {"user": "u", "apiKeyId": "k"}, {"user_id": "u", "claims": {"sub": "u"}, "": "u"}
    context = dict(zip(("identity", "authorizer"), everything, strict=True))
    assert functions.connection(socket(kind="CONNECT", **context)) == {"statusCode": 403}
    assert refused(chat(functions, {**CHAT, "user_id": "u"}, **context))[0] == 403


def test_sockets_are_made_of_what_the_construct_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for an environment."""
    for name, value in {
        "AK_CONSTRUCTS_CONNECTIONS_TABLE": "connections",
        "AK_CONSTRUCTS_IDENTITY": "iam",
        "AK_CONSTRUCTS_CALLBACK_URL": ENDPOINT,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    sockets.open_sockets.cache_clear()
    made = sockets.open_sockets()
    assert (made.rule, made.endpoint, made.connections._table) == ("iam", ENDPOINT, "connections")
    assert made.new_id() != made.new_id()
    assert made.now_ms() > BEGAN - 10**12
    assert made.poster._connections is made.connections
    assert sockets.open_sockets() is made
    sockets.open_sockets.cache_clear()
    as_it_was = dict(vars(sockets))
    again = importlib.reload(sockets)
    assert again.open_sockets.cache_info().currsize == 1, "before the first event, with a full CPU"
    vars(sockets).update(as_it_was)  # other tests share the module, and what others imported of it
