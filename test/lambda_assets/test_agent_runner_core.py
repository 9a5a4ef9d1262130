"""What the agent runner decides."""

import base64
import json
from typing import Any

import pytest
from botocore.retries.standard import ThrottledRetryableChecker
from hypothesis import given
from hypothesis import strategies as st

from ak_lambda.agent_runner import core
from ak_lambda.shared import fields, pings, requests
from ak_lambda.shared.answers import MAX_RESPONSE_BYTES, Answer, http_response
from test.lambda_assets.events import http_api, rest, socket

ID = "00000000-0000-4000-8000-000000000000"


def read(event: dict[str, Any]) -> requests.Request:
    """Read an HTTP event with a fixed id for what the caller leaves out."""
    return requests.http_request(event, lambda: ID)


REQUEST = requests.Request(prompt="hi", session_id="s", request_id="r", user_id=None, agent=None, extra={})


def test_a_prompt_alone_is_enough() -> None:
    """Session and request get ids."""
    expected = requests.Request(prompt="hi", session_id=ID, request_id=ID, user_id=None, agent=None, extra={})
    assert read(rest({"prompt": "hi"})) == expected


def test_every_key_has_its_place_and_the_rest_is_extra() -> None:
    """Images and files are extra too, and so is a user id that anybody could claim."""
    body = {
        "prompt": "hi",
        "agent": "math",
        "session_id": "a:b.c-d_1",
        "request_id": "r-1",
        "user_id": "mallory",
        "images": [{"name": "x"}],
        "custom": {"a": 1},
    }
    assert read(rest(body)) == requests.Request(
        prompt="hi",
        session_id="a:b.c-d_1",
        request_id="r-1",
        user_id=None,
        agent="math",
        extra={"user_id": "mallory", "images": [{"name": "x"}], "custom": {"a": 1}},
    )


def test_agent_kernels_nested_form_means_the_same() -> None:
    """The envelope's ids win, as they do there."""
    body = {"request_id": "r-1", "user_id": "u", "body": {"prompt": "hi", "session_id": "s-1", "request_id": "x"}}
    request = read(rest(body))
    assert (request.prompt, request.session_id, request.request_id) == ("hi", "s-1", "r-1")
    assert request.extra == {"user_id": "u"}


@pytest.mark.parametrize("outside", [{}, {"user_id": None}])
def test_who_asks_is_said_outside_the_nested_body_only(outside: dict[str, Any]) -> None:
    """A backend may wrap what its own user wrote."""
    body = {**outside, "body": {"prompt": "hi", "user_id": "alice"}}
    assert requests.direct_request(body, lambda: ID).user_id is None
    with pytest.raises(fields.RefusedError, match=r"^user_id must be given: this API is told by its callers"):
        read(rest(body, rule="iam-body", requestContext=IAM_USER))


def test_a_flat_body_may_have_a_key_named_body() -> None:
    """A prompt beside it tells the forms apart."""
    assert read(rest({"prompt": "hi", "body": {"prompt": "no"}})).extra == {"body": {"prompt": "no"}}


def test_null_means_left_out() -> None:
    """Agent Kernel drops null fields; so do we where a field is ours."""
    request = read(rest({"prompt": "hi", "session_id": None, "request_id": None, "agent": None, "images": None}))
    assert (request.session_id, request.request_id, request.agent) == (ID, ID, None)
    assert read(rest({"prompt": "hi", "agent": ""})).agent is None
    nested = {"session_id": None, "body": {"prompt": "hi", "session_id": "s-1"}}
    assert read(rest(nested)).session_id == "s-1"


@pytest.mark.parametrize("header", ["Idempotency-Key", "idempotency-key"])
def test_the_idempotency_key_is_the_request_id(header: str) -> None:
    """In whatever case it is written, and beside the same request_id."""
    assert read(rest({"prompt": "hi"}, headers={header: "k-1"})).request_id == "k-1"
    assert read(rest({"prompt": "hi", "request_id": "k-1"}, headers={header: "k-1"})).request_id == "k-1"


