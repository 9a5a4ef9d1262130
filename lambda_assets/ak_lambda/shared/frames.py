"""What the server tells a client of a WebSocket: JSON objects with a `type`. Plain values in, plain values out.

CHAT_QUEUED      request_id, session_id, status, progress?, reconnect?
STREAM_CHUNK     request_id, session_id, attempt, seq, delta?, done, event?, error?
PROGRESS         request_id, session_id, attempt, progress
CHAT_RESPONSE    the answer's own members, request_id, session_id, status_code; or location instead of the answer
SYSTEM_RESPONSE  status, status_code, message, request_id?, reconnect?
PART             request_id?, part_id, i, n, data: a longer frame in pieces; all data, joined, is its text
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ak_lambda.shared.fields import MAX_PROGRESS_CHARACTERS
from ak_lambda.shared.protocol import FAILED, Item

# What API Gateway takes in one frame is 32 KB:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html,
# read 2026-11-21.
MAX_FRAME_BYTES = 32_000
MAX_PUSHED_BYTES = 1024 * 1024  # of an answer; a larger one goes as a link

Frame = Mapping[str, Any]

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}:,]')


class Json(str):
    """A value as JSON text, which is written as it is: numbers survive."""

    __slots__ = ()


def queued(*, request_id: str, session_id: str, progress: str | None = None, reconnect: bool = False) -> Frame:
    """The request is in the queue, or still is."""
    frame = {"type": "CHAT_QUEUED", "request_id": request_id, "session_id": session_id, "status": "PENDING"}
    return _with(frame, progress=progress or None, reconnect=reconnect or None)


def chunk(
    *,
    request_id: str,
    session_id: str,
    attempt: int,
    seq: int,
    delta: str | None = None,
    done: bool = False,
    event: object = None,
    error: object = None,
) -> Frame:
    """A piece of an answer that is on its way."""
    frame = {"type": "STREAM_CHUNK", "request_id": request_id, "session_id": session_id, "attempt": attempt, "seq": seq}
    return _with({**frame, "done": done}, delta=delta, event=event, error=error)


def progress(*, request_id: str, session_id: str, attempt: int, text: str) -> Frame:
    """What a run is doing."""
    frame = {"type": "PROGRESS", "request_id": request_id, "session_id": session_id}
    return {**frame, "attempt": attempt, "progress": text[:MAX_PROGRESS_CHARACTERS]}


def response(item: Item, answer: str | None, *, location: str | None = None) -> Frame:
    """The one answer of a request, from its item: the answer's text, or where it can be fetched."""
    members = {} if answer is None else _members(answer)
    if item["status"] == FAILED:
        members["status"] = FAILED
    ours = {"type": "CHAT_RESPONSE", "request_id": item["request_id"], "session_id": item["session_id"]}
    return _with({**members, **ours, "status_code": int(item["status_code"])}, location=location)


def system(status_code: int, message: str, *, request_id: str | None = None, status: str = FAILED) -> Frame:
    """A refusal, or what else concerns no answer."""
    frame = {"type": "SYSTEM_RESPONSE", "status": status, "status_code": status_code, "message": message}
    return _with(frame, request_id=request_id)


def not_now(request_id: str | None = None) -> Frame:
    """Something failed before anything was kept."""
    return system(503, "not now; send it again", request_id=request_id)


def pong(*, reconnect: bool) -> Frame:
    """The answer to a ping."""
    return {**system(200, "pong", status="SUCCESS"), "reconnect": reconnect}


def written(frame: Frame, new_id: Callable[[], str]) -> list[bytes]:
    """Write a frame: as one, or in parts, each of at most MAX_FRAME_BYTES.

    Raises:
        ValueError: Something in it is not JSON's: NaN, or an infinite number.
    """
    text = _text(frame)
    if len(text) <= MAX_FRAME_BYTES:
        return [text]
    about = {name: frame[name] for name in ("request_id",) if name in frame}
    about = {"type": "PART", **about, "part_id": new_id()}
    most = len(text)  # more parts than there can be: their numbers need no more room than this one
    room = MAX_FRAME_BYTES - len(_text({**about, "i": most, "n": most, "data": ""}))
    parts = _parts(_text(text.decode())[1:-1], room)
    return [
        _text({**about, "i": i, "n": len(parts), "data": Json(f'"{part.decode()}"')}) for i, part in enumerate(parts)
    ]


def _with(frame: Frame, **optional: object) -> dict[str, Any]:
    return {**frame, **{name: value for name, value in optional.items() if value is not None}}


def _text(value: object) -> bytes:
    """Write compact JSON; half of a surrogate pair, which has no bytes, as the escape that JSON has for it."""
    if isinstance(value, Mapping):
        members = (_text(str(name)) + b":" + _text(each) for name, each in value.items())
        return b"{" + b",".join(members) + b"}"
    text = (
        value
        if isinstance(value, Json)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    )
    return text.encode(errors="backslashreplace")


def _parts(text: bytes, most: int) -> list[bytes]:
    """Cut the inside of a JSON string so that each part is one too: neither in a character nor in an escape."""
    parts = []
    start = 0
    while start < len(text):
        end = start + most
        if end < len(text):
            while text[end] & 0xC0 == 0x80:  # noqa: PLR2004 - not the first byte of a character
                end -= 1
            head = text[start:end]
            end -= (len(head) - len(head.rstrip(b"\\"))) % 2
        parts.append(text[start:end])
        start = end
    return parts


def _members(text: str) -> dict[str, Any]:
    """Give the members of a JSON object by name, each as the text that it is."""
    members: dict[str, Any] = {}
    name: str | None = None
    depth = begin = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if depth == 1 and mark in {",", "}"} and name is not None:
            members[name] = Json(text[begin : token.start()].strip())
            name = None
        if mark in {"{", "["}:
            depth += 1
        elif mark in {"}", "]"}:
            depth -= 1
        elif depth == 1 and mark == ":":
            begin = token.end()
        elif depth == 1 and name is None and mark != ",":
            name = json.loads(mark)
    return members
