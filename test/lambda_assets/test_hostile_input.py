"""Whatever is sent to our functions, in whatever form: the caller's fault is a 4xx, and no function breaks."""

import bisect
import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ak_lambda.keep_warm import core as keep_warm
from ak_lambda.shared import messages
from ak_lambda.shared.messages import ToSend
from ak_lambda.version_pruner import handler as pruner
from test.lambda_assets.events import Context, http_api, rest, socket
from test.lambda_assets.fakes import record
from test.lambda_assets.functions import MAX_BYTES, Functions
from test.lambda_assets.hostile import (
    DEEP,
    FORGED,
    JSON,
    ODD,
    REFUSED,
    REFUSED_IDS,
    TAKEN,
    TOO_LARGE,
    base64_of,
    spoilt,
)

quickly = settings(
    derandomize=True,
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
BOTH = pytest.mark.parametrize("api", ["agent_function", "pipeline"])
GET: dict[str, Any] = {"httpMethod": "GET", "body": None, "pathParameters": {"request_id": "r"}}
IAM: dict[str, Any] = {"requestContext": {"identity": {"user": "AROAX:s"}}, "rule": "iam"}


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Functions:
    """Make all functions."""
    return Functions(monkeypatch)


def status(response: Any) -> int:  # noqa: ANN401
    """Give the status of a response that API Gateway can send: of its shape, and never to blame us for the caller."""
    assert set(response) == {"statusCode", "headers", "body"}
    assert type(response["statusCode"]) is int
    assert all(type(name) is type(value) is str for name, value in response["headers"].items())
    assert not any("\n" in value or "\r" in value for value in response["headers"].values())
    body = json.loads(response["body"])
    json.dumps(response).encode()
    assert isinstance(body, dict)
    assert 200 <= response["statusCode"] < 500, response
    if response["statusCode"] >= 400:
        assert len(response["body"]) < 1000, "a refusal does not repeat what was sent"
    return int(response["statusCode"])


def refusal(response: Any) -> tuple[int, str]:  # noqa: ANN401
    """Give the status of a refusal, and the field that it names."""
    return status(response), json.loads(response["body"])["error"].split(" ")[0]


FIELDS = {"body", "prompt", "session_id", "request_id", "agent", "images", "files"}


@BOTH
@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_IDS])
def test_a_hostile_body_is_400_and_the_answer_names_the_field(functions: Functions, api: str, name: str) -> None:
    """As text and in base64, before the agent or any queue hears of it."""
    bodies = REFUSED_IDS[name] if name in REFUSED_IDS else [REFUSED[name]]
    for body, encoded in itertools.product(bodies, [True, False]):
        event = rest(base64_of(body) if encoded else body, isBase64Encoded=encoded)
        got, field = refusal(getattr(functions, api)(event))
        assert got == 400
        assert field in FIELDS
    assert (functions.table.items, functions.queues["requests"].sent) == ({}, [])


@BOTH
@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_body_is_a_request_all_the_same(functions: Functions, api: str, name: str) -> None:
    """And its parts are the agent's to judge: none of them is taken for anything of ours."""
    seen: list[Any] = []

    def agent(turn: Any) -> str:  # noqa: ANN401
        seen.append(turn)
        return str(turn.prompt[:10])

    functions.agent = agent
    assert status(getattr(functions, api)(rest(TAKEN[name], **IAM))) in {200, 202}
    functions.deliver_requests()
    (answer,) = functions.told or [{"status_code": 200}]
    if name == "escapes" and api == "pipeline":  # in the queue it has more brackets than any request may have
        assert (answer["status_code"], "brackets" in answer["answer"]) == (400, True)
        return
    assert answer["status_code"] == 200
    (turn,) = seen
    assert turn.user_id == "AROAX"
    assert "requestContext" not in turn.extra or turn.extra["requestContext"] == {"identity": {"user": "AIDAOTHER"}}


@BOTH
@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_body_beyond_the_limit_is_413(functions: Functions, api: str, name: str) -> None:
    """Whatever it is made of."""
    assert refusal(getattr(functions, api)(rest(TOO_LARGE[name]))) == (413, "body")


