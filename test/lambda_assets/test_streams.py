"""What Agent Kernel streams is shown as it comes, kept, and joined to the one answer of its request."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ak_lambda.response_handler import showing, streams
from ak_lambda.response_handler.pieces import MISSING
from ak_lambda.shared.connections import TTL_SECONDS
from ak_lambda.shared.protocol import Item
from test.lambda_assets.fake_connections import ENDPOINT, FORBIDDEN, GONE, TIMEOUT
from test.lambda_assets.hostile import spoilt
from test.lambda_assets.pushing_world import NOW, RETENTION, World

CHUNK = {"type": "STREAM_CHUNK", "request_id": "r", "session_id": "s", "attempt": 1, "seq": 0, "done": False}


@pytest.fixture
def world() -> World:
    """Make a world whose agent streams."""
    return World(streams=True)


def deltas(tab: Any, attempt: int) -> str:  # noqa: ANN401
    """Join what a client was shown of a run, in which nothing is missing."""
    frames = [frame for frame in tab.of_type("STREAM_CHUNK") if frame["attempt"] == attempt]
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    return "".join(frame.get("delta", "") for frame in frames)


def test_a_stream_is_shown_and_then_answered(world: World) -> None:
    """Piece by piece, and at its end as if it had come whole; another user sees nothing."""
    tabs = [world.connect("a1"), world.connect("a2")]
    bob = world.connect("b1", "bob")
    world.stream(1, "Hel", "lo")
    assert (world.item["status"], world.told) == ("PENDING", [])
    world.piece(1, 2, done=True)
    answer = {"result": "Hello", "session_id": "s"}
    for tab in tabs:
        first, second, last, response = tab.frames
        event = {"type": "text_delta", "message_id": "m", "content": "Hel"}
        assert first == {**CHUNK, "delta": "Hel", "event": event}
        assert (second["delta"], second["seq"]) == ("lo", 1)
        assert last == {**CHUNK, "seq": 2, "done": True}
        assert response == {"type": "CHAT_RESPONSE", "request_id": "r", "status_code": 200, **answer}
    assert bob.posted == []
    assert world.answer == ("DONE", answer)
    assert len(world.told) == 1


def test_an_answer_in_one_piece_is_one(world: World) -> None:
    """Agent Kernel's acknowledgement of a scheduled request."""
    tab = world.connect("a1")
    world.piece(1, 0, delta="later", done=True)
    assert [frame["type"] for frame in tab.frames] == ["STREAM_CHUNK", "CHAT_RESPONSE"]
    assert world.answer == ("DONE", {"result": "later", "session_id": "s"})


def test_pieces_are_kept_until_nobody_needs_them(world: World) -> None:
    """Beside the request, under a name that is no request's; nothing is deleted but by time."""
    world.stream(1, "Hel")
    world.piece(1, 1, done=True)
    kept = {name: item for name, item in world.table.items.items() if name != "r"}
    assert kept.keys() == {"r#1#0", "r#1#1"}
    assert {item["expiry_time"] for item in kept.values()} == {NOW + RETENTION}


def test_a_whole_answer_is_taken_as_ever(world: World) -> None:
    """What Agent Kernel sends to messaging platforms, and the dead letter handler's replies."""
    tab = world.connect("a1")
    world.reply()
    assert world.answer == ("DONE", {"result": "ok"})
    assert [frame["type"] for frame in tab.frames] == ["CHAT_RESPONSE"]


def test_where_nothing_is_streamed_no_piece_is_looked_for(world: World) -> None:
    """An agent's answer may have any shape."""
    world.streams = False
    world.piece(1, 0, delta="x", done=True)
    assert world.answer[1] == {"done": True, "delta": "x", "session_id": "s"}


def test_a_piece_delivered_again_is_not_shown_again(world: World) -> None:
    """Its text would be there twice."""
    tab = world.connect("a1")
    for _ in range(2):
        world.stream(1, "Hel", "lo")
    world.piece(1, 2, done=True)
    assert deltas(tab, 1) == "Hello"
    assert world.answer[1]["result"] == "Hello"


def test_the_last_piece_delivered_again_pushes_the_answer_again(world: World) -> None:
    """Nobody may have got it the first time."""
    tab = world.connect("a1")
    world.stream(1, "Hel")
    tab.fails = [None, TIMEOUT]
    with pytest.raises(RuntimeError, match="not every connection"):
        world.piece(1, 1, done=True)
    world.piece(1, 1, done=True, receives=2)
    assert [frame["type"] for frame in tab.frames] == ["STREAM_CHUNK", "STREAM_CHUNK", "CHAT_RESPONSE"]
    assert len(world.told) == 1


