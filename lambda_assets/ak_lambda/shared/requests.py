"""What an event asks of the agent."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ak_lambda.shared.fields import (
    REFERENCE,
    REQUEST_ID,
    SESSION_ID,
    USER_ID,
    RefusedError,
    json_type,
    mapping,
    optional_id,
    optional_string,
    strict_json,
)
from ak_lambda.shared.identity import caller
from ak_lambda.shared.pings import KEY as PING
from ak_lambda.shared.pings import is_ping, is_scheduled

MAX_BODY_BYTES = 4 * 1024 * 1024  # of the event's JSON: room below Lambda's 6 MB for headers and escapes

MAX_CONTAINERS = 200_000

ROUTE = "route"  # the key by which API Gateway chooses a route: not a part of the request
RESUME = "resume"  # the route that asks for what was asked before

_OWN_KEYS = frozenset({"prompt", "session_id", "request_id", "agent"})


@dataclass(frozen=True, slots=True)
class Request:
    """One message to the agent."""

    prompt: str
    session_id: str
    request_id: str
    user_id: str | None
    agent: str | None
    extra: Mapping[str, Any]


def kind_of(event: object) -> str:
    """Tell events apart by their shape: `ping`, `sqs`, `http` (REST or HTTP API proxy), `websocket` or `direct`."""
    if not isinstance(event, Mapping):
        raise RefusedError(400, f"event must be an object, got {json_type(event)}")
    records = event.get("Records")
    if records and isinstance(records, list):
        if len(event) > 1:
            raise RefusedError(400, "event must be a request or a queue's event, got both")
        if all(mapping(record).get("eventSource") == "aws:sqs" for record in records):
            return "sqs"
        raise TypeError("events of streams and topics are not answered here")  # an error: the records stay
    kinds = {"requestContext": "http", PING: "ping"}
    found = [kind for key, kind in kinds.items() if isinstance(event.get(key), Mapping)]
    # A backend may pass on what its own user wrote: that must not turn into an API's event, which says who asks.
    # Nor into a ping, to which nobody answers what was asked: that has no other key.
    if found and not is_ping(event) and (found != ["http"] or not event.keys().isdisjoint({"prompt", "user_id"})):
        raise RefusedError(400, "event must be a request or an API's event, got both")
    if not found and (is_ping(event) or is_scheduled(event)):
        return "ping"
    if found == ["http"] and "connectionId" in event["requestContext"]:
        return "websocket"
    return found[0] if found else "direct"


def http_request(event: Mapping[str, Any], new_id: Callable[[], str]) -> Request:
    """Read a request from a REST API event (payload 1.0) or an HTTP API event (2.0)."""
    return request_of(event, http_payload(event), new_id)


def http_payload(event: Mapping[str, Any]) -> dict[str, Any]:
    """Read the JSON object that a caller sent, in its flat form."""
    return _flat(_json_object(_text(event)))


def request_of(event: Mapping[str, Any], payload: Mapping[str, Any], new_id: Callable[[], str]) -> Request:
    """Make a request of what a caller sent and of what the API in front says about the caller."""
    return _request(
        payload,
        user_id=caller(event, payload),
        idempotency_key=header(event, "idempotency-key"),
        new_id=new_id,
    )


def socket_message(event: Mapping[str, Any]) -> dict[str, Any]:
    """Read the JSON object that a client of a WebSocket sent."""
    return _json_object(_text(event))


def socket_payload(message: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a client of a WebSocket sent in its flat form and without its route."""
    return _flat({name: value for name, value in message.items() if name != ROUTE})


def named_request(payload: Mapping[str, Any]) -> str | None:
    """Give the request id that a client named, if it can be one: even a refusal says what it is about."""
    request_id = payload.get("request_id")
    return request_id if isinstance(request_id, str) and REQUEST_ID.fullmatch(request_id) else None


def socket_request(payload: Mapping[str, Any], *, user_id: str, new_id: Callable[[], str]) -> Request:
    """Make a request of what a client of a WebSocket sent; who that is was said when it connected."""
    return _request(payload, user_id=user_id, idempotency_key=None, new_id=new_id)


def header(event: Mapping[str, Any], name: str) -> object:
    """Find a header, in whatever case the caller wrote it."""
    found = (value for each, value in mapping(event.get("headers")).items() if str(each).lower() == name)
    return next(found, None)


