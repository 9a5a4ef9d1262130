"""Which text of a run goes into which frame, and when."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ak_lambda.agent_runner import delta_rules
from ak_lambda.agent_runner.delta_rules import (
    CUT_BYTES,
    CUT_SECONDS,
    MAX_KEPT_BYTES,
    MAX_KEPT_FRAMES,
    MAX_WAITING_BYTES,
    PROGRESS_SECONDS,
    Cutting,
    Listener,
    deltas_of,
)
from ak_lambda.shared.fields import MAX_PROGRESS_CHARACTERS
from ak_lambda.shared.frames import MAX_FRAME_BYTES

quickly = settings(derandomize=True, max_examples=150, deadline=None, database=None)
ABOUT = {"request_id": "r" * 96, "session_id": '"' * 128, "attempt": 2}


def cutting() -> Cutting:
    """Make one, of the longest ids there are."""
    return Cutting(request_id="r" * 96, session_id='"' * 128, attempt=2)


def taken(cutting: Cutting, listener: Listener) -> list[dict[str, Any]]:
    """Give all frames that a connection has not had."""
    frames = []
    while (data := cutting.next(listener)) is not None:
        assert len(data) <= MAX_FRAME_BYTES
        frames.append(json.loads(data))
    return frames


def deltas(cutting: Cutting, listener: Listener) -> list[str | None]:
    """Give the deltas of all frames that a connection has not had."""
    return [frame.get("delta") for frame in taken(cutting, listener)]


def test_a_chunk_says_whose_it_is_and_where_it_belongs() -> None:
    """The last one says that it is the last."""
    cut, listener = cutting(), Listener()
    cut.add("Hello")
    assert cut.cut(0.0)
    cut.add(" world")
    cut.end(done=True)
    assert cut.cut(0.0)
    assert taken(cut, listener) == [
        {"type": "STREAM_CHUNK", **ABOUT, "seq": 0, "done": False, "delta": "Hello"},
        {"type": "STREAM_CHUNK", **ABOUT, "seq": 1, "done": True, "delta": " world"},
    ]


def test_the_first_piece_goes_at_once_and_the_next_when_it_is_time() -> None:
    """Whatever comes between goes together."""
    cut, listener = cutting(), Listener()
    assert cut.wait_seconds(50.0) is None
    assert cut.add("a")
    assert cut.wait_seconds(50.0) == 0
    assert cut.cut(50.0)
    assert cut.wait_seconds(50.0) is None
    assert [cut.add(piece) for piece in "bcd"] == [True, False, False], "one piece wakes those who wait"
    assert cut.wait_seconds(50.1) == pytest.approx(CUT_SECONDS - 0.1)
    assert not cut.cut(50.1)
    assert cut.cut(50.2)
    assert deltas(cut, listener) == ["a", "bcd"]
    assert not cut.cut(60.0), "nothing waits"


def test_much_text_does_not_wait() -> None:
    """It is one frame's worth by far."""
    cut, listener = cutting(), Listener()
    cut.add("a")
    cut.cut(1.0)
    cut.add("b" * (CUT_BYTES - 2))
    assert not cut.add("b")
    assert not cut.cut(1.0)
    assert cut.add("ü"), "it is bytes that count"
    assert cut.wait_seconds(1.0) == 0
    assert cut.cut(1.0)
    assert [len(delta or "") for delta in deltas(cut, listener)] == [1, CUT_BYTES]
    cut.add("c")
    assert not cut.cut(1.0), "and then the time counts again"


def test_an_empty_piece_is_nothing_but_the_promise_of_others() -> None:
    """An answer without any text still has an end."""
    cut, listener = cutting(), Listener()
    assert not cut.add("")
    assert cut.wait_seconds(0.0) is None
    cut.end(done=True)
    assert cut.cut(0.0)
    (frame,) = taken(cut, listener)
    assert frame == {"type": "STREAM_CHUNK", **ABOUT, "seq": 0, "done": True}


