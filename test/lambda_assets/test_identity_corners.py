"""Who asks is what the API in front has checked, in every corner where somebody could say something else."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ak_lambda.shared import messages
from ak_lambda.shared.connections import Connection
from ak_lambda.shared.fields import REFERENCE
from ak_lambda.shared.messages import ToSend
from test.lambda_assets.events import http_api, rest, socket
from test.lambda_assets.fake_connections import ENDPOINT
from test.lambda_assets.fakes import record
from test.lambda_assets.functions import BUCKET, Functions

BOTH = pytest.mark.parametrize("api", ["agent_function", "pipeline"])
ALICE: dict[str, Any] = {"requestContext": {"identity": {"user": "AROAALICE:s"}}, "rule": "iam"}
BOB: dict[str, Any] = {"requestContext": {"identity": {"user": "AROABOB:s"}}, "rule": "iam"}
NOBODY: dict[str, Any] = {"rule": "public"}


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Functions:
    """Make all functions, with an agent that says for whom it ran."""
    functions = Functions(monkeypatch)
    functions.agent = lambda turn: {"user": turn.user_id, "history": [each["prompt"] for each in turn.history]}
    return functions


def said(response: Mapping[str, Any]) -> dict[str, Any]:
    """Give the body of a response."""
    body: dict[str, Any] = json.loads(response["body"])
    return body


def user_of(functions: Functions, api: str, event: dict[str, Any]) -> tuple[int, object]:
    """Give the status of a request, and for whom the agent ran; the table, message and agent must agree on it."""
    response = getattr(functions, api)(event)
    if response["statusCode"] >= 400:
        assert functions.table.items == {}, "who is nobody has written nothing"
        return response["statusCode"], None
    if api == "agent_function":
        return 200, said(response)["user"]
    (item,), (sent,) = functions.table.items.values(), functions.queues["requests"].sent
    functions.deliver_requests()
    (answer,) = functions.told
    user = json.loads(answer["answer"])["user"]
    assert (item["user_id"] or None) == sent.attributes.get("user_id") == json.loads(sent.body).get("user_id") == user
    return 200, user


def identity(**fields: object) -> dict[str, Any]:
    """Make what API Gateway says of who signed."""
    return {"identity": fields}


def authorizer(**fields: object) -> dict[str, Any]:
    """Make what an authorizer said."""
    return {"authorizer": fields}


@BOTH
@pytest.mark.parametrize(
    ("rule", "context", "user"),
    [
        ("iam", identity(user="AROAROLE:session-1"), "AROAROLE"),
        ("iam", identity(user="AROAROLE:session-2"), "AROAROLE"),
        ("iam", identity(user="AROAROLE"), "AROAROLE"),
        ("iam", identity(user="AIDAUSER", userArn="arn:aws:iam::1:user/bob", caller="AIDAX"), "AIDAUSER"),
        ("iam", identity(user="111122223333"), "111122223333"),
        ("iam", identity(user="111122223333:alice"), "111122223333:alice"),
        ("iam", identity(user="111122223333:AROAROLE"), "111122223333:AROAROLE"),
        ("iam", identity(user="AROAPOOL:CognitoIdentityCredentials", cognitoIdentityId="us-east-1:1"), "us-east-1:1"),
        ("iam", identity(user="AROAPOOL:CognitoIdentityCredentials", cognitoIdentityId="us-east-1:2"), "us-east-1:2"),
        ("iam", identity(user="AROAROLE:s", cognitoIdentityId=None, cognitoIdentityPoolId=None), "AROAROLE"),
        ("iam", {**identity(user="AROAROLE:s"), **authorizer(principalId="x", claims={"sub": "x"})}, "AROAROLE"),
        ("cognito", authorizer(claims={"sub": "1-2", "cognito:username": "bob", "username": "bob"}), "1-2"),
        ("cognito", {**authorizer(claims={"sub": "1-2"}), **identity(user="AROAROLE:s")}, "1-2"),
        ("lambda:userId", authorizer(userId="u-1", principalId="user", user_id="no"), "u-1"),
        ("lambda:a.b-c", authorizer(**{"a.b-c": "u-1"}), "u-1"),
        ("lambda:userId", authorizer(userId="Ann Ång <a@example.com>"), "Ann Ång <a@example.com>"),
        ("lambda:principalId", authorizer(principalId="u-1"), "u-1"),
        ("api_key", identity(apiKeyId="k-1", apiKey="secret", user="AROAROLE:s"), "k-1"),
        ("public", {**identity(user="AROAROLE:s", apiKeyId="k"), **authorizer(claims={"sub": "x"}, userId="x")}, None),
    ],
)
def test_the_user_is_whom_the_rule_names(
    functions: Functions, api: str, rule: str, context: dict[str, Any], user: str | None
) -> None:
    """To the agent, in the table and in the message; whatever else is there."""
    claims = {"user_id": "mallory", "user": "mallory", "extra": {"user_id": "mallory"}}
    ours = {"headers": {"user_id": "mallory", "X-User-Id": "mallory"}, "queryStringParameters": {"user_id": "mallory"}}
    event = rest({"prompt": "hi", **claims}, rule=rule, requestContext=context, **ours)
    assert user_of(functions, api, event) == (200, user)


NO_TEXT = [None, "", " ", "\t", "a\x00", "a\n", "\ud800", 7, 0, True, ["u"], {"sub": "u"}]


@BOTH
@pytest.mark.parametrize("value", NO_TEXT, ids=repr)
def test_nobody_is_let_in_whose_id_is_no_text(functions: Functions, api: str, value: object) -> None:
    """Nor one that no queue takes; there is nothing else to fall back to."""
    others = {"identity": {"user": value, "apiKeyId": value, "apiKey": "k", "userArn": "arn:aws:iam::1:user/u"}}
    given = {"userId": value, "claims": {"sub": value, "username": "u"}, "principalId": "u", "user_id": "u"}
    for rule in ("iam", "iam-body", "cognito", "lambda:userId", "api_key"):
        event = rest({"prompt": "hi", "user_id": "u"}, rule=rule, requestContext={**others, "authorizer": given})
        assert user_of(functions, api, event) == (403, None)


@BOTH
@pytest.mark.parametrize("odd", [None, [], [{"sub": "u"}], "u", 7, {}], ids=repr)
def test_nobody_is_let_in_when_the_gateway_says_nothing(functions: Functions, api: str, odd: object) -> None:
    """Or something of another shape; where those of an HTTP API stand is not looked."""
    contexts: list[dict[str, Any]] = [
        {"identity": odd, "authorizer": odd},
        {"authorizer": {"claims": odd, "lambda": {"userId": "u"}, "jwt": {"claims": {"sub": "u"}}, "iam": {"user": 1}}},
    ]
    for context in contexts:
        for rule in ("iam", "iam-body", "cognito", "lambda:userId", "lambda:lambda", "lambda:", "lambda", "api_key"):
            event = rest({"prompt": "hi", "user_id": "u"}, rule=rule, requestContext=context)
            assert user_of(functions, api, event) == (403, None)


@BOTH
@pytest.mark.parametrize("rule", ["IAM", "iam ", " iam", "jwt", "public ", "Public", "None", "?", "cognito,public"])
def test_a_rule_that_is_not_known_lets_nobody_in(functions: Functions, api: str, rule: str) -> None:
    """It may be of a newer release."""
    everything = {**identity(user="AROAROLE:s", apiKeyId="k"), **authorizer(claims={"sub": "x"})}
    event = rest({"prompt": "hi"}, rule=rule, requestContext=everything)
    assert user_of(functions, api, event) == (403, None)


@pytest.mark.parametrize("variables", [None, {}, [], "x", {"akConstructsIdentity": ""}, {"akConstructsIdentity": None}])
def test_a_stage_that_says_nothing_knows_nobody(functions: Functions, variables: object) -> None:
    """The pipeline lets nobody in there; an agent, before which people put gateways of their own, runs for nobody."""
    event = rest({"prompt": "hi", "user_id": "u"}, **{**ALICE, "stageVariables": variables})
    assert user_of(functions, "pipeline", event) == (403, None)
    given = {"akConstructsIdentity": None}
    assert user_of(functions, "agent_function", event) == ((403, None) if variables == given else (200, None))


@pytest.mark.parametrize(
    ("variables", "status"),
    [(None, 200), ({"akConstructsIdentity": "iam"}, 403), ({"akConstructsIdentity": "lambda:userId"}, 403)],
)
def test_nobody_vouches_for_a_user_in_an_http_api(functions: Functions, variables: object, status: int) -> None:
    """Whose events say who asks at other places."""
    event = http_api({"prompt": "hi", "user_id": "mallory"})
    event["requestContext"]["authorizer"] = {"jwt": {"claims": {"sub": "u"}}, "lambda": {"userId": "u"}, "iam": {}}
    assert user_of(functions, "agent_function", {**event, "stageVariables": variables}) == (status, None)


NO_END_USER: list[object] = ["", "a/b", "/", "..", ":", "a\n", "é", 7, [], {}, True]


@BOTH
@pytest.mark.parametrize(
    ("body", "user"),
    [
        ({"prompt": "hi", "user_id": "alice"}, "AROAB/alice"),
        ({"prompt": "hi", "user_id": "111122223333:alice"}, "AROAB/111122223333:alice"),
        ({"user_id": "alice", "body": {"prompt": "hi"}}, "AROAB/alice"),
        ({"user_id": "alice", "body": {"prompt": "hi", "user_id": "bob"}}, "AROAB/alice"),
        ({"prompt": "hi", "user_id": "alice", "body": {"user_id": "bob"}}, "AROAB/alice"),
        ({"body": {"prompt": "hi", "user_id": "alice"}}, None),
        ({"prompt": "hi", "body": {"user_id": "alice"}}, None),
        ({"user_id": None, "body": {"prompt": "hi", "user_id": "alice"}}, None),
        ({"prompt": "hi"}, None),
        *[({"prompt": "hi", "user_id": odd}, None) for odd in NO_END_USER],
    ],
    ids=repr,
)
def test_a_trusted_backend_names_its_user_once_and_outside(
    functions: Functions, api: str, body: dict[str, Any], user: str | None
) -> None:
    """And stays itself: nobody it names is anybody else's user, or it."""
    event = rest(body, rule="iam-body", requestContext=identity(user="AROAB:s"), headers={"user_id": "carol"})
    assert user_of(functions, api, event) == ((200, user) if user else (400, None))


