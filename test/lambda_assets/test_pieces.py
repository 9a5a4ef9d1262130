"""Agent Kernel's pieces are read, and joined, as its runner of 0.9.5 sends them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ak_lambda.response_handler import pieces
from ak_lambda.response_handler.pieces import MAX_JOINED_BYTES, Piece, joined, piece_of
from ak_lambda.shared.messages import ToSend, received
from test.lambda_assets.fakes import record

TEXT_DELTA = {"type": "text_delta", "message_id": "m", "content": "Hel"}
RUN_PAUSED = {
    "type": "run_paused",
    "run_id": "run-1",
    "agent": "echo",
    "interruptions": [{"id": "i-1", "kind": "input_required", "message": "Which?", "payload": {"a": 1.5}}],
}
FIRST: dict[str, Any] = {
    "redrives": 0,
    "attempt": 1,
    "seq": 0,
    "delta": None,
    "event": None,
    "error": None,
    "done": False,
}
quickly = settings(derandomize=True, max_examples=60, deadline=None, database=None)


def read(body: object, named: str = "r-7-1-0", **attributes: str) -> Piece | None:
    """Read a reply message of request r-7."""
    text = body if isinstance(body, str) else json.dumps(body)
    return piece_of(received(record(ToSend(text, {"request_id": "r-7", **attributes}, "s-1", named))))


@pytest.mark.parametrize(
    ("body", "named", "expected"),
    [
        ({"delta": "Hel", "event": TEXT_DELTA, "done": False}, "r-7-1-0", {"delta": "Hel", "event": TEXT_DELTA}),
        ({"event": RUN_PAUSED, "done": False}, "r-7-12-345", {"attempt": 12, "seq": 345, "event": RUN_PAUSED}),
        ({"done": True}, "r-7-1-5", {"seq": 5, "done": True}),
        ({"delta": "all", "done": True}, "r-7-1-0", {"delta": "all", "done": True}),
        (
            {"done": True, "error": "out of luck"},
            "r-7-2-3",
            {"attempt": 2, "seq": 3, "error": "out of luck", "done": True},
        ),
        ({"done": True, "error": ""}, "r-7-1-0", {"error": "the agent failed", "done": True}),
        ({"done": False, "error": [1]}, "r-7-1-0", {"error": "the agent failed"}),
        ({"done": True, "error": "why"}, "r-7-6-error", {"attempt": 6, "seq": None, "error": "why", "done": True}),
        ({"done": False}, "r-7#r2-1-0", {"redrives": 2, "attempt": 2001}),
        ({"done": False, "delta": 1, "event": "x"}, "r-7-1-0", {}),
        # Names that say not which piece of this request it is.
        ({"done": False}, "r-7", {"attempt": 0, "seq": None}),
        ({"done": False}, "r-8-1-0", {"attempt": 0, "seq": None}),
        ({"done": False}, "r-7-0-0", {"attempt": 0, "seq": None}),
        ({"done": False}, "r-7-1-x", {"attempt": 0, "seq": None}),
        ({"done": False}, "r-7-1-1234567", {"attempt": 0, "seq": None}),
    ],
)
def test_a_piece_is_read_by_its_body_and_its_name(body: object, named: str, expected: dict[str, Any]) -> None:
    """The name is the request message's, with the receive and the number behind it."""
    assert read(body, named) == Piece(**{**FIRST, **expected})


@pytest.mark.parametrize(
    "body", [{"result": "ok", "session_id": "s"}, {"error": "why"}, {"done": "true"}, "[1]", "{", '{"done": NaN}']
)
def test_what_says_not_whether_it_is_the_last_is_no_piece(body: object) -> None:
    """A whole answer, whatever it is named."""
    assert read(body) is None


def test_a_redriven_piece_has_its_first_name() -> None:
    """The queue's is a new one."""
    assert read({"done": True}, "new", sent_as="r-7-3-4") == Piece(**{**FIRST, "attempt": 3, "seq": 4, "done": True})


def test_later_runs_have_higher_numbers() -> None:
    """Also those that a redrive asked for, whose receives are counted anew."""
    runs = [
        read({"done": False}, named)
        for named in ("r-7-1-0", "r-7-2-0", "r-7-999-0", "r-7#r1-1-0", "r-7#r1-2-0", "r-7#r2-1-0")
    ]
    attempts = [each.attempt for each in runs if each]
    assert attempts == sorted(set(attempts))
    assert len(attempts) == len(runs)


@pytest.mark.parametrize(("changes", "ends"), [({}, False), ({"done": True}, True), ({"error": "x"}, True)])
def test_a_run_ends_with_its_last_piece_or_an_error(changes: dict[str, Any], *, ends: bool) -> None:
    """Nothing follows either."""
    assert Piece(**{**FIRST, **changes}).ends is ends


@quickly
@given(st.lists(st.none() | st.sampled_from(["\ud83d", "\ude00"]) | st.text(max_size=5), max_size=6))
def test_pieces_rejoin_to_the_text(deltas: list[str | None]) -> None:
    """Also half of a surrogate pair, which a framework may cut."""
    kept = [Piece(**{**FIRST, "delta": delta}).kept for delta in deltas]
    assert joined(kept, session_id="s") == {"result": "".join(delta or "" for delta in deltas), "session_id": "s"}


def test_events_are_not_joined_but_a_pause_is() -> None:
    """An answer that waits for a person says for what, as it would unstreamed."""
    events: list[dict[str, Any]] = [TEXT_DELTA, {"type": "tool_call_start", "run_id": "x", "agent": "y"}]
    kept = [Piece(**{**FIRST, "delta": "Hel", "event": event}).kept for event in events]
    assert joined(kept, session_id="s") == {"result": "HelHel", "session_id": "s"}
    assert joined([*kept, Piece(**{**FIRST, "event": RUN_PAUSED}).kept], session_id="s") == {
        "result": "HelHel",
        "status": "PAUSED",
        **{name: RUN_PAUSED[name] for name in ("run_id", "agent", "interruptions")},
        "session_id": "s",
    }


def test_a_missing_piece_is_a_failure() -> None:
    """Half an answer is none."""
    kept = Piece(**{**FIRST, "delta": "a"}).kept
    assert joined([kept, None, kept], session_id="s") == {"error": pieces.MISSING}


def test_an_answer_has_a_size() -> None:
    """In bytes of UTF-8; what lies behind the bound is not even read."""
    half = Piece(**{**FIRST, "delta": "é" * (MAX_JOINED_BYTES // 4)}).kept
    assert len(joined([half, half], session_id="s")["result"]) == MAX_JOINED_BYTES // 2
    assert joined([half, half, Piece(**{**FIRST, "delta": "x"}).kept, None], session_id="s") == {
        "error": "the agent's answer is too large: at most 1,048,576 bytes"
    }
