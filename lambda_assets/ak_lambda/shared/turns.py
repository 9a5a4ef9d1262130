"""Decides what a conversation keeps, how much of it and how long. Plain values in, plain values out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MAX_TEXT_BYTES = 32_000  # of a prompt and of an answer: both fit an item of 400 KB many times over
MAX_HISTORY_BYTES = 100_000  # of all texts of a history together
MARK = "…"

DAY_SECONDS = 24 * 60 * 60
# An owner outlives every turn, or a stranger could take a session over with its turns still there. Between asking who
# owns it and writing its turn a message may be 14 days in a queue, 14 among dead letters and 14 parked.
OWNER_MARGIN_SECONDS = 60 * DAY_SECONDS
OWNER_REFRESH_SECONDS = 45 * DAY_SECONDS

PREFIX = "turn#"


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeping:
    """How long turns are kept, and how many of them are read."""

    ttl_seconds: int
    turns: int

    @property
    def owner_seconds(self) -> int:
        """How long an owner is kept."""
        return self.ttl_seconds + OWNER_MARGIN_SECONDS

    def is_short(self, left_seconds: int) -> bool:
        """Whether an owner with so much time left might not outlive a turn of a message that is on its way."""
        return left_seconds < self.ttl_seconds + OWNER_REFRESH_SECONDS


def turn_key(created_at_ms: int, request_id: str) -> str:
    """Name a turn so that names sort by time and a repeated run overwrites its own."""
    return f"{PREFIX}{created_at_ms:013d}#{request_id}"


def turn(*, prompt: str, answer: str, request_id: str, created_at: int) -> dict[str, Any]:
    """Give a turn as it is kept, both texts within their bounds."""
    return {"prompt": cut(prompt), "answer": cut(answer), "request_id": request_id, "created_at": created_at}


def cut(text: str, most_bytes: int = MAX_TEXT_BYTES) -> str:
    """Give a text of at most so many bytes of UTF-8, never half a character, with a mark where it was cut."""
    encoded = text.encode(errors="replace")  # half of a surrogate pair has no bytes
    if len(encoded) <= most_bytes:
        return encoded.decode()
    return encoded[: most_bytes - len(MARK.encode())].decode(errors="ignore") + MARK


def latest(turns: Iterable[dict[str, Any]], count: int, most_bytes: int = MAX_HISTORY_BYTES) -> list[dict[str, Any]]:
    """Give the newest turns that fit, oldest first, from turns newest first."""
    kept: list[dict[str, Any]] = []
    for each in turns:
        most_bytes -= len(each["prompt"].encode()) + len(each["answer"].encode())
        if len(kept) == count or most_bytes < 0:
            break
        kept.append(each)
    return kept[::-1]
