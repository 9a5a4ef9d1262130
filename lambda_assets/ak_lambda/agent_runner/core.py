"""Decides how what the agent returned, or raised, is answered. Plain values in, plain values out."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ak_lambda.shared.answers import MAX_RESPONSE_BYTES, Answer, is_throttle
from ak_lambda.shared.fields import REFERENCE, mapping
from ak_lambda.shared.requests import Request

MAX_ERROR_CHARACTERS = 2000
MAX_KEPT_BYTES = 64 * 1024 * 1024  # of an answer that goes through the queue: it is kept in S3


def answer(result: object, request: Request, *, most_bytes: int = MAX_RESPONSE_BYTES) -> Answer:
    """Shape what the agent returned; text that it yielded is joined before."""
    if isinstance(result, str):
        body = {"result": result, "session_id": request.session_id, "request_id": request.request_id}
        return _fitting(Answer(200, body), request, most_bytes)
    if isinstance(result, Mapping):
        if "error" in result and "result" not in result:
            error = str(result["error"])[:MAX_ERROR_CHARACTERS]
            return _fitting(
                failed(request.request_id, error, reason="the agent returned an error"), request, most_bytes
            )
        if REFERENCE in result:
            return failed(request.request_id, f"the agent's answer must not have the key {REFERENCE}")
        return _fitting(Answer(200, {**result, "session_id": request.session_id}), request, most_bytes)
    got = type(result).__name__
    return failed(request.request_id, f"the agent returned {got}, expected a str, a dict or pieces of str")


def failed(request_id: str, error: str, *, reason: str | None = None) -> Answer:
    """The agent failed; the error's own words are for the caller, the reason for the log."""
    return Answer(502, {"status": "FAILED", "request_id": request_id, "error": error}, reason=reason or error)


def failure(error: BaseException, request_id: str) -> Answer:
    """Answer for an exception of the agent's, whose message may quote the prompt and is never shown."""
    if is_throttle(error):
        busy = "a service that the agent uses is busy; try again later"
        return Answer(503, {"error": busy, "request_id": request_id}, {"Retry-After": "5"}, reason=busy, may_pass=True)
    text = "the agent failed; its log has the type and place of the error"
    return replace(failed(request_id, text), may_pass=True)


def store_failure(request_id: str, *, throttled: bool) -> Answer:
    """Answer for a session store that cannot be read or written: the agent must not forget what was said."""
    text = "the session store is busy; try again later" if throttled else "the session store failed"
    status, headers = (503, {"Retry-After": "5"}) if throttled else (502, {})
    body = {"error": text, "request_id": request_id}
    return Answer(status, body, headers, reason=text, may_pass=True)


def secrets_failure(request_id: str, *, may_pass: bool) -> Answer:
    """Answer while the agent's secrets cannot be read; nothing of it has run."""
    if may_pass:
        text = "the agent's secrets cannot be read now; try again later"
        return Answer(503, {"error": text, "request_id": request_id}, {"Retry-After": "5"}, reason=text, may_pass=True)
    return replace(failed(request_id, "the agent's secrets cannot be read; its log says which"), may_pass=True)


def direct_response(reply: Answer) -> dict[str, Any]:
    """Write an answer for a direct invoke: the body, with `status_code` unless all went well."""
    body = dict(cast(Mapping[str, Any], reply.body))
    return body if reply.went_well else {"status_code": reply.status, **body}


def history_text(reply: Answer) -> str:
    """What of an answer the next turns are told: its result, or all of it where it has none that is text."""
    result = mapping(reply.body).get("result")
    return result if isinstance(result, str) else reply.text


def _fitting(reply: Answer, request: Request, most_bytes: int) -> Answer:
    """Refuse an answer that cannot be sent: not JSON, or too large."""
    try:
        size = len(json.dumps(json.dumps(reply.body, allow_nan=False)))
    except (TypeError, ValueError, RecursionError):
        return failed(request.request_id, "the agent's answer cannot be written as JSON")
    if size > most_bytes:
        return failed(request.request_id, f"the agent's answer is too large: at most {most_bytes:,} bytes")
    return reply
