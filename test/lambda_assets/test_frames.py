"""What a client of a WebSocket is told, and how it fits the service's frames."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ak_lambda.shared import frames
from ak_lambda.shared.answer_frames import answer_frame
from ak_lambda.shared.frames import MAX_FRAME_BYTES
from ak_lambda.shared.payloads import ANSWERS, LINK_SECONDS
from test.lambda_assets.fakes import FakePayloads

DONE = {"request_id": "r", "session_id": "s", "status": "DONE", "status_code": 200}
FAILED = {**DONE, "status": "FAILED", "status_code": 502}


def written(frame: frames.Frame) -> list[bytes]:
    """Write a frame, with ids that count."""
    return frames.written(frame, map(str, itertools.count()).__next__)


def one(frame: frames.Frame) -> Any:  # noqa: ANN401
    """Write a short frame and read it as a client does."""
    (text,) = written(frame)
    return json.loads(text)


def joined(parts: list[bytes]) -> str:
    """Join the parts of a frame as a client does."""
    read = [json.loads(part) for part in parts]
    assert {each["type"] for each in read} == {"PART"}
    assert [each["i"] for each in read] == list(range(len(read)))
    assert {each["n"] for each in read} == {len(read)}
    assert len({each["part_id"] for each in read}) == 1
    return "".join(each["data"] for each in read)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (
            frames.queued(request_id="r", session_id="s"),
            {"type": "CHAT_QUEUED", "request_id": "r", "session_id": "s", "status": "PENDING"},
        ),
        (
            frames.queued(request_id="r", session_id="s", progress="", reconnect=False),
            {"type": "CHAT_QUEUED", "request_id": "r", "session_id": "s", "status": "PENDING"},
        ),
        (
            frames.queued(request_id="r", session_id="s", progress="p", reconnect=True),
            {
                "type": "CHAT_QUEUED",
                "request_id": "r",
                "session_id": "s",
                "status": "PENDING",
                "progress": "p",
                "reconnect": True,
            },
        ),
        (
            frames.chunk(request_id="r", session_id="s", attempt=2, seq=0, delta="d"),
            {
                "type": "STREAM_CHUNK",
                "request_id": "r",
                "session_id": "s",
                "attempt": 2,
                "seq": 0,
                "done": False,
                "delta": "d",
            },
        ),
        (
            frames.chunk(request_id="r", session_id="s", attempt=2, seq=9, done=True, event={"a": 1}, error="e"),
            {
                "type": "STREAM_CHUNK",
                "request_id": "r",
                "session_id": "s",
                "attempt": 2,
                "seq": 9,
                "done": True,
                "event": {"a": 1},
                "error": "e",
            },
        ),
        (
            frames.progress(request_id="r", session_id="s", attempt=1, text="é" * 1001),
            {"type": "PROGRESS", "request_id": "r", "session_id": "s", "attempt": 1, "progress": "é" * 1000},
        ),
        (
            frames.system(404, "no", request_id="r", status="NOT_FOUND"),
            {"type": "SYSTEM_RESPONSE", "status": "NOT_FOUND", "status_code": 404, "message": "no", "request_id": "r"},
        ),
        (
            frames.system(400, "no"),
            {"type": "SYSTEM_RESPONSE", "status": "FAILED", "status_code": 400, "message": "no"},
        ),
        (
            frames.pong(reconnect=False),
            {
                "type": "SYSTEM_RESPONSE",
                "status": "SUCCESS",
                "status_code": 200,
                "message": "pong",
                "reconnect": False,
            },
        ),
        (
            frames.response(DONE, '{"result": "ok", "session_id": "x", "status": "PAUSED"}'),
            {
                "type": "CHAT_RESPONSE",
                "request_id": "r",
                "session_id": "s",
                "status_code": 200,
                "result": "ok",
                "status": "PAUSED",
            },
        ),
        (
            frames.response(FAILED, '{"error": "why"}'),
            {
                "type": "CHAT_RESPONSE",
                "request_id": "r",
                "session_id": "s",
                "status_code": 502,
                "status": "FAILED",
                "error": "why",
            },
        ),
        (
            frames.response(DONE, None, location="https://x"),
            {
                "type": "CHAT_RESPONSE",
                "request_id": "r",
                "session_id": "s",
                "status_code": 200,
                "location": "https://x",
            },
        ),
    ],
)
def test_a_frame_says_what_the_contract_says(frame: frames.Frame, told: dict[str, Any]) -> None:
    """And no more: what is not there is left out, not null."""
    assert one(frame) == told


ANSWERS_AS_TEXT = [
    "{}",
    " { } ",
    '{"n": 1e400, "i": ' + "9" * 5000 + ', "f": 0.10000000000000000001}',
    '{"a": {"type": "x", "b": [1, {"c": "}]"}]}, "d": "\\"}{,:"}',
    '{"type": "FORGED", "request_id": [1, 2], "session_id": {"a": "}"}, "status_code": 7}',
    '{"half": "\\ud800", "pair": "\\ud83d\\ude00", "raw": "😀é\u2028"}',
    '{\n\t"a"\r\n:\n[\n1\n,\n2\n]\n}',
    '{"": "", "\\u0022": 1, "é": null, "\\\\": true}',
    '{"twice": 1, "twice": 2}',
    '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
]


@pytest.mark.parametrize("answer", ANSWERS_AS_TEXT)
def test_an_answers_members_are_told_as_they_are(answer: str) -> None:
    """Numbers of any length and depth included; but what the frame says of the request is ours."""

    def read(text: str | bytes) -> Any:  # noqa: ANN401
        return json.loads(text, parse_int=str, parse_float=str)

    ours = {"type": "CHAT_RESPONSE", "request_id": "r", "session_id": "s", "status_code": "200"}
    (text,) = written(frames.response(DONE, answer))
    if "[[" in answer:
        assert answer[6:-1].encode() in text, "too deep for this Python to read"
        return
    assert read(text) == {**read(answer), **ours}
    pairs = json.loads(text, parse_int=str, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    assert len(pairs) == len(set(pairs)), "no name twice"


EVIL = [
    '"',
    "\\",
    "\n",
    "\x00",
    "\x7f",
    "é",
    "\u2028",
    "\ufffd",
    "\uffff",
    "😀",
    "\ud83d",
    "\udc00",
    "a",
    "\\u0041",
    " ",
]
TEXTS = st.text(st.characters() | st.sampled_from("".join(EVIL))) | st.lists(st.sampled_from(EVIL)).map("".join)


@settings(derandomize=True, max_examples=150, deadline=None, database=None)
@given(text=TEXTS.filter(bool), times=st.integers(1, 40_000), lead=st.text("ab\\", max_size=7))
def test_the_parts_of_any_frame_rejoin_to_it(text: str, times: int, lead: str) -> None:
    """Whatever the text; each part is within the limit and is JSON of its own."""
    delta = lead + (text * times)[:120_000]
    frame = frames.chunk(request_id="r", session_id="s", attempt=1, seq=0, delta=delta)
    parts = written(frame)
    assert all(len(part) <= MAX_FRAME_BYTES for part in parts)
    told = json.loads(parts[0] if len(parts) == 1 else joined(parts))
    # A high half and a low half, one after the other, are one character to whoever reads JSON.
    assert told == {**frame, "delta": delta.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")}
    if len(parts) > 1:
        assert len(parts) <= 2 + 2 * sum(map(len, parts)) // MAX_FRAME_BYTES, "and there are no more than are needed"


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("more", [0, 1, 2, 3, 4, 5, 6, 7])
def test_a_cut_falls_between_characters_wherever_it_falls(evil: str, more: int) -> None:
    """One at each place around the limit."""
    frame = frames.system(200, "a" * more + evil * 40_000)
    parts = written(frame)
    assert len(parts) > 1
    assert all(len(part) <= MAX_FRAME_BYTES for part in parts)
    assert min(map(len, parts[:-1])) > MAX_FRAME_BYTES - 64, "and each is full"
    assert json.loads(joined(parts))["message"] == frame["message"]


def test_a_frame_as_long_as_the_limit_is_one() -> None:
    """And one byte more is parts."""
    empty = len(written(frames.system(200, ""))[0])
    (whole,) = written(frames.system(200, "x" * (MAX_FRAME_BYTES - empty)))
    assert len(whole) == MAX_FRAME_BYTES
    assert len(written(frames.system(200, "x" * (MAX_FRAME_BYTES - empty + 1)))) == 2


def test_a_part_says_of_which_request_it_is() -> None:
    """If its frame did; two frames' parts have two ids."""
    parts = written(frames.chunk(request_id="r", session_id="s", attempt=1, seq=0, delta="x" * 40_000))
    assert all(json.loads(part)["request_id"] == "r" for part in parts)
    assert "request_id" not in json.loads(written(frames.system(200, "x" * 40_000))[0])


def test_a_frame_is_compact_utf_8() -> None:
    """No escapes where none are needed: each would cost bytes of the limit."""
    assert b'"message":"\xc3\xa9\xf0\x9f\x98\x80"' in written(frames.system(200, "é😀"))[0]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_does_not_have_is_no_frame(number: float) -> None:
    """Rather than text that a browser cannot read."""
    with pytest.raises(ValueError, match="JSON"):
        written(frames.chunk(request_id="r", session_id="s", attempt=1, seq=0, event=number))


@pytest.mark.parametrize(
    ("size", "is_link"), [(14, False), (300_000, False), (frames.MAX_PUSHED_BYTES, False), (1_048_577, True)]
)
def test_an_answer_is_told_whole_up_to_a_limit(size: int, is_link: bool) -> None:
    """Wherever it is kept; beyond that the frame has a link."""
    payloads: Any = FakePayloads()
    answer = json.dumps({"result": "x" * (size - 14)})
    assert len(answer) == size
    kept = payloads.fitted(answer, 1000, folder=ANSWERS, session_id="s")
    told = answer_frame({**DONE, "answer": kept}, payloads)
    assert ("location" in told, "result" in told) == (is_link, not is_link)
    assert LINK_SECONDS == 300
