"""Decides which text of a run goes into which frame, and when. Plain values in, plain values out.

    add ──> waiting ──cut──> frames ──next──> each connection, from the first frame on

Frames are cut once and for all connections, when one of them has nothing left to post: the slower the connections, the
larger the frames. Who comes later gets the earlier frames first, so that its deltas have no gap either.
"""

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

from ak_lambda.shared import frames

CUT_SECONDS = 0.15
CUT_BYTES = 8_000
PROGRESS_SECONDS = 0.25
MAX_DELTA_BYTES = 30_000  # of a delta's JSON, so that with its frame's other members it is one frame
MAX_WAITING_BYTES = 256 * 1024  # an agent that is so far ahead of all connections makes no deltas any more
MAX_KEPT_BYTES = 512 * 1024  # of frames
MAX_KEPT_FRAMES = 500  # a connection that is further behind gets no more


class Listener:
    """How far one connection has got.

    Attributes:
        position: The number of its next frame.
        progress: The number of the newest progress that it has.
    """

    __slots__ = ("position", "progress")

    def __init__(self) -> None:
        self.position = 0
        self.progress = 0


class Cutting:
    """What one run has said so far, and is still to be posted.

    Args:
        request_id: Whose answer it is.
        session_id: Its conversation.
        attempt: Which run of the request.
    """

    def __init__(self, *, request_id: str, session_id: str, attempt: int) -> None:
        self._about: dict[str, Any] = {"request_id": request_id, "session_id": session_id, "attempt": attempt}
        self._waiting: list[str] = []
        self._waiting_bytes = 0
        self._cut_at = float("-inf")
        self._frames: deque[bytes] = deque()
        self._kept_bytes = 0
        self._seq = 0
        self._news: str | None = None
        self._progress = b""
        self._progress_at = float("-inf")
        self._number = 0
        self._streams = False
        self._is_off = False
        self._ended = False
        self._done = False

    def add(self, piece: str) -> bool:
        """Take a piece, be it empty; give whether those who wait for one should look again."""
        self._streams = True
        if self._is_off or self._ended or not piece:
            return False
        before = self._waiting_bytes
        self._waiting.append(piece)
        self._waiting_bytes += len(piece.encode(errors="replace"))
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.turn_off()
            return False
        return before == 0 or before < CUT_BYTES <= self._waiting_bytes

    def progress(self, text: str) -> bool:
        """Take what the run is doing; of several at a time only the last goes out."""
        first = self._news is None
        self._news = None if self._ended else text
        return first

    def turn_off(self) -> None:
        """Cut nothing more of the text: it has no `done`, and clients wait for the answer."""
        self._is_off = True
        self._waiting.clear()

    def end(self, *, done: bool) -> None:
        """Take no more; what waits can be cut at once, or is dropped where the run has failed."""
        self._ended = True
        self._done = done and self._streams and not self._is_off
        if not done:
            self._waiting.clear()
            self._news = None

    def wait_seconds(self, now: float) -> float | None:
        """How long until something can be cut; None while nothing waits."""
        times = []
        if self._waiting or self._done:
            is_due = self._ended or self._waiting_bytes >= CUT_BYTES
            times.append(now if is_due else self._cut_at + CUT_SECONDS)
        if self._news is not None:
            times.append(now if self._ended else self._progress_at + PROGRESS_SECONDS)
        return max(0.0, min(times) - now) if times else None

    def cut(self, now: float) -> bool:
        """Make frames of what waits, if it is time; give whether there are new ones."""
        if self.wait_seconds(now) != 0:
            return False
        if self._news is not None and (self._ended or now >= self._progress_at + PROGRESS_SECONDS):
            self._progress = _written(frames.progress(**self._about, text=self._news))
            self._news, self._progress_at = None, now
            self._number += 1
        if self._waiting_bytes >= CUT_BYTES or self._ended or now >= self._cut_at + CUT_SECONDS:
            self._cut(now)
        return True

    def next(self, listener: Listener) -> bytes | None:
        """Give the next frame for a connection, if there is one."""
        if listener.progress < self._number:
            listener.progress = self._number
            return self._progress
        if self.has_lost(listener) or listener.position == self._seq:
            return None
        listener.position += 1
        return self._frames[listener.position - 1 - self._first]

    def has_lost(self, listener: Listener) -> bool:
        """Whether a connection's next frame is not kept any more."""
        return listener.position < self._first

    @property
    def _first(self) -> int:
        return self._seq - len(self._frames)

    def _cut(self, now: float) -> None:
        text = "".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        deltas = list(deltas_of(text))
        if self._done and not deltas:
            deltas = [""]
        for number, delta in enumerate(deltas, start=1):
            done = self._done and number == len(deltas)
            frame = _written(frames.chunk(**self._about, seq=self._seq, delta=delta or None, done=done))
            self._frames.append(frame)
            self._kept_bytes += len(frame)
            self._seq += 1
            self._cut_at = now
        self._done = False
        while self._kept_bytes > MAX_KEPT_BYTES or len(self._frames) > MAX_KEPT_FRAMES:
            self._kept_bytes -= len(self._frames.popleft())


def deltas_of(text: str) -> Iterator[str]:
    """Cut a text so that each delta fits a frame."""
    start = 0
    while start < len(text):
        delta = text[start : start + MAX_DELTA_BYTES]
        while len(json.dumps(delta)) > MAX_DELTA_BYTES:  # no other way to write it takes more
            delta = delta[: len(delta) // 2]
        yield delta
        start += len(delta)


def _written(frame: frames.Frame) -> bytes:
    (data,) = frames.written(frame, str)
    return data
