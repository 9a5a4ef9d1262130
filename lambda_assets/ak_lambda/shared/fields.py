"""What a request's fields may be, and how a caller learns that one is wrong."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

SESSION_ID = re.compile(r"[A-Za-z0-9_:.-]{1,128}")

REQUEST_ID = re.compile(r"[A-Za-z0-9_:.-]{1,96}")

# A message's group: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html, read
# 2026-11-21.
GROUP_ID = re.compile(r"[!-~]{1,128}")

MAX_PROGRESS_CHARACTERS = 1000  # of what the agent says that it is doing

REFERENCE = "$ak_constructs_ref"  # stands for a body that is kept in S3; no caller's and no agent's may have it

USER_ID = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_:.@+=-]{1,128}")  # no slash: it ends the caller's own name


class RefusedError(Exception):
    """The caller is at fault: an HTTP status and a message for the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def strict_json(text: str, object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:  # noqa: ANN401
    """Read JSON as the standard has it: no NaN, and no number that could not be written as JSON again."""
    return json.loads(text, object_pairs_hook=object_pairs_hook, parse_constant=_finite, parse_float=_finite)


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise ValueError(number)  # 1e999, or NaN
    return float(number)


def mapping(value: object) -> Mapping[str, Any]:
    """Take a mapping as it is and anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}


def optional_string(payload: Mapping[str, Any], name: str) -> str | None:
    """Give a text, or None where it is left out, null or empty."""
    return _string(payload, name) or None


def optional_id(payload: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    """Give an id that matches as a whole, or None where it is left out."""
    value = _string(payload, name)
    if value is not None and not pattern.fullmatch(value):
        raise RefusedError(400, f"{name} must match ^{pattern.pattern}$")
    return value


def _string(payload: Mapping[str, Any], name: str) -> str | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, str):
        raise RefusedError(400, f"{name} must be a string, got {json_type(value)}")
    return value


def json_type(value: object) -> str:
    """Name a value's type in a caller's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"
