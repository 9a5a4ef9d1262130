"""What was planted comes out nowhere: not in an answer to anybody else, and not in any line of any log."""

import base64
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ak_lambda.agent_runner.agent import loop
from ak_lambda.keep_warm import handler as warmer
from ak_lambda.shared.messages import ToSend
from ak_lambda.version_pruner import handler as pruner
from test.lambda_assets.events import Context, rest, socket
from test.lambda_assets.fakes import record
from test.lambda_assets.functions import Functions
from test.lambda_assets.hostile import REFUSED, spoilt

PROMPT, TOKEN, ANSWER, FAILURE, SERVICE, KEY = (
    f"CANARY-{name}" for name in ("prompt", "token", "answer", "failure", "service", "key")
)
TRACES = ("Traceback", 'File "', "most recent call")

quickly = settings(
    derandomize=True,
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Watch:
    """Everything that was said: to the log, to the two outputs, and to callers."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        caplog.set_level(logging.INFO)
        self._caplog = caplog
        self._capsys = capsys
        self.responses: list[Any] = []

    def keep(self, response: Any) -> Any:  # noqa: ANN401
        """Note what a caller got."""
        self.responses.append(response)
        return response

    def logged(self) -> str:
        """Give all lines as Lambda would write them, every extra included."""
        lines = [
            {**vars(each), "text": each.getMessage(), "exc_info": "".join(traceback.format_exception(*each.exc_info))}
            if each.exc_info
            else {**vars(each), "text": each.getMessage()}
            for each in self._caplog.records
        ]
        return json.dumps(lines, default=repr) + "".join(self._capsys.readouterr())

    def check(self) -> None:
        """Fail if anything came out."""
        self._check_text(self.logged())
        self._check_text(json.dumps([each for each in self.responses if not went_well(each)]))
        self._caplog.clear()

    @staticmethod
    def _check_text(text: str) -> None:
        for secret in ("CANARY", *TRACES):
            where = text.find(secret)
            assert where < 0, text[max(0, where - 300) : where + 100]


def went_well(response: Any) -> bool:  # noqa: ANN401
    """Tell an answer of the agent's, which its caller may read: in an API, at a WebSocket and in a direct invoke."""
    if "headers" not in response and "body" in response:  # a frame, whatever it says
        return bool(json.loads(response["body"]).get("status_code") == 200)
    return response.get("statusCode") == 200 or "result" in response


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Watch:
    """Watch a test's outputs."""
    return Watch(caplog, capsys)


@pytest.fixture
def functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Functions]:
    """Make all functions, with an agent whose answer is planted too."""
    functions = Functions(monkeypatch)
    functions.agent = lambda _turn: {"result": ANSWER, "sources": [ANSWER]}
    yield functions
    if loop.cache_info().currsize:
        loop().close()
        loop.cache_clear()


