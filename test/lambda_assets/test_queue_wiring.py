"""The queue's functions as they are put together, and what they do to each other."""

import dataclasses
import json
import logging
import threading
from collections.abc import Callable
from typing import Any, Self

import pytest

from ak_constructs import agent_queue
from ak_lambda.agent_runner import core as runner_core
from ak_lambda.agent_runner import handler as agent_runner
from ak_lambda.agent_runner import queued
from ak_lambda.dead_letter_handler import handler as dead_letter_handler
from ak_lambda.redrive import handler as redrive
from ak_lambda.redrive import parked
from ak_lambda.request_handler import core
from ak_lambda.request_handler import handler as request_handler
from ak_lambda.response_handler import handler as response_handler
from ak_lambda.response_handler.replies import Replies
from ak_lambda.shared import heartbeat, messages, protocol
from ak_lambda.shared.answers import Answer
from ak_lambda.shared.messages import ToSend
from ak_lambda.shared.payloads import Payloads
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.record_batch import handled
from ak_lambda.shared.requests import Request
from ak_lambda.shared.requests_table import RequestsTable
from test.lambda_assets import test_dead_letters, test_queued_runs, test_redrive, test_replies, test_submissions
from test.lambda_assets.events import Context, rest
from test.lambda_assets.fakes import FakeQueue, record
from test.lambda_assets.test_queue_handlers import aws, batch  # noqa: F401
from test.lambda_assets.test_submissions import REQUEST


def wired(made: Any) -> dict[str, str]:  # noqa: ANN401
    """Give the names behind what a handler is made of."""
    names = {}
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if isinstance(value, Queue):
            names[field.name] = value._url
        if isinstance(value, RequestsTable):
            names[field.name] = value._name
        if isinstance(value, Payloads):
            names[field.name] = value._bucket
    return names


def _noting(made: list[Any]) -> Callable[..., dict[str, int]]:
    def run(self: object, *_asked: object) -> dict[str, int]:
        made.append(self)
        return {}

    return run


@pytest.mark.usefixtures("aws")
def test_each_function_works_with_the_queues_that_its_construct_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is swapped here would be found on AWS alone."""
    made: list[Any] = []
    monkeypatch.setattr("ak_lambda.redrive.parked.Redrive.run", _noting(made))
    monkeypatch.setattr("ak_lambda.agent_runner.queued.QueuedRuns.handle", lambda self, _: made.append(self))
    redrive.handler({}, Context())
    agent_runner.handler({"Records": batch(1)}, Context())
    common = {"table": "table", "payloads": "bucket"}
    assert wired(request_handler.submissions()) == {**common, "requests": "requests.fifo"}
    assert wired(response_handler.replies()) == {**common, "replies": "replies.fifo"}
    assert wired(dead_letter_handler.dead_letters()) == {
        "table": "table",
        "dead_letters": "dead.fifo",
        "replies": "replies.fifo",
        "parked": "parked",
    }
    assert wired(made[0]) == {
        "table": "table",
        "parked": "parked",
        "requests": "requests.fifo",
        "parked_replies": "parked-replies.fifo",
        "replies": "replies.fifo",
    }
    assert wired(made[1]) == {**common, "requests": "requests.fifo", "replies": "replies.fifo"}
    assert {each.retention for each in (*made, response_handler.replies())} == {1000}


@pytest.mark.usefixtures("aws")
def test_a_queued_answer_may_be_larger_than_lambda_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by the bucket."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(agent_runner, "_run", lambda *_, **named: asked.update(named))
    monkeypatch.setattr(
        "ak_lambda.agent_runner.queued.QueuedRuns.handle", lambda self, _: self.run(None, "carry", 5, None)
    )
    agent_runner.handler({"Records": batch(1)}, Context())
    assert asked == {"progress": "carry", "made_ms": 5, "most_bytes": runner_core.MAX_KEPT_BYTES, "feed": None}


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(("module", "made"), [(response_handler, "replies"), (dead_letter_handler, "dead_letters")])
def test_what_fails_in_a_queues_handler_rests_in_that_queue(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,  # noqa: ANN401
    made: str,
) -> None:
    """Longer each time."""

    class Fake:
        replies = dead_letters = FakeQueue()

        def handle(self, _one: dict[str, Any]) -> None:
            raise ValueError

    monkeypatch.setattr(module, made, Fake)
    assert module.handler({"Records": batch(1)}, None) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert Fake.replies.hidden == [("0", 4)]


@pytest.mark.usefixtures("aws")
def test_what_fails_in_the_runner_rests_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a table that cannot be reached."""
    rested: list[tuple[str, str, int]] = []
    monkeypatch.setattr(Queue, "hide", lambda self, handle, seconds: rested.append((self._url, handle, seconds)))
    monkeypatch.setattr("ak_lambda.agent_runner.queued.QueuedRuns.handle", lambda *_: 1 / 0)
    agent_runner.handler({"Records": batch(1)}, Context())
    assert rested == [("requests.fifo", "0", 60)]


