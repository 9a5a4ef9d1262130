"""Asks an agent by its WebSocket API, over a connection for this question alone."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from ak_constructs.local.answers import Asked, RefusedError, Screen
from ak_constructs.local.signing import CREDENTIALS, REGION, signed_headers

GIVE_UP_SECONDS = 900
REFUSED = "the API refused the connection (%d)"
REMEDY = ": with Authorization.jwt it needs --token"

Frame = dict[str, Any]


def ask(asked: Asked, screen: Screen) -> dict[str, Any]:
    """Ask, show what comes, and give the answer's frame."""
    if asked.token is None:
        signed = asked.address.replace("ws://", "http://", 1)
        headers = signed_headers("GET", signed, b"", credentials=CREDENTIALS, region=REGION)
        headers.pop("Content-Type")
    else:
        headers = {"Authorization": f"Bearer {asked.token}"}
    message = {"route": "chat", "prompt": asked.prompt}
    message |= {"session_id": asked.session_id, "request_id": asked.request_id}
    try:
        with connect(asked.address, additional_headers=headers, proxy=None) as socket:
            socket.send(json.dumps(message))
            return _answer(socket, asked.request_id, screen)
    except InvalidStatus as error:
        status = error.response.status_code
        may_need = asked.token is None and status in {401, 403}
        raise RefusedError(REFUSED % status + (REMEDY if may_need else "")) from error
    except (OSError, InvalidHandshake, WebSocketException) as error:
        raise RefusedError(f"the connection broke: {error!r}") from error


def _answer(socket: ClientConnection, request_id: str, screen: Screen) -> Frame:
    text = Text()
    for frame in _frames(socket):
        if frame.get("request_id", request_id) != request_id:
            continue  # of another connection of the same user
        kind = frame.get("type")
        if kind == "STREAM_CHUNK":
            if delta := text.next(frame):
                screen.delta(delta)
        elif frame.get("progress"):
            screen.progress(str(frame["progress"]))
        elif kind == "CHAT_RESPONSE" and frame["status_code"] == 200:  # noqa: PLR2004
            return frame
        elif kind in {"CHAT_RESPONSE", "SYSTEM_RESPONSE"} or kind is None:
            raise RefusedError(f"the API answered {json.dumps(frame)[:500]}")
    raise RefusedError(f"no answer within {GIVE_UP_SECONDS} s")


class Text:
    """Puts deltas in a row: none twice, none after a gap, none of a second attempt, which the whole answer replaces."""

    def __init__(self) -> None:
        self._attempt: int | None = None
        self._seq = 0

    def next(self, frame: Mapping[str, Any]) -> str:
        """Give what to show of a frame."""
        if self._attempt is None:
            self._attempt = frame["attempt"]
        if (frame["attempt"], frame["seq"]) != (self._attempt, self._seq):
            return ""
        self._seq += 1
        return str(frame.get("delta") or "")


def _frames(socket: ClientConnection) -> Iterator[Frame]:
    """Give each frame that comes; pieces of a long one joined."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    pieces: dict[str, dict[int, str]] = {}
    while (left := deadline - time.monotonic()) > 0:
        try:
            frame: Frame = json.loads(socket.recv(timeout=left))
        except TimeoutError:
            return
        if frame.get("type") == "PART":
            begun = pieces.setdefault(frame["part_id"], {})
            begun[frame["i"]] = frame["data"]
            if len(begun) < frame["n"]:
                continue
            frame = json.loads("".join(begun[i] for i in sorted(begun)))
        yield frame
