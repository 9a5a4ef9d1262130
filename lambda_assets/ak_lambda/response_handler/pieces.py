"""Reads the pieces in which Agent Kernel's runner streams an answer, and joins them. Plain values in, plain values out.

Each piece is a reply message of its own, named `{request message's name}-{receives}-{i}`. Its body is
`{"delta"?, "event"?, "done", "error"?, "session_id"}`, and `done` is true in the last one alone.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared.fields import mapping
from ak_lambda.shared.messages import Received
from ak_lambda.shared.protocol import redrives_of

# That a queue may be told to let a message have: maxReceiveCount of
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html, read 2026-11-21.
MAX_RECEIVES = 1000
MAX_JOINED_BYTES = 1024 * 1024

FAILURE = "the agent failed"
MISSING = "a piece of the agent's answer is missing"
TOO_LARGE = f"the agent's answer is too large: at most {MAX_JOINED_BYTES:,} bytes"

_NAME = re.compile(r"(.+)-([1-9][0-9]{0,3})-([0-9]{1,6}|error)")
_OF_PAUSED = ("run_id", "agent", "interruptions")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One piece.

    Attributes:
        redrives: How often the request had been redriven when its run began.
        attempt: A number for the run; a later run of the request has a higher one.
        seq: Which piece of its run this is, from 0; None where it does not say, as of a run that was given up.
        delta: What it adds to the answer's text.
        event: What else the agent does, for those who show it.
        error: Why there will be no answer.
        done: Whether it is the last.
    """

    redrives: int
    attempt: int
    seq: int | None
    delta: str | None
    event: Mapping[str, Any] | None
    error: str | None
    done: bool

    @property
    def ends(self) -> bool:
        """Whether no other piece of its run follows."""
        return self.done or self.error is not None

    @property
    def kept(self) -> str:
        """What of it the answer needs, as JSON."""
        event = self.event or {}
        paused = (
            {name: event[name] for name in _OF_PAUSED if name in event} if event.get("type") == "run_paused" else {}
        )
        return json.dumps({"delta": self.delta or "", "paused": paused})


def piece_of(reply: Received) -> Piece | None:
    """Read a piece; None for a reply that is a whole answer, or the dead letter handler's."""
    body = _object(reply.body)
    done = body.get("done")
    if not isinstance(done, bool):
        return None
    named = _NAME.fullmatch(reply.attributes.get("sent_as", reply.deduplication_id))
    redrives = redrives_of(named[1], reply.request_id) if named else None
    error = body.get("error")
    return Piece(
        redrives=redrives or 0,
        attempt=0 if named is None or redrives is None else redrives * MAX_RECEIVES + int(named[2]),
        seq=None if named is None or redrives is None or named[3] == "error" else int(named[3]),
        delta=body["delta"] if isinstance(body.get("delta"), str) else None,
        event=mapping(body.get("event")) or None,
        error=None if error is None else error if isinstance(error, str) and error else FAILURE,
        done=done,
    )


def joined(pieces: Iterable[str | None], *, session_id: str) -> dict[str, Any]:
    """Make the answer of what was kept of its pieces, as the runner would have replied with it; None is missing."""
    text: list[str] = []
    paused: dict[str, Any] = {}
    size = 0
    for each in pieces:
        if each is None:
            return {"error": MISSING}
        piece = json.loads(each)
        size += len(piece["delta"].encode(errors="surrogatepass"))
        if size > MAX_JOINED_BYTES:
            return {"error": TOO_LARGE}
        text.append(piece["delta"])
        paused |= piece["paused"]
    pause = {"status": "PAUSED", **paused} if paused else {}
    return {"result": "".join(text), **pause, "session_id": session_id}


def _object(body: str) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(body))
    except (ValueError, RecursionError):
        return {}