def test_pages_that_may_call_may_read_every_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error too."""
    monkeypatch.setattr(request_handler, "cors_headers", lambda _event: {"Access-Control-Allow-Origin": "x"})
    assert request_handler.handler(rest({}), None)["headers"]["Access-Control-Allow-Origin"] == "x"


SECRET = "a secret that somebody asked"


def test_no_line_of_the_queues_functions_has_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in its text nor in its fields, which `caplog.text` has not."""
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"prompt": SECRET})
    sent = ToSend(body, {"request_id": "r", "user_id": "alice"}, "s", "r")
    test_dead_letters.World().handle(sent)
    replies = test_replies.World()
    for message_id in ("m-1", "m-2"):
        replies.reply(json.dumps({"result": SECRET}), message_id=message_id)
    runs = test_queued_runs.World()
    runs.submit()
    runs.handle(sent)
    runs.handle(sent)  # held by another run
    runs.table.items["r"] = {**runs.item, "status": "DONE"}
    runs.handle(sent)  # answered before
    fails = FakeQueue()
    fails.hide = lambda *_: (_ for _ in ()).throw(OSError(SECRET))  # type: ignore[method-assign]
    handled([record(sent)], lambda _: int(SECRET), fails, logging.getLogger("test"))  # type: ignore[arg-type]
    messages = {line.getMessage() for line in caplog.records}
    assert messages >= {"parked", "ignored", "held by another run", "answered before", "a message comes back"}
    assert "a message could not be put back" in messages
    assert SECRET not in str([vars(line) for line in caplog.records])


class HeldHeart:
    """A heartbeat that beats when it is told to."""

    made: "HeldHeart"

    def __init__(self, beat: Callable[[str | None], bool]) -> None:
        HeldHeart.made, self.beat = self, beat

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.beat = None  # type: ignore[assignment]

    def carry(self, _text: str) -> None:
        """Say nothing."""


def test_every_beat_holds_the_lease_and_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to tell; only the very first one finds a lease that was just taken."""
    monkeypatch.setattr(queued, "Heartbeat", HeldHeart)
    world = test_queued_runs.World()
    world.submit()
    seen: list[tuple[int, list[Any], list[Any]]] = []

    def work(_request: Request, _tell: Callable[[str], None]) -> Answer:
        for _ in range(3):
            assert HeldHeart.made.beat(None)
            seen.append((world.item["lease_until"], world.requests.hidden[:], world.replies.sent[:]))
            world.requests.hidden.clear()
            world.now_ms += round(heartbeat.EVERY_SECONDS * 1000)
        world.table.items["r"] = {**world.item, "attempt": 7}
        assert not HeldHeart.made.beat(None), "a lost lease ends the beats"
        assert world.requests.hidden == [], "and leaves the message to the other run"
        return Answer(200, {"result": "ok"})

    world.answer = work
    world.handle()
    every, hidden = round(heartbeat.EVERY_SECONDS), [("message-1", 60)]
    assert seen == [(1_000_060, hidden, []), (1_000_060 + every, hidden, []), (1_000_060 + 2 * every, hidden, [])]


def test_a_run_that_failed_beats_no_more_when_its_message_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a late beat would hide it for a minute again."""
    monkeypatch.setattr(queued, "Heartbeat", HeldHeart)
    world = test_queued_runs.World()
    world.submit()
    world.answer = lambda *_: Answer(502, {"error": "x"}, may_pass=True)
    hide = world.requests.hide

    def check(receipt_handle: str, seconds: int) -> None:
        assert HeldHeart.made.beat is None
        hide(receipt_handle, seconds)

    world.requests.hide = check  # type: ignore[method-assign]
    assert not world.handle()


