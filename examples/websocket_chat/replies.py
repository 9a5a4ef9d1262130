"""What a client of a `WebSocketAgentApi` makes of the frames that come: text as it is written, and answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

MAX_MESSAGE_BYTES = 32 * 1024
MOST_SENDS = 3
MOST_PARTS = 1_000  # of a frame; the longest that the service makes have less than a hundred
MOST_BEGUN = 16  # frames of which parts are missing; the oldest goes, and comes again when the answer is asked for
Frame = dict[str, Any]


class Reply:
    """What comes for one message.

    Iterate over it for its text as it is written; await `answer` for the truth, which is the same text or another.

    Attributes:
        message: What was sent.
        answer: The first final frame.
        text: What the newest attempt has written so far.
        progress: What the agent said that it does.
        session_id: The conversation, once the server has said.

    Raises:
        ValueError: The message is too long for a WebSocket.
    """

    def __init__(self, message: Frame) -> None:
        if len(json.dumps(message)) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message must have at most {MAX_MESSAGE_BYTES} bytes of JSON; POST a longer one")
        self.message = message
        self.answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self.text, self.progress, self.session_id = "", "", ""
        self._deltas: asyncio.Queue[str | None] = asyncio.Queue()
        self._attempt, self._seq, self._sends = -1, 0, 1

    async def __aiter__(self) -> AsyncIterator[str]:
        """Give each delta, until one is missing, another attempt begins or the answer is there."""
        while (delta := await self._deltas.get()) is not None:
            yield delta

    def is_lost(self, frame: Frame) -> bool:
        """Tell whether the server never got the message, which is then to be sent again; but not for ever."""
        if frame.get("type") != "SYSTEM_RESPONSE" or frame.get("status") != "NOT_FOUND":
            return False
        if self.message["route"] == "resume" or self._sends == MOST_SENDS:
            return False
        self._sends += 1
        return True

    def take(self, frame: Frame) -> bool:
        """Take a frame of this request, and tell whether it was the last that counts."""
        self.progress = frame.get("progress", self.progress)
        self.session_id = frame.get("session_id", self.session_id)
        if frame["type"] in {"CHAT_RESPONSE", "SYSTEM_RESPONSE"}:
            if not self.answer.done():  # the same frame may come twice
                self.answer.set_result(frame)
            self._deltas.put_nowait(None)
        elif frame["type"] == "STREAM_CHUNK" and frame["attempt"] >= self._attempt:
            self._take_chunk(frame["attempt"], frame["seq"], frame.get("delta", ""))
        return self.answer.done()

    def fail(self, error: Exception) -> None:
        """Say that nothing will come."""
        self.answer.set_exception(error)
        self._deltas.put_nowait(None)

    def _take_chunk(self, attempt: int, seq: int, delta: str) -> None:
        if attempt > self._attempt:
            if self._attempt >= 0:  # the agent began anew: what it writes now would be there twice
                self._deltas.put_nowait(None)
            self._attempt, self._seq, self.text = attempt, 0, ""
        if seq == self._seq:
            self._seq, self.text = seq + 1, self.text + delta
            self._deltas.put_nowait(delta)
        elif seq > self._seq:  # what is missing will not come
            self._deltas.put_nowait(None)


class Parts:
    """Pieces of long frames."""

    def __init__(self) -> None:
        self._pieces: dict[str, dict[int, str]] = {}

    def joined(self, frame: Frame) -> Frame:
        """Give a frame as it is; in place of the last piece of one the whole, and the other pieces as they are."""
        if frame.get("type") != "PART":
            return frame
        i, n = frame["i"], frame["n"]
        if not 0 <= i < n <= MOST_PARTS:
            return frame
        pieces = self._pieces.setdefault(frame["part_id"], {})
        pieces[i] = frame["data"]
        if len(self._pieces) > MOST_BEGUN:
            del self._pieces[next(iter(self._pieces))]
        if len(pieces) < n:
            return frame
        del self._pieces[frame["part_id"]]
        whole: Frame = json.loads("".join(pieces[each] for each in sorted(pieces)))
        return whole
