"""Parked requests and replies are asked for once more."""

from typing import Any

import pytest

from ak_lambda.redrive import core
from ak_lambda.redrive.parked import Redrive
from ak_lambda.shared import protocol
from ak_lambda.shared.fields import RefusedError
from ak_lambda.shared.messages import ToSend
from ak_lambda.shared.requests_table import Written
from test.lambda_assets.fakes import FakeQueue, FakeTable

NOW = 1_000_000
PARKED = ToSend(
    '{"prompt": "hi"}',
    {"request_id": "r", "session_id": "s", "user_id": "alice", "redrives": "0", "dead_reason": "x", "own": "y"},
    "s",
    "m",
)


class World:
    """One failed request, parked."""

    def __init__(self) -> None:
        self.table = FakeTable()
        self.parked, self.requests, self.parked_replies, self.replies = (FakeQueue() for _ in range(4))
        self.looks_left = 100
        put = protocol.submit(
            request_id="r", session_id="s", user_id="alice", body_hash="h", now_ms=NOW * 1000, retention=1000
        )
        self.table.write(put, now=NOW)
        self.change(status="FAILED", attempt=5)
        self.parked.send(PARKED)

    def change(self, **values: object) -> None:
        """Change the item."""
        self.table.items["r"] = {**self.table.items["r"], **values}

    def _has_time(self) -> bool:
        self.looks_left -= 1
        return self.looks_left >= 0

    def run(self, queue: str = "requests", most: int = 100) -> dict[str, int]:
        """Redrive."""
        redrive: Any = Redrive(
            table=self.table,  # type: ignore[arg-type]
            parked=self.parked,  # type: ignore[arg-type]
            requests=self.requests,  # type: ignore[arg-type]
            parked_replies=self.parked_replies,  # type: ignore[arg-type]
            replies=self.replies,  # type: ignore[arg-type]
            retention=1000,
            now_ms=lambda: NOW * 1000,
            new_id=lambda: "new",
            has_time=self._has_time,
        )
        counts: dict[str, int] = redrive.run(queue, most)
        return counts


@pytest.fixture
def world() -> World:
    """Make a world."""
    return World()


def test_a_failed_request_is_pending_again_and_sent(world: World) -> None:
    """As it first was, under a name that the queue has not seen."""
    assert world.run() == {"redrive": 1}
    item = world.table.items["r"]
    assert (item["status"], item["redrives"], item["attempt"], item["pending_until"]) == ("PENDING", 1, 6, NOW + 1000)
    (message,) = world.requests.sent
    assert message == ToSend(
        PARKED.body, {"request_id": "r", "user_id": "alice", "redrives": "1", "own": "y"}, "s", "r#r1"
    )
    assert world.parked.messages == []


def test_who_waits_at_a_websocket_still_does_after_a_redrive(world: World) -> None:
    """The message says where, as it first did."""
    world.parked.messages[0].sent = ToSend(PARKED.body, {**PARKED.attributes, "endpoint_url": "https://x"}, "s", "m")
    assert world.run() == {"redrive": 1}
    assert world.requests.sent[0].attributes["endpoint_url"] == "https://x"


def test_two_parked_copies_are_redriven_once(world: World) -> None:
    """The second is sent under the same name."""
    world.parked.send(PARKED)
    assert world.run() == {"redrive": 1, "resend": 1}
    assert [sent.deduplication_id for sent in world.requests.sent] == ["r#r1", "r#r1"]
    assert world.table.items["r"]["redrives"] == 1


def test_a_redrive_that_ended_before_it_sent_is_taken_up(world: World) -> None:
    """The parked copy is still there, and says so."""
    world.change(status="PENDING", redrives=1)
    assert world.run() == {"resend": 1}
    assert world.requests.sent[0].deduplication_id == "r#r1"


def test_a_failure_that_has_not_arrived_yet_is_waited_for(world: World) -> None:
    """Or it would end the redriven runs."""
    world.change(status="PENDING")
    assert world.run() == {"not failed yet": 1}
    assert world.requests.sent == []
    assert len(world.parked.messages) == 1
    assert world.parked.hidden == [("message-1", 0)], "for the next who asks"


def test_an_answered_request_is_let_go(world: World) -> None:
    """By a late message of its own."""
    world.change(status="DONE")
    assert world.run() == {"answered": 1}
    assert (world.requests.sent, world.parked.messages) == ([], [])


def test_a_request_that_nobody_remembers_stays_parked(world: World) -> None:
    """Nobody could read an answer; somebody may want to read the message."""
    world.table.items.clear()
    assert world.run() == {"forgotten": 1}
    assert len(world.parked.messages) == 1


def test_two_redrives_at_once_are_one(world: World) -> None:
    """The other wrote between our look and our write."""
    write = world.table.write

    def late(change: protocol.Change, *, now: int) -> Written:
        world.change(status="PENDING", redrives=1)
        return write(change, now=now)

    world.table.write = late  # type: ignore[method-assign]
    assert world.run() == {"resend": 1}


def test_it_stops_at_the_most_that_was_asked_for_and_when_time_is_up(world: World) -> None:
    """The rest is for the next time."""
    for _ in range(30):
        world.parked.send(PARKED)
    assert sum(world.run(most=12).values()) == 12
    world.looks_left = 1
    assert sum(world.run().values()) == 10
    assert len(world.parked.messages) == 9


def test_a_parked_reply_is_sent_again(world: World) -> None:
    """With what its name and its queue told of it, since its new name tells nothing."""
    world.parked_replies.send(ToSend("{}", {"request_id": "r"}, "s", "r#r2"))
    world.parked_replies.send(ToSend("{}", {"request_id": "r"}, "s", "x"))
    assert world.run("replies") == {"redrive": 2}
    assert world.replies.sent == [
        ToSend("{}", {"reply_id": "message-1", "request_id": "r", "redrives": "2"}, "s", "new"),
        ToSend("{}", {"reply_id": "message-2", "request_id": "r", "sent_as": "x"}, "s", "new"),
    ]
    assert world.parked_replies.messages == []


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({}, ("requests", 100)),
        ({"queue": "replies"}, ("replies", 100)),
        ({"max_messages": 1}, ("requests", 1)),
        ({"max_messages": 1000}, ("requests", 1000)),
    ],
)
def test_what_is_asked_for(event: dict[str, Any], expected: tuple[str, int]) -> None:
    """Requests, a hundred of them, unless somebody says otherwise."""
    assert core.asked(event) == expected


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"queue": "x"}, 'queue must be "requests" or "replies", got \'x\''),
        ({"max_messages": 0}, "max_messages must be 1 to 1000, got 0"),
        ({"max_messages": 1001}, "max_messages must be 1 to 1000, got 1001"),
        ({"max_messages": True}, "max_messages must be a whole number, got a boolean"),
        ({"max_messages": "5"}, "max_messages must be a whole number, got a string"),
    ],
)
def test_what_cannot_be_asked_for(event: dict[str, Any], error: str) -> None:
    """And why."""
    with pytest.raises(RefusedError) as refused:
        core.asked(event)
    assert refused.value.message == error
