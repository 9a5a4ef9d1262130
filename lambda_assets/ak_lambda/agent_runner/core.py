"""Decides what an event asks and how a result is answered. Plain values in, plain values out."""

import contextlib
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
USER_ID = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_:.@+=-]{1,128}")  # no slash: it ends the caller's own name
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
    kinds = {"requestContext": "http", "ak_constructs_ping": "ping"}
    found = [kind for key, kind in kinds.items() if isinstance(event.get(key), Mapping)]
    # A backend may pass on what its own user wrote: that must not turn into an API's event, which says who asks.
    if found and (len(found) > 1 or not event.keys().isdisjoint({"prompt", "user_id"})):
        raise RefusedError(400, "event must be a request or an API's event, got both")
    return found[0] if found else "direct"


def hold_ms_of(event: Mapping[str, Any]) -> int:
    """How long a keep-warm ping wants its environment held, kept within 0 to 5,000 ms."""
    hold_ms = event["ak_constructs_ping"].get("hold_ms")
    if not isinstance(hold_ms, int | float) or hold_ms != hold_ms:  # noqa: PLR0124 - not a number
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
    user_id = _optional_id(payload, "user_id", USER_ID)
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
        name = _iam_name(identity)
    elif rule == "cognito":
        name = _mapping(authorizer.get("claims")).get("sub")
    elif rule == "lambda":
        name = authorizer.get(key)
    elif rule == "api_key":
        name = identity.get("apiKeyId")
    elif rule in {"", "public"}:
        return None
    if not isinstance(name, str) or not name:
        raise RefusedError(403, "not allowed: the authorizer passed no user id")
    if rule != "iam-body":
        return name
    end_user = _optional_id(payload, "user_id", USER_ID)
    if end_user is None:
        raise RefusedError(400, "user_id must be given: this API is told by its callers whom they speak for")
    return f"{name}/{end_user}"


def answer(result: object, request: Request) -> Answer:
    """Shape what the agent returned; text that it yielded is joined before."""
    if isinstance(result, str):
        body = {"result": result, "session_id": request.session_id, "request_id": request.request_id}
        return _fitting(Answer(200, body), request)
    if isinstance(result, Mapping):
        if "error" in result and "result" not in result:
            return _fitting(failed(request.request_id, str(result["error"])), request)
        return _fitting(Answer(200, {**result, "session_id": request.session_id}), request)
    got = type(result).__name__
    return failed(request.request_id, f"the agent returned {got}, expected a str, a dict or pieces of str")


def failed(request_id: str, error: str) -> Answer:
    """The agent failed."""
    return Answer(502, {"status": "FAILED", "request_id": request_id, "error": error})


def failure(error: BaseException, request_id: str) -> Answer:
    """Answer for an exception of the agent's, whose message may quote the prompt and is never shown."""
    code: object = None
    with contextlib.suppress(Exception):  # it is the agent's error: even asking it may fail
        code = _mapping(_mapping(getattr(error, "response", None)).get("Error")).get("Code")
    if isinstance(code, str) and code in _THROTTLES:
        body = {"error": "a service that the agent uses is busy; try again later", "request_id": request_id}
        return Answer(503, body, {"Retry-After": "5"})
    return failed(request_id, "the agent failed; its log has the type and place of the error")


def refused(error: RefusedError) -> Answer:
    """The caller is at fault."""
    return Answer(error.status, {"error": error.message})


def http_response(reply: Answer, cors: Mapping[str, str]) -> dict[str, Any]:
    """Write an answer as a Lambda proxy integration expects it."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **reply.headers, **cors}
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
    if len(body) * 6 > MAX_BODY_BYTES and len(json.dumps(body, ensure_ascii=False).encode()) > MAX_BODY_BYTES:
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
        body = json.loads(text, parse_constant=_not_json, parse_float=_finite)
    except RecursionError as error:
        raise RefusedError(400, "body must be a JSON object, got one nested too deeply") from error
    except ValueError as error:
        raise RefusedError(400, "body must be a JSON object, got something that is not JSON") from error
    if not isinstance(body, dict):
        raise RefusedError(400, f"body must be a JSON object, got {_json_type(body)}")
    return body


def _not_json(constant: str) -> None:
    raise ValueError(constant)


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise ValueError(number)  # 1e999 could not be written as JSON again
    return float(number)


def _flat(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Accept Agent Kernel's nested form too: {"request_id", "user_id", "body": {...}}.

    Who asks is said outside only: a backend may wrap what its own user wrote.
    """
    inner = payload.get("body")
    if "prompt" in payload or not isinstance(inner, Mapping):
        return dict(payload)
    outer = {key: value for key, value in payload.items() if key != "body" and value is not None}
    return {**{key: value for key, value in inner.items() if key != "user_id"}, **outer}


def _iam_name(identity: Mapping[str, Any]) -> object:
    """The unique id of a user or role; a role's session only where it tells its users apart.

    All users of a Cognito identity pool assume one role, and a federated user is `<account>:<name>`.
    """
    user = identity.get("user")
    if identity.get("cognitoIdentityId"):
        return identity["cognitoIdentityId"]
    return user.partition(":")[0] if isinstance(user, str) and user.startswith("AROA") else user


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
        json.dumps(payload, ensure_ascii=False).encode()
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
