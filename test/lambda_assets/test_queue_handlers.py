"""The handlers of the queue's functions, as Lambda calls them."""

import importlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ak_lambda.agent_runner import handler as agent_runner
from ak_lambda.dead_letter_handler import handler as dead_letter_handler
from ak_lambda.redrive import handler as redrive
from ak_lambda.request_handler import core
from ak_lambda.request_handler import handler as request_handler
from ak_lambda.request_handler.submissions import Submissions
from ak_lambda.response_handler import handler as response_handler
from ak_lambda.response_handler.pushing import Pushing
from ak_lambda.response_handler.showing import Showing
from ak_lambda.shared import clients, environment
from ak_lambda.shared.answers import Answer
from ak_lambda.shared.messages import ToSend
from ak_lambda.shared.record_batch import handled
from test.lambda_assets.events import Context, rest
from test.lambda_assets.fakes import FakeQueue, record

LOG = logging.getLogger("test")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AK_CONSTRUCTS_REQUESTS_TABLE": "table",
    "AK_CONSTRUCTS_REQUEST_QUEUE_URL": "requests.fifo",
    "AK_CONSTRUCTS_REPLY_QUEUE_URL": "replies.fifo",
    "AK_CONSTRUCTS_DEAD_LETTER_QUEUE_URL": "dead.fifo",
    "AK_CONSTRUCTS_PARKED_QUEUE_URL": "parked",
    "AK_CONSTRUCTS_PARKED_REPLIES_URL": "parked-replies.fifo",
    "AK_CONSTRUCTS_PAYLOADS_BUCKET": "bucket",
    "AK_CONSTRUCTS_RETENTION_SECONDS": "1000",
    "AK_CONSTRUCTS_MAX_RECEIVE_COUNT": "5",
    "AK_CONSTRUCTS_MODE": "rest_sync",
    "AK_CONSTRUCTS_TAKES_LARGE": "true",
    "AK_CONSTRUCTS_REPLY_HANDLERS": "arn:one,arn:two",
    "AK_CONSTRUCTS_SESSIONS_TABLE": "sessions",
    "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS": "1000",
    "AK_CONSTRUCTS_HISTORY_TURNS": "5",
}
MADE_ONCE = (
    request_handler.submissions,
    response_handler.replies,
    dead_letter_handler.dead_letters,
    clients.client,
    clients._callback_client,
    agent_runner._sessions,
)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set what the constructs set; boto3's clients are real, and call nobody."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    yield
    for made in MADE_ONCE:
        made.cache_clear()


def batch(count: int, *, groups: str = "sssss") -> list[dict[str, Any]]:
    """Make records of several sessions."""
    return [
        record(ToSend("{}", {}, group, str(number)), message_id=str(number), receives=3)
        for number, group in zip(range(count), groups, strict=False)
    ]


