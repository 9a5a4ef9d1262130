"""Replies become the one final answer of their request."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from ak_lambda.response_handler.replies import Replies
from ak_lambda.shared import protocol
from ak_lambda.shared.messages import ToSend
from test.lambda_assets.fakes import FakePayloads, FakeQueue, FakeTable, record

RETENTION = 1000
NOW = 1_000_000


class World:
    """One pending request, and everything around it."""

    def __init__(self) -> None:
        self.table = FakeTable()
        self.payloads = FakePayloads()
        self.told: list[Mapping[str, Any]] = []
        put = protocol.submit(
            request_id="r", session_id="s", user_id="alice", body_hash="h", now_ms=NOW * 1000, retention=RETENTION
        )
        self.table.write(put, now=NOW)

    def reply(
        self,
        body: str = '{"result": "ok"}',
        *,
        message_id: str = "m-1",
        named: str = "r",
        group: str = "s",
        **attributes: str,
    ) -> None:
        """Deliver a reply."""
        sent = ToSend(body, {"request_id": "r", "user_id": "alice", **attributes}, group, named)
        replies = Replies(
            table=self.table,  # type: ignore[arg-type]
            replies=FakeQueue(),  # type: ignore[arg-type]
            payloads=self.payloads,  # type: ignore[arg-type]
            retention=RETENTION,
            now_ms=lambda: NOW * 1000,
            reply_handlers=[self.told.append],
        )
        replies.handle(record(sent, message_id=message_id))

    @property
    def item(self) -> Any:  # noqa: ANN401
        """The request's item."""
        return self.table.items["r"]

    @property
    def answer(self) -> tuple[str, int, str]:
        """What the item says."""
        return self.item["status"], self.item["status_code"], self.item["answer"]


@pytest.fixture
def world() -> World:
    """Make a world."""
    return World()


def test_the_first_reply_is_the_answer(world: World) -> None:
    """Its text is kept as it is, long numbers too."""
    text = '{"result": 1.10, "n": ' + "7" * 40 + "}"
    world.reply(text, status_code="200", attempt="1", redrives="0")
    assert world.answer == ("DONE", 200, text)
    assert world.told == [
        {
            "request_id": "r",
            "session_id": "s",
            "user_id": "alice",
            "status": "DONE",
            "status_code": 200,
            "answer": text,
            "created_at": NOW * 1000,
            "attempt": 0,
        }
    ]


def test_every_later_reply_is_ignored(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A failure that comes after the answer, or an answer that comes after the failure."""
    caplog.set_level("INFO")
    world.reply()
    world.reply('{"error": "late"}', message_id="m-2", status_code="502")
    assert world.answer == ("DONE", 200, '{"result": "ok"}')
    assert len(world.told) == 1
    assert "ignored" in caplog.text


def test_the_same_reply_delivered_again_is_told_again(world: World) -> None:
    """Whoever is told may not have heard it the first time."""
    world.reply()
    world.reply()
    assert len(world.told) == 2
    assert world.answer == ("DONE", 200, '{"result": "ok"}')


def test_a_redriven_reply_is_the_same_reply(world: World) -> None:
    """By its first name: it may have finished its request before anybody was told."""
    world.reply()
    world.reply(message_id="m-9", reply_id="m-1")
    assert len(world.told) == 2


def test_a_reply_for_another_user_is_ignored(world: World) -> None:
    """It may have been asked for under an id that somebody else took."""
    world.table.items["r"] = {**world.item, "user_id": "bob"}
    world.reply()
    assert (world.item["status"], world.told) == ("PENDING", [])


def test_a_reply_of_another_session_is_ignored(world: World) -> None:
    """The id of a request that expired may be anybody's by now."""
    world.reply(group="x")
    assert (world.item["status"], world.told) == ("PENDING", [])


def test_a_reply_of_before_a_redrive_is_ignored(world: World) -> None:
    """By what it says, or by its name."""
    world.table.items["r"] = {**world.item, "redrives": 1}
    world.reply(redrives="0")
    world.reply()
    assert world.item["status"] == "PENDING"
    world.reply(named="r#r1")
    assert world.item["status"] == "DONE"


def test_a_reply_that_says_nothing_of_redrives_counts(world: World) -> None:
    """Somebody else's, who knows the request by its id alone."""
    world.table.items["r"] = {**world.item, "redrives": 1}
    world.reply(named="anything")
    assert world.item["status"] == "DONE"


def test_a_failure_is_kept_until_nobody_can_redrive_it(world: World) -> None:
    """As its error alone."""
    world.reply('{"error": "why", "session_id": "s"}', status_code="502")
    assert world.answer == ("FAILED", 502, '{"error": "why"}')
    assert world.item["expiry_time"] == NOW + 14 * 24 * 3600


@pytest.mark.parametrize(
    "body", ['{"result": NaN}', "[1]", "", "{", '{"$ak_constructs_ref": {"key": "answers/x"}, "session_id": "s"}']
)
def test_what_is_no_json_object_is_a_failure(world: World, body: str) -> None:
    """No caller could read it."""
    world.reply(body, status_code="200")
    assert world.answer == ("FAILED", 502, '{"error": "the agent\'s answer cannot be written as JSON"}')


def test_a_large_answer_is_kept_in_the_bucket(world: World) -> None:
    """An item holds 400 KB."""
    text = json.dumps({"result": "x" * 400_000})
    world.reply(text)
    assert len(world.item["answer"]) < 500
    assert world.payloads.whole(world.item["answer"], folder="answers/") == text


def test_a_reference_is_kept_as_it_is(world: World) -> None:
    """Our runner put the answer there."""
    kept = world.payloads.fitted("x" * 1000, 10, folder="answers/", session_id="s")
    world.reply(kept, status_code="200")
    assert world.answer == ("DONE", 200, kept)
    assert len(world.payloads.kept) == 1


def test_the_answer_to_a_request_that_nobody_submitted_is_kept_too(world: World) -> None:
    """Agent Kernel's runner leases nothing; its caller may know the id."""
    world.table.items.clear()
    world.reply()
    assert (*world.answer, world.item["session_id"], world.item["user_id"]) == (
        "DONE",
        200,
        '{"result": "ok"}',
        "s",
        "alice",
    )
    assert len(world.told) == 1
    world.reply('{"result": "other"}', message_id="m-2")
    assert (world.answer[2], len(world.told)) == ('{"result": "ok"}', 1)
