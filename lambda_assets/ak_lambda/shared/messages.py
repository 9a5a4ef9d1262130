"""The messages of the queues: Agent Kernel's shapes, and what ours carry besides.

A request message: the body is the request as JSON, with `user_id` and without empty fields; String attributes
`request_id` and `user_id`; `endpoint_url` where somebody waits at a WebSocket; after a redrive `redrives`. A reply
message: the body is the reply as JSON; the same attributes, `status_code`, and from our runner `attempt` and
`redrives`. Both have the session as their group.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared.fields import GROUP_ID, REFERENCE, REQUEST_ID, mapping
from ak_lambda.shared.protocol import DONE, FAILED, deduplication_id, redrives_of
from ak_lambda.shared.requests import Request

MAX_ERROR_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Received:
    """A message as an event source mapping hands it over.

    Attributes:
        request_id: Whose message it is: by attribute, else by body, else the message's own id.
        user_id: Who asks, by attribute alone: a body may be what somebody else wrote.
        session_id: Its group; where the queue is not FIFO, what an attribute or the body says; else the request's id.
        redrives: How often the request had been redriven when this was sent; None where the message does not say.
        deduplication_id: What its sender named it; in a standard queue its own id.
        receives: How often it has been received, this time included.
    """

    request_id: str
    session_id: str
    user_id: str | None
    redrives: int | None
    deduplication_id: str
    message_id: str
    receipt_handle: str
    receives: int
    body: str
    attributes: Mapping[str, str]

    @property
    def has_audience(self) -> bool:
        """Whether somebody is known to wait at a WebSocket."""
        return bool(self.user_id and self.attributes.get("endpoint_url"))


@dataclass(frozen=True, slots=True)
class ToSend:
    """A message to send; without a deduplication id to a standard queue."""

    body: str
    attributes: Mapping[str, str]
    group: str
    deduplication_id: str


def received(record: Mapping[str, Any]) -> Received:
    """Read a record of an SQS event."""
    system = mapping(record.get("attributes"))
    attributes = {
        str(name): str(mapping(value)["stringValue"])
        for name, value in mapping(record.get("messageAttributes")).items()
        if mapping(value).get("stringValue") is not None
    }
    body = str(record["body"])
    claims = _object(body)
    request_id = _first(REQUEST_ID, attributes.get("request_id"), claims.get("request_id")) or str(record["messageId"])
    named, group = _text(system.get("MessageDeduplicationId")), _text(system.get("MessageGroupId"))
    session_id = group if named else attributes.get("session_id")  # an order is by group alone
    return Received(
        request_id=request_id,
        session_id=_first(GROUP_ID, session_id, group, claims.get("session_id")) or request_id,
        user_id=attributes.get("user_id"),
        redrives=_redrives(attributes, named, request_id),
        deduplication_id=named or str(record["messageId"]),
        message_id=str(record["messageId"]),
        receipt_handle=str(record["receiptHandle"]),
        receives=receives_of(record),
        body=body,
        attributes=attributes,
    )


def receives_of(record: Mapping[str, Any]) -> int:
    """Say how often a record's message has been received, this time included."""
    return _number(_text(mapping(record.get("attributes")).get("ApproximateReceiveCount"))) or 1


def request_body(request: Request) -> str:
    """Write a request as a message's body; who asks is what the authorizer said, whatever the caller claims."""
    body = {
        "prompt": request.prompt,
        "agent": request.agent,
        "session_id": request.session_id,
        **request.extra,
        "user_id": request.user_id,
    }
    return json.dumps({name: value for name, value in body.items() if value is not None})


def request_message(
    *,
    body: str,
    request_id: str,
    session_id: str,
    user_id: str | None,
    redrives: int,
    endpoint_url: str | None = None,
) -> ToSend:
    """Make a request message; sent again, it is the same. With an endpoint, somebody waits at a WebSocket."""
    attributes = {
        "request_id": request_id,
        "user_id": user_id,
        "endpoint_url": endpoint_url,
        "redrives": str(redrives) if redrives else None,
    }
    return ToSend(
        body=body,
        attributes={name: value for name, value in attributes.items() if value is not None},
        group=session_id,
        deduplication_id=deduplication_id(request_id, redrives),
    )


def reply_message(
    message: Received, *, body: str, session_id: str, status_code: int, attempt: int | None, redrives: int | None
) -> ToSend:
    """Make the reply to a request message; the queue drops a second one of the same message."""
    attributes = {
        "request_id": message.request_id,
        "user_id": message.user_id,
        "endpoint_url": message.attributes.get("endpoint_url"),
        "status_code": str(status_code),
        "attempt": None if attempt is None else str(attempt),
        "redrives": None if redrives is None else str(redrives),
    }
    return ToSend(
        body=body,
        attributes={name: value for name, value in attributes.items() if value is not None},
        group=session_id,
        deduplication_id=message.deduplication_id,
    )


def reference(*, bucket: str, key: str, size: int, sha256: str, session_id: str) -> str:
    """Write what stands for a body that is kept in S3."""
    kept = {"bucket": bucket, "key": key, "bytes": size, "sha256": sha256}
    return json.dumps({REFERENCE: kept, "session_id": session_id})


def referenced(body: str) -> Mapping[str, Any] | None:
    """Read a reference back; None for a body that is not one."""
    if REFERENCE not in body[:64]:
        return None
    return mapping(_object(body).get(REFERENCE)) or None


def outcome(body: str, stated: str | None) -> tuple[str, int]:
    """Tell a reply's status and HTTP status, from what it states or else from its body.

    5xx, or an error without a result: FAILED, 502. 4xx: as it is. Everything else: 200, PAUSED in a body included.
    """
    code = _number(stated) or 0
    if 400 <= code < 500:  # noqa: PLR2004
        return DONE, code
    if code >= 500:  # noqa: PLR2004
        return FAILED, 502
    reply = {} if code else _object(body)
    return (FAILED, 502) if "error" in reply and "result" not in reply else (DONE, 200)


def failure_body(body: str) -> str:
    """Keep of a failed reply its error alone, so that every failure looks the same."""
    error = _object(body).get("error")
    text = error if isinstance(error, str) and error else "the agent failed"
    return json.dumps({"error": text[:MAX_ERROR_CHARACTERS]})


def is_json_object(body: str) -> bool:
    """Whether a body can be handed to a caller: an object, without NaN, which JSON does not know."""
    try:  # int takes neither NaN nor Infinity
        return isinstance(json.loads(body, parse_constant=int, parse_int=str, parse_float=str), dict)
    except (ValueError, RecursionError):
        return False


def _first(pattern: re.Pattern[str], *given: object) -> str | None:
    """Give the first that can be an id."""
    return next((each for each in given if isinstance(each, str) and pattern.fullmatch(each)), None)


def _redrives(attributes: Mapping[str, str], named: str | None, request_id: str) -> int | None:
    stated = _number(attributes.get("redrives"))
    return redrives_of(named, request_id) if stated is None else stated


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None  # noqa: PLR2004


def _object(body: str) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(body, parse_int=str, parse_float=str))
    except (ValueError, RecursionError):
        return {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