def planted(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make an event with something planted in each place where somebody may put a secret."""
    body = {"prompt": PROMPT, "images": [{"image_data": PROMPT}], "request_id": "r", PROMPT: TOKEN, "password": TOKEN}
    context = {
        "identity": {"user": "AROAX:s", "apiKey": KEY, "apiKeyId": "k-1", "accessKey": KEY, "userAgent": TOKEN},
        "authorizer": {"userId": "u-1", "claims": {"sub": "u-1", "email": TOKEN}, "token": TOKEN},
        "requestTimeEpoch": 1_780_000_000_000,
    }
    given = {
        "headers": {"Authorization": f"Bearer {TOKEN}", "x-api-key": KEY, "Cookie": TOKEN, "X-Custom": PROMPT},
        "queryStringParameters": {"token": TOKEN, "prompt": PROMPT},
        "requestContext": context,
        "rule": "lambda:userId",
    }
    return rest(body, **{**given, **changes})


def planted_socket(body: object = None, /, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make an event of a WebSocket in the same way."""
    said = {"prompt": PROMPT, "images": [{"image_data": PROMPT}], "request_id": "r", PROMPT: TOKEN, "password": TOKEN}
    given = {
        "authorizer": {"user_id": "u-1", "claims": TOKEN, "principalId": TOKEN},
        "identity": {"user": "AROAX:s", "accessKey": KEY, "userAgent": TOKEN},
    }
    event = socket(said if body is None else body, **{**given, **changes})
    headers = {"Sec-WebSocket-Protocol": f"bearer, {TOKEN}", "Authorization": f"Bearer {TOKEN}", "Cookie": TOKEN}
    lists = {name: [value] for name, value in headers.items()}
    return {**event, "headers": headers, "multiValueHeaders": lists, "queryStringParameters": {"token": TOKEN}}


class AgentError(Exception):
    """An error with a message, a cause, a note and an answer of AWS's."""

    def __init__(self) -> None:
        super().__init__(FAILURE, PROMPT)
        self.add_note(FAILURE)
        self.response = {"Error": {"Code": FAILURE, "Message": FAILURE}}


def raises(_turn: object) -> str:
    """Fail as agents do: one error because of another."""
    try:
        return str(int(PROMPT))
    except ValueError as error:
        raise AgentError from error


async def raises_later(turn: object) -> str:
    """Fail in a coroutine."""
    return raises(turn)


def raises_in_a_group(_turn: object) -> str:
    """Fail in several ways at once."""
    raise ExceptionGroup(FAILURE, [AgentError(), ValueError(PROMPT)])


def yields_and_raises(_turn: object) -> Iterator[str]:
    """Fail in the middle of an answer."""
    yield ANSWER
    raise AgentError


def leaves(_turn: object) -> str:
    """End the process, with a text that Python would print."""
    sys.exit(FAILURE)


async def leaves_a_task(_turn: object) -> str:
    """Begin what fails, and do not wait for it."""
    import asyncio  # noqa: PLC0415 - as agents do

    async def fail() -> None:
        raise AgentError

    asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    raise AgentError


def not_json(_turn: object) -> dict[str, Any]:
    """Answer with what no JSON has."""
    return {"result": {ANSWER: object(), FAILURE: AgentError()}}


AGENTS: list[Callable[[Any], object]] = [
    raises,
    raises_later,
    raises_in_a_group,
    yields_and_raises,
    leaves,
    leaves_a_task,
    not_json,
    lambda _turn: 7,
    lambda _turn: 1 / 0,
]


def whole_life(functions: Functions, watch: Watch) -> None:
    """Ask by every way in, let it run until its end, redrive it, and poll as its user and as others."""
    watch.keep(functions.agent_function(planted(rule="public")))
    watch.keep(functions.agent_function({"prompt": PROMPT, "password": TOKEN, "user_id": "u-1"}))
    for each in (planted(), planted(), planted(headers={"Prefer": "wait=1", "Idempotency-Key": "r"})):
        watch.keep(functions.pipeline(each))
    functions.deliver_requests()
    for rule in ("lambda:userId", "public", "iam", "cognito", "lambda:missing", "?"):
        watch.keep(functions.pipeline(planted(rule=rule)))
        poll = {"httpMethod": "GET", "body": None, "pathParameters": {"request_id": "r"}}
        watch.keep(functions.pipeline(planted(rule=rule, **poll)))
    watch.keep(functions.redrive({}))
    functions.deliver_requests()
    watch.keep(functions.health(planted()))
    at_a_websocket(functions, watch)


def at_a_websocket(functions: Functions, watch: Watch) -> None:
    """Connect, ping, ask by every route as its user and as others, and hang up."""
    functions.table.items.clear()
    for functions.rule in ("iam", "lambda:missing", "lambda:user_id"):
        watch.keep(functions.connection(planted_socket(kind="CONNECT", route="$connect")))
        for each in ({}, {"connectionId": "c-2"}):
            watch.keep(functions.websocket(planted_socket(**each)))
            watch.keep(functions.websocket(planted_socket(route="resume", **each)))
    functions.deliver_requests()
    for route in ("chat", "resume", "zzz"):
        for user in ("u-1", "u-2", None):
            watch.keep(functions.websocket(planted_socket(route=route, authorizer={"user_id": user, "token": TOKEN})))
            watch.keep(functions.websocket(planted_socket(PROMPT, route=route, authorizer={"user_id": user})))
    for route in ("ping", "$default"):
        for body in (None, PROMPT, {PROMPT: TOKEN}):
            watch.keep(functions.connection(planted_socket(body, route=route)))
    watch.keep(functions.connection(planted_socket(kind="DISCONNECT", route="$disconnect")))


def test_what_goes_well_is_told_to_its_user_alone(functions: Functions, watch: Watch) -> None:
    """And the watch sees what it should: the answer is there, and log lines are."""
    whole_life(functions, watch)
    assert ANSWER in json.dumps(watch.responses)
    assert "answered" in watch.logged()
    watch.check()
    assert len([each for each in watch.responses if not went_well(each)]) >= 6


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: getattr(agent, "__name__", ""))
def test_a_failing_agents_words_are_nowhere(functions: Functions, watch: Watch, agent: Callable[[Any], object]) -> None:
    """In no answer, no reply, no dead letter's reason and no line."""
    functions.agent = agent
    whole_life(functions, watch)
    assert "FAILED" in str(watch.responses)
    said = [*functions.table.items.values(), *functions.told]
    said += [sent.attributes for queue in functions.queues.values() for sent in queue.sent]
    assert "CANARY" not in json.dumps(said, default=repr)
    watch.check()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *[("table", name) for name in ("read", "write")],
        *[("sessions", name) for name in ("claim", "history", "add_turn")],
        *[("requests", name) for name in ("send", "hide")],
        *[("replies", name) for name in ("send", "hide")],
        *[("parked", "send"), ("dead", "hide")],
        *[("bucket", name) for name in ("put_object", "get_object", "generate_presigned_url")],
    ],
)
@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_a_failing_services_words_are_nowhere(
    functions: Functions, watch: Watch, part: str, name: str, code: str
) -> None:
    """They name tables, roles and sometimes what was sent."""
    functions.agent = lambda turn: raises(turn) if part in {"parked", "dead"} else ANSWER * 60_000
    broken = getattr(functions, part, None) or functions.queues[part]
    works = getattr(broken, name)

    def fails(*_args: object, **_more: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": SERVICE}}, "PutItem")

    large = json.dumps({"prompt": PROMPT * 60_000, "request_id": "r"})
    setattr(broken, name, fails)
    watch.keep(functions.agent_function(planted()))
    watch.keep(functions.pipeline(planted(body=large)))
    setattr(broken, name, works)
    watch.keep(functions.pipeline(planted(body=large)))
    setattr(broken, name, fails)
    for receives in range(1, 8):
        for queue, call in (
            ("requests", functions.agent_function),
            ("replies", functions.response_handler),
            ("requests", functions.dead_letter_handler),
        ):
            for sent in list(functions.queues[queue].sent):
                watch.keep(call({"Records": [record(sent, receives=receives)]}))
        functions.clock.now += 100
    poll = {"httpMethod": "GET", "body": None, "pathParameters": {"request_id": "r"}}
    watch.keep(functions.pipeline(planted(**poll)))
    watch.check()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_not_repeated(functions: Functions, watch: Watch, name: str) -> None:
    """Neither to the caller nor in the log: a broken body may well have a secret in it."""
    body = REFUSED[name].replace('"hi"', f'"{PROMPT}"') + f' "{TOKEN}"' * (name in {"trailing", "comment"})
    encoded = base64.b64encode(body.encode(errors="surrogatepass")).decode()
    for event in (planted(body=body), planted(body=encoded, isBase64Encoded=True), planted(body=encoded)):
        watch.keep(functions.pipeline(event))
        watch.keep(functions.agent_function(event))
    functions.deliver(ToSend(body.replace("\ud800", "").replace("\x00", "") or "-", {"request_id": "r"}, "s", "d"))
    watch.check()


FIELDS = ("prompt", "session_id", "request_id", "agent", "images", "files", "user_id", "body", "stream")


@quickly
@given(
    body=st.dictionaries(st.sampled_from([*FIELDS, PROMPT]), st.sampled_from([PROMPT, [TOKEN], {KEY: KEY}, 7, None])),
    header=st.sampled_from(["Idempotency-Key", "Prefer", "Origin", "Authorization"]),
    changes=st.dictionaries(
        st.sampled_from(["pathParameters", "queryStringParameters", "httpMethod", "resource", "stageVariables"]),
        st.sampled_from([TOKEN, {"request_id": f"{TOKEN} "}, {"akConstructsIdentity": TOKEN}, None]),
    ),
)
def test_nothing_planted_anywhere_in_a_request_comes_out(
    functions: Functions, watch: Watch, body: dict[str, Any], header: str, changes: dict[str, Any]
) -> None:
    """But ids, which are logged by design: who puts a secret there has published it."""
    functions.reset()
    ids = {name: "r" for name in ("session_id", "request_id") if isinstance(body.get(name), str)}
    event = planted(body=json.dumps({**body, **ids}), headers={header: f"{TOKEN} {PROMPT}"}, **changes)
    watch.responses.clear()
    for call in (functions.agent_function, functions.pipeline):
        watch.keep(call(event))
    watch.keep(functions.agent_function({**body, **ids}))
    watch.check()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *[("connections", name) for name in ("add", "remove", "user_of")],
        *[("table", name) for name in ("read", "write")],
        *[("sessions", "claim"), ("requests", "send"), ("bucket", "get_object"), ("bucket", "generate_presigned_url")],
        ("gateway", "client_for"),
    ],
)
@pytest.mark.parametrize("size", [10, 60_000, 200_000])
def test_a_failing_services_words_are_nowhere_at_a_websocket(
    functions: Functions, watch: Watch, part: str, name: str, size: int
) -> None:
    """Whatever fails, and however long the answer is."""
    functions.agent = lambda _turn: ANSWER * size
    watch.keep(functions.websocket(planted_socket()))
    functions.deliver_requests()
    watch.responses.clear()

    def fails(*_args: object, **_more: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": SERVICE}}, "PutItem")

    setattr(getattr(functions, part, None) or functions.queues[part], name, fails)
    for functions.rule in ("lambda:user_id", "iam"):
        watch.keep(functions.connection(planted_socket(kind="CONNECT")))
        for request_id in ("r", "r2"):
            for route in ("chat", "resume"):
                said = {"prompt": PROMPT, "request_id": request_id, "password": TOKEN}
                watch.keep(functions.websocket(planted_socket(said, route=route)))
        watch.keep(functions.connection(planted_socket(kind="DISCONNECT")))
    watch.responses = [each for each in watch.responses if json.loads(each.get("body", "{}")).get("type") != "PART"]
    watch.check()


@quickly
@given(event=spoilt(planted(), 6))
def test_nothing_of_a_spoilt_event_comes_out(functions: Functions, watch: Watch, event: Any) -> None:  # noqa: ANN401
    """Whatever is where it should not be."""
    functions.reset()
    watch.responses.clear()
    for call in (functions.pipeline, functions.agent_function, functions.health):
        watch.keep(call(event))
    watch.check()


@quickly
@given(
    event=spoilt(planted_socket(), 6) | spoilt(planted_socket(kind="CONNECT"), 6),
    rule=st.sampled_from(["iam", "lambda:user_id"]),
)
def test_nothing_of_a_spoilt_event_of_a_websocket_comes_out(
    functions: Functions,
    watch: Watch,
    event: Any,  # noqa: ANN401
    rule: str,
) -> None:
    """But an id, which is logged by design, and a route that is not there, which is told to who sent it."""
    functions.reset()
    functions.rule = rule
    watch.responses.clear()
    for call in (functions.websocket, functions.connection):
        watch.keep(call(event))
    watch.check()


def test_schedules_say_nothing_of_what_fails(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
    """The warmer and the pruner: an error of AWS's is told by its code alone."""

    class Failing:
        def invoke(self, **_call: object) -> None:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": SERVICE}}, "Invoke")

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            def call(*_args: object, **_more: object) -> None:
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": SERVICE}}, name)

            return call

    for name, value in {
        "AK_CONSTRUCTS_WARM_TARGETS": "arn:aws:lambda:us-east-1:1:function:f",
        "AK_CONSTRUCTS_WARM_CONCURRENCY": "1",
        "AK_CONSTRUCTS_WARM_WAIT_SECONDS": "1",
        "AK_CONSTRUCTS_WARM_HOLD_MS": "0",
        "AK_CONSTRUCTS_WARM_MAX_HOLD_MS": "0",
        "AK_CONSTRUCTS_DRY_RUN": "false",
        "AK_CONSTRUCTS_PRUNE_SCOPE": '{"functions": ["f"]}',
        "AK_CONSTRUCTS_KEEP_LATEST": "3",
        "AK_CONSTRUCTS_MIN_AGE_SECONDS": "3600",
        "AK_CONSTRUCTS_KEEP_ACTIVE": "true",
        "AK_CONSTRUCTS_MAX_DELETIONS": "1",
        "AK_CONSTRUCTS_CURSOR_PARAMETER": "p",
        "AK_CONSTRUCTS_REPORT_BUCKET": "b",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(warmer, "waiting_client", lambda *_args, **_more: Failing())
    for name in ("client", "patient_client"):
        monkeypatch.setattr(pruner, name, lambda _service: Failing())
    event = {"source": "aws.events", "detail": {"token": TOKEN}}
    watch.keep(warmer.handler(event, Context()))
    watch.keep(pruner.handler(event, Context()))
    assert "AccessDeniedException" in watch.logged()
    watch.check()