def test_base64_bodies_are_decoded() -> None:
    """API Gateway encodes what it takes for binary."""
    body = base64.b64encode('{"prompt": "grüß dich"}'.encode()).decode()
    assert read(rest(body, isBase64Encoded=True)).prompt == "grüß dich"


def test_an_http_api_event_is_read_too() -> None:
    """For users with an HTTP API of their own in front; nobody vouches for a user id then."""
    assert read(http_api({"prompt": "hi"})).prompt == "hi"
    assert read(http_api({"prompt": "hi"})).user_id is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "body must be a JSON object, got nothing"),
        (7, "body must be a JSON object, got a number"),
        (True, "body must be a JSON object, got a boolean"),
        ([], "body must be a JSON object, got an array"),
        ('"text"', "body must be a JSON object, got a string"),
        ("null", "body must be a JSON object, got nothing"),
        ("", "body must be a JSON object, got something that is not JSON"),
        ("{", "body must be a JSON object, got something that is not JSON"),
        ('{"prompt": "hi", "n": 1e999}', "body must be a JSON object, got something that is not JSON"),
        ('{"prompt": NaN}', "body must be a JSON object, got something that is not JSON"),
        ('{"prompt": "hi", "n": ' + "9" * 5000 + "}", "body must be a JSON object, got something that is not JSON"),
        ('{"prompt": ' + "[" * 100_000, "body must be a JSON object, got one nested too deeply"),
        ('{"prompt": "\\ud800"}', "body must be valid Unicode, got half of a surrogate pair"),
        ({}, "prompt must be a string, got nothing"),
        ({"prompt": 7}, "prompt must be a string, got a number"),
        ({"prompt": {}}, "prompt must be a string, got an object"),
        ({"prompt": ""}, "prompt must not be empty"),
        ({"prompt": " \n"}, "prompt must not be empty"),
        ({"prompt": "hi", "session_id": 7}, "session_id must be a string, got a number"),
        ({"prompt": "hi", "session_id": "a b"}, "session_id must match ^[A-Za-z0-9_:.-]{1,128}$"),
        ({"prompt": "hi", "session_id": "a" * 129}, "session_id must match ^[A-Za-z0-9_:.-]{1,128}$"),
        ({"prompt": "hi", "request_id": "a\n"}, "request_id must match ^[A-Za-z0-9_:.-]{1,96}$"),
        ({"prompt": "hi", "request_id": "a" * 97}, "request_id must match ^[A-Za-z0-9_:.-]{1,96}$"),
        ({"prompt": "hi", "agent": []}, "agent must be a string, got an array"),
        ({"prompt": "hi", "images": "x"}, "images must be an array, got a string"),
        ({"prompt": "hi", "files": {}}, "files must be an array, got an object"),
        ({"prompt": "hi", "images": 0}, "images must be an array, got a number"),
        ({"prompt": "hi", "session_id": ""}, "session_id must match ^[A-Za-z0-9_:.-]{1,128}$"),
        ({"prompt": "hi", "files": {"a": 1}}, "files must be an array, got an object"),
    ],
)
def test_a_bad_body_is_400_and_the_message_names_the_field(body: object, message: str) -> None:
    """The caller can mend it."""
    with pytest.raises(fields.RefusedError) as refused:
        read(rest(body))
    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"headers": {"Idempotency-Key": ""}}, 400, "Idempotency-Key must match ^[A-Za-z0-9_:.-]{1,96}$"),
        ({"headers": {"Idempotency-Key": "a b"}}, 400, "Idempotency-Key must match ^[A-Za-z0-9_:.-]{1,96}$"),
        ({"headers": {"Idempotency-Key": "other"}}, 400, "request_id and the Idempotency-Key header must be the same"),
        ({"body": {"prompt": "hi"}}, 400, "body must be a string, got an object"),
        ({"body": "!", "isBase64Encoded": True}, 400, "body must be UTF-8 text"),
        ({"body": "/w==", "isBase64Encoded": True}, 400, "body must be UTF-8 text"),
        ({"body": '"' + "x" * requests.MAX_BODY_BYTES + '"'}, 413, "body must be at most 4,194,304 bytes as JSON"),
    ],
)
def test_a_bad_event_is_refused_with_its_status(changes: dict[str, Any], status: int, message: str) -> None:
    """Whatever the gateway let through."""
    with pytest.raises(fields.RefusedError) as refused:
        read(rest({"prompt": "hi", "request_id": "r-1"}, **changes))
    assert refused.value.status == status
    assert refused.value.message.startswith(message)