ENVELOPES: dict[str, list[dict[str, Any]]] = {
    **{name: [{name: odd} for odd in ODD] for name in rest({})},
    **{
        f"{name} in context": [{"requestContext": {**rest({})["requestContext"], name: odd}} for odd in ODD]
        for name in ("identity", "authorizer", "requestTimeEpoch", "stage")
    },
    "rule": [{"stageVariables": {"akConstructsIdentity": odd, "akConstructsCorsOrigins": odd}} for odd in ODD],
    **{
        f"header {name}": [
            {"headers": {name: odd}}
            for odd in [*ODD, ["a", "b"], "x" * 10_000, "a\r\nSet-Cookie: b=c", "wait=999999999"]
        ]
        for name in ("Idempotency-Key", "PREFER", "Origin", "content-type")
    },
    "headers twice": [
        {"headers": {"Idempotency-Key": "a", "idempotency-key": "b"}},
        {"multiValueHeaders": {"Idempotency-Key": ["a", "b"]}},
    ],
    "text said to be base64": [{"isBase64Encoded": True}, {"isBase64Encoded": "false"}],
    "text that looks like base64": [{"body": base64_of('{"prompt": "hi"}')}],
    "base64 that is no text": [
        {"body": body, "isBase64Encoded": True} for body in ("//79/A==", "eyJwcm9tcHQiOiAiaGkifQ", "ÿ", "AAAA", "====")
    ],
}


@BOTH
@pytest.mark.parametrize("part", ENVELOPES)
def test_an_odd_event_is_answered_or_refused(functions: Functions, api: str, part: str) -> None:
    """Whatever part of it is of another type, in a POST and in a GET."""
    for method, changes in itertools.product(({}, GET), ENVELOPES[part]):
        event = rest({"prompt": "hi"}, **{**method, **changes})
        response = getattr(functions, api)(event)
        if api == "agent_function" and not isinstance(event["requestContext"], dict):
            assert response["status_code"] == 400, "then it is a direct invoke, without a prompt"
        else:
            status(response)


@BOTH
@pytest.mark.parametrize("missing", rest({}))
def test_an_event_without_one_of_its_parts_is_answered_or_refused(functions: Functions, api: str, missing: str) -> None:
    """Test consoles and other gateways leave some out."""
    for method in ({}, GET):
        event = {name: value for name, value in rest({"prompt": "hi"}, **method).items() if name != missing}
        response = getattr(functions, api)(event)
        if missing == "requestContext" and api == "agent_function":
            assert response["status_code"] == 400
        else:
            status(response)


@pytest.mark.no_cover
@BOTH
@quickly
@given(event=spoilt(rest({"prompt": "hi", "session_id": "s", "request_id": "r"}, **IAM)) | spoilt(rest(None, **GET)))
def test_a_spoilt_event_of_a_rest_api_is_answered_or_refused(functions: Functions, api: str, event: Any) -> None:  # noqa: ANN401
    """Any node of it gone, doubled or replaced."""
    functions.reset()
    response = getattr(functions, api)(event)
    if "statusCode" in response:
        status(response)
    else:
        assert (api, response["status_code"]) == ("agent_function", 400)


@pytest.mark.no_cover
@quickly
@given(event=spoilt(http_api({"prompt": "hi", "session_id": "s"})))
def test_a_spoilt_event_of_an_http_api_is_answered_or_refused(functions: Functions, event: Any) -> None:  # noqa: ANN401
    """In front of the agent; the pipeline's function lets nobody in who comes that way."""
    functions.reset()
    response = functions.agent_function(event)
    assert response.get("status_code") == 400 or status(response)
    assert status(functions.pipeline(event)) == 403


@pytest.mark.no_cover
@BOTH
@quickly
@given(body=spoilt({"prompt": "hi", "session_id": "s", "request_id": "r", "body": {"prompt": "x"}, "user_id": "u"}))
def test_a_spoilt_body_is_answered_or_refused(functions: Functions, api: str, body: Any) -> None:  # noqa: ANN401
    """And what is taken comes out at the other end."""
    functions.reset()
    got = status(getattr(functions, api)(rest(body)))
    functions.deliver_requests()
    assert len(functions.told) == (got == 202)