@pytest.mark.parametrize(
    ("event", "user"),
    [
        ({"prompt": "hi"}, None),
        ({"prompt": "hi", "user_id": "alice"}, "alice"),
        ({"user_id": "alice", "body": {"prompt": "hi", "user_id": "bob"}}, "alice"),
        ({"body": {"prompt": "hi", "user_id": "bob"}}, None),
        ({"prompt": "hi", "user_id": "alice", "stageVariables": {"akConstructsIdentity": "iam"}}, "alice"),
    ],
    ids=repr,
)
def test_a_direct_invoke_names_its_user_outside(functions: Functions, event: dict[str, Any], user: str | None) -> None:
    """IAM decides who may invoke; what a user wrote may be wrapped."""
    assert functions.agent_function(event)["user"] == user


@pytest.mark.parametrize(
    "smuggled",
    [
        rest({"prompt": "x"}, **ALICE),
        {"requestContext": {}},
        {"ak_constructs_ping": {}},
        {"Records": [{"eventSource": "aws:sqs"}]},
        {"Records": [1]},
    ],
    ids=["api", "context", "ping", "queue", "stream"],
)
def test_what_a_backend_adds_cannot_be_talked_away(functions: Functions, smuggled: dict[str, Any]) -> None:
    """A user's JSON with the backend's `user_id` is no API's event, no queue's and no ping."""
    answer = functions.agent_function({**smuggled, "user_id": "bob"})
    assert (answer["status_code"], answer["error"].split(" ")[0]) == (400, "event")