def test_a_record_that_fails_keeps_all_later_ones_of_its_session_back(caplog: pytest.LogCaptureFixture) -> None:
    """Others go on; it rests longer each time, and the error's words are not logged."""
    queue = FakeQueue()
    seen: list[str] = []

    def handle(one: Any) -> None:  # noqa: ANN401
        seen.append(one["messageId"])
        if one["messageId"] == "1":
            raise ValueError("a secret")

    made = handled(batch(5, groups="abaab"), handle, queue, LOG)  # type: ignore[arg-type]
    assert made == {"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "4"}]}
    assert seen == ["0", "1", "2", "3"]
    assert queue.hidden == [("1", 4)]
    assert "a secret" not in caplog.text
    assert "ValueError" in str([vars(line) for line in caplog.records])


def test_a_record_that_is_answered_with_false_comes_back_when_its_handler_said() -> None:
    """In a standard queue alone: there are no sessions."""
    records = batch(2)
    for one in records:
        del one["attributes"]["MessageGroupId"]
    queue = FakeQueue()
    made = handled(records, lambda one: one["messageId"] != "0", queue, LOG)  # type: ignore[arg-type]
    assert (made, queue.hidden) == ({"batchItemFailures": [{"itemIdentifier": "0"}]}, [])


def test_a_record_that_cannot_be_put_back_comes_back_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """When the queue's own time is over."""
    queue = FakeQueue()
    queue.hide = lambda *_: (_ for _ in ()).throw(OSError)  # type: ignore[method-assign]
    made = handled(batch(1), lambda _: 1 / 0, queue, LOG)  # type: ignore[arg-type]
    assert made["batchItemFailures"] == [{"itemIdentifier": "0"}]
    assert "could not be put back" in caplog.text


def test_how_long_a_record_rests_is_up_to_the_function() -> None:
    """By how often it was received."""
    queue = FakeQueue()
    handled(batch(1), lambda _: 1 / 0, queue, LOG, rest_seconds=lambda receives: 100 + receives)  # type: ignore[arg-type]
    assert queue.hidden == [("0", 103)]


def test_a_variable_that_is_missing_says_who_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of ours outside its construct."""
    monkeypatch.setenv("AK_X", "")
    with pytest.raises(RuntimeError, match=r"^AK_X must be set; the construct that defines this function does so$"):
        environment.setting("AK_X")


class FakeSubmissions:
    """Answers as it is told."""

    def __init__(self, act: Callable[[], Answer]) -> None:
        self.act = act
        self.calls: list[tuple[str, Any]] = []

    def submit(self, _event: object, submission: core.Submission) -> Answer:
        """Note a submission."""
        self.calls.append(("submit", submission.request.request_id))
        return self.act()

    def look_up(self, _event: object, said: dict[str, Any]) -> Answer:
        """Note a poll."""
        self.calls.append(("look_up", said["request_id"]))
        return self.act()


def answered(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Answer]) -> FakeSubmissions:
    """Put a fake in the place of what submits."""
    fake = FakeSubmissions(act)
    monkeypatch.setattr(request_handler, "submissions", lambda: fake)
    return fake


def throttled() -> Answer:
    """Raise what boto3 raises when a service is busy."""
    raise ClientError({"Error": {"Code": "ThrottlingException"}}, "PutItem")


def unreachable() -> Answer:
    """Raise what boto3 raises when there is no network."""
    raise EndpointConnectionError(endpoint_url="x")


def test_a_post_submits_and_a_get_looks_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """By method; the answer is a proxy response."""
    fake = answered(monkeypatch, lambda: Answer(202, {"status": "PENDING"}, {"Location": "chat/r"}))
    posted = request_handler.handler(rest({"prompt": "hi", "request_id": "r"}), None)
    request_handler.handler(rest(None, httpMethod="GET", pathParameters={"request_id": "r-2"}), None)
    assert fake.calls == [("submit", "r"), ("look_up", "r-2")]
    assert (posted["statusCode"], posted["headers"]["Location"]) == (202, "chat/r")
    assert posted["body"] == '{"status": "PENDING"}'


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (rest({}), "prompt must be a string, got nothing"),
        (rest("{"), "body must be a JSON object, got something that is not JSON"),
        (
            rest(None, httpMethod="GET"),
            "request_id must be given: as the last segment of the path, or in the query",
        ),
    ],
)
def test_a_caller_at_fault_is_told_why(monkeypatch: pytest.MonkeyPatch, event: dict[str, Any], error: str) -> None:
    """And nothing is done."""
    fake = answered(monkeypatch, lambda: Answer(200, {}))
    made = request_handler.handler(event, None)
    assert (made["statusCode"], json.loads(made["body"]), fake.calls) == (400, {"error": error}, [])


@pytest.mark.parametrize(("act", "reason"), [(throttled, "throttled"), (unreachable, "EndpointConnectionError")])
def test_a_service_that_fails_is_503_and_the_same_request_may_be_sent_again(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    act: Callable[[], Answer],
    reason: str,
) -> None:
    """With the id that makes it the same."""
    caplog.set_level("INFO")
    answered(monkeypatch, act)
    made = request_handler.handler(rest({"prompt": "SECRET", "request_id": "r"}), None)
    assert (made["statusCode"], made["headers"]["Retry-After"]) == (503, "1")
    assert json.loads(made["body"]) == {
        "error": "not now; send the same request again, with its request_id",
        "request_id": "r",
    }
    (line,) = caplog.records
    assert (vars(line)["request_id"], vars(line)["status"], vars(line)["reason"]) == ("r", 503, reason)
    assert "SECRET" not in str(vars(line))


@pytest.mark.usefixtures("aws")
def test_the_functions_are_made_of_what_their_constructs_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for an environment; the clock is Lambda's."""
    made = request_handler.submissions()
    assert isinstance(made, Submissions)
    assert (made.default_wait_ms, made.takes_large, made.retention) == (29_000, True, 1000)
    assert abs(made.now_ms() - response_handler.replies().now_ms()) < 60_000
    assert made.payloads._client() is clients.client("s3")
    assert len(response_handler.replies().reply_handlers) == 2
    assert abs(dead_letter_handler.dead_letters().now_ms() - made.now_ms()) < 60_000
    assert response_handler.replies().payloads._client() is clients.client("s3")
    request_handler.submissions.cache_clear()
    monkeypatch.setenv("AK_CONSTRUCTS_MODE", "rest_async")
    monkeypatch.setenv("AK_CONSTRUCTS_TAKES_LARGE", "false")
    made = request_handler.submissions()
    assert (made.default_wait_ms, made.takes_large) == (0, False)
    request_handler.submissions.cache_clear()
    monkeypatch.delenv("AK_CONSTRUCTS_SESSIONS_TABLE")
    with pytest.raises(RuntimeError, match=r"^a session store must be attached; QueuedAgentPipeline does so$"):
        request_handler.submissions()


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("module", "made"),
    [(request_handler, "submissions"), (response_handler, "replies"), (dead_letter_handler, "dead_letters")],
)
def test_clients_are_made_before_the_first_event(module: Any, made: str) -> None:  # noqa: ANN401
    """In the init phase, where Lambda gives a full CPU; without its variables a module is only imported."""
    again = importlib.reload(module)
    assert getattr(again, made).cache_info().currsize == 1
    getattr(again, made).cache_clear()