ROUTES = ("chat", "resume", "ping", "$default", "$connect")
SOCKETS = pytest.mark.parametrize("name", ["websocket", "connection"])
PARTS: dict[str, list[dict[str, Any]]] = {
    **{name: [{name: odd} for odd in ODD] for name in socket({})},
    **{
        f"{name} in context": [{"requestContext": {**socket({})["requestContext"], name: odd}} for odd in ODD]
        for name in socket({})["requestContext"]
    },
    **{
        f"{name} of who connects": [
            {**socket(kind="CONNECT"), name: odd} for odd in [*ODD, *({"a": odd} for odd in ODD)]
        ]
        for name in ("headers", "multiValueHeaders", "queryStringParameters")
    },
    "subprotocol": [
        {**socket(kind="CONNECT"), "headers": {"Sec-WebSocket-Protocol": odd}}
        for odd in [*ODD, ",", "bearer", "x" * 9000, "bearer\r\nSet-Cookie: a=b"]
    ],
}


def heard(response: Any) -> dict[str, Any]:  # noqa: ANN401
    """Give the frame of an answer that the service can send, or of a connection's the status: never our fault."""
    json.dumps(response).encode()
    if "body" not in response:
        assert response["statusCode"] in {200, 400, 403}, response
        assert response.keys() <= {"statusCode", "headers"}
        assert response.get("headers", {}).items() <= {"Sec-WebSocket-Protocol": "bearer"}.items()
        return {"type": None, "status_code": response["statusCode"]}
    assert set(response) == {"statusCode", "body"}
    assert response["statusCode"] == 200
    frame: dict[str, Any] = json.loads(response["body"])
    assert frame["type"] in {"CHAT_QUEUED", "CHAT_RESPONSE", "SYSTEM_RESPONSE"}
    assert frame.get("status_code", 202) < 500, frame
    assert len(response["body"].encode()) < 1000, "a refusal does not repeat what was sent"
    return frame


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_IDS])
def test_a_hostile_chat_message_is_400_and_the_frame_names_the_field(functions: Functions, name: str) -> None:
    """By REST's rules, before the agent or any queue hears of it."""
    bodies = REFUSED_IDS[name] if name in REFUSED_IDS else [REFUSED[name]]
    for body, encoded in itertools.product(bodies, [True, False]):
        event = {**socket(base64_of(body) if encoded else body), "isBase64Encoded": encoded}
        frame = heard(functions.websocket(event))
        assert (frame["type"], frame["status_code"]) == ("SYSTEM_RESPONSE", 400)
        assert frame["message"].split(" ")[0] in FIELDS
    assert (functions.table.items, functions.queues["requests"].sent) == ({}, [])


@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_chat_message_is_a_request_all_the_same(functions: Functions, name: str) -> None:
    """Answered, or refused by the run, and told by `resume`."""
    frame = heard(functions.websocket(socket(TAKEN[name])))
    assert frame["type"] == "CHAT_QUEUED"
    functions.deliver_requests()
    frame = heard(functions.websocket(socket({"request_id": frame["request_id"]}, route="resume")))
    assert (frame["type"], frame["status_code"]) == ("CHAT_RESPONSE", 400 if name == "escapes" else 200)


@SOCKETS
@pytest.mark.parametrize("part", [*REFUSED, *TAKEN, *TOO_LARGE])
def test_a_hostile_message_is_answered_on_every_route(functions: Functions, name: str, part: str) -> None:
    """With a frame, and one that is too large with 413."""
    for route in ROUTES:
        frame = heard(getattr(functions, name)(socket({**REFUSED, **TAKEN, **TOO_LARGE}[part], route=route)))
        if part in TOO_LARGE:
            assert frame["status_code"] == (200 if (name, route) == ("connection", "ping") else 413)