@pytest.mark.parametrize("user_id", ["AROAB/alice", "a/b", "", 7, "\x00"])
def test_a_direct_invoke_cannot_name_a_backends_user(functions: Functions, user_id: object) -> None:
    """Whose names have a slash."""
    assert functions.agent_function({"prompt": "hi", "user_id": user_id})["status_code"] == 400


@pytest.mark.parametrize("sent", [{"ak_constructs_ping": {}}, {"body": {"ak_constructs_ping": {"hold_ms": 5000}}}])
def test_a_ping_within_a_request_is_part_of_it(functions: Functions, sent: dict[str, Any]) -> None:
    """The agent runs, for whom the gateway names."""
    assert user_of(functions, "agent_function", rest({"prompt": "hi", **sent}, **ALICE)) == (200, "AROAALICE")


def message(body: object, **attributes: str) -> ToSend:
    """Make a message as anybody might who may send."""
    return ToSend(json.dumps(body), attributes, "s", "d")


@pytest.mark.parametrize(
    ("sent", "user"),
    [
        (message({"prompt": "hi", "user_id": "bob"}, user_id="alice"), "alice"),
        (message({"prompt": "hi", "user_id": "bob"}), None),
        (message({"user_id": "bob", "body": {"prompt": "hi", "user_id": "carol"}}), None),
        (message({"user_id": "bob", "body": {"prompt": "hi", "user_id": "carol"}}, user_id="alice"), "alice"),
        (message({"prompt": "hi", "user_id": ["bob"], "request_id": 7}, user_id="alice"), "alice"),
    ],
)
def test_a_message_names_its_user_by_attribute_alone(functions: Functions, sent: ToSend, user: str | None) -> None:
    """A body may be what somebody else wrote; the agent is not even told of it."""
    functions.agent = lambda turn: {"user": turn.user_id, **({} if not turn.extra else {"user": dict(turn.extra)})}
    functions.deliver(sent)
    (answer,) = functions.told
    assert (json.loads(answer["answer"])["user"], answer.get("user_id")) == (user, user)