@pytest.mark.usefixtures("aws")
def test_a_reply_handler_that_fails_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error brings the reply back."""
    calls: list[dict[str, Any]] = []

    class Client:
        def invoke(self, **call: Any) -> dict[str, Any]:  # noqa: ANN401
            calls.append(call)
            return {"FunctionError": "Unhandled"} if call["FunctionName"] == "arn:two" else {}

    made = response_handler.replies()
    monkeypatch.setattr(response_handler, "client", lambda _service: Client())
    made.reply_handlers[0]({"request_id": "r"})
    with pytest.raises(RuntimeError, match=r"^the reply handler failed$"):
        made.reply_handlers[1]({"request_id": "r"})
    assert calls[0] == {"FunctionName": "arn:one", "Payload": b'{"request_id": "r"}'}


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(("module", "made"), [(response_handler, "replies"), (dead_letter_handler, "dead_letters")])
def test_a_queues_handler_handles_each_record(monkeypatch: pytest.MonkeyPatch, module: Any, made: str) -> None:  # noqa: ANN401
    """And says which ones come back."""
    seen: list[str] = []

    class Fake:
        replies = dead_letters = FakeQueue()

        def handle(self, one: dict[str, Any]) -> None:
            seen.append(one["messageId"])

    monkeypatch.setattr(module, made, Fake)
    assert module.handler({"Records": batch(2)}, None) == {"batchItemFailures": []}
    assert seen == ["0", "1"]


@pytest.mark.usefixtures("aws")
def test_the_redrive_function_counts_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever invoked it."""
    asked: list[tuple[str, int]] = []

    def run(self: Any, queue: str, most: int) -> dict[str, int]:  # noqa: ANN401
        asked.append((queue, most))
        assert self.has_time()
        assert len(self.new_id()) == 36
        assert self.now_ms() > 1_700_000_000_000
        return {"redrive": 2}

    monkeypatch.setattr("ak_lambda.redrive.parked.Redrive.run", run)
    assert redrive.handler({"queue": "replies", "max_messages": 7}, Context()) == {"redrive": 2}
    assert asked == [("replies", 7)]
    assert redrive.handler({"queue": "x"}, Context())["status_code"] == 400


