"""Final answers reach every connection of whoever asked, and nobody else's."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ak_lambda.response_handler.pushing import PUSH_MS
from ak_lambda.shared import metrics
from ak_lambda.shared.connections import TTL_SECONDS
from ak_lambda.shared.frames import MAX_FRAME_BYTES, MAX_PUSHED_BYTES
from test.lambda_assets.fake_connections import ENDPOINT, FORBIDDEN, FRAME_BYTES, GONE, THROTTLED, TIMEOUT
from test.lambda_assets.pushing_world import NOW, World

OTHER_API = "https://api2.execute-api.eu-west-1.amazonaws.com/prod"
RESPONSE = {"type": "CHAT_RESPONSE", "request_id": "r", "session_id": "s", "status_code": 200, "result": "ok"}
many = settings(derandomize=True, max_examples=40, deadline=None, database=None)


@pytest.fixture
def world() -> World:
    """Make a world."""
    return World()


def test_the_answer_goes_to_all_tabs_of_its_user_and_to_no_other(world: World) -> None:
    """Of whatever API they are connected to."""
    tabs = [world.connect("a1"), world.connect("a2"), world.connect("a3", endpoint=OTHER_API)]
    bob = world.connect("b1", "bob")
    world.reply()
    assert [tab.frames for tab in tabs] == [[RESPONSE]] * 3
    assert (bob.posted, len(world.gateway.posts)) == ([], 3)


@pytest.mark.parametrize("streams", [False, True])
def test_where_a_message_says_that_somebody_waits_is_not_posted_to(streams: bool) -> None:
    """It only says that somebody does: whoever can send a message must not choose whom we call."""
    world = World(streams=streams)
    alice, mallory = world.connect("a1"), world.gateway.connect("m1", "https://mallory.example/prod")
    world.reply('{"delta": "ok", "done": true}' if streams else "{}", named="r-1-0", endpoint_url=mallory.endpoint)
    assert [frame["type"] for frame in alice.frames] == ["STREAM_CHUNK", "CHAT_RESPONSE"][not streams :]
    assert {name for name, _ in world.gateway.posts} == {"a1"}


def test_numbers_of_an_answer_survive(world: World) -> None:
    """They are more than a reader of JSON may keep."""
    tab = world.connect("a1")
    world.reply('{"result": 1.10, "n": ' + "7" * 40 + "}")
    assert b'"result":1.10' in tab.posted[0]
    assert b'"n":' + b"7" * 40 in tab.posted[0]


def test_a_failure_is_pushed_as_a_failure(world: World) -> None:
    """By its error alone, as everywhere."""
    tab = world.connect("a1")
    world.reply('{"error": "why", "session_id": "s", "trace": "x"}', status_code="502")
    failed = {**RESPONSE, "status": "FAILED", "status_code": 502, "error": "why"}
    del failed["result"]
    assert tab.frames == [failed]


def test_without_anybody_connected_the_answer_is_only_kept(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever comes back asks for it."""
    caplog.set_level(logging.INFO)

    def fail(*_arguments: object, **_more: object) -> str:
        raise AssertionError("nobody needs it")

    world.payloads.whole = fail  # type: ignore[method-assign]
    world.reply(json.dumps({"result": "x" * 400_000}))
    assert world.item["status"] == "DONE"
    (line,) = [vars(each) for each in caplog.records if each.message == "pushed"]
    assert (line["delivered"], line["gone"], line["failed"]) == (0, 0, 0)
    assert len(world.told) == 1


@pytest.mark.parametrize("missing", ["endpoint_url", "user_id"])
def test_a_reply_for_no_websocket_is_not_pushed(world: World, missing: str) -> None:
    """It was asked for by another API, or by nobody known; the connections are not even read."""
    tab = world.connect("a1")
    gone: Any = {missing: None}
    world.reply(**gone)
    assert (world.item["status"], tab.posted, world.rows.reads) == ("DONE", [], 0)


def test_an_ignored_reply_is_not_pushed(world: World) -> None:
    """A second reply of the same request."""
    tab = world.connect("a1")
    world.reply()
    world.reply('{"result": "late"}', message_id="m-2")
    assert tab.frames == [RESPONSE]