@SOCKETS
@pytest.mark.parametrize("part", PARTS)
def test_an_odd_event_of_a_websocket_is_answered_or_refused(functions: Functions, name: str, part: str) -> None:
    """Whatever part of it is of another type, by whichever rule people are known."""
    for changes, route, functions.rule in itertools.product(PARTS[part], ROUTES, ["lambda:user_id", "iam"]):
        heard(getattr(functions, name)({**socket({"prompt": "hi", "request_id": "r"}, route=route), **changes}))


@SOCKETS
@pytest.mark.parametrize("odd", [*ODD, *({"requestContext": odd} for odd in ODD), {"body": '{"prompt": "hi"}'}])
def test_what_is_no_event_of_a_websocket_is_refused(functions: Functions, name: str, odd: object) -> None:
    """In a frame."""
    frame = heard(getattr(functions, name)(odd))
    assert (frame["status_code"], frame["message"]) == (400, "event must be a message of a WebSocket")


@SOCKETS
@quickly
@given(
    event=st.sampled_from(["chat", "resume", "ping", "$default"]).flatmap(
        lambda route: spoilt(socket({"prompt": "hi", "session_id": "s", "request_id": "r"}, route=route), 4)
    )
    | st.sampled_from(["CONNECT", "DISCONNECT"]).flatmap(lambda kind: spoilt(socket(kind=kind), 4)),
    rule=st.sampled_from(["lambda:user_id", "lambda:principalId", "iam"]),
)
def test_a_spoilt_event_of_a_websocket_is_answered_or_refused(
    functions: Functions,
    name: str,
    event: Any,  # noqa: ANN401
    rule: str,
) -> None:
    """Any node of it gone, doubled or replaced."""
    functions.reset()
    functions.rule = rule
    heard(getattr(functions, name)(event))


@quickly
@given(
    body=spoilt({"route": "chat", "prompt": "hi", "session_id": "s", "request_id": "r", "body": {"prompt": "x"}}),
    route=st.sampled_from(["chat", "resume", "$default"]),
)
def test_a_spoilt_message_is_answered_or_refused(functions: Functions, body: Any, route: str) -> None:  # noqa: ANN401
    """And what is taken comes out at the other end."""
    functions.reset()
    frame = heard((functions.connection if route == "$default" else functions.websocket)(socket(body, route=route)))
    functions.deliver_requests()
    assert len(functions.told) == (frame["type"] == "CHAT_QUEUED")


@pytest.mark.parametrize("odd", [*ODD, {"Records": []}, {"Records": None}, {"source": "aws.events", "detail": "x"}])
def test_a_direct_invoke_with_anything_is_refused(functions: Functions, odd: object) -> None:
    """In the form of a direct invoke, or of the API that it might have come from."""
    assert functions.agent_function(odd)["status_code"] == 400
    assert status(functions.pipeline(odd)) == 403
    assert status(functions.health(odd)) == 200


@pytest.mark.no_cover
@quickly
@given(event=spoilt({"prompt": "hi", "user_id": "u", "session_id": "s", "Records": [], "requestContext": {"a": 1}}, 6))
def test_a_spoilt_direct_invoke_is_answered_or_refused(functions: Functions, event: Any) -> None:  # noqa: ANN401
    """Whichever keys of ours it has."""
    functions.reset()
    response = functions.agent_function(event)
    json.dumps(response).encode()
    assert "statusCode" in response or response.get("status_code", 200) < 500


MESSAGE = messages.request_message(
    body='{"prompt": "hi", "session_id": "s"}', request_id="r", session_id="s", user_id="alice", redrives=0
)


@pytest.mark.parametrize("name", [*REFUSED, *TAKEN])
def test_a_hostile_message_is_answered_once_and_gone(functions: Functions, name: str) -> None:
    """By a reply or by the dead letters: no message goes round for ever."""
    body = {**REFUSED, **TAKEN}[name][: MAX_BYTES - 100] or " "
    sent = ToSend(body.replace("\ud800", "").replace("\x00", ""), MESSAGE.attributes, "s", "r")
    functions.deliver(sent)
    (answer,) = functions.told
    assert answer["user_id"] == "alice"
    assert answer["status_code"] in ({200, 400} if name in TAKEN or name.startswith(("raw", "half")) else {400, 502})
    assert json.loads(answer["answer"])