def test_an_answer_that_came_whole_has_no_chunks() -> None:
    """Only generators stream."""
    cut, listener = cutting(), Listener()
    cut.end(done=True)
    assert not cut.cut(0.0)
    assert taken(cut, listener) == []


def test_a_run_that_failed_has_no_last_chunk() -> None:
    """What waited is dropped, and nothing comes after."""
    cut, listener = cutting(), Listener()
    cut.add("a")
    cut.cut(0.0)
    cut.add("b")
    cut.progress("x")
    cut.end(done=False)
    cut.add("c")
    cut.progress("y")
    assert cut.wait_seconds(9.0) is None
    assert not cut.cut(9.0)
    assert deltas(cut, listener) == ["a"]


def test_progress_goes_at_once_then_at_times_and_the_last_always() -> None:
    """Of several at a time the last; a connection that was busy gets the newest alone."""
    cut, quick, slow = cutting(), Listener(), Listener()
    assert cut.progress("one")
    assert cut.cut(7.0)
    assert [frame["progress"] for frame in taken(cut, quick)] == ["one"]
    assert [cut.progress(text) for text in ("two", "three")] == [True, False]
    assert cut.wait_seconds(7.1) == pytest.approx(PROGRESS_SECONDS - 0.1)
    assert not cut.cut(7.1)
    assert cut.cut(7.0 + PROGRESS_SECONDS)
    assert taken(cut, quick) == [{"type": "PROGRESS", **ABOUT, "progress": "three"}]
    cut.progress("x" * 2 * MAX_PROGRESS_CHARACTERS)
    cut.end(done=True)
    assert cut.cut(7.0 + PROGRESS_SECONDS)
    assert [len(frame["progress"]) for frame in taken(cut, quick)] == [MAX_PROGRESS_CHARACTERS]
    assert [len(frame["progress"]) for frame in taken(cut, slow)] == [MAX_PROGRESS_CHARACTERS]


def test_progress_and_text_do_not_wait_for_each_other() -> None:
    """Each has its own time."""
    cut, listener = cutting(), Listener()
    cut.add("a")
    cut.progress("one")
    cut.cut(0.0)
    cut.add("b")
    cut.progress("two")
    assert cut.cut(0.2)
    assert [frame["type"] for frame in taken(cut, listener)] == ["PROGRESS", "STREAM_CHUNK", "STREAM_CHUNK"]
    assert cut.wait_seconds(0.2) == pytest.approx(0.05)
    cut.add("c")
    assert cut.cut(0.25)
    assert [frame["type"] for frame in taken(cut, listener)] == ["PROGRESS"]