def test_a_reply_delivered_twice_or_redriven_is_pushed_again(world: World) -> None:
    """Nobody may have got it; a client takes the first."""
    tab = world.connect("a1")
    world.reply()
    world.reply(receives=7)
    world.reply(message_id="m-9", reply_id="m-1")
    assert tab.frames == [RESPONSE] * 3


@pytest.mark.parametrize("wrong", [THROTTLED, FORBIDDEN, TIMEOUT])
def test_a_push_that_fails_brings_the_reply_back_three_times(
    world: World,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    wrong: str,
) -> None:
    """Then it is logged and counted; others got it, and so does whoever is told."""
    bad, good = world.connect("a1"), world.connect("a2")
    bad.always = wrong
    for receives in (1, 2, 3):
        with pytest.raises(RuntimeError, match="not every connection got the answer"):
            world.reply(receives=receives)
    assert "not delivered" not in caplog.text
    assert (world.told, world.answer) == ([], ("DONE", {"result": "ok"}))
    world.reply(receives=4)
    assert good.frames == [RESPONSE] * 4
    assert len(world.told) == 1
    logged = [each for each in caplog.records if each.message == "not delivered"]
    about = [
        {name: vars(each)[name] for name in ("request_id", "receives", "delivered", "gone", "failed")}
        for each in logged
    ]
    assert about == [{"request_id": "r", "receives": 4, "delivered": 1, "gone": 0, "failed": 1}]
    (line,) = capsys.readouterr().out.splitlines()
    assert line == metrics.embedded(
        {"AnswersNotDelivered": (1, "Count")}, dimensions={"FunctionName": "its-name"}, now_ms=world.now_ms
    )


def test_a_push_that_works_the_second_time_reaches_everybody(world: World) -> None:
    """And then the reply is done with."""
    tab = world.connect("a1")
    tab.fails = [THROTTLED]
    with pytest.raises(RuntimeError):
        world.reply()
    world.reply(receives=2)
    assert tab.frames == [RESPONSE]


def test_a_connection_that_is_gone_is_forgotten(world: World) -> None:
    """And is no failure; of another API's row with the same name nothing is known."""
    gone, tab = world.connect("a1"), world.connect("a2")
    gone.close()
    world.reply()
    assert tab.frames == [RESPONSE]
    assert list(world.rows.rows) == [("alice", "a2")]


def test_a_connection_that_expired_is_not_posted_to(world: World) -> None:
    """Its row is there a little longer; that of a moment before still counts."""
    tab = world.connect("a1")
    world.table.items["r"] = {**world.item, "expiry_time": world.item["expiry_time"] + TTL_SECONDS}
    world.now_ms += TTL_SECONDS * 1000 - 1
    world.reply()
    world.now_ms += 1
    world.reply(receives=2)
    assert tab.frames == [RESPONSE]


def test_a_connection_that_is_just_being_made_is_not_forgotten(world: World) -> None:
    """The service says the same of it as of one that is gone."""
    tab = world.connect("a1", is_new=True)
    tab.always = GONE
    world.reply()
    assert list(world.rows.rows) == [("alice", "a1")]


