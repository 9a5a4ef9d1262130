"""Decides what a caller of the pipeline is told. Plain values in, plain values out."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared import frames
from ak_lambda.shared.answers import Answer
from ak_lambda.shared.fields import REQUEST_ID, RefusedError, mapping, optional_id
from ak_lambda.shared.frames import Frame
from ak_lambda.shared.identity import IDENTITY_VARIABLE
from ak_lambda.shared.protocol import DONE, FAILED, Item
from ak_lambda.shared.requests import Request, header, http_payload, request_of

GATEWAY_MS = 29_000  # API Gateway hangs up then
MARGIN_MS = 1_500  # to write the answer and send it back
FIRST_STEP_MS = 40
STEP_SHARE = 0.045  # of the time waited so far: the answer is seen that much later at most
RETRY_AFTER_SECONDS = 1

_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,6})\"?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Submission:
    """A request as a caller of the pipeline sends it.

    Attributes:
        request: The request, with a session.
        body_hash: Tells this body from another under the same request id.
        names_session: Whether the caller named the session; else it was made up here, and the stored one counts.
    """

    request: Request
    body_hash: str
    names_session: bool


def submission(event: Mapping[str, Any], new_id: Callable[[], str]) -> Submission:
    """Read a request, whose API must say who asks."""
    _check_stage(event)
    payload = http_payload(event)
    return submission_of(request_of(event, payload, new_id), payload)


def submission_of(request: Request, payload: Mapping[str, Any]) -> Submission:
    """Make a submission of a request and of what the caller sent; it is the same wherever it was sent."""
    sent = {name: value for name, value in payload.items() if name != "request_id"}
    try:
        text = json.dumps([request.user_id, sent], sort_keys=True, separators=(",", ":"))
    except RecursionError as error:  # one level deeper than what was read
        raise RefusedError(400, "body must be a JSON object, got one nested too deeply") from error
    return Submission(
        request=request,
        body_hash=hashlib.sha256(text.encode()).hexdigest(),
        names_session=payload.get("session_id") is not None,
    )


def asked(event: Mapping[str, Any]) -> dict[str, Any]:
    """What a GET says: in its path, its query and, as Agent Kernel's clients do, its body."""
    _check_stage(event)
    said = http_payload(event) if event.get("body") else {}
    return {**said, **mapping(event.get("queryStringParameters")), **mapping(event.get("pathParameters"))}


def asked_id(said: Mapping[str, Any], *, where: str = ": as the last segment of the path, or in the query") -> str:
    """Which request a GET, or a client's message, asks for."""
    request_id = optional_id(said, "request_id", REQUEST_ID)
    if request_id is None:
        raise RefusedError(400, f"request_id must be given{where}")
    return request_id


def wait_ms(event: Mapping[str, Any], default_ms: int) -> int:
    """How long the caller wants to wait: `Prefer: wait=N` seconds, `respond-async` not at all, else the default."""
    prefer = str(header(event, "prefer") or "")
    named = _WAIT.search(prefer)
    if named:
        return int(named[1]) * 1000
    return 0 if "respond-async" in prefer.lower() else default_ms


def deadline_ms(event: Mapping[str, Any], *, now_ms: int, wait: int) -> int:
    """When to stop waiting: API Gateway counts from when it got the request, not from when we did."""
    began = mapping(event.get("requestContext")).get("requestTimeEpoch")
    began_ms = began if isinstance(began, int) else now_ms
    return min(now_ms + wait, began_ms + GATEWAY_MS - MARGIN_MS)


def step_ms(waited_ms: int) -> int:
    """How long to rest before the next look: a share of the time waited, so that long waits cost few looks."""
    return max(FIRST_STEP_MS, int(waited_ms * STEP_SHARE))


def accepted(event: Mapping[str, Any], item: Item) -> Answer:
    """The request is in the queue."""
    return _not_final(event, item, "ACCEPTED")


def pending(event: Mapping[str, Any], item: Item) -> Answer:
    """The request has no answer yet."""
    return _not_final(event, item, "PENDING")


def not_found(request_id: str) -> Answer:
    """Nobody submitted it, somebody else did, or it has expired: which, is not said."""
    body = {"status": "NOT_FOUND", "request_id": request_id, "error": "no such request, or it has expired"}
    return Answer(404, body)


def closed() -> Answer:
    """The session is not the caller's."""
    return Answer(403, {"error": "session_id belongs to somebody else"})


def taken() -> Answer:
    """The request id stands for something else."""
    return Answer(409, {"error": "request_id is taken by another request; choose a new one"})


def unavailable(request_id: str | None, reason: str) -> Answer:
    """A service that we depend on is throttled or fails; the same request may be sent again."""
    body = {"error": "not now; send the same request again, with its request_id", "request_id": request_id}
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Answer(503, {name: value for name, value in body.items() if value}, headers, reason=reason)


def final(item: Item, answer: str) -> Answer:
    """The one answer of a request."""
    if item["status"] == DONE:
        return Answer(int(item["status_code"]), answer)
    error = json.loads(answer)["error"]
    return Answer(502, {"status": "FAILED", "request_id": item["request_id"], "error": error}, reason="the run failed")


def elsewhere(item: Item, link: str) -> Answer:
    """The answer is too large to go through Lambda."""
    body = {"status": "DONE", "request_id": item["request_id"], "session_id": item["session_id"]}
    return Answer(303, body, {"Location": link})


def queued_frame(item: Item, *, reconnect: bool) -> Frame:
    """The request has no answer yet."""
    request_id, session_id = str(item["request_id"]), str(item["session_id"])
    return frames.queued(
        request_id=request_id, session_id=session_id, progress=item.get("progress"), reconnect=reconnect
    )


def refusal_frame(answer: Answer, request_id: str | None) -> Frame:
    """Say in a frame what a caller of the HTTP API would be told."""
    said = mapping(answer.body)
    status = str(said.get("status", FAILED))
    return frames.system(answer.status, str(said["error"]), request_id=request_id, status=status)


def _check_stage(event: Mapping[str, Any]) -> None:
    """Refuse a stage that somebody else made of the API: without the variable of ours everybody would be nobody."""
    if not mapping(event.get("stageVariables")).get(IDENTITY_VARIABLE):
        raise RefusedError(403, "not allowed: this stage does not say who asks")


def _not_final(event: Mapping[str, Any], item: Item, status: str) -> Answer:
    body = {"status": status, "request_id": item["request_id"], "session_id": item["session_id"]}
    if item.get("progress"):
        body["progress"] = item["progress"]
    headers = {"Location": _location(event, str(item["request_id"])), "Retry-After": str(RETRY_AFTER_SECONDS)}
    return Answer(202, body, headers)


def _location(event: Mapping[str, Any], request_id: str) -> str:
    """Where to ask again, relative to where the caller asked: stages and custom domains differ."""
    parent, _, chat = str(event.get("resource", "")).rpartition("/")
    if chat.startswith("{"):
        chat = f"../{parent.rpartition('/')[2]}"
    return f"{chat}?request_id={request_id}" if not request_id.strip(".") else f"{chat}/{request_id}"
