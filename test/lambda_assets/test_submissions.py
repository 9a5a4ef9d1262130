"""Requests are submitted, waited for and looked up."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ak_lambda.request_handler import core
from ak_lambda.request_handler.submissions import Submissions
from ak_lambda.shared import protocol
from ak_lambda.shared.answers import Answer
from ak_lambda.shared.fields import RefusedError
from ak_lambda.shared.messages import ToSend
from ak_lambda.shared.payloads import ANSWERS
from ak_lambda.shared.requests_table import Written
from test.lambda_assets.events import rest
from test.lambda_assets.fakes import FakePayloads, FakeQueue, FakeSessions, FakeTable

RETENTION = 1000
BEGAN = 1_780_000_000_000
ALICE: dict[str, Any] = {"requestContext": {"requestTimeEpoch": BEGAN, "identity": {"user": "AROAA:x"}}, "rule": "iam"}
BOB: dict[str, Any] = {"requestContext": {"requestTimeEpoch": BEGAN, "identity": {"user": "AROAB:x"}}, "rule": "iam"}


def fails(message: ToSend) -> None:  # noqa: ARG001
    """Be a service that cannot be reached."""
    raise OSError


class World:
    """A pipeline's request handler with everything around it in memory."""

    def __init__(self) -> None:
        self.table = FakeTable()
        self.queue = FakeQueue()
        self.payloads = FakePayloads()
        self.sessions = FakeSessions()
        self.now_ms = BEGAN
        self.default_wait_ms = 0
        self.takes_large = True
        self.while_resting: Callable[[], None] = lambda: None

    def submissions(self) -> Submissions:
        """Make what is tested."""
        return Submissions(
            table=self.table,  # type: ignore[arg-type]
            requests=self.queue,  # type: ignore[arg-type]
            payloads=self.payloads,  # type: ignore[arg-type]
            sessions=self.sessions,
            retention=RETENTION,
            default_wait_ms=self.default_wait_ms,
            takes_large=self.takes_large,
            now_ms=lambda: self.now_ms,
            rest=self._rest,
        )

    def _rest(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.while_resting()

    def post(self, body: dict[str, Any], **changes: Any) -> Answer:  # noqa: ANN401
        """Submit."""
        event = rest(body, **{**ALICE, **changes})
        return self.submissions().submit(event, core.submission(event, iter(["made", "made-2", "made-3"]).__next__))

    def get(self, request_id: str = "r", **changes: Any) -> Answer:  # noqa: ANN401
        """Poll."""
        event = rest(None, httpMethod="GET", pathParameters={"request_id": request_id}, **{**ALICE, **changes})
        return self.submissions().look_up(event, core.asked(event))

    def finish(self, answer: str = '{"result": "ok"}', *, status: str = "DONE", status_code: int = 200) -> None:
        """Answer the request."""
        self.table.items["r"] = {
            **self.table.items["r"],
            "status": status,
            "status_code": status_code,
            "answer": answer,
        }


@pytest.fixture
def world() -> World:
    """Make a world."""
    return World()


REQUEST = {"prompt": "hi", "request_id": "r", "session_id": "s"}


def test_a_submission_is_in_the_table_and_then_in_the_queue(world: World) -> None:
    """And accepted."""
    answer = world.post(REQUEST)
    assert (answer.status, answer.body) == (202, {"status": "ACCEPTED", "request_id": "r", "session_id": "s"})
    item = world.table.items["r"]
    assert (item["status"], item["user_id"], item["session_id"]) == ("PENDING", "AROAA", "s")
    (message,) = world.queue.sent
    assert json.loads(message.body) == {"prompt": "hi", "session_id": "s", "user_id": "AROAA"}
    assert (message.group, message.deduplication_id) == ("s", "r")


def test_a_resubmission_sends_again_under_the_same_name(world: World) -> None:
    """The first message may never have been sent; if it was, the queue or the lease collapses the two."""
    world.post(REQUEST)
    created = world.table.items["r"]["created_at"]
    world.now_ms += 5000
    assert world.post(REQUEST).status == 202
    assert [sent.deduplication_id for sent in world.queue.sent] == ["r", "r"]
    assert world.table.items["r"]["created_at"] == created


def test_a_resubmission_after_a_redrive_has_the_redrives_name(world: World) -> None:
    """Or the queue would drop it for the first."""
    world.post(REQUEST)
    world.table.items["r"] = {**world.table.items["r"], "redrives": 1}
    world.post(REQUEST)
    assert [sent.deduplication_id for sent in world.queue.sent] == ["r", "r#r1"]


def test_a_resubmission_of_an_answered_request_is_answered(world: World) -> None:
    """Nothing is sent."""
    world.post(REQUEST)
    world.finish()
    answer = world.post(REQUEST)
    assert (answer.status, answer.text, len(world.queue.sent)) == (200, '{"result": "ok"}', 1)


@pytest.mark.parametrize("changes", [{"prompt": "ho"}, {"n": 1}])
def test_a_request_id_that_stands_for_another_body_is_taken(world: World, changes: dict[str, Any]) -> None:
    """Neither answered nor sent."""
    world.post(REQUEST)
    assert world.post({**REQUEST, **changes}).status == 409
    assert len(world.queue.sent) == 1


def test_a_request_id_of_another_user_is_taken(world: World) -> None:
    """Whoever it is, is not said."""
    world.post(REQUEST)
    answer = world.post({**REQUEST, "session_id": "bobs"}, **BOB)
    assert (answer.status, answer.body) == (409, {"error": "request_id is taken by another request; choose a new one"})


def test_a_session_of_another_user_is_closed(world: World) -> None:
    """And nothing of the request is kept."""
    world.post(REQUEST)
    answer = world.post({**REQUEST, "request_id": "r-2"}, **BOB)
    assert (answer.status, answer.body) == (403, {"error": "session_id belongs to somebody else"})
    assert set(world.table.items) == {"r"}


def test_a_crash_before_the_message_was_sent_is_mended_by_a_resubmission(world: World) -> None:
    """The request is pending, and its message is sent."""
    send = world.queue.send
    world.queue.send = fails  # type: ignore[method-assign]
    with pytest.raises(OSError):  # noqa: PT011 - ours
        world.post(REQUEST)
    world.queue.send = send  # type: ignore[method-assign]
    assert world.get().status == 202
    assert world.post(REQUEST).status == 202
    assert len(world.queue.sent) == 1


def test_a_request_without_a_session_is_in_a_new_one_also_when_it_is_sent_again(world: World) -> None:
    """The stored one: the second time another was made up."""
    world.post({"prompt": "hi", "request_id": "r"})
    world.sessions.owners["other"] = "somebody"
    event = rest({"prompt": "hi", "request_id": "r"}, **ALICE)
    again = world.submissions().submit(event, core.submission(event, lambda: "other"))
    assert json.loads(again.text)["session_id"] == "made"
    assert [(sent.group, json.loads(sent.body)["session_id"]) for sent in world.queue.sent] == [("made", "made")] * 2
    assert world.sessions.owners["made"] == "AROAA"


def test_a_session_that_was_made_up_and_taken_since_is_closed(world: World) -> None:
    """Its first submission ended before it was opened."""
    world.post({"prompt": "hi", "request_id": "r"})
    world.sessions.owners["made"] = "somebody"
    assert world.post({"prompt": "hi", "request_id": "r"}).status == 403
    assert len(world.queue.sent) == 1


def test_what_came_by_the_queue_for_nobody_is_not_for_everybody(world: World) -> None:
    """A public API asks for a ticket that nobody can guess; a sender's job id is none."""
    nobody: dict[str, Any] = {"rule": "public"}
    world.post(REQUEST, **nobody)
    assert world.get(**nobody).status == 202
    del world.table.items["r"]["body_hash"]  # type: ignore[attr-defined]
    assert world.get(**nobody).status == 404
    world.table.items["r"] = {**world.table.items["r"], "user_id": "AROAA"}
    assert world.get().status == 202, "but for whom the sender named"


def test_an_answer_that_grows_when_it_is_escaped_is_linked(world: World) -> None:
    """Lambda counts the response, in which each quote is two characters."""
    world.post(REQUEST)
    text = json.dumps({"result": '"' * 2_000_000})
    world.finish(world.payloads.fitted(text, 300_000, folder=ANSWERS, session_id="s"))
    assert len(text) < 5_000_000
    assert world.get().status == 303


def test_a_large_body_goes_by_the_bucket(world: World) -> None:
    """The message says where it is."""
    world.post({**REQUEST, "prompt": "x" * 800_000})
    assert len(world.queue.sent[0].body) < 500
    assert len(world.payloads.kept["requests/0"]) > 800_000


def test_a_large_body_is_refused_where_the_agent_could_not_fetch_it(world: World) -> None:
    """Before anything is written."""
    world.takes_large = False
    with pytest.raises(RefusedError, match=r"^body must be at most 716,800 bytes for this agent$"):
        world.post({**REQUEST, "prompt": "x" * 800_000})
    assert (world.table.items, world.queue.sent) == ({}, [])


def test_a_caller_who_waits_gets_the_answer(world: World) -> None:
    """As soon as it is there."""
    world.default_wait_ms = 29_000

    def answer_after_a_second() -> None:
        if world.now_ms >= BEGAN + 1000:
            world.finish()

    world.while_resting = answer_after_a_second
    answer = world.post(REQUEST)
    assert (answer.status, answer.text) == (200, '{"result": "ok"}')
    assert world.now_ms - BEGAN < 1050


def test_a_wait_ends_in_time_with_where_to_ask_again(world: World) -> None:
    """Pending is not an error."""
    world.default_wait_ms = 29_000
    answer = world.post(REQUEST)
    assert (answer.status, json.loads(answer.text)["status"], answer.headers["Location"]) == (202, "PENDING", "chat/r")
    assert world.now_ms == BEGAN + 27_500


def test_a_caller_may_not_want_to_wait_or_want_to(world: World) -> None:
    """By header, on a submission and on a poll."""
    world.default_wait_ms = 29_000
    assert json.loads(world.post(REQUEST, headers={"Prefer": "respond-async"}).text)["status"] == "ACCEPTED"
    assert world.now_ms == BEGAN
    assert world.get().status == 202
    assert world.now_ms == BEGAN, "a poll looks once"
    assert world.get(headers={"Prefer": "wait=2"}).status == 202
    assert world.now_ms == BEGAN + 2000


def test_a_request_that_vanishes_while_somebody_waits_is_not_found(world: World) -> None:
    """It expired."""
    world.default_wait_ms = 29_000
    world.while_resting = world.table.items.clear
    assert world.post(REQUEST).status == 404


def test_a_poll_is_answered_as_often_as_the_caller_likes(world: World) -> None:
    """Until the item expires."""
    world.post(REQUEST)
    world.finish()
    assert [world.get().status for _ in range(3)] == [200, 200, 200]
    world.now_ms += 2 * RETENTION * 1000
    assert world.get().status == 404


def test_a_poll_of_somebody_elses_request_finds_nothing(world: World) -> None:
    """In the very words for what does not exist."""
    world.post(REQUEST)
    world.finish()
    not_there = world.get("nothing", **BOB).text.replace("nothing", "r")
    assert (world.get(**BOB).status, world.get(**BOB).text) == (404, not_there)


def test_a_trusted_backend_polls_for_its_end_users(world: World) -> None:
    """Naming them in the query."""
    iam: dict[str, Any] = {"requestContext": {"identity": {"user": "AROAB:x"}}, "rule": "iam-body"}
    world.post({**REQUEST, "user_id": "carol"}, **iam)
    assert world.get(**iam, queryStringParameters={"user_id": "carol"}).status == 202
    assert world.get(**iam, queryStringParameters={"user_id": "dave"}).status == 404
    with pytest.raises(RefusedError, match=r"^user_id must be given"):
        world.get(**iam)


def test_what_no_message_can_end_has_failed(world: World) -> None:
    """Whoever looks first writes it down, so that it stays so."""
    world.post(REQUEST)
    world.now_ms += RETENTION * 1000
    for answer in (world.get(), world.get(), world.post(REQUEST)):
        assert answer.status == 502
        assert json.loads(answer.text)["error"] == protocol.EXPIRED
    assert world.table.items["r"]["status"] == "FAILED"
    assert len(world.queue.sent) == 1


def test_a_run_that_still_goes_on_keeps_it_pending(world: World) -> None:
    """It may have begun at the last moment."""
    world.post(REQUEST)
    world.now_ms += RETENTION * 1000
    world.table.items["r"] = {**world.table.items["r"], "lease_until": world.now_ms // 1000 + 30}
    assert world.get().status == 202


def test_an_answer_that_came_at_the_last_moment_counts(world: World) -> None:
    """Between our look and our write."""
    world.post(REQUEST)
    world.now_ms += RETENTION * 1000
    write = world.table.write

    def late(change: protocol.Change, *, now: int) -> Written:
        world.finish()
        return write(change, now=now)

    world.table.write = late  # type: ignore[method-assign]
    assert world.get().status == 200


def test_an_item_that_expires_while_it_is_written_is_unavailable(world: World) -> None:
    """Which the same request sent again mends."""
    world.table.write = lambda _change, **_now: Written(done=False, item=None)  # type: ignore[method-assign]
    answer = world.post(REQUEST)
    assert (answer.status, json.loads(answer.text)["request_id"]) == (503, "r")


def test_an_item_that_is_gone_when_it_is_to_be_ended_is_told_as_it_was(world: World) -> None:
    """Which is at most one answer old."""
    world.post(REQUEST)
    world.now_ms += RETENTION * 1000
    world.table.write = lambda _change, **_now: Written(done=False, item=None)  # type: ignore[method-assign]
    assert world.get().status == 202


@pytest.mark.parametrize(("size", "status"), [(400_000, 200), (6_000_000, 303)])
def test_a_large_answer_is_fetched_or_linked(world: World, size: int, status: int) -> None:
    """Lambda returns 6 MB at most."""
    world.post(REQUEST)
    text = json.dumps({"result": "x" * size})
    world.finish(world.payloads.fitted(text, 300_000, folder=ANSWERS, session_id="s"))
    answer = world.get()
    assert answer.status == status
    if status == 200:
        assert answer.text == text
    else:
        assert answer.headers["Location"] == "https://bucket/answers/0"
        assert json.loads(answer.text) == {"status": "DONE", "request_id": "r", "session_id": "s"}


def test_a_refusal_of_the_agent_has_its_own_status(world: World) -> None:
    """Agent Kernel's "No agent available", for one."""
    world.post(REQUEST)
    world.finish('{"error": "No agent available"}', status_code=400)
    assert (world.get().status, world.get().text) == (400, '{"error": "No agent available"}')
