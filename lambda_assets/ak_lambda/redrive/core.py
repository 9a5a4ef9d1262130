"""Decides what becomes of a parked request. Plain values in, plain values out."""

from collections.abc import Mapping

from ak_lambda.shared.fields import RefusedError, json_type
from ak_lambda.shared.protocol import DONE, FAILED, Item, is_of

MAX_MESSAGES = 1000
DEFAULT_MESSAGES = 100
MAX_SHOWN = 40  # characters of a wrong word

REDRIVE = "redrive"
RESEND = "resend"
ANSWERED = "answered"
NOT_FAILED_YET = "not failed yet"
FORGOTTEN = "forgotten"


def decision(item: Item | None, *, session_id: str, user_id: str | None, parked_redrives: int) -> str:
    """What to do with a parked copy of a request that had been redriven so often when it was parked."""
    if item is None or not is_of(item, session_id=session_id, user_id=user_id):
        return FORGOTTEN  # it has expired: nobody can read an answer any more
    if item["status"] == FAILED:
        return REDRIVE
    if item["status"] == DONE:
        return ANSWERED
    # Pending: either its failure has not arrived yet, or a redrive ended before it let go of the parked copy.
    return RESEND if item["redrives"] > parked_redrives else NOT_FAILED_YET


def asked(event: object) -> tuple[str, int]:
    """Which parked messages, and how many at most."""
    if not isinstance(event, Mapping):
        raise RefusedError(400, f"event must be an object, got {json_type(event)}")
    queue = event.get("queue", "requests")
    if queue not in ("requests", "replies"):  # of whatever type it is
        got = repr(queue[:MAX_SHOWN]) if isinstance(queue, str) else json_type(queue)
        raise RefusedError(400, f'queue must be "requests" or "replies", got {got}')
    most = event.get("max_messages", DEFAULT_MESSAGES)
    if not isinstance(most, int) or isinstance(most, bool):
        raise RefusedError(400, f"max_messages must be a whole number, got {json_type(most)}")
    if not 1 <= most <= MAX_MESSAGES:
        raise RefusedError(400, f"max_messages must be 1 to {MAX_MESSAGES}, got {most}")
    return queue, most
