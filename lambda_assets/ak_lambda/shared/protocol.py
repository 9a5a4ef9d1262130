"""The protocol of a queued request, from its submission to its one final answer.

The item in the requests table is the truth; messages only move it, by the conditional writes made here.

    submit   (absent)       -> PENDING                then the message is sent, and again when it is resubmitted
    lease    PENDING        -> PENDING, attempt + 1   no second run while a lease holds
    extend   PENDING        -> PENDING, later lease   by the run that holds the lease, and by no other
    release  PENDING        -> PENDING, no lease      a run failed and says so
    finish   PENDING        -> DONE | FAILED          by the first reply since the redrive; all others are ignored
    expire   PENDING        -> FAILED                 by a reader, when no message can be left
    redrive  FAILED         -> PENDING, redrives + 1  the only way back, before the message is sent
    stream   PENDING        -> PENDING, attempt = its number   a run's answer comes in pieces, each an item of its own

Plain values in, plain values out: no AWS, no clock. Times are seconds since 1970, but `created_at` is milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PENDING = "PENDING"
DONE = "DONE"
FAILED = "FAILED"

LEASE_SECONDS = 60
PARKED_SECONDS = 14 * 24 * 3600  # how long the parked queue keeps a message: until then a redrive must find the item
MAX_BACKOFF_SECONDS = 60
NOBODY = ""  # as a user: of an API that asks for no proof

EXPIRED = "expired: no run finished before the queue dropped the request"
NO_ANSWER = "no run finished: each was killed, ran out of memory or ran out of time"

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Put:
    """Write a whole item if there is none that has not expired."""

    item: Item
    now: int


@dataclass(frozen=True, slots=True)
class Update:
    """Change an item if each of `equal` is equal and each of `until` is over and each of `beyond` is not."""

    request_id: str
    equal: Mapping[str, Any]
    until: Mapping[str, int] = field(default_factory=dict)
    beyond: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)


Change = Put | Update


def submit(
    *, request_id: str, session_id: str, user_id: str | None, body_hash: str | None, now_ms: int, retention: int
) -> Put:
    """Begin a request that nobody has begun."""
    now = now_ms // 1000
    item = {
        "request_id": request_id,
        "session_id": session_id,
        "user_id": user_id or NOBODY,
        "body_hash": body_hash,
        "status": PENDING,
        "attempt": 0,
        "redrives": 0,
        "lease_until": 0,
        "created_at": now_ms,
        "pending_until": now + retention,
        "expiry_time": now + 2 * retention,
    }
    return Put({name: value for name, value in item.items() if value is not None}, now)


def same_request(item: Item, *, user_id: str | None, body_hash: str) -> bool:
    """Whether a request id that is taken was taken by this very request."""
    return bool(item["user_id"] == (user_id or NOBODY) and item.get("body_hash") == body_hash)


def may_read(item: Item, *, user_id: str | None) -> bool:
    """Whether a caller may see a request: it is the caller's, or nobody's who submitted it to an API that asks nobody.

    What came by the queue alone, and for nobody, is for its sender: its id need not be a secret.
    """
    return bool(item["user_id"] == (user_id or NOBODY) and (user_id is not None or item.get("body_hash") is not None))


def lease(request_id: str, *, session_id: str, user_id: str | None, now: int) -> Update:
    """Begin a run, if no other run holds the request and it has no answer yet."""
    return Update(
        request_id,
        equal={"status": PENDING, "session_id": session_id, "user_id": user_id or NOBODY},
        until={"lease_until": now},
        beyond={"expiry_time": now},
        values={"lease_until": now + LEASE_SECONDS},
        add={"attempt": 1},
    )


def begin_unsubmitted(*, request_id: str, session_id: str, user_id: str | None, now_ms: int, retention: int) -> Put:
    """Begin the first run of a request whose sender wrote no item: it came by the queue alone."""
    begun = submit(
        request_id=request_id,
        session_id=session_id,
        user_id=user_id,
        body_hash=None,
        now_ms=now_ms,
        retention=retention,
    )
    return Put({**begun.item, "attempt": 1, "lease_until": begun.now + LEASE_SECONDS}, begun.now)


def extend(request_id: str, *, attempt: int, now: int, progress: str | None = None) -> Update:
    """Hold on to a run's lease, and say what the run is doing if there is something new."""
    values: dict[str, Any] = {"lease_until": now + LEASE_SECONDS}
    if progress is not None:
        values["progress"] = progress
    return Update(request_id, equal={"status": PENDING, "attempt": attempt}, values=values)


def release(request_id: str, *, attempt: int, error: str) -> Update:
    """Give a run's lease back, with the reason why it failed."""
    return Update(
        request_id,
        equal={"status": PENDING, "attempt": attempt},
        values={"lease_until": 0, "error": error},
    )