def test_who_comes_late_gets_everything_from_the_first() -> None:
    """A connection that was replaced in mid-stream has no gap."""
    cut = cutting()
    for now, piece in enumerate("abc"):
        cut.add(piece)
        cut.cut(float(now))
    assert deltas(cut, Listener()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("piece", "count"), [("x", MAX_KEPT_FRAMES + 1), ("x" * 29_000, MAX_KEPT_BYTES // 29_000)], ids=["many", "large"]
)
def test_who_is_too_far_behind_gets_no_more(piece: str, count: int) -> None:
    """Frames are kept up to a number and up to a size: that is all the memory a slow connection costs."""
    cut, quick, slow = cutting(), Listener(), Listener()
    for now in range(count):
        cut.add(piece)
        cut.cut(float(now))
        assert not cut.has_lost(slow) or now == count - 1
        assert deltas(cut, quick) == [piece]
    assert cut.has_lost(slow)
    assert not cut.has_lost(quick)
    assert cut.next(slow) is None
    cut.progress("still here")
    cut.cut(float(count))
    assert [frame["type"] for frame in taken(cut, slow)] == ["PROGRESS"]


def test_an_agent_too_far_ahead_of_all_makes_no_more_deltas() -> None:
    """What waits is bounded too; without a last chunk every client waits for the answer."""
    cut, listener = cutting(), Listener()
    cut.add("a")
    cut.cut(0.0)
    cut.add("x" * MAX_WAITING_BYTES)
    assert cut.wait_seconds(9.0) == 0
    assert not cut.add("y")
    assert cut.wait_seconds(9.0) is None
    assert not cut.add("z")
    cut.end(done=True)
    assert not cut.cut(9.0)
    assert deltas(cut, listener) == ["a"]


@quickly
@given(st.text(alphabet=st.characters(codec=None, exclude_categories=[]), max_size=50), st.integers(1, 3000))
def test_pieces_join_to_the_text_and_each_fits_a_frame(text: str, times: int) -> None:
    """Control characters take six bytes in JSON, and characters beyond the first 65,536 may take twelve."""
    whole = text * times
    found = list(deltas_of(whole))
    assert "".join(found) == whole
    assert all(0 < len(json.dumps(piece)) <= delta_rules.MAX_DELTA_BYTES for piece in found)


TEXTS = st.text(max_size=20) | st.builds(
    lambda text, times: text * times, st.text('a\n"ü€😀\x01', min_size=1), st.integers(1, 9000)
)
ACTIONS = st.lists(
    st.tuples(st.just("add"), TEXTS)
    | st.tuples(st.just("progress"), st.text(max_size=5))
    | st.tuples(st.just("wait"), st.floats(0, 1))
    | st.tuples(st.just("read"), st.integers(0, 3))
    | st.tuples(st.just("cut"), st.none())
)


@quickly
@given(actions=ACTIONS, done=st.booleans())
def test_every_connection_that_is_not_lost_gets_the_whole_text_without_a_gap(
    actions: list[tuple[str, Any]], done: bool
) -> None:
    """Whenever pieces come, whenever it reads and whenever it joins; four connections of different patience."""
    cut, now, said = cutting(), 100.0, ""
    listeners: dict[int, tuple[Listener, list[dict[str, Any]]]] = {}
    for action, value in actions:
        if action == "add":
            cut.add(value)
            said += value
        elif action == "progress":
            cut.progress(value)
        elif action == "wait":
            now += value
        elif action == "cut":
            cut.cut(now)
        else:
            listener, got = listeners.setdefault(value, (Listener(), []))
            data = cut.next(listener)
            got += [json.loads(data)] if data else []
    cut.end(done=done)
    cut.cut(now)
    assert cut.wait_seconds(now) is None
    for listener, got in listeners.values():
        is_lost = cut.has_lost(listener)
        chunks = [frame for frame in (*got, *taken(cut, listener)) if frame["type"] == "STREAM_CHUNK"]
        joined = "".join(chunk.get("delta", "") for chunk in chunks)
        assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
        assert said.startswith(joined)
        ends = [chunk["done"] for chunk in chunks]
        assert not any(ends[:-1])
        if ends and ends[-1]:
            assert done
            assert joined == said
        elif done and any(action == "add" for action, _ in actions):
            assert is_lost or len(said.encode()) > MAX_WAITING_BYTES


@quickly
@given(st.lists(st.tuples(st.text(min_size=1, max_size=30), st.floats(0.001, 0.5)), min_size=1, max_size=60))
def test_many_pieces_cost_no_more_frames_than_there_are_times(said: list[tuple[str, float]]) -> None:
    """However fast the model is, and if those who post look all the time."""
    cut, now = cutting(), 0.0
    for piece, pause in said:
        cut.add(piece)
        cut.cut(now)
        now += pause
        cut.cut(now)
    cut.end(done=True)
    cut.cut(now)
    frames = taken(cut, Listener())
    assert len(frames) <= now / CUT_SECONDS + 2
    assert "".join(frame.get("delta", "") for frame in frames) == "".join(piece for piece, _ in said)