@pytest.mark.usefixtures("aws")
def test_a_message_that_the_runner_could_not_begin_comes_back_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after the hours for which its queue hides it."""
    hidden: list[tuple[str, int]] = []
    monkeypatch.setattr("ak_lambda.agent_runner.queued.QueuedRuns.handle", lambda *_: 1 / 0)
    monkeypatch.setattr("ak_lambda.shared.queues.Queue.hide", lambda _self, *call: hidden.append(call))
    made = agent_runner.handler({"Records": batch(1)}, Context())
    assert (made, hidden) == ({"batchItemFailures": [{"itemIdentifier": "0"}]}, [("0", 60)])


@pytest.mark.usefixtures("aws")
def test_the_runner_runs_the_messages_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each under its lease, as an answer of any size, with the agent that the variable names."""
    handled_by: list[Any] = []

    def handle(self: Any, one: dict[str, Any]) -> bool:  # noqa: ANN401
        handled_by.append(self)
        return bool(one["messageId"] != "1")

    monkeypatch.setattr("ak_lambda.agent_runner.queued.QueuedRuns.handle", handle)
    made = agent_runner.handler({"Records": batch(2, groups="ab")}, Context())
    assert made == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert handled_by[0].max_receives == 5
    assert handled_by[0].now_ms() > 1_700_000_000_000
    assert handled_by[0].payloads._client() is clients.client("s3")


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(("receives", "doubted"), [(1, 0), (2, 1)])
def test_a_message_that_comes_again_has_the_agents_secrets_read_again(
    monkeypatch: pytest.MonkeyPatch, receives: int, doubted: int
) -> None:
    """Its run failed, perhaps in another environment: a rotation costs each message one run at most."""
    doubts: list[None] = []
    monkeypatch.setattr("ak_lambda.agent_runner.queued.QueuedRuns.handle", lambda *_: True)
    monkeypatch.setattr("ak_lambda.shared.agent_secrets.AgentSecrets.doubt", lambda _self: doubts.append(None))
    sent = record(ToSend("{}", {}, "s", "1"), message_id="1", receives=receives)
    agent_runner.handler({"Records": [sent]}, Context())
    assert len(doubts) == doubted


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("streams", ["", "true", "false"])
def test_behind_a_websocket_answers_are_pushed(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, streams: str
) -> None:
    """And pieces are taken, where the agent streams; those wait less long for each connection."""
    request.addfinalizer(response_handler.replies.cache_clear)  # of the module as it was loaded again
    response_handler.replies.cache_clear()
    monkeypatch.setenv("AK_CONSTRUCTS_STREAMS", streams)
    made = response_handler.replies()
    assert (made.streams, made.push) == (None, None)
    response_handler.replies.cache_clear()
    monkeypatch.setenv("AK_CONSTRUCTS_CONNECTIONS_TABLE", "connections")
    made = response_handler.replies()
    pushing = getattr(made.push, "__self__", None)
    assert isinstance(pushing, Pushing)
    assert pushing.connections._table == "connections"
    assert abs(pushing.now_ms() - made.now_ms()) < 60_000
    assert len({pushing.new_id() for _ in range(9)}) == 9
    assert pushing.poster._client_for is clients.callback_client
    assert (made.streams is not None) is (streams == "true")
    if made.streams is not None:
        showing = getattr(made.streams.show, "__self__", None)
        assert isinstance(showing, Showing)
        hasty = showing.poster._client_for("https://api1.execute-api.us-east-1.amazonaws.com/prod")
        assert hasty.meta.config.read_timeout == response_handler.SHOW_SECONDS