def test_tables_that_fail_do_not_stop_a_session_for_long(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A hundred receives with a minute's rest each would."""

    def fail(*_arguments: object, **_more: object) -> list[Any]:
        raise OSError("a secret")

    world.connect("a1")
    world.rows.of_user = fail  # type: ignore[method-assign]
    for receives in (1, 3):
        with pytest.raises(OSError, match="secret"):
            world.reply(receives=receives)
    world.reply(receives=4)
    assert "not delivered" in caplog.text
    assert "secret" not in caplog.text
    assert len(world.told) == 1


def test_posting_ends_while_the_handler_still_has_time(world: World) -> None:
    """A connection that takes each frame slowly gets the rest another time."""
    slow = world.connect("a1")

    def take_long(_data: bytes) -> None:
        world.now_ms += PUSH_MS // 4

    slow.before = take_long
    with pytest.raises(RuntimeError, match="not every connection"):
        world.reply(json.dumps({"result": "x" * 500_000}))
    assert len(slow.posted) == 4
    assert len(world.gateway.posts) == 4


def test_a_failed_part_ends_the_frame(world: World) -> None:
    """What follows would be a gap; the next time all parts come, under a name of their own."""
    tab = world.connect("a1")
    tab.fails = [None, THROTTLED]
    text = json.dumps({"result": "x" * 100_000})
    with pytest.raises(RuntimeError):
        world.reply(text)
    assert len(world.gateway.posts) == 2
    tab.posted.clear()
    world.reply(text, receives=2)
    assert [len(frame["result"]) for frame in tab.frames] == [100_000]


def test_an_answer_kept_in_the_bucket_is_pushed_in_parts(world: World) -> None:
    """200 KB is in the item, 900 KB is not, and a reader sees no difference."""
    tab = world.connect("a1")
    for number, size in enumerate((200_000, 900_000)):
        world.table.write(world.submission(f"r{number}", "alice"), now=NOW)
        world.reply(json.dumps({"result": "y" * size}), request_id=f"r{number}", message_id=f"m-{number}")
    assert [len(frame["result"]) for frame in tab.of_type("CHAT_RESPONSE")] == [200_000, 900_000]
    assert len(world.payloads.kept) == 1


def test_an_answer_too_large_to_be_pushed_goes_as_a_link(world: World) -> None:
    """One frame, whatever its size."""
    tab = world.connect("a1")
    world.reply(json.dumps({"result": "z" * MAX_PUSHED_BYTES}))
    (key,) = world.payloads.kept
    expected = {**RESPONSE, "location": f"https://bucket/{key}"}
    del expected["result"]
    assert tab.frames == [expected]


def test_an_answer_is_pushed_once_for_each_request_of_two_users_with_one_session(world: World) -> None:
    """The session is no address."""
    alice, bob = world.connect("a1"), world.connect("b1", "bob")
    world.table.write(world.submission("q", "bob"), now=NOW)
    world.reply()
    world.reply(request_id="q", user_id="bob", message_id="m-2")
    assert [frame["request_id"] for frame in alice.frames] == ["r"]
    assert [frame["request_id"] for frame in bob.frames] == ["q"]


def test_a_request_that_the_queue_gave_up_reaches_its_user(world: World) -> None:
    """The dead letter handler's reply says who waits."""
    tab = world.connect("a1")
    reply = world.give_up(endpoint_url=ENDPOINT)
    assert reply.attributes["endpoint_url"] == ENDPOINT
    world.deliver(reply)
    (frame,) = tab.frames
    assert (frame["type"], frame["status"], frame["status_code"]) == ("CHAT_RESPONSE", "FAILED", 502)
    assert frame["error"].startswith("no run finished")


pieces = st.sampled_from(["x", "é", "\U0001f600", '"', "\\", "\n", "\x00", "\ud83d", "</script>", "\u2028"]) | st.text(
    max_size=9
)


@many
@given(pattern=st.lists(pieces, min_size=1, max_size=6).map("".join), times=st.integers(0, 200_000), data=st.data())
def test_no_frame_is_ever_too_large(pattern: str, times: int, data: st.DataObject) -> None:
    """Whatever the answer is, a client puts exactly it together; the stand-in closes whoever gets more at once."""
    world = World()
    tab = world.connect("a1")
    edge = data.draw(st.integers(MAX_FRAME_BYTES - 300, MAX_FRAME_BYTES + 300) | st.just(0))
    result = (pattern * times)[:400_000] if not edge else "x" * edge
    text = json.dumps({"result": result}, ensure_ascii=data.draw(st.booleans()) or not result.isprintable())
    world.reply(text)
    assert all(len(posted) <= MAX_FRAME_BYTES < FRAME_BYTES for posted in tab.posted)
    (frame,) = tab.frames
    assert frame.get("result", result) == result
    assert ("location" in frame) == (len(text) > MAX_PUSHED_BYTES)
    assert tab.closed is None