def queued_request(body: str, *, request_id: str, session_id: str, user_id: str | None) -> Request:
    """Read a request from a message's body; who asks and for which request, the message says."""
    said = {name: value for name, value in _flat(_json_object(body)).items() if name not in {"request_id", "user_id"}}
    request = _request(
        {**said, "session_id": session_id}, user_id=user_id, idempotency_key=None, new_id=lambda: request_id
    )
    return replace(request, request_id=request_id)


def direct_request(event: Mapping[str, Any], new_id: Callable[[], str]) -> Request:
    """Read a request from a direct invoke, whose caller IAM trusts to speak for its users."""
    payload = _flat(event)
    user_id = optional_id(payload, "user_id", USER_ID)
    return _request(payload, user_id=user_id, idempotency_key=None, new_id=new_id)


def _text(event: Mapping[str, Any]) -> str:
    body = event.get("body")
    if body is None:
        raise RefusedError(400, "body must be a JSON object, got nothing")
    if not isinstance(body, str):
        raise RefusedError(400, f"body must be a string, got {json_type(body)}")
    if len(body) * 6 > MAX_BODY_BYTES and _bytes_in_json(body) > MAX_BODY_BYTES:
        raise RefusedError(413, f"body must be at most {MAX_BODY_BYTES:,} bytes as JSON in the event")
    if not event.get("isBase64Encoded"):
        return body
    import base64  # noqa: PLC0415 - most bodies are text

    try:
        return base64.b64decode(body, validate=True).decode("utf-8")
    except ValueError as error:
        raise RefusedError(400, "body must be UTF-8 text") from error


def _bytes_in_json(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode(errors="surrogatepass"))


def _json_object(text: str) -> dict[str, Any]:
    if text.count("[") + text.count("{") > MAX_CONTAINERS:  # each costs a hundred times its bytes
        raise RefusedError(400, f"body must have at most {MAX_CONTAINERS:,} brackets and braces")
    try:
        body = strict_json(text)
    except RecursionError as error:
        raise RefusedError(400, "body must be a JSON object, got one nested too deeply") from error
    except ValueError as error:
        raise RefusedError(400, "body must be a JSON object, got something that is not JSON") from error
    if not isinstance(body, dict):
        raise RefusedError(400, f"body must be a JSON object, got {json_type(body)}")
    return body


def _flat(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Accept Agent Kernel's nested form too: {"request_id", "user_id", "body": {...}}.

    Who asks is said outside only: a backend may wrap what its own user wrote.
    """
    inner = payload.get("body")
    if "prompt" in payload or not isinstance(inner, Mapping):
        return dict(payload)
    outer = {key: value for key, value in payload.items() if key != "body" and value is not None}
    return {**{key: value for key, value in inner.items() if key != "user_id"}, **outer}


def _request(
    payload: Mapping[str, Any],
    *,
    user_id: str | None,
    idempotency_key: object,
    new_id: Callable[[], str],
) -> Request:
    _check_text(payload)
    if REFERENCE in payload:
        raise RefusedError(400, f"body must not have the key {REFERENCE}")
    prompt = payload.get("prompt")
    if not isinstance(prompt, str):
        raise RefusedError(400, f"prompt must be a string, got {json_type(prompt)}")
    if not prompt.strip():
        raise RefusedError(400, "prompt must not be empty")
    for name in ("images", "files"):
        if payload.get(name) is not None and not isinstance(payload[name], list):
            raise RefusedError(400, f"{name} must be an array, got {json_type(payload[name])}")
    request_id = optional_id(payload, "request_id", REQUEST_ID)
    if idempotency_key is not None:
        key = optional_id({"Idempotency-Key": idempotency_key}, "Idempotency-Key", REQUEST_ID)
        if request_id not in {None, key}:
            raise RefusedError(400, "request_id and the Idempotency-Key header must be the same when both are given")
        request_id = key
    return Request(
        prompt=prompt,
        session_id=optional_id(payload, "session_id", SESSION_ID) or new_id(),
        request_id=request_id or new_id(),
        user_id=user_id,
        agent=optional_string(payload, "agent"),
        extra={key: value for key, value in payload.items() if key not in _OWN_KEYS},
    )


def _check_text(payload: Mapping[str, Any]) -> None:
    """Refuse half of a surrogate pair, which JSON can escape: it is no character and no service takes it."""
    try:
        json.dumps(payload, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RefusedError(400, "body must be valid Unicode, got half of a surrogate pair") from error
    except RecursionError as error:
        raise RefusedError(400, "body must be a JSON object, got one nested too deeply") from error
