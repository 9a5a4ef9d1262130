"""Decides what an event asks and how a result is answered. Plain values in, plain values out."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_BODY_BYTES = 4 * 1024 * 1024  # of the event's JSON: room below Lambda's 6 MB for headers and escapes
MAX_ANSWER_BYTES = 6 * 1024 * 1024 - 64 * 1024  # of the response's JSON: Lambda's 6 MB less the envelope
MAX_HOLD_MS = 5000

SESSION_ID = re.compile(r"[A-Za-z0-9_:.-]{1,128}")
REQUEST_ID = re.compile(r"[A-Za-z0-9_:.-]{1,96}")
IDENTITY_VARIABLE = "akConstructsIdentity"  # a stage variable: set by the API, out of the caller's reach

_OWN_KEYS = frozenset({"prompt", "session_id", "request_id", "agent"})
_THROTTLES = frozenset(
    {
        "LimitExceededException",
        "ModelNotReadyException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class RefusedError(Exception):
    """The caller is at fault: an HTTP status and a message for the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """One message to the agent."""

    prompt: str
    session_id: str
    request_id: str
    user_id: str | None
    agent: str | None
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def kind_of(event: object) -> str:
    """Tell events apart by their shape: `ping`, `http` (REST or HTTP API proxy) or `direct`."""
    if not isinstance(event, Mapping):
        raise RefusedError(400, f"event must be an object, got {_json_type(event)}")
    if isinstance(event.get("requestContext"), Mapping):
        return "http"
    if isinstance(event.get("ak_constructs_ping"), Mapping):
        return "ping"
    return "direct"


def hold_ms_of(event: Mapping[str, Any]) -> int:
    """How long a keep-warm ping wants its environment held, kept within 0 to 5,000 ms."""
    hold_ms = event["ak_constructs_ping"].get("hold_ms")
    if not isinstance(hold_ms, int | float) or math.isnan(hold_ms):
        return 0
    return int(min(max(hold_ms, 0), MAX_HOLD_MS))


def http_request(event: Mapping[str, Any], new_id: Callable[[], str]) -> Request:
    """Read a request from a REST API event (payload 1.0) or an HTTP API event (2.0)."""
    headers = {str(name).lower(): value for name, value in _mapping(event.get("headers")).items()}
    payload = _flat(_json_object(_text(event)))
    return _request(
        payload,
        user_id=caller(event, payload),
        idempotency_key=headers.get("idempotency-key"),
        new_id=new_id,
    )


def direct_request(event: Mapping[str, Any], new_id: Callable[[], str]) -> Request:
    """Read a request from a direct invoke, whose caller IAM trusts to speak for its users."""
    payload = _flat(event)
    user_id = _optional_string(payload, "user_id")
    return _request(payload, user_id=user_id, idempotency_key=None, new_id=new_id)


def caller(event: Mapping[str, Any], payload: Mapping[str, Any]) -> str | None:
    """Who is asking, by the rule of the API in front; nobody when that asks for no proof.

    The payload is read by one rule only: `iam-body`, for backends that are trusted to name their end users.
    """
    rule, _, key = str(_mapping(event.get("stageVariables")).get(IDENTITY_VARIABLE, "")).partition(":")
    context = event["requestContext"]
    identity = _mapping(context.get("identity"))
    authorizer = _mapping(context.get("authorizer"))
    name: object = None  # of a rule of a newer release: let nobody in rather than everybody
    if rule in {"iam", "iam-body"}:
        name = str(identity.get("user") or "").partition(":")[0]
        if name and rule == "iam-body":
            end_user = _optional_string(payload, "user_id")
            return f"{name}/{end_user}" if end_user else name
    elif rule == "cognito":
        name = _mapping(authorizer.get("claims")).get("sub")
    elif rule == "lambda":
        name = authorizer.get(key)
    elif rule == "api_key":
        name = identity.get("apiKeyId")
    elif rule in {"", "public"}:
        return None
    if not name:
        raise RefusedError(403, "not allowed: the authorizer passed no user id")
    return str(name)


def answer(result: object, request: Request) -> Answer:
    """Shape what the agent returned; text that it yielded is joined before."""
    if isinstance(result, str):
        body = {"result": result, "session_id": request.session_id, "request_id": request.request_id}
        return _fitting(Answer(200, body), request)
    if isinstance(result, Mapping):
        if "error" in result and "result" not in result:
            return failed(request.request_id, str(result["error"]))
        return _fitting(Answer(200, {**result, "session_id": request.session_id}), request)
    got = type(result).__name__
    return failed(request.request_id, f"the agent returned {got}, expected a str, a dict or pieces of str")


def failed(request_id: str, error: str) -> Answer:
    """The agent failed."""
    return Answer(502, {"status": "FAILED", "request_id": request_id, "error": error})


def failure(error: BaseException, request_id: str) -> Answer:
    """Answer for an exception of the agent's, whose message may quote the prompt and is never shown."""
    response = getattr(error, "response", None)
    details = response.get("Error") if isinstance(response, Mapping) else None
    if isinstance(details, Mapping) and details.get("Code") in _THROTTLES:
        body = {"error": "a service that the agent uses is busy; try again later", "request_id": request_id}
        return Answer(503, body, {"Retry-After": "5"})
    return failed(request_id, "the agent failed; its log has the type and place of the error")