def test_an_answer_is_sent_while_the_lease_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload of 64 MiB may take longer than the lease."""
    monkeypatch.setattr(queued, "Heartbeat", HeldHeart)
    world = test_queued_runs.World()
    world.submit()
    send = world.replies.send

    def check(message: ToSend) -> None:
        assert HeldHeart.made.beat is not None
        send(message)

    world.replies.send = check  # type: ignore[method-assign]
    assert world.handle()


def test_beats_come_well_within_a_lease() -> None:
    """One may fail, and its second try too."""
    assert 2 * (heartbeat.EVERY_SECONDS + heartbeat.AFTER_FAILURE_SECONDS) < protocol.LEASE_SECONDS
    assert queued.FRESH_SECONDS < heartbeat.EVERY_SECONDS


def test_a_beat_that_failed_is_tried_again_long_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to tell."""
    monkeypatch.setattr(heartbeat, "AFTER_FAILURE_SECONDS", 0.01)
    again, beats = threading.Event(), []

    def beat(_text: str | None) -> bool:
        beats.append(1)
        if len(beats) == 1:
            raise OSError
        again.set()
        return True

    with heartbeat.Heartbeat(beat, every_seconds=60):
        assert again.wait(2)


def test_a_message_names_its_user(monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """As an attribute, which a reader believes before the body."""
    world = test_submissions.World()
    world.post(REQUEST)
    assert world.queue.sent[0].attributes == {"request_id": "r", "user_id": "AROAA"}


def test_a_body_is_measured_in_bytes_where_the_agent_could_not_fetch_it() -> None:
    """JSON escapes most of them."""
    world = test_submissions.World()
    world.takes_large = False
    assert world.post({**REQUEST, "prompt": "x" * (716_800 - 200)}).status == 202


def test_a_resubmission_of_what_no_message_can_end_has_failed() -> None:
    """Whoever looks first: here a POST."""
    world = test_submissions.World()
    world.post(REQUEST)
    world.now_ms += test_submissions.RETENTION * 1000
    assert world.post(REQUEST).status == 502
    assert len(world.queue.sent) == 1


def test_a_session_that_was_just_made_up_is_not_read_first() -> None:
    """Nobody can have it."""
    world = test_submissions.World()
    claimed: list[bool] = []
    claim = world.sessions.claim

    def note(session_id: str, user_id: str | None, *, now: int, new: bool = False) -> bool:
        claimed.append(new)
        return claim(session_id, user_id, now=now, new=new)

    world.sessions.claim = note  # type: ignore[method-assign]
    world.post({"prompt": "hi"})
    world.post(REQUEST)
    assert claimed == [True, False]


def test_a_parked_message_of_another_session_is_forgotten() -> None:
    """Its id is somebody else's by now; every forgotten one is there for the next who looks."""
    world = test_redrive.World()
    world.change(session_id="x")
    assert world.run() == {"forgotten": 1}
    assert (world.requests.sent, len(world.parked.messages)) == ([], 1)
    assert world.parked.hidden == [("message-1", 0)]


def test_a_reply_that_is_parked_twice_keeps_its_first_name() -> None:
    """Under it it may have finished its request."""
    world = test_redrive.World()
    world.parked_replies.send(ToSend("{}", {"request_id": "r", "reply_id": "first"}, "s", "x"))
    world.run("replies")
    assert world.replies.sent[0].attributes["reply_id"] == "first"


def test_without_an_id_an_outage_names_none() -> None:
    """Not null."""
    assert set(core.unavailable(None, "x").body) == {"error"}


def test_a_gets_query_counts_more_than_its_body() -> None:
    """As its path counts more than both."""
    event = rest('{"request_id": "body"}', queryStringParameters={"request_id": "query"})
    assert core.asked_id(core.asked(event)) == "query"


def test_a_link_leads_to_an_answer_and_lasts_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Nowhere else, and no longer."""
    asked: list[dict[str, Any]] = []

    class Client:
        def generate_presigned_url(self, _name: str, **named: Any) -> str:  # noqa: ANN401
            asked.append(named)
            return "link"

    bucket = Payloads(Client, "b")
    assert bucket.link({"bucket": "b", "key": "answers/1"}) == "link"
    assert asked == [{"Params": {"Bucket": "b", "Key": "answers/1"}, "ExpiresIn": 300}]
    for kept in ({"bucket": "b", "key": "requests/1"}, {"bucket": "x", "key": "answers/1"}):
        with pytest.raises(ValueError, match="leads elsewhere"):
            bucket.link(kept)


def test_what_nobody_submitted_is_found_by_nobody_else() -> None:
    """A signed caller does not find what came by a public API of the same queue."""
    world = test_submissions.World()
    public: dict[str, Any] = {"requestContext": {"identity": {}}, "rule": "public"}
    world.post(REQUEST, **public)
    assert world.get(**public).status == 202
    assert world.get().status == 404
    assert world.post(REQUEST).status in {403, 409}


def test_a_redriven_request_that_fails_again_is_parked_as_such(caplog: pytest.LogCaptureFixture) -> None:
    """Or the next redrive would take it for one that was never sent, and its reply would not count."""
    world = test_dead_letters.World()
    world.change(redrives=2)
    sent = ToSend("{}", {"request_id": "r", "user_id": "alice", "redrives": "2", "dead_reason": "mine"}, "s", "r#r2")
    assert world.handle(sent)
    assert world.replies.sent[0].attributes["redrives"] == "2"
    assert world.parked.sent[0].attributes["redrives"] == "2"
    assert world.parked.sent[0].attributes["dead_reason"] == protocol.NO_ANSWER
    (line,) = caplog.records
    assert (line.levelname, vars(line)["request_id"]) == ("ERROR", "r")


def test_every_reply_handler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the first alone."""
    world = test_replies.World()
    also: list[Any] = []
    real = Replies
    monkeypatch.setattr(
        test_replies,
        "Replies",
        lambda **named: real(**{**named, "reply_handlers": [*named["reply_handlers"], also.append]}),
    )
    world.reply()
    assert len(world.told) == len(also) == 1


def test_a_large_refusal_keeps_its_status() -> None:
    """What is kept in S3 has the status that its message states."""
    world = test_replies.World()
    world.reply(world.payloads.fitted("x" * 1000, 10, folder="answers/", session_id="s"), status_code="403")
    assert world.answer[:2] == ("DONE", 403)


def test_who_asks_is_what_the_attribute_says() -> None:
    """A body may be a caller's own words."""
    sent = ToSend('{"user_id": "mallory"}', {"request_id": "r", "user_id": "alice"}, "s", "r")
    assert messages.received(record(sent)).user_id == "alice"


def test_a_reply_goes_back_where_its_request_came_from() -> None:
    """To a connection of a WebSocket API, for one."""
    world = test_queued_runs.World()
    world.submit()
    world.handle(
        ToSend('{"prompt": "hi"}', {"request_id": "r", "user_id": "alice", "endpoint_url": "https://x"}, "s", "r")
    )
    assert world.replies.sent[0].attributes["endpoint_url"] == "https://x"


def test_every_run_of_a_request_was_made_at_the_same_time() -> None:
    """By which a repeated run overwrites its own turn."""
    world = test_queued_runs.World()
    world.submit()
    began = world.now_ms
    world.now_ms += 5_000
    world.handle()
    world.now_ms += 60_000
    world.handle()
    assert [made_ms for _, made_ms in world.seen] == [began, began]


def test_the_first_beat_need_not_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease was just taken: most runs are over before the second."""
    monkeypatch.setattr(queued, "Heartbeat", HeldHeart)
    world = test_queued_runs.World()
    world.submit()
    write, written = world.table.write, []

    def note(change: protocol.Change, *, now: int) -> Any:  # noqa: ANN401
        written.append(change)
        return write(change, now=now)

    world.table.write = note  # type: ignore[method-assign]
    world.answer = lambda *_: Answer(200, {"beat": HeldHeart.made.beat(None)})
    world.handle()
    assert len(written) == 1, "the lease"


def test_a_parked_message_of_another_user_is_forgotten() -> None:
    """Whatever it says of itself."""
    world = test_redrive.World()
    world.parked.messages.clear()
    world.parked.send(ToSend("{}", {**test_redrive.PARKED.attributes, "user_id": "mallory"}, "s", "m"))
    assert world.run() == {"forgotten": 1}
    assert world.requests.sent == []


def test_what_is_held_stays_held_for_as_long_as_a_redrive_runs() -> None:
    """Or it would be counted twice."""
    assert agent_queue.REDRIVE_TIMEOUT.to_seconds() <= parked.HOLD_SECONDS


def test_its_end_waits_for_a_beat_that_is_under_way() -> None:
    """Or that beat would hide a message that was put back."""
    started, go, done = threading.Event(), threading.Event(), threading.Event()

    def beat(_text: str | None) -> bool:
        started.set()
        go.wait(5)
        done.set()
        return True

    with heartbeat.Heartbeat(beat):
        assert started.wait(5)
        threading.Timer(0.05, go.set).start()
    assert done.is_set()


def test_the_group_is_the_session() -> None:
    """Also where the body names another: the lease, the turns and the owner are of one session."""
    world = test_queued_runs.World()
    world.handle(ToSend('{"prompt": "hi", "session_id": "of-the-body"}', {"request_id": "x"}, "of-the-group", "x"))
    ((request, _),) = world.seen
    assert request.session_id == world.table.items["x"]["session_id"]