def test_the_limit_counts_the_events_json_and_not_the_characters() -> None:
    """A quote takes two bytes in the event: half the limit in quotes is as large as the limit in letters."""
    quotes = json.dumps({"prompt": '"' * (requests.MAX_BODY_BYTES // 4)})
    with pytest.raises(fields.RefusedError, match="body must be at most"):
        read(rest(quotes))
    with pytest.raises(fields.RefusedError, match="body must be at most"):
        read(rest(json.dumps({"prompt": "字" * (requests.MAX_BODY_BYTES // 2)}, ensure_ascii=False)))
    letters = json.dumps({"prompt": "x" * (requests.MAX_BODY_BYTES - 100)})
    assert len(read(rest(letters)).prompt) == requests.MAX_BODY_BYTES - 100


IAM_ROLE = {"identity": {"user": "AROAEXAMPLE:session-1"}}
IDENTITY_POOL = {"identity": {"user": "AROAPOOL:CognitoIdentityCredentials", "cognitoIdentityId": "us-east-1:u-1"}}
FEDERATED = {"identity": {"user": "111122223333:alice"}}
IAM_USER = {"identity": {"user": "AIDAEXAMPLE"}}
COGNITO = {"authorizer": {"claims": {"sub": "u-1", "email": "a@example.com"}}}
LAMBDA = {"authorizer": {"principalId": "user", "userId": "u-1"}}
API_KEY = {"identity": {"apiKeyId": "key-1", "apiKey": "secret"}}


@pytest.mark.parametrize(
    ("rule", "context", "body", "user_id"),
    [
        ("iam", IAM_ROLE, {}, "AROAEXAMPLE"),
        ("iam", IAM_USER, {"user_id": "mallory"}, "AIDAEXAMPLE"),
        ("iam-body", IAM_USER, {"user_id": "alice"}, "AIDAEXAMPLE/alice"),
        ("iam", IDENTITY_POOL, {}, "us-east-1:u-1"),
        ("iam", FEDERATED, {}, "111122223333:alice"),
        ("cognito", COGNITO, {"user_id": "mallory"}, "u-1"),
        ("lambda:userId", LAMBDA, {"user_id": "mallory"}, "u-1"),
        ("api_key", API_KEY, {"user_id": "mallory"}, "key-1"),
        ("public", API_KEY, {"user_id": "mallory"}, None),
        ("", IAM_USER, {"user_id": "mallory"}, None),
    ],
)
def test_the_user_id_comes_from_what_the_gateway_checked(
    rule: str, context: dict[str, Any], body: dict[str, Any], user_id: str | None
) -> None:
    """Never from a body, but for the one rule that trusts backends with it."""
    assert read(rest({"prompt": "hi", **body}, rule=rule, requestContext=context)).user_id == user_id


@pytest.mark.parametrize(
    ("rule", "context"),
    [
        ("iam", {}),
        ("iam", {"identity": None}),
        ("iam", {"identity": {"user": 7}}),
        ("iam-body", {"identity": {"user": ""}}),
        ("lambda:userId", {"authorizer": {"userId": {"a": 1}}}),
        ("cognito", {"authorizer": {}}),
        ("cognito", {"authorizer": {"claims": "x"}}),
        ("lambda:userId", {"authorizer": {"principalId": "user"}}),
        ("lambda:", {"authorizer": {"principalId": "user"}}),
        ("api_key", {"identity": {}}),
        ("of-a-newer-release", IAM_USER),
    ],
)
def test_nobody_gets_in_without_the_id_that_the_rule_needs(rule: str, context: dict[str, Any]) -> None:
    """There is no other id to fall back to."""
    with pytest.raises(fields.RefusedError) as refused:
        read(rest({"prompt": "hi", "user_id": "mallory"}, rule=rule, requestContext=context))
    assert (refused.value.status, refused.value.message) == (
        403,
        "not allowed: the authorizer passed no user id",
    )


@pytest.mark.parametrize("user_id", [None, "", 7, "../AROAOTHER/bob", "a/b", "..", "a\n", "a" * 129])
def test_a_trusted_backend_must_name_a_well_formed_end_user(user_id: object) -> None:
    """Or all whom it forgets to name would be one, and a slash would leave its own name."""
    with pytest.raises(fields.RefusedError, match=r"^user_id must "):
        read(rest({"prompt": "hi", "user_id": user_id}, rule="iam-body", requestContext=IAM_USER))


def test_a_direct_invoke_speaks_for_its_user() -> None:
    """IAM decides who may invoke the function; those may say for whom."""
    request = requests.direct_request({"prompt": "hi", "user_id": "alice", "x": 1}, lambda: ID)
    assert (request.user_id, request.extra) == ("alice", {"user_id": "alice", "x": 1})


def test_a_payload_nested_beyond_reason_is_refused() -> None:
    """Nothing could write it as JSON again."""
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(fields.RefusedError, match=r"^body must be a JSON object, got one nested too deeply$"):
        requests.direct_request({"prompt": "hi", "x": nested}, lambda: ID)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (rest({}), "http"),
        (http_api({}), "http"),
        (socket({}), "websocket"),
        ({"prompt": "hi"}, "direct"),
        ({}, "direct"),
        ({"ak_constructs_ping": {}}, "ping"),
        ({"ak_constructs_ping": True}, "direct"),
    ],
)
def test_events_are_told_apart_by_shape(event: dict[str, Any], kind: str) -> None:
    """No setting says which construct is in front."""
    assert requests.kind_of(event) == kind


@pytest.mark.parametrize("smuggled", [rest({"prompt": "x"}), socket({"prompt": "x"}), {"ak_constructs_ping": {}}])
@pytest.mark.parametrize(
    "own", [{"prompt": "hi"}, {"user_id": "mallory"}, {"ak_constructs_ping": {}, "requestContext": {}}]
)
def test_an_event_cannot_be_a_request_and_an_apis_at_once(smuggled: dict[str, Any], own: dict[str, Any]) -> None:
    """A backend that passes on its user's JSON must not let that say who asks."""
    with pytest.raises(fields.RefusedError, match=r"^event must be a request or an API's event, got both$"):
        requests.kind_of({**smuggled, **own})


@pytest.mark.parametrize(("count", "taken"), [(199_999, True), (200_000, False)])
def test_a_body_of_nothing_but_brackets_is_refused(count: int, taken: bool) -> None:
    """Each takes a hundred times its bytes of memory: the function would die of it."""
    body = '{"prompt": "hi", "e": "' + "[" * count + '"}'
    if taken:
        assert requests.http_payload(rest(body))["prompt"] == "hi"
        return
    with pytest.raises(fields.RefusedError, match=r"^body must have at most 200,000 brackets and braces$"):
        requests.http_payload(rest(body))


def test_nobody_writes_what_stands_for_a_body_in_the_bucket() -> None:
    """Neither a caller nor an agent: it would be fetched for them."""
    kept = {"$ak_constructs_ref": {"bucket": "b", "key": "answers/1"}}
    with pytest.raises(fields.RefusedError, match=r"^body must not have the key \$ak_constructs_ref$"):
        requests.direct_request({"prompt": "hi", **kept}, lambda: "id")
    request = requests.direct_request({"prompt": "hi"}, lambda: "id")
    refused = core.answer(kept, request)
    assert (refused.status, refused.reason) == (502, "the agent's answer must not have the key $ak_constructs_ref")


@pytest.mark.parametrize("records", [[{"eventSource": "aws:kinesis"}], [{"eventSource": "aws:sqs"}, {}], [1]])
def test_a_streams_event_is_an_error_and_not_an_answer(records: list[Any]) -> None:
    """An answer would let its records go."""
    with pytest.raises(TypeError, match=r"^events of streams and topics are not answered here$"):
        requests.kind_of({"Records": records})


def test_a_queues_event_is_known_by_its_source() -> None:
    """And has nothing else in it: a backend may pass on what its own user wrote."""
    event = {"Records": [{"eventSource": "aws:sqs"}]}
    assert requests.kind_of(event) == "sqs"
    with pytest.raises(fields.RefusedError, match=r"^event must be a request or a queue's event, got both$"):
        requests.kind_of({**event, "user_id": "alice"})


def test_an_event_that_is_no_object_is_refused() -> None:
    """A direct invoke may send anything."""
    with pytest.raises(fields.RefusedError, match=r"^event must be an object, got an array$"):
        requests.kind_of([])


@pytest.mark.parametrize(
    ("hold_ms", "held"),
    [
        (None, 0),
        (75, 75),
        (-1, 0),
        (5000, 5000),
        (5001, 5000),
        (1e300, 5000),
        (10**400, 5000),
        (1.5, 1),
        ("75", 0),
        (float("nan"), 0),
    ],
)
def test_a_ping_is_held_within_bounds(hold_ms: object, held: int) -> None:
    """Whatever it asks for."""
    assert pings.hold_ms_of({"ak_constructs_ping": {"hold_ms": hold_ms}}) == held


def test_text_is_answered_with_the_ids() -> None:
    """So that the caller can go on with the session."""
    answer = core.answer("hello", REQUEST)
    assert (answer.status, answer.body) == (200, {"result": "hello", "session_id": "s", "request_id": "r"})


def test_a_dict_is_answered_as_it_is_with_the_session() -> None:
    """The agent's own shape."""
    answer = core.answer({"result": 1.5, "session_id": "other", "error": None}, REQUEST)
    assert (answer.status, answer.body) == (200, {"result": 1.5, "session_id": "s", "error": None})


def failed(error: str) -> tuple[int, dict[str, str]]:
    """Give the status and body of a failure."""
    return 502, {"status": "FAILED", "request_id": "r", "error": error}


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"error": "no such order"}, "no such order"),
        (None, "the agent returned NoneType, expected a str, a dict or pieces of str"),
        (7, "the agent returned int, expected a str, a dict or pieces of str"),
        ({"result": float("nan")}, "the agent's answer cannot be written as JSON"),
        ({"result": object()}, "the agent's answer cannot be written as JSON"),
        # A quote takes four bytes in Lambda's response: escaped in the body, and the body escaped in the envelope.
        ('"' * (MAX_RESPONSE_BYTES // 3), "the agent's answer is too large: at most 6,225,920 bytes"),
        ("x" * MAX_RESPONSE_BYTES, "the agent's answer is too large: at most 6,225,920 bytes"),
    ],
)
def test_what_cannot_be_an_answer_is_a_failure_of_the_agent(result: object, error: str) -> None:
    """Said in the caller's words, not in a stack trace."""
    answer = core.answer(result, REQUEST)
    assert (answer.status, answer.body) == failed(error)
    assert answer.reason == ("the agent returned an error" if error == "no such order" else error)


class ClientError(Exception):
    """Shaped like botocore's."""

    def __init__(self, code: object) -> None:
        super().__init__("a message that quotes the prompt")
        self.response = {"Error": {"Code": code}} if code != "odd" else {"Error": "odd"}


THROTTLES = ThrottledRetryableChecker._THROTTLED_ERROR_CODES  # type: ignore[attr-defined] # no stub has it


@pytest.mark.parametrize("code", [*THROTTLES, "ModelNotReadyException", "throttlingException"])
def test_a_throttled_agent_is_503_and_says_when_to_try_again(code: str) -> None:
    """The caller may try again; nothing is broken. botocore's own list says what throttling is called."""
    answer = core.failure(ClientError(code), "r")
    assert (answer.status, answer.headers) == (503, {"Retry-After": "5"})
    busy = "a service that the agent uses is busy; try again later"
    assert answer.body == {"error": busy, "request_id": "r"}


class HostileError(Exception):
    """Fails when it is asked anything."""

    @property
    def response(self) -> dict[str, Any]:
        """Like a library whose client is closed already."""
        raise RuntimeError("a secret")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a secret"),
        OSError(2, "a secret"),
        ClientError("AccessDenied"),
        ClientError("odd"),
        ClientError(["list"]),
        HostileError(),
    ],
)
def test_an_error_of_the_agent_is_502_without_its_message(error: Exception) -> None:
    """It may quote the prompt."""
    answer = core.failure(error, "r")
    assert (answer.status, answer.body) == failed("the agent failed; its log has the type and place of the error")


def test_an_agents_own_error_is_not_endless() -> None:
    """It goes through queues and into a table."""
    request = requests.direct_request({"prompt": "hi"}, lambda: "id")
    assert core.answer({"error": "x" * 9000}, request).body["error"] == "x" * 2000  # type: ignore[index]


def test_http_responses_are_json_that_nobody_caches() -> None:
    """As a Lambda proxy integration expects it."""
    assert http_response(Answer(503, {"error": "x"}, {"Retry-After": "5"}), {"Vary": "Origin"}) == {
        "statusCode": 503,
        "headers": {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "Retry-After": "5",
            "Vary": "Origin",
        },
        "body": '{"error": "x"}',
    }


def test_direct_responses_say_their_status_unless_all_went_well() -> None:
    """A failed run must not look like an answer."""
    assert core.direct_response(Answer(200, {"result": "x"})) == {"result": "x"}
    assert core.direct_response(Answer(502, {"error": "x"})) == {"status_code": 502, "error": "x"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)
KEYS = ["prompt", "session_id", "request_id", "user_id", "agent", "images", "files", "body"]
BODIES = (
    st.dictionaries(st.sampled_from(KEYS), JSON | st.text(min_size=1), max_size=8).map(json.dumps)
    | JSON.map(json.dumps)
    | st.text()
)


@given(
    body=st.none() | BODIES | JSON,
    is_base64=st.booleans(),
    headers=st.none() | st.dictionaries(st.sampled_from(["Idempotency-Key", "x"]), JSON, max_size=2),
    rule=st.sampled_from(["", "public", "iam", "iam-body", "cognito", "lambda:k", "api_key", "?"]),
    context=st.dictionaries(st.sampled_from(["identity", "authorizer"]), JSON, max_size=2),
)
def test_whatever_a_caller_sends_is_a_request_or_refused(
    body: object,
    is_base64: bool,
    headers: object,
    rule: str,
    context: dict[str, Any],
) -> None:
    """No event crashes the parser, and what it lets through keeps the contract."""
    event = rest(None, rule=rule, body=body, isBase64Encoded=is_base64, headers=headers, requestContext=context)
    try:
        request = read(event)
    except fields.RefusedError as refused:
        assert refused.status in {400, 403, 413}  # noqa: PT017 - an except on purpose: both ends are right
        return
    assert request.prompt.strip()
    assert fields.SESSION_ID.fullmatch(request.session_id)
    assert fields.REQUEST_ID.fullmatch(request.request_id)
    request.prompt.encode()


@given(payload=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8))
def test_whatever_a_direct_invoke_sends_is_a_request_or_refused(payload: dict[str, Any]) -> None:
    """The same for payloads that no gateway has seen."""
    try:
        request = requests.direct_request(payload, lambda: ID)
    except fields.RefusedError as refused:
        assert refused.status == 400  # noqa: PT017 - an except on purpose: both ends are right
        return
    assert request.prompt.strip()