def refused(error: RefusedError) -> Answer:
    """The caller is at fault."""
    return Answer(error.status, {"error": error.message})


def http_response(reply: Answer) -> dict[str, Any]:
    """Write an answer as a Lambda proxy integration expects it."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **reply.headers}
    return {"statusCode": reply.status, "headers": headers, "body": json.dumps(reply.body)}


def direct_response(reply: Answer) -> dict[str, Any]:
    """Write an answer for a direct invoke: the body, with `status_code` unless all went well."""
    return dict(reply.body) if reply.status == 200 else {"status_code": reply.status, **reply.body}  # noqa: PLR2004


def _text(event: Mapping[str, Any]) -> str:
    body = event.get("body")
    if body is None:
        raise RefusedError(400, "body must be a JSON object, got nothing")
    if not isinstance(body, str):
        raise RefusedError(400, f"body must be a string, got {_json_type(body)}")
    if len(body) * 6 > MAX_BODY_BYTES and len(json.dumps(body, ensure_ascii=False)) > MAX_BODY_BYTES:
        raise RefusedError(413, f"body must be at most {MAX_BODY_BYTES:,} bytes as JSON in the event")
    if not event.get("isBase64Encoded"):
        return body
    import base64  # noqa: PLC0415 - most bodies are text

    try:
        return base64.b64decode(body, validate=True).decode("utf-8")
    except ValueError as error:
        raise RefusedError(400, "body must be UTF-8 text") from error


def _json_object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text, parse_constant=_not_json)
    except RecursionError as error:
        raise RefusedError(400, "body must be a JSON object, got one nested too deeply") from error
    except ValueError as error:
        raise RefusedError(400, "body must be a JSON object, got something that is not JSON") from error
    if not isinstance(body, dict):
        raise RefusedError(400, f"body must be a JSON object, got {_json_type(body)}")
    return body


def _not_json(constant: str) -> None:
    raise ValueError(constant)


def _flat(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Accept Agent Kernel's nested form too: {"request_id", "user_id", "body": {...}}."""
    inner = payload.get("body")
    if "prompt" in payload or not isinstance(inner, Mapping):
        return dict(payload)
    return {**inner, **{key: value for key, value in payload.items() if key != "body" and value is not None}}


def _request(
    payload: Mapping[str, Any],
    *,
    user_id: str | None,
    idempotency_key: object,
    new_id: Callable[[], str],
) -> Request:
    _check_text(payload)
    prompt = payload.get("prompt")
    if not isinstance(prompt, str):
        raise RefusedError(400, f"prompt must be a string, got {_json_type(prompt)}")
    if not prompt.strip():
        raise RefusedError(400, "prompt must not be empty")
    for name in ("images", "files"):
        if not isinstance(payload.get(name) or [], list):
            raise RefusedError(400, f"{name} must be an array, got {_json_type(payload[name])}")
    request_id = _optional_id(payload, "request_id", REQUEST_ID)
    if idempotency_key is not None:
        key = _optional_id({"Idempotency-Key": idempotency_key}, "Idempotency-Key", REQUEST_ID)
        if request_id not in {None, key}:
            raise RefusedError(400, "request_id and the Idempotency-Key header must be the same when both are given")
        request_id = key
    return Request(
        prompt=prompt,
        session_id=_optional_id(payload, "session_id", SESSION_ID) or new_id(),
        request_id=request_id or new_id(),
        user_id=user_id,
        agent=_optional_string(payload, "agent"),
        extra={key: value for key, value in payload.items() if key not in _OWN_KEYS},
    )


def _check_text(payload: Mapping[str, Any]) -> None:
    """Refuse half of a surrogate pair, which JSON can escape: it is no character and no service takes it."""
    try:
        json.dumps(payload, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise RefusedError(400, "body must be valid Unicode, got half of a surrogate pair") from error
    except RecursionError as error:
        raise RefusedError(400, "body must be a JSON object, got one nested too deeply") from error


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _optional_string(payload: Mapping[str, Any], name: str) -> str | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, str):
        raise RefusedError(400, f"{name} must be a string, got {_json_type(value)}")
    return value or None


def _optional_id(payload: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    value = _optional_string(payload, name)
    if value is not None and not pattern.fullmatch(value):
        raise RefusedError(400, f"{name} must match ^{pattern.pattern}$")
    return value


def _fitting(reply: Answer, request: Request) -> Answer:
    """Refuse an answer that cannot be sent: not JSON, or larger than Lambda returns."""
    try:
        size = len(json.dumps(json.dumps(reply.body, allow_nan=False)))
    except (TypeError, ValueError, RecursionError):
        return failed(request.request_id, "the agent's answer cannot be written as JSON")
    if size > MAX_ANSWER_BYTES:
        return failed(request.request_id, f"the agent's answer is too large: at most {MAX_ANSWER_BYTES:,} bytes")
    return reply


def _json_type(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"