def test_an_attribute_that_is_no_text_names_nobody(functions: Functions) -> None:
    """Binary ones are another type."""
    one = record(message({"prompt": "hi", "user_id": "bob"}))
    one["messageAttributes"] = {"user_id": {"dataType": "Binary", "binaryValue": "YWxpY2U="}}
    assert functions.agent_function({"Records": [one]}) == {"batchItemFailures": []}
    assert "user_id" not in functions.queues["replies"].sent[0].attributes


def submit(functions: Functions, who: dict[str, Any], **body: object) -> dict[str, Any]:
    """Submit a request."""
    response: dict[str, Any] = functions.pipeline(rest({"prompt": "hi", "request_id": "r", **body}, **who))
    return response


def poll(functions: Functions, who: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Ask for the request's answer."""
    asked = {"httpMethod": "GET", "pathParameters": {"request_id": "r"}, **changes}
    response: dict[str, Any] = functions.pipeline(rest(None, **{**who, **asked}))
    return response


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("owner", [ALICE, NOBODY], ids=["alice's", "nobody's"])
def test_a_request_is_its_users_alone(functions: Functions, owner: dict[str, Any], final: bool) -> None:
    """To everybody else there is none, however they ask; and a request that is nobody's is not alice's."""
    submit(functions, owner)
    if final:
        functions.deliver_requests()
    others = [each for each in (ALICE, BOB, NOBODY) if each is not owner]
    asked: list[dict[str, Any]] = [
        {},
        {"pathParameters": None, "queryStringParameters": {"request_id": "r", "user_id": "AROAALICE"}},
        {"pathParameters": None, "body": '{"request_id": "r", "user_id": "AROAALICE"}'},
        {"headers": {"Prefer": "wait=20", "Idempotency-Key": "r", "user_id": "AROAALICE"}},
    ]
    for other in others:
        for changes in asked:
            response = poll(functions, other, **changes)
            assert (response["statusCode"], said(response)["status"]) == (404, "NOT_FOUND")
            assert set(said(response)) == {"status", "request_id", "error"}
    assert poll(functions, owner)["statusCode"] == (200 if final else 202)


def test_a_backends_users_are_told_apart_in_polls(functions: Functions) -> None:
    """By what the backend says; one that says nothing is told so."""
    backend: dict[str, Any] = {"rule": "iam-body", "requestContext": identity(user="AROAB:s")}
    submit(functions, backend, user_id="alice")
    polls = {
        "alice": poll(functions, backend, queryStringParameters={"user_id": "alice"}),
        "bob": poll(functions, backend, queryStringParameters={"user_id": "bob"}),
        "nobody": poll(functions, backend),
        "nested": poll(functions, backend, body='{"body": {"user_id": "alice"}}'),
        "path": poll(functions, backend, queryStringParameters={"user_id": "../AROAB/alice"}),
    }
    got = {name: response["statusCode"] for name, response in polls.items()}
    assert got == {"alice": 202, "bob": 404, "nobody": 400, "nested": 400, "path": 400}
    other = {**backend, "requestContext": identity(user="AROAC:s")}
    assert poll(functions, other, queryStringParameters={"user_id": "alice"})["statusCode"] == 404


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("by_header", [False, True])
def test_an_idempotency_key_of_another_user_is_taken(functions: Functions, by_header: bool, final: bool) -> None:
    """With the very same body; nothing of the answer is told, and the request stays what it was."""
    submit(functions, ALICE)
    if final:
        functions.deliver_requests()
    before = dict(functions.table.items)
    for other in (BOB, NOBODY):
        headers = {"idempotency-key": "r", "Prefer": "wait=20"} if by_header else {}
        body = {"prompt": "hi"} if by_header else {"prompt": "hi", "request_id": "r"}
        response = functions.pipeline(rest(body, **{**other, "headers": headers}))
        assert (response["statusCode"], set(said(response))) == (409, {"error"})
    assert functions.table.items == before


def test_a_session_of_another_user_is_closed_on_every_way_in(functions: Functions) -> None:
    """By the API of the agent, by the pipeline, by the queue and by a direct invoke."""
    assert functions.agent_function(rest({"prompt": "first", "session_id": "mine"}, **ALICE))["statusCode"] == 200
    taken = {"prompt": "hi", "session_id": "mine"}
    for other in (BOB, NOBODY):
        for call in (functions.agent_function, functions.pipeline):
            response = call(rest(taken, **other))
            assert (response["statusCode"], said(response)) == (403, {"error": "session_id belongs to somebody else"})
    assert functions.agent_function({**taken, "user_id": "bob"})["status_code"] == 403
    assert functions.agent_function(taken)["status_code"] == 403
    functions.deliver(ToSend(json.dumps(taken), {"user_id": "bob"}, "mine", "d"))
    assert [told["status_code"] for told in functions.told] == [403]
    functions.clock.now += 1
    assert said(functions.agent_function(rest(taken, **ALICE)))["history"] == ["first"]


def test_a_redriven_request_is_still_its_users(functions: Functions) -> None:
    """From the first failed run to the answer, and to nobody else."""
    runs: list[str | None] = []

    def agent(turn: Any) -> str:  # noqa: ANN401
        runs.append(turn.user_id)
        if len(runs) < 6:
            raise ValueError
        return "at last"

    functions.agent = agent
    submit(functions, ALICE, user_id="mallory")
    functions.deliver_requests()
    assert poll(functions, ALICE)["statusCode"] == 502
    assert functions.redrive({}) == {"redrive": 1}
    functions.deliver_requests()
    assert runs == ["AROAALICE"] * 6
    assert said(poll(functions, ALICE))["result"] == "at last"
    assert poll(functions, BOB)["statusCode"] == 404


@pytest.mark.parametrize("changed", [{"user_id": "AROABOB"}, {"session_id": "other"}])
def test_a_parked_message_that_is_somebody_elses_redrives_nothing(
    functions: Functions, changed: dict[str, str]
) -> None:
    """Its id stands for another request by now."""
    functions.agent = lambda _turn: 1 / 0
    submit(functions, ALICE)
    functions.deliver_requests()
    (parked,) = functions.queues["parked"].messages
    forged = {**parked.sent.attributes, **changed}
    parked.sent = ToSend(parked.sent.body, forged, forged["session_id"], parked.sent.deduplication_id)
    assert functions.redrive({}) == {"forgotten": 1}
    assert functions.queues["requests"].sent == []


@pytest.mark.parametrize(
    ("attributes", "group", "status"),
    [
        ({"user_id": "AROABOB"}, None, 202),
        ({"user_id": "AROAALICE"}, "other", 202),
        ({"user_id": "AROAALICE"}, None, 200),
        ({}, None, 200),  # one that names nobody is by a handler that forgot; its request and session are right
    ],
)
def test_a_reply_that_is_somebody_elses_answers_nothing(
    functions: Functions, attributes: dict[str, str], group: str | None, status: int
) -> None:
    """It must have the request's user, if it names one, and its session."""
    session = said(submit(functions, ALICE))["session_id"]
    reply = ToSend('{"result": "x"}', {"request_id": "r", **attributes}, group or session, "d")
    functions.response_handler({"Records": [record(reply)]})
    assert poll(functions, ALICE)["statusCode"] == status


FOREIGN = '{"result": "what bob was told"}'


@pytest.mark.parametrize("folder", ["answers/", "requests/", "elsewhere/"])
def test_a_reference_in_a_request_reaches_nobodys_object(functions: Functions, folder: str) -> None:
    """A caller may not write one; in a message past the API it leads to requests alone, and never to an answer."""
    key = functions.bucket.keep(folder, FOREIGN)
    kept = {"bucket": BUCKET, "key": key, "bytes": len(FOREIGN), "sha256": key.removeprefix(folder)}
    functions.agent = lambda turn: {"result": turn.prompt, "extra": dict(turn.extra)}
    for body in ({"prompt": "hi", REFERENCE: kept}, {"body": {"prompt": "hi", REFERENCE: kept}}, {REFERENCE: kept}):
        assert functions.pipeline(rest(body, **ALICE))["statusCode"] == 400
        assert functions.agent_function(rest(body, **ALICE))["statusCode"] == 400
    functions.deliver(ToSend(json.dumps({REFERENCE: kept}), {"request_id": "r", "user_id": "AROAALICE"}, "s", "r"))
    (answer,) = functions.told
    assert (answer["status_code"], "bob" in answer["answer"]) == (400 if folder == "requests/" else 502, False)


@pytest.mark.parametrize("wrong", [{"key": "requests/"}, {"key": "answers/../x"}, {"bucket": "other"}, {"sha256": "x"}])
def test_a_reply_may_refer_to_a_kept_answer_alone(functions: Functions, wrong: dict[str, str]) -> None:
    """As ours are; with anything else the answer is none."""
    key = functions.bucket.keep("answers/", FOREIGN)
    kept = {"bucket": BUCKET, "key": key, "bytes": 31, "sha256": key.removeprefix("answers/"), **wrong}
    session = said(submit(functions, ALICE))["session_id"]
    attributes = {"request_id": "r", "user_id": "AROAALICE", "status_code": "200"}
    reply = ToSend(json.dumps({REFERENCE: kept, "session_id": session}), attributes, session, "d")
    functions.response_handler({"Records": [record(reply)]})
    response = poll(functions, ALICE)
    assert (response["statusCode"], "bob" in response["body"]) == (502, False)


def test_a_link_to_a_large_answer_is_its_users_alone(functions: Functions) -> None:
    """Everybody else is not even told that there is one."""
    functions.agent = lambda _turn: "x" * (7 * 1024 * 1024)
    submit(functions, ALICE)
    functions.deliver_requests()
    assert poll(functions, ALICE)["headers"]["Location"].startswith(f"https://{BUCKET}/answers/")
    for other in (BOB, NOBODY):
        response = poll(functions, other)
        assert (response["statusCode"], "Location" in response["headers"]) == (404, False)


@BOTH
@pytest.mark.parametrize("name", ["user_id", "user", "owner", "status", "attempt", "redrives", "endpoint_url"])
def test_a_key_of_a_body_is_no_attribute(functions: Functions, api: str, name: str) -> None:
    """Not of the message, nor of the item."""
    functions.agent = lambda turn: {"user": turn.user_id, "claims": turn.extra.get(name)}
    assert user_of(functions, api, rest({"prompt": "hi", name: "9"}, **ALICE)) == (200, "AROAALICE")
    for sent in messages_of(functions):
        assert sent.attributes.keys() <= {"request_id", "user_id", "status_code", "attempt", "redrives"}
        assert "9" not in sent.attributes.values()


def messages_of(functions: Functions) -> list[ToSend]:
    """Give all that is in queues."""
    return [sent for queue in functions.queues.values() for sent in queue.sent]


def test_a_request_message_is_as_ours_are(functions: Functions) -> None:
    """What the request handler sends and what tests here send are the same."""
    session = said(submit(functions, ALICE))["session_id"]
    body = json.dumps({"prompt": "hi", "session_id": session, "user_id": "AROAALICE"})
    assert functions.queues["requests"].sent == [
        messages.request_message(body=body, request_id="r", session_id=session, user_id="AROAALICE", redrives=0)
    ]


CONNECT: dict[str, Any] = {"kind": "CONNECT", "route": "$connect"}
IN_BODY = {"user_id": "mallory", "user": "mallory", "connection_id": "c-9", "endpoint_url": "https://mallory"}


def heard(functions: Functions, body: dict[str, Any], user: str = "alice", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Send a message by a WebSocket, as the user whom the authorizer named when it was opened."""
    response = functions.websocket(socket(body, **{"authorizer": {"user_id": user}, **changes}))
    frame: dict[str, Any] = json.loads(response["body"])
    return frame


def connect(functions: Functions, rule: str, context: dict[str, Any], connection_id: str = "c-1") -> int:
    """Connect, with everything that a client can say."""
    functions.rule = rule
    claims = {"headers": {"user_id": "mallory"}, "queryStringParameters": {"user_id": "mallory"}, "body": "{}"}
    event = socket(**CONNECT, **{"authorizer": None, "connectionId": connection_id, **context})
    return int(functions.connection({**event, **claims})["statusCode"])


@pytest.mark.parametrize(
    ("rule", "context", "user"),
    [
        ("iam", identity(user="AROAROLE:session-1"), "AROAROLE"),
        ("iam", identity(user="AIDAUSER", caller="AIDAX"), "AIDAUSER"),
        ("iam", identity(user="AROAPOOL:CognitoIdentityCredentials", cognitoIdentityId="us-east-1:1"), "us-east-1:1"),
        ("iam", {**identity(user="AROAROLE:s"), **authorizer(user_id="x", principalId="x")}, "AROAROLE"),
        ("lambda:user_id", authorizer(user_id="u-1", principalId="user", userId="no"), "u-1"),
        ("lambda:a.b-c", authorizer(**{"a.b-c": "u-1"}), "u-1"),
        ("lambda:user_id", authorizer(user_id="Ann Ång <a@example.com>"), "Ann Ång <a@example.com>"),
        ("lambda:user_id", {**authorizer(user_id="u-1"), **identity(user="AROAROLE:s")}, "u-1"),
    ],
)
def test_a_connection_is_whose_the_rule_says(
    functions: Functions, rule: str, context: dict[str, Any], user: str
) -> None:
    """And so is what is sent by it: in the table, in the message, to the agent."""
    assert connect(functions, rule, context) == 200
    assert list(functions.connections.rows) == [(user, "c-1")]
    later: dict[str, Any] = {"authorizer": None}  # IAM is asked once, when somebody connects
    if rule != "iam":
        later |= context
    frame = heard(functions, {"route": "chat", "prompt": "hi", **IN_BODY}, **later)
    assert frame["type"] == "CHAT_QUEUED"
    (item,), (sent,) = functions.table.items.values(), functions.queues["requests"].sent
    assert (sent.attributes["user_id"], sent.attributes["endpoint_url"]) == (user, ENDPOINT)
    functions.deliver_requests()
    assert item["user_id"] == json.loads(functions.told[0]["answer"])["user"] == user


@pytest.mark.parametrize("value", NO_TEXT, ids=repr)
def test_nobody_connects_or_speaks_whose_id_is_no_text(functions: Functions, value: object) -> None:
    """There is nothing else to fall back to: no principal, no claim, no row."""
    given: dict[str, Any] = {
        "identity": {"user": value, "caller": "u"},
        "authorizer": {"user_id": value, "principalId": "u"},
    }
    functions.connections.add(Connection("u", "c-1", "https://other"), now=int(functions.clock.now))
    for rule in ("iam", "lambda:user_id", "lambda:missing"):
        assert connect(functions, rule, given, "c-2") == 403
        frame = heard(functions, {"route": "chat", "prompt": "hi", **IN_BODY}, **given)
        assert (frame["type"], frame["status_code"]) == ("SYSTEM_RESPONSE", 403)
    assert list(functions.connections.rows) == [("u", "c-1")]
    assert (functions.table.items, functions.queues["requests"].sent) == ({}, [])


@pytest.mark.parametrize(
    ("rows", "user"),
    [
        ([("alice", ENDPOINT, 0)], "alice"),
        ([("bob", "https://other", 0)], None),
        ([("alice", ENDPOINT, 0), ("bob", "https://other", 0)], "alice"),
        ([("alice", ENDPOINT, 0), ("bob", ENDPOINT, 0)], None),
        ([("alice", ENDPOINT, 7800)], None),
        ([("bob", ENDPOINT, 7800), ("alice", ENDPOINT, 0)], "alice"),
        ([], None),
    ],
)
def test_a_row_says_whose_a_connection_is_if_it_is_of_this_api_and_alive(
    functions: Functions, rows: list[tuple[str, str, int]], user: str | None
) -> None:
    """Another API may know another by the same id."""
    functions.rule = "iam"
    for owner, endpoint, age in rows:
        functions.connections.add(Connection(owner, "c-1", endpoint), now=int(functions.clock.now) - age)
    frame = heard(functions, {"route": "chat", "prompt": "hi", "request_id": "r"}, authorizer={"user_id": "mallory"})
    assert frame.get("status_code", 202) == (403 if user is None else 202)
    assert [item["user_id"] for item in functions.table.items.values()] == ([] if user is None else [user])


def test_nobody_hangs_up_for_others(functions: Functions) -> None:
    """Not by their connection's id, and not by a message."""
    connect(functions, "lambda:user_id", authorizer(user_id="alice"))
    functions.connection(socket(kind="DISCONNECT", authorizer={"user_id": "bob"}))
    functions.connection(socket({"user_id": "alice"}, route="$disconnect", authorizer={"user_id": "alice"}))
    functions.connection(socket(kind="DISCONNECT", authorizer=None))
    assert list(functions.connections.rows) == [("alice", "c-1")]


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("owner", ["alice", None])
def test_a_request_is_resumed_by_its_user_alone(functions: Functions, owner: str | None, final: bool) -> None:
    """To everybody else there is none, whatever they send; one that is nobody's is nobody's here."""
    if owner:
        heard(functions, {"route": "chat", "prompt": "hi", "request_id": "r"})
    else:
        submit(functions, NOBODY)
    if final:
        functions.deliver_requests()
    for body in (
        {"request_id": "r"},
        {"request_id": "r", **IN_BODY, "user_id": "alice"},
        {"body": {"request_id": "r"}},
    ):
        frame = heard(functions, {"route": "resume", **body}, "bob", route="resume")
        assert (frame["status"], frame["status_code"]) == ("NOT_FOUND", 404)
        assert set(frame) == {"type", "status", "status_code", "message", "request_id"}
    own = heard(functions, {"route": "resume", "request_id": "r"}, route="resume")
    assert own["type"] == ("SYSTEM_RESPONSE" if owner is None else "CHAT_RESPONSE" if final else "CHAT_QUEUED")


@pytest.mark.parametrize("final", [False, True])
def test_a_request_id_of_another_user_is_taken_at_a_websocket_too(functions: Functions, final: bool) -> None:
    """With the very same body; nothing of the answer is told."""
    heard(functions, {"route": "chat", "prompt": "hi", "request_id": "r"})
    if final:
        functions.deliver_requests()
    before = dict(functions.table.items)
    frame = heard(functions, {"route": "chat", "prompt": "hi", "request_id": "r", "user_id": "alice"}, "bob")
    assert (frame["status_code"], set(frame)) == (409, {"type", "status", "status_code", "message", "request_id"})
    assert functions.table.items == before


def test_a_session_is_the_same_users_on_every_way_in(functions: Functions) -> None:
    """Opened at a WebSocket it is closed to others by REST, and the other way round."""
    alice: dict[str, Any] = {"rule": "lambda:user_id", "requestContext": authorizer(user_id="alice")}
    bob: dict[str, Any] = {"rule": "lambda:user_id", "requestContext": authorizer(user_id="bob")}
    heard(functions, {"route": "chat", "prompt": "hi", "session_id": "mine"})
    assert functions.pipeline(rest({"prompt": "hi", "session_id": "mine"}, **alice))["statusCode"] == 202
    assert functions.pipeline(rest({"prompt": "hi", "session_id": "mine"}, **bob))["statusCode"] == 403
    assert functions.pipeline(rest({"prompt": "hi", "session_id": "his"}, **bob))["statusCode"] == 202
    assert heard(functions, {"route": "chat", "prompt": "hi", "session_id": "his"})["status_code"] == 403
    assert heard(functions, {"route": "chat", "prompt": "hi", "session_id": "mine"}, "bob")["status_code"] == 403