def finish(
    request_id: str,
    *,
    status: str,
    status_code: int,
    answer: str,
    session_id: str,
    user_id: str | None,
    redrives: int | None,
    reply_id: str,
    now: int,
    retention: int,
) -> Update:
    """Give a request its final answer, if it has none.

    A reply of before a redrive does not count: it would end the runs that the redrive asked for. None: not known.
    """
    kept = retention if status == DONE else max(retention, PARKED_SECONDS)
    equal = {"status": PENDING, "session_id": session_id, "user_id": user_id, "redrives": redrives}
    return Update(
        request_id,
        equal={name: value for name, value in equal.items() if value is not None},
        beyond={"expiry_time": now},
        values={
            "status": status,
            "status_code": status_code,
            "answer": answer,
            "answered_by": reply_id,
            "lease_until": 0,
            "expiry_time": now + kept,
        },
    )


def finish_unsubmitted(change: Update, *, session_id: str, user_id: str | None, now_ms: int, retention: int) -> Put:
    """Keep the answer to a request that has no item: it came by the queue alone, to a handler that leases nothing."""
    begun = submit(
        request_id=change.request_id,
        session_id=session_id,
        user_id=user_id,
        body_hash=None,
        now_ms=now_ms,
        retention=retention,
    )
    return Put({**begun.item, **change.values}, begun.now)


def expire(request_id: str, *, now: int, retention: int) -> Update:
    """End a request that no message can run any more."""
    return Update(
        request_id,
        equal={"status": PENDING},
        until={"pending_until": now, "lease_until": now},
        values={
            "status": FAILED,
            "status_code": 502,
            "answer": f'{{"error": "{EXPIRED}"}}',
            "lease_until": 0,
            "expiry_time": now + max(retention, PARKED_SECONDS),
        },
    )


def redrive(request_id: str, *, session_id: str, now: int, retention: int) -> Update:
    """Ask for a failed request to be run again."""
    return Update(
        request_id,
        equal={"status": FAILED, "session_id": session_id},
        beyond={"expiry_time": now},
        values={
            "status": PENDING,
            "lease_until": 0,
            "answered_by": "",
            "error": "",
            "progress": "",
            "pending_until": now + retention,
            "expiry_time": now + 2 * retention,
        },
        add={"attempt": 1, "redrives": 1},
    )


def stream(request_id: str, *, session_id: str, user_id: str | None, redrives: int, attempt: int, now: int) -> Update:
    """Take a piece of a run's answer, unless pieces of a later run were taken already."""
    return Update(
        request_id,
        equal={"status": PENDING, "session_id": session_id, "user_id": user_id or NOBODY, "redrives": redrives},
        until={"attempt": attempt},
        beyond={"expiry_time": now},
        values={"attempt": attempt},
    )


def begin_streamed(change: Update, *, user_id: str | None, now_ms: int, retention: int) -> Put:
    """Begin a request that has no item, by a piece of its answer: from now on its id is taken."""
    begun = submit(
        request_id=change.request_id,
        session_id=change.equal["session_id"],
        user_id=user_id,
        body_hash=None,
        now_ms=now_ms,
        retention=retention,
    )
    return Put({**begun.item, "redrives": change.equal["redrives"], **change.values}, begun.now)


def piece(name: str, *, text: str, now: int, retention: int) -> Put:
    """Keep one piece of an answer."""
    return Put({"request_id": name, "piece": text, "expiry_time": now + retention}, now)


def piece_name(request_id: str, *, attempt: int, seq: int) -> str:
    """Name a piece's item; `#` is in no request id."""
    return f"{request_id}#{attempt}#{seq}"


def is_final(item: Item) -> bool:
    """Whether the request has its one answer."""
    return bool(item["status"] != PENDING)


def is_of(item: Item, *, session_id: str, user_id: str | None) -> bool:
    """Whether an item is that of a message's request: once it has expired, its id may stand for anybody's."""
    return bool(item["session_id"] == session_id and item["user_id"] == (user_id or NOBODY))


def can_expire(item: Item, *, now: int) -> bool:
    """Whether no message can be left that would end this request."""
    return not is_final(item) and max(item["pending_until"], item["lease_until"]) <= now


def lease_left(item: Item, *, now: int) -> int:
    """Seconds for which a run holds the request."""
    return max(0, int(item["lease_until"]) - now)


def is_outdated(item: Item, *, redrives: int) -> bool:
    """Whether the request was redriven after this message or reply: a newer message is on its way."""
    return int(item["redrives"]) > redrives


def backoff_seconds(receives: int) -> int:
    """How long a message rests after a failure: 1, 2, 4, ... seconds, so that five runs fit a caller's wait."""
    return int(min(2 ** min(max(receives - 1, 0), 16), MAX_BACKOFF_SECONDS))


def deduplication_id(request_id: str, redrives: int) -> str:
    """Name a request message; `#` is in no request id, so that no caller's id looks like another's redrive."""
    return f"{request_id}#r{redrives}" if redrives else request_id


def redrives_of(deduplication_id: str | None, request_id: str) -> int | None:
    """Read the redrive back from a message's or a reply's deduplication id; None where it says nothing."""
    if deduplication_id is None:
        return None
    if deduplication_id == request_id:
        return 0
    before, mark, number = deduplication_id.rpartition("#r")
    return int(number) if mark and before == request_id and number.isdecimal() and len(number) < 10 else None  # noqa: PLR2004
