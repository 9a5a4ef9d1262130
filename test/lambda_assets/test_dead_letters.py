"""Requests that the queue has given up still get an answer."""

import json
from typing import Any

import pytest

from ak_lambda.dead_letter_handler.dead_letters import DeadLetters
from ak_lambda.shared import protocol
from ak_lambda.shared.messages import ToSend
from test.lambda_assets.fakes import FakeQueue, FakeTable, record

NOW = 1_000_000
MESSAGE = ToSend('{"prompt": "hi"}', {"request_id": "r", "user_id": "alice"}, "s", "r")


def fails(message: ToSend) -> None:  # noqa: ARG001
    """Be a service that cannot be reached."""
    raise OSError


class World:
    """One request whose runs all failed."""

    def __init__(self) -> None:
        self.table = FakeTable()
        self.dead, self.replies, self.parked = FakeQueue(), FakeQueue(), FakeQueue()
        put = protocol.submit(
            request_id="r", session_id="s", user_id="alice", body_hash="h", now_ms=NOW * 1000, retention=1000
        )
        self.table.write(put, now=NOW)
        self.change(attempt=5)

    def change(self, **values: object) -> None:
        """Change the item."""
        self.table.items["r"] = {**self.table.items["r"], **values}

    def handle(self, message: ToSend = MESSAGE) -> bool:
        """Deliver the dead letter."""
        handler: Any = DeadLetters(
            table=self.table,  # type: ignore[arg-type]
            dead_letters=self.dead,  # type: ignore[arg-type]
            replies=self.replies,  # type: ignore[arg-type]
            parked=self.parked,  # type: ignore[arg-type]
            now_ms=lambda: NOW * 1000,
        )
        handled: bool = handler.handle(record(message, receives=6))
        return handled


@pytest.fixture
def world() -> World:
    """Make a world."""
    return World()


def test_a_dead_letter_is_answered_and_parked(world: World) -> None:
    """Under a name of its own, or the queue might drop it for a run's reply; the reason is the last run's."""
    world.change(error="the agent failed; its log has more")
    assert world.handle()
    (reply,) = world.replies.sent
    assert json.loads(reply.body) == {"error": "the agent failed; its log has more", "session_id": "s"}
    assert reply.attributes == {
        "request_id": "r",
        "user_id": "alice",
        "status_code": "502",
        "attempt": "5",
        "redrives": "0",
    }
    assert (reply.group, reply.deduplication_id) == ("s", "r#dead")
    (parked,) = world.parked.sent
    assert parked.body == MESSAGE.body
    assert parked.attributes == {
        "request_id": "r",
        "user_id": "alice",
        "session_id": "s",
        "redrives": "0",
        "dead_reason": "the agent failed; its log has more",
    }


def test_the_reply_comes_first(world: World) -> None:
    """Whatever dies in between, the message is still there."""
    world.parked.send = fails  # type: ignore[method-assign]
    with pytest.raises(OSError):  # noqa: PT011 - ours
        world.handle()
    assert len(world.replies.sent) == 1


def test_without_a_reason_it_is_said_what_is_known(world: World) -> None:
    """No run could say anything."""
    world.handle()
    assert json.loads(world.replies.sent[0].body)["error"] == protocol.NO_ANSWER


def test_an_answered_request_is_let_go(world: World) -> None:
    """Its message was only never deleted."""
    world.change(status="DONE")
    assert world.handle()
    assert (world.replies.sent, world.parked.sent) == ([], [])


def test_a_failed_request_is_parked_all_the_same(world: World) -> None:
    """The last try may have ended between the reply and the parking."""
    world.change(status="FAILED")
    assert world.handle()
    assert len(world.parked.sent) == 1


def test_a_dead_letter_of_before_a_redrive_is_let_go(world: World) -> None:
    """A newer message is on its way."""
    world.change(redrives=1)
    assert world.handle()
    assert (world.replies.sent, world.parked.sent) == ([], [])


def test_a_dead_letter_of_another_session_is_let_go(world: World) -> None:
    """The id of a request that expired may be anybody's by now."""
    assert world.handle(ToSend("{}", {"request_id": "r"}, "x", "r"))
    assert (world.replies.sent, world.parked.sent) == ([], [])


def test_a_run_that_still_goes_on_is_waited_for(world: World) -> None:
    """It may yet answer."""
    world.change(lease_until=NOW + 42)
    assert not world.handle()
    assert world.dead.hidden == [("message-1", 42)]
    assert (world.replies.sent, world.parked.sent) == ([], [])


def test_a_dead_letter_that_nobody_submitted_is_answered_too(world: World) -> None:
    """Agent Kernel's runner leases nothing."""
    world.table.items.clear()
    assert world.handle(ToSend("{}", {}, "s", "other"))
    (reply,) = world.replies.sent
    assert "attempt" not in reply.attributes
    assert reply.deduplication_id == "other#dead"
    assert world.parked.sent[0].attributes["request_id"] == "message-1"


def test_a_parked_message_has_no_more_attributes_than_sqs_takes(world: World) -> None:
    """Ours go first: a redrive needs them."""
    many = {f"own-{number}": "x" for number in range(9)}
    world.handle(ToSend("{}", {**many, "request_id": "r", "user_id": "alice", "endpoint_url": "https://x"}, "s", "r"))
    attributes = world.parked.sent[0].attributes
    assert len(attributes) == 10
    ours = {"request_id", "session_id", "redrives", "dead_reason", "user_id", "endpoint_url"}
    assert ours <= set(attributes)


def test_who_waits_at_a_websocket_is_told_there_and_after_a_redrive_too(world: World) -> None:
    """The reply and the parked message say where."""
    world.handle(ToSend(MESSAGE.body, {**MESSAGE.attributes, "endpoint_url": "https://x"}, "s", "r"))
    sent = [*world.replies.sent, *world.parked.sent]
    assert [each.attributes["endpoint_url"] for each in sent] == ["https://x", "https://x"]
