"""Runs for messages of the request queue: lease, run, reply; what goes wrong comes back."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ak_lambda.agent_runner.queued import QueuedRuns
from ak_lambda.shared import messages, protocol
from ak_lambda.shared.answers import Answer
from ak_lambda.shared.payloads import ANSWERS, REQUESTS
from ak_lambda.shared.requests import Request
from ak_lambda.shared.requests_table import Written
from test.lambda_assets.fakes import FakePayloads, FakeQueue, FakeTable, record

RETENTION = 4 * 24 * 3600
MESSAGE = messages.request_message(
    body='{"prompt": "hi", "session_id": "s"}', request_id="r", session_id="s", user_id="alice", redrives=0
)


class World:
    """One request, submitted, and everything around it."""

    def __init__(self) -> None:
        self.table = FakeTable()
        self.requests = FakeQueue()
        self.replies = FakeQueue()
        self.payloads = FakePayloads()
        self.now_ms = 1_000_000_000
        self.seen: list[tuple[Request, int]] = []
        self.answer: Callable[[Request, Callable[[str], None]], Answer] = lambda _request, _tell: Answer(
            200, {"result": "ok"}
        )

    def submit(self) -> None:
        """Write the request's item."""
        put = protocol.submit(
            request_id="r",
            session_id="s",
            user_id="alice",
            body_hash="h",
            now_ms=self.now_ms,
            retention=RETENTION,
        )
        assert self.table.write(put, now=self.now_ms // 1000).done

    def run(self, request: Request, tell: Callable[[str], None], made_ms: int, _feed: object = None) -> Answer:
        """Be the agent."""
        self.seen.append((request, made_ms))
        return self.answer(request, tell)

    def handle(self, message: messages.ToSend = MESSAGE, *, receives: int = 1) -> bool:
        """Deliver a message."""
        runs = QueuedRuns(
            table=self.table,  # type: ignore[arg-type]
            requests=self.requests,  # type: ignore[arg-type]
            replies=self.replies,  # type: ignore[arg-type]
            payloads=self.payloads,  # type: ignore[arg-type]
            retention=RETENTION,
            max_receives=5,
            now_ms=lambda: self.now_ms,
            run=self.run,
        )
        return runs.handle(record(message, receives=receives))

    @property
    def item(self) -> Any:  # noqa: ANN401
        """The request's item."""
        return self.table.items["r"]


@pytest.fixture
def world() -> World:
    """Make a world with one request in it."""
    world = World()
    world.submit()
    return world


def test_a_message_is_run_once_and_replied_to(world: World) -> None:
    """Under a lease, and with what a reply must say."""
    assert world.handle()
    ((request, made_ms),) = world.seen
    assert (request.prompt, request.session_id, request.request_id, request.user_id) == ("hi", "s", "r", "alice")
    assert made_ms == 1_000_000_000
    (reply,) = world.replies.sent
    assert json.loads(reply.body) == {"result": "ok"}
    assert reply.attributes == {
        "request_id": "r",
        "user_id": "alice",
        "status_code": "200",
        "attempt": "1",
        "redrives": "0",
    }
    assert (reply.group, reply.deduplication_id) == ("s", "r")
    assert (world.item["attempt"], world.item["lease_until"], world.item["status"]) == (1, 1_000_060, "PENDING")
    assert world.requests.hidden == [("message-1", 60)], "or a killed run would come back after hours"


def test_a_message_that_comes_again_meets_the_lease(world: World) -> None:
    """And waits it out: the first run may still be at work, or its reply on the way."""
    world.handle()
    world.requests.hidden.clear()
    world.now_ms += 15_000
    assert not world.handle(receives=2)
    assert len(world.seen) == 1
    assert world.requests.hidden == [("message-1", 45)]


def test_a_second_copy_looks_again_soon(world: World) -> None:
    """Its run has ended and the reply is on its way: its session need not wait for the end of the lease."""
    world.handle()
    world.requests.hidden.clear()
    assert not world.handle()
    world.table.items["r"] = {**world.item, "status": "DONE"}
    assert world.handle(receives=2)
    assert world.requests.hidden == [("message-1", 2)]


def test_a_run_that_died_is_run_again_when_its_lease_is_over(world: World) -> None:
    """It gave nothing back: nobody knows that it died but by the clock."""
    world.handle()
    world.now_ms += 60_000
    assert world.handle(receives=2)
    assert [sent.attributes["attempt"] for sent in world.replies.sent] == ["1", "2"]


@pytest.mark.parametrize("status", ["DONE", "FAILED"])
def test_a_message_of_an_answered_request_is_let_go(world: World, status: str) -> None:
    """Without a run, at any time."""
    world.table.items["r"] = {**world.item, "status": status}
    assert world.handle()
    assert (world.seen, world.requests.hidden) == ([], [])


def test_a_message_of_another_session_is_let_go(world: World) -> None:
    """The id of a request that expired may be anybody's by now."""
    message = messages.request_message(body=MESSAGE.body, request_id="r", session_id="x", user_id=None, redrives=0)
    assert world.handle(message)
    assert (world.seen, world.item["attempt"]) == ([], 0)


def test_a_message_for_another_user_is_let_go(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """And the log says so: its sender chose an id that was taken."""
    message = messages.request_message(body=MESSAGE.body, request_id="r", session_id="s", user_id="bob", redrives=0)
    assert world.handle(message)
    assert (world.seen, world.item["attempt"]) == ([], 0)
    assert "dropped: the id stands for another request" in caplog.text


def test_progress_is_whatever_a_table_takes(world: World) -> None:
    """An agent may tell half a character, or a number."""

    def work(_request: Request, tell: Callable[[str], None]) -> Answer:
        tell("half \ud83d")
        while "progress" not in world.item:
            pass
        return Answer(200, {"result": "ok"})

    world.answer = work
    world.handle()
    assert world.item["progress"] == "half ?"


def test_a_request_that_nobody_submitted_is_run_too(world: World) -> None:
    """Whoever may send to the queue need not know of the table."""
    message = messages.ToSend('{"prompt": "hi"}', {"user_id": "bob"}, "s-2", "x")
    assert world.handle(message)
    item = world.table.items["message-1"]
    assert (item["session_id"], item["user_id"], item["attempt"], item["status"]) == ("s-2", "bob", 1, "PENDING")
    assert world.seen[0][0].user_id == "bob"
    assert not world.handle(message, receives=2), "and under a lease"


def test_an_expired_item_is_no_item(world: World) -> None:
    """DynamoDB deletes late."""
    world.now_ms += 2 * RETENTION * 1000
    assert world.handle()
    assert world.item["created_at"] == world.now_ms


def test_two_at_once_are_one_run(world: World) -> None:
    """When another writes the item between our look and our write."""
    write = world.table.write

    def slow(change: protocol.Change, *, now: int) -> Any:  # noqa: ANN401
        if isinstance(change, protocol.Put) and not world.table.items:
            write(change, now=now)
        return write(change, now=now)

    world.table.items.clear()
    world.table.write = slow  # type: ignore[method-assign]
    assert not world.handle()
    assert (world.seen, world.requests.hidden) == ([], [("message-1", 2)])


def test_an_item_that_is_gone_again_is_looked_for_later(world: World) -> None:
    """Which cannot last."""
    world.table.write = lambda _change, **_now: Written(done=False, item=None)  # type: ignore[method-assign]
    assert not world.handle()
    assert world.requests.hidden == [("message-1", 1)]


@pytest.mark.parametrize(("receives", "rest"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 0), (6, 0)])
def test_a_run_that_raised_rests_and_after_the_last_goes_to_the_dead_letters(
    world: World, receives: int, rest: int
) -> None:
    """Its lease is given back, with the reason."""
    world.answer = lambda _request, _tell: Answer(502, {"error": "x"}, reason="the agent failed", may_pass=True)
    assert not world.handle(receives=receives)
    assert world.replies.sent == []
    assert world.requests.hidden[-1] == ("message-1", rest)
    assert (world.item["lease_until"], world.item["error"]) == (0, "the agent failed")
    world.answer = lambda _request, _tell: Answer(200, {"result": "ok"})
    assert world.handle(receives=receives + 1), "the next run need not wait for the lease"


def test_a_reason_is_never_empty(world: World) -> None:
    """The dead letter handler tells it."""
    world.answer = lambda _request, _tell: Answer(502, {}, may_pass=True)
    world.handle()
    assert world.item["error"] == "the agent failed"


@pytest.mark.parametrize("status", [502, 403, 400])
def test_what_another_run_would_not_mend_is_a_reply(world: World, status: int) -> None:
    """An error that the agent returned, for one."""
    world.answer = lambda _request, _tell: Answer(status, {"error": "no"})
    assert world.handle()
    assert world.replies.sent[0].attributes["status_code"] == str(status)


@pytest.mark.parametrize("body", ["{}", "no JSON", '{"prompt": 1}'])
def test_a_message_that_is_no_request_is_refused_by_a_reply(world: World, body: str) -> None:
    """Not by five runs."""
    message = messages.request_message(body=body, request_id="r", session_id="s", user_id="alice", redrives=0)
    assert world.handle(message)
    assert world.seen == []
    (reply,) = world.replies.sent
    assert reply.attributes["status_code"] == "400"
    assert set(json.loads(reply.body)) == {"error"}


def test_large_bodies_go_through_the_bucket(world: World) -> None:
    """Both ways."""
    body = json.dumps({"prompt": "x" * 800_000})
    kept = world.payloads.fitted(body, 700 * 1024, folder=REQUESTS, session_id="s")
    assert len(kept) < 500
    world.answer = lambda request, _tell: Answer(200, {"result": request.prompt})
    message = messages.request_message(body=kept, request_id="r", session_id="s", user_id="alice", redrives=0)
    assert world.handle(message)
    reply = world.replies.sent[0].body
    assert len(reply) < 500
    assert json.loads(world.payloads.whole(reply, folder=ANSWERS)) == {"result": "x" * 800_000}


def test_progress_is_in_the_table_while_the_run_goes_on(world: World) -> None:
    """And holds the lease."""
    seen: list[object] = []

    def work(_request: Request, tell: Callable[[str], None]) -> Answer:
        world.now_ms += 30_000
        tell("x" * 2000)
        while "progress" not in world.item:
            pass
        seen.extend([world.item["progress"], world.item["lease_until"]])
        return Answer(200, {"result": "ok"})

    world.answer = work
    assert world.handle()
    assert seen == ["x" * 1000, 1_000_090]


def test_a_run_that_lost_its_lease_stops_to_beat(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """And says so: the other run has the request now."""

    def work(_request: Request, tell: Callable[[str], None]) -> Answer:
        world.table.items["r"] = {**world.item, "attempt": 2}
        tell("still here")
        while "lost the lease" not in caplog.text:
            pass
        return Answer(200, {"result": "ok"})

    world.answer = work
    world.handle()
    assert "progress" not in world.item


def test_a_redriven_request_says_so_in_its_reply(world: World) -> None:
    """Whichever of its messages it was that ran."""
    world.table.items["r"] = {**world.item, "redrives": 3}
    world.handle()
    assert world.replies.sent[0].attributes["redrives"] == "3"
