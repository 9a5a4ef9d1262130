"""Decides how what the agent returned, or raised, is answered. Plain values in, plain values out."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ak_lambda.agent_runner.fields import RefusedError, mapping
from ak_lambda.agent_runner.requests import Request

MAX_ANSWER_BYTES = 6 * 1024 * 1024 - 64 * 1024  # of the response's JSON: Lambda's 6 MB less the envelope

# botocore's own list, and a model that is still starting; in lower case, since streams spell them so.
_THROTTLES = frozenset(
    {
        "bandwidthlimitexceeded",
        "ec2throttledexception",
        "limitexceededexception",
        "modelnotreadyexception",
        "priorrequestnotcomplete",
        "provisionedthroughputexceededexception",
        "requestlimitexceeded",
        "requestthrottled",
        "requestthrottledexception",
        "slowdown",
        "throttledexception",
        "throttling",
        "throttlingexception",
        "toomanyrequestsexception",
        "transactioninprogressexception",
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets, and for the log, in our own words, why it is not what the agent returned."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None

    @property
    def went_well(self) -> bool:
        """Whether this is what the agent returned."""
        return self.status == 200  # noqa: PLR2004 - importing http for its name would slow each cold start


def answer(result: object, request: Request) -> Answer:
    """Shape what the agent returned; text that it yielded is joined before."""
    if isinstance(result, str):
        body = {"result": result, "session_id": request.session_id, "request_id": request.request_id}
        return _fitting(Answer(200, body), request)
    if isinstance(result, Mapping):
        if "error" in result and "result" not in result:
            reply = failed(request.request_id, str(result["error"]), reason="the agent returned an error")
            return _fitting(reply, request)
        return _fitting(Answer(200, {**result, "session_id": request.session_id}), request)
    got = type(result).__name__
    return failed(request.request_id, f"the agent returned {got}, expected a str, a dict or pieces of str")


def failed(request_id: str, error: str, *, reason: str | None = None) -> Answer:
    """The agent failed; the error's own words are for the caller, the reason for the log."""
    return Answer(502, {"status": "FAILED", "request_id": request_id, "error": error}, reason=reason or error)


def failure(error: BaseException, request_id: str) -> Answer:
    """Answer for an exception of the agent's, whose message may quote the prompt and is never shown."""
    code: object = None
    with contextlib.suppress(Exception):  # it is the agent's error: even asking it may fail
        code = mapping(mapping(getattr(error, "response", None)).get("Error")).get("Code")
    if isinstance(code, str) and code.lower() in _THROTTLES:
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
    return dict(reply.body) if reply.went_well else {"status_code": reply.status, **reply.body}


def _fitting(reply: Answer, request: Request) -> Answer:
    """Refuse an answer that cannot be sent: not JSON, or larger than Lambda returns."""
    try:
        size = len(json.dumps(json.dumps(reply.body, allow_nan=False)))
    except (TypeError, ValueError, RecursionError):
        return failed(request.request_id, "the agent's answer cannot be written as JSON")
    if size > MAX_ANSWER_BYTES:
        return failed(request.request_id, f"the agent's answer is too large: at most {MAX_ANSWER_BYTES:,} bytes")
    return reply