def test_a_later_run_begins_anew(world: World) -> None:
    """After half of the deltas the first was killed; its late pieces are neither shown nor joined."""
    tab = world.connect("a1")
    world.stream(1, "Hel", "lo, wo")
    world.stream(2, "Good ")
    world.piece(1, 2, delta="rld")
    world.piece(1, 3, done=True)
    assert world.item["status"] == "PENDING"
    world.piece(2, 1, delta="bye")
    world.piece(2, 2, done=True)
    assert (deltas(tab, 1), deltas(tab, 2)) == ("Hello, wo", "Good bye")
    assert [frame["result"] for frame in tab.of_type("CHAT_RESPONSE")] == ["Good bye"]
    assert world.answer[1]["result"] == "Good bye"


def test_pieces_after_the_answer_are_ignored(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Of the same run, of a later one, and a last one too."""
    caplog.set_level(logging.INFO)
    tab = world.connect("a1")
    world.stream(1, "Hel")
    world.piece(1, 1, done=True)
    before = len(tab.posted)
    world.piece(1, 2, delta="x")
    world.stream(2, "y")
    world.piece(2, 1, done=True)
    assert (len(tab.posted), len(world.told)) == (before, 1)
    assert world.answer[1]["result"] == "Hel"
    assert caplog.text.count("ignored a piece") == 2


def test_pieces_of_before_a_redrive_are_ignored(world: World) -> None:
    """And those of after it have higher numbers."""
    tab = world.connect("a1")
    world.table.items["r"] = {**world.item, "redrives": 1, "attempt": 6}
    world.piece(7, 0, delta="old")
    world.piece(1, 0, redrives=1, delta="new")
    world.piece(1, 1, redrives=1, done=True)
    assert {frame["attempt"] for frame in tab.of_type("STREAM_CHUNK")} == {1001}
    assert world.answer[1]["result"] == "new"


@pytest.mark.parametrize("other", [{"user_id": "bob"}, {"session_id": "x"}])
def test_pieces_of_another_request_are_ignored(world: World, other: dict[str, str]) -> None:
    """The id of a request that expired may be anybody's by now."""
    tab = world.connect("a1")
    world.table.items["r"] = {**world.item, **other}
    world.piece(1, 0, delta="x", done=True)
    assert (world.item["status"], tab.posted) == ("PENDING", [])


def test_a_stream_that_nobody_submitted_is_answered(world: World) -> None:
    """Its sender used the queue alone."""
    world.table.items.clear()
    world.stream(1, "Hel")
    world.piece(1, 1, done=True)
    assert (world.answer, world.item["user_id"]) == (("DONE", {"result": "Hel", "session_id": "s"}), "alice")


def test_a_stream_that_nobody_submitted_takes_its_id_with_its_first_piece(world: World) -> None:
    """Or whoever submitted that id meanwhile would find these pieces in an answer of theirs."""
    world.table.items.clear()
    world.stream(1, "Hel")
    assert not world.table.write(world.submission("r", "bob"), now=NOW).done
    world.reply('{"delta": "x", "done": true}', user_id="bob", named="r-1-1", message_id="m-bob")
    assert world.item["status"] == "PENDING"
    world.piece(1, 1, delta="lo", done=True)
    assert (world.answer[1]["result"], world.item["user_id"]) == ("Hello", "alice")


def test_an_error_is_the_end(world: World) -> None:
    """Agent Kernel tells it in the stream, and does not run the agent again."""
    tab = world.connect("a1")
    world.stream(1, "Hel")
    world.piece(1, 1, done=True, error="out of luck")
    assert tab.frames[1:] == [
        {**CHUNK, "seq": 1, "done": True, "error": "out of luck"},
        {
            "type": "CHAT_RESPONSE",
            "request_id": "r",
            "session_id": "s",
            "status": "FAILED",
            "status_code": 502,
            "error": "out of luck",
        },
    ]
    assert world.answer == ("FAILED", {"error": "out of luck"})


def test_a_run_that_agent_kernel_gave_up_is_a_failure(world: World) -> None:
    """It says so in a piece that has no number, which is not shown."""
    tab = world.connect("a1")
    world.piece(6, "error", done=True, error="Failed to process message. Retried 5 times")
    (frame,) = tab.frames
    assert (frame["type"], frame["error"]) == ("CHAT_RESPONSE", "Failed to process message. Retried 5 times")


def test_a_stream_without_its_end_is_ended_by_the_dead_letters(world: World) -> None:
    """Half of it was shown, and then every run was killed."""
    tab = world.connect("a1")
    world.stream(1, "Hel", "lo")
    world.stream(5, "Hel")
    world.deliver(world.give_up(endpoint_url=ENDPOINT), message_id="m-dead")
    assert (deltas(tab, 1), deltas(tab, 5)) == ("Hello", "Hel")
    assert [(frame["status"], frame["status_code"]) for frame in tab.of_type("CHAT_RESPONSE")] == [("FAILED", 502)]
    assert world.item["status"] == "FAILED"


@pytest.mark.parametrize("lost", [0, 1])
def test_a_stream_with_a_gap_is_a_failure(world: World, caplog: pytest.LogCaptureFixture, lost: int) -> None:
    """Whichever piece it is; the client has seen the gap."""
    tab = world.connect("a1")
    for seq in {0, 1} - {lost}:
        world.piece(1, seq, delta="x")
    world.piece(1, 2, done=True)
    assert world.answer == ("FAILED", {"error": MISSING})
    assert [frame["error"] for frame in tab.of_type("CHAT_RESPONSE")] == [MISSING]
    assert "a stream ended without an answer" in caplog.text


def test_an_end_without_its_place_is_a_failure(world: World) -> None:
    """Nobody knows what belongs before it; and one that is no end is nobody's answer."""
    body = {"done": False, "delta": "x"}
    world.reply(json.dumps(body), named="whatever")
    assert world.item["status"] == "PENDING"
    world.reply(json.dumps({**body, "done": True}), named="whatever")
    assert world.answer == ("FAILED", {"error": MISSING})


def test_a_stream_has_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies behind the bound is neither kept nor shown."""
    monkeypatch.setattr(streams, "MAX_PIECES", 2)
    tab = world.connect("a1")
    world.stream(1, "a", "b", "c")
    assert (deltas(tab, 1), "r#1#2" in world.table.items) == ("ab", False)
    world.piece(1, 2, done=True)
    assert world.answer == ("FAILED", {"error": "the agent's answer has too many pieces: at most 10,000"})


def test_a_large_piece_is_kept_in_the_bucket(world: World) -> None:
    """An item holds 400 KB."""
    world.piece(1, 0, delta="x" * 400_000)
    assert (len(world.table.items["r#1#0"]["piece"]) < 500, len(world.payloads.kept)) == (True, 1)
    world.piece(1, 1, delta="y", done=True)
    answer = json.loads(world.payloads.whole(world.item["answer"], folder="answers/"))
    assert answer["result"] == "x" * 400_000 + "y"


def test_a_long_stream_is_read_in_batches(world: World) -> None:
    """As many at a time as DynamoDB gives."""
    asked: list[int] = []
    read_many = world.table.read_many

    def counted(request_ids: Sequence[str], *, now: int) -> dict[str, Item]:
        asked.append(len(request_ids))
        return read_many(request_ids, now=now)

    world.table.read_many = counted  # type: ignore[method-assign]
    world.stream(1, *(f"{number}," for number in range(200)))
    world.piece(1, 200, done=True)
    assert asked == [100, 100, 1]
    assert world.answer[1]["result"] == "".join(f"{number}," for number in range(200))


@pytest.mark.parametrize("wrong", [FORBIDDEN, TIMEOUT])
def test_a_connection_that_takes_no_piece_delays_no_other(world: World, wrong: str) -> None:
    """It gets no more of this run, but the answer; and the next run it is asked again."""
    bad, good = world.connect("a1"), world.connect("a2")
    bad.fails = [None, wrong]
    world.stream(1, "a", "b", "c", "d")
    assert (deltas(bad, 1), deltas(good, 1)) == ("a", "abcd")
    assert world.gateway.posts.count(("a1", len(good.posted[0]))) == 2
    world.stream(2, "x")
    world.piece(2, 1, done=True)
    assert deltas(bad, 2) == "x"
    assert [frame["result"] for frame in bad.of_type("CHAT_RESPONSE")] == ["x"]


def test_connections_are_read_every_two_seconds_or_when_one_is_gone(world: World) -> None:
    """Not for every piece; for the answer always."""
    old = world.connect("a1")
    world.stream(1, "a")
    world.reply('{"done": false}', request_id="q", user_id="bob", named="q-1-0", message_id="m-q")
    world.piece(1, 1, delta="b")
    assert world.rows.reads == 2
    new = world.connect("a2")
    world.now_ms += showing.FRESH_MS
    world.piece(1, 2, delta="c")
    assert (world.rows.reads, len(new.frames)) == (3, 1)
    old.close()
    world.piece(1, 3, delta="d")
    newest = world.connect("a3")
    world.piece(1, 4, delta="e")
    assert (world.rows.reads, [frame["seq"] for frame in newest.frames]) == (4, [4])
    last = world.connect("a4")
    world.piece(1, 5, done=True)
    assert [frame["type"] for frame in last.frames] == ["CHAT_RESPONSE"]


def test_connections_that_expired_are_shown_nothing(world: World) -> None:
    """Their rows are there a little longer."""
    tab = world.connect("a1")
    world.now_ms += 1
    world.table.items["r"] = {**world.item, "expiry_time": world.item["expiry_time"] + TTL_SECONDS}
    world.now_ms += TTL_SECONDS * 1000 - 2
    world.piece(1, 0, delta="a")
    world.now_ms += showing.FRESH_MS
    world.piece(1, 1, delta="b")
    world.piece(1, 2, done=True)
    assert [(frame["type"], frame["seq"]) for frame in tab.frames] == [("STREAM_CHUNK", 0)]


def test_a_connection_that_is_just_being_made_gets_the_next_piece(world: World) -> None:
    """The service says it is gone until it is there."""
    tab = world.connect("a1", is_new=True)
    tab.fails = [GONE]
    world.stream(1, "a", "b")
    assert [frame["seq"] for frame in tab.frames] == [1]


def test_what_cannot_be_shown_fails_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Deltas are hints: an event with a number that JSON cannot write, and a table that does not answer."""
    tab = world.connect("a1")
    named = "r-1-0"
    world.reply('{"delta": "a", "event": {"n": 1e999}, "done": false}', named=named, message_id="m-0")

    def fail(*_arguments: object, **_more: object) -> list[Any]:
        raise OSError("a secret")

    of_user = world.rows.of_user
    world.now_ms += showing.FRESH_MS
    world.rows.of_user = fail  # type: ignore[method-assign]
    world.piece(1, 1, delta="b")
    world.rows.of_user = of_user  # type: ignore[method-assign]
    world.piece(1, 2, done=True)
    assert caplog.text.count("a piece was not shown") == 2
    assert "secret" not in caplog.text
    assert world.answer[1]["result"] == "ab"
    assert [frame["type"] for frame in tab.frames] == ["STREAM_CHUNK", "CHAT_RESPONSE"]


def test_a_piece_for_no_websocket_is_kept_alone(world: World) -> None:
    """Nobody waits for it there."""
    tab = world.connect("a1")
    world.reply('{"delta": "a", "done": true}', named="r-1-0", endpoint_url=None)
    assert (tab.posted, world.answer) == ([], ("DONE", {"result": "a", "session_id": "s"}))


def test_an_environment_remembers_no_more_than_it_has_room_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgetting costs a read, or a post that fails."""
    monkeypatch.setattr(showing, "MOST_KEPT", 1)
    tab = world.connect("a1")
    tab.always = FORBIDDEN
    world.stream(1, "a", "b")
    world.table.write(world.submission("q", "bob"), now=NOW)
    bob = world.connect("b1", "bob")
    world.reply('{"delta": "x", "done": false}', request_id="q", user_id="bob", named="q-1-0", message_id="m-q")
    assert len(bob.frames) == 1
    assert len(world.showing._known) == 1
    assert world.showing._deaf == set()


PIECE = {"delta": "CANARY", "event": {"type": "run_paused", "run_id": "CANARY"}, "done": False, "session_id": "s"}
NAMES = ["r-1-0", "r-1-1", "r-2-0", "r#r1-1-0", "r-6-error", "r", "CANARY", "r-1-999999", "r-9999-0"]


@settings(derandomize=True, max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(replies=st.lists(st.tuples(spoilt(PIECE) | spoilt({**PIECE, "done": True}), st.sampled_from(NAMES)), max_size=5))
def test_no_piece_breaks_the_handler(replies: list[tuple[Any, str]], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is in it, it is taken or ignored, and none of it is logged; the request still gets its answer."""
    caplog.set_level(logging.INFO)
    world = World(streams=True)
    tab = world.connect("a1")
    for number, (body, named) in enumerate(replies):
        world.reply(body if isinstance(body, str) else json.dumps(body), named=named, message_id=f"m-{number}")
    world.reply(message_id="m-last")
    assert world.item["status"] in {"DONE", "FAILED"}
    assert tab.frames[-1]["type"] == "CHAT_RESPONSE"
    assert "CANARY" not in repr([vars(each) for each in caplog.records])
