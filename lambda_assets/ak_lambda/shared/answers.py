"""What a caller gets, and how it is written."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ak_lambda.shared.fields import RefusedError, mapping

MAX_RESPONSE_BYTES = 6 * 1024 * 1024 - 64 * 1024  # of a body as JSON text in a response: Lambda's 6 MB less the rest

SERVER_ERRORS = 500  # and above: not the caller's fault

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
    """What the caller gets, and for the log, in our own words, why it is not what the agent returned.

    Attributes:
        status: The HTTP status.
        body: A JSON object, or its text.
        headers: HTTP headers besides those that every answer has.
        reason: Why it is not what the agent returned.
        may_pass: Whether another run may do better: the agent raised instead of answering.
    """

    status: int
    body: Mapping[str, Any] | str
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    may_pass: bool = False

    @property
    def went_well(self) -> bool:
        """Whether this is what the agent returned."""
        return self.status == 200  # noqa: PLR2004 - importing http for its name would slow each cold start

    @property
    def text(self) -> str:
        """The body as JSON."""
        return self.body if isinstance(self.body, str) else json.dumps(self.body)


def refused(error: RefusedError) -> Answer:
    """The caller is at fault."""
    return Answer(error.status, {"error": error.message})


def is_throttle(error: BaseException) -> bool:
    """Whether AWS asks to try again later."""
    code: object = None
    with contextlib.suppress(Exception):  # it may be the agent's error: even asking it may fail
        code = mapping(mapping(getattr(error, "response", None)).get("Error")).get("Code")
    return isinstance(code, str) and code.lower() in _THROTTLES


def http_response(reply: Answer, cors: Mapping[str, str]) -> dict[str, Any]:
    """Write an answer as a Lambda proxy integration expects it."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **reply.headers, **cors}
    return {"statusCode": reply.status, "headers": headers, "body": reply.text}