@pytest.mark.parametrize("body", [json.dumps(FORGED), json.dumps({**FORGED, "session_id": "s"})])
def test_a_reference_to_what_is_not_there_ends_among_the_dead_letters(functions: Functions, body: str) -> None:
    """Its sender may send, but nothing is kept there."""
    functions.deliver(ToSend(body, MESSAGE.attributes, "s", "r"))
    assert [told["status"] for told in functions.told] == ["FAILED"]
    assert len(functions.queues["parked"].sent) == 1


SQS_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
WORDS = SQS_TEXT.filter(bool) | st.sampled_from(["r", "s", "alice", "7", "9" * 5000, "-1", "\u0663", "a b", "x" * 200])
NAMES = ["request_id", "user_id", "session_id", "redrives", "status_code", "attempt", "endpoint_url", "reply_id", "x"]


@pytest.mark.no_cover
@quickly
@given(
    attributes=st.dictionaries(st.sampled_from(NAMES), WORDS, max_size=8),
    body=spoilt({"prompt": "hi", "session_id": "s", "request_id": "r", "user_id": "u"}),
    fifo=st.booleans(),
    fails=st.booleans(),
)
def test_a_message_with_any_attributes_is_answered_once_and_gone(
    functions: Functions,
    attributes: dict[str, str],
    body: Any,  # noqa: ANN401
    fifo: bool,
    fails: bool,
) -> None:
    """Sent past the API by somebody who may, to a queue with an order or without."""
    functions.reset()
    functions.agent = lambda _turn: 1 / 0 if fails else "ok"
    functions.deliver(ToSend(json.dumps(body), attributes, "s", "d"), fifo=fifo)
    assert len(functions.told) == 1


@pytest.mark.no_cover
@pytest.mark.parametrize("name", ["agent_function", "response_handler", "dead_letter_handler"])
@quickly
@given(event=spoilt({"Records": [record(MESSAGE), record(MESSAGE, message_id="message-2")]}))
def test_a_spoilt_event_of_a_queue_breaks_nothing(functions: Functions, name: str, event: Any) -> None:  # noqa: ANN401
    """No event source mapping sends it; who invokes a function by hand may."""
    functions.reset()
    try:
        response = getattr(functions, name)(event)
    except TypeError as error:  # as for events of streams, whose records must not be let go
        assert (name, str(error)) == ("agent_function", "events of streams and topics are not answered here")  # noqa: PT017
        return
    if "batchItemFailures" in response:
        assert all(isinstance(each["itemIdentifier"], str) for each in response["batchItemFailures"])
    else:
        assert response["status_code"] == 400


@pytest.mark.parametrize("name", ["response_handler", "dead_letter_handler", "redrive"])
@pytest.mark.parametrize("odd", [*ODD, {"Records": None}, {"Records": 1}, {"queue": []}, {"max_messages": 10**4000}])
def test_an_event_of_another_kind_is_refused(functions: Functions, name: str, odd: Any) -> None:  # noqa: ANN401
    """Rather than taken for an empty batch."""
    response = getattr(functions, name)(odd)
    if name == "redrive" and isinstance(odd, dict) and not {"queue", "max_messages"} & odd.keys():
        assert response == {}, "nothing is parked"
    else:
        assert response["status_code"] == 400


@pytest.mark.parametrize("name", [*REFUSED, *TAKEN])
def test_a_hostile_reply_is_an_answer_or_a_failure(functions: Functions, name: str) -> None:
    """What an agent's own handler replies is kept if it is a JSON object, whatever is in it."""
    body = {**REFUSED, **TAKEN}[name][: MAX_BYTES - 100] or " "
    sent = ToSend(body.replace("\ud800", "").replace("\x00", ""), {"request_id": "r", "user_id": "alice"}, "s", "r")
    assert functions.response_handler({"Records": [record(sent)]}) == {"batchItemFailures": []}
    (answer,) = functions.told
    assert answer["status_code"] in {200, 502}
    assert answer["status_code"] == 502 or isinstance(json.loads(answer["answer"], parse_int=str), dict)


@pytest.mark.parametrize("name", [*REFUSED, *TAKEN])
def test_a_hostile_answer_to_a_ping_is_no_answer(name: str) -> None:
    """A target may say anything."""
    text = {**REFUSED, **TAKEN}[name].encode(errors="surrogatepass")
    assert keep_warm.answered(text, None).outcome == keep_warm.UNANSWERED


class AskedError(Exception):
    """The pruner is about to begin."""


@pytest.mark.no_cover
@quickly
@given(event=JSON | spoilt({"dry_run": True, "detail": {}}), always=st.booleans())
def test_whatever_invokes_the_pruner_it_is_never_less_careful(event: object, always: bool) -> None:
    """An event can make a run a dry one, and can do nothing else."""
    variables = {
        "AK_CONSTRUCTS_DRY_RUN": "true" if always else "false",
        "AK_CONSTRUCTS_PRUNE_SCOPE": '{"functions": ["f"]}',
        "AK_CONSTRUCTS_KEEP_LATEST": "3",
        "AK_CONSTRUCTS_MIN_AGE_SECONDS": "3600",
        "AK_CONSTRUCTS_KEEP_ACTIVE": "true",
        "AK_CONSTRUCTS_MAX_DELETIONS": "1",
        "AK_CONSTRUCTS_CURSOR_PARAMETER": "p",
    }
    asked: list[dict[str, Any]] = []

    def begin(**made: Any) -> None:  # noqa: ANN401
        asked.append(made)
        raise AskedError

    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        for name in ("patient_client", "client"):
            patch.setattr(pruner, name, lambda _service: None)
        patch.setattr(pruner, "Pruner", begin)
        with pytest.raises(AskedError):
            pruner.handler(event, Context())
    (made,) = asked
    assert made["dry_run"] == (always or bool(isinstance(event, dict) and event.get("dry_run")))


class Words(dict[str, object]):
    """An agent's answer that fails when it is looked at."""

    def __contains__(self, _key: object) -> bool:
        raise ValueError("what was said")


class Silent:
    """An error that fails when it is printed."""

    def __str__(self) -> str:
        raise ValueError("what was said")


@pytest.mark.parametrize(
    "answer",
    [Words(a=1), {"error": Silent()}, {1: 2, "a": {3, 4}}, {("a",): 1}, {"a": 10**5000}, float("nan"), b"x"],
    ids=["hostile-dict", "hostile-error", "set", "key", "integer", "nan", "bytes"],
)
def test_an_agents_answer_that_cannot_be_read_is_its_failure(functions: Functions, answer: object) -> None:
    """502 with our words, in an API and in the queue; its own are nowhere."""
    functions.agent = lambda _turn: answer
    response = functions.agent_function(rest({"prompt": "hi"}))
    assert (response["statusCode"], "what was said" in response["body"]) == (502, False)
    functions.deliver(MESSAGE)
    assert [told["status"] for told in functions.told] == ["FAILED"]


def reads(depth: int) -> bool:
    """Say whether this Python reads arrays nested so deeply."""
    try:
        json.loads("[" * depth + "]" * depth)
    except RecursionError:
        return False
    return True


def test_what_is_nested_just_as_deeply_as_python_goes_breaks_nothing(functions: Functions) -> None:
    """What can be read must be written again, several times and from other places, each a little deeper."""
    deepest = bisect.bisect_left(range(DEEP * 10), x=True, key=lambda depth: not reads(depth))
    functions.agent = lambda turn: {"result": "ok", "d": turn.extra["d"]}
    refused: set[bool] = set()
    for depth in range(deepest - 60, deepest + 3):
        functions.reset()
        event = rest('{"prompt": "hi", "request_id": "r", "d": ' + "[" * depth + "]" * depth + "}")
        got = status(functions.pipeline(event))
        refused.add(got == 400)
        functions.deliver_requests()
        assert [told["status_code"] for told in functions.told] in ([[]] if got == 400 else [[200], [400], [502]])
        assert functions.agent_function(event)["statusCode"] in {200, 400, 502}
    assert refused == {True, False}
