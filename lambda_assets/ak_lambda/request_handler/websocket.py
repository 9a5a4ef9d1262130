"""The Lambda handler of a WebSocket API's chat route and of `resume`: submits requests, and tells how they are.

A retry is harmless: the request id says which request is meant, and a request that is there is not begun again.
"""

import logging
from collections.abc import Mapping
from typing import Any

from ak_lambda.request_handler import core
from ak_lambda.request_handler.handler import UNAVAILABLE, submissions
from ak_lambda.shared import frames, protocol
from ak_lambda.shared.answer_frames import answer_frame
from ak_lambda.shared.answers import Answer, is_throttle
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import RefusedError, mapping
from ak_lambda.shared.frames import Frame
from ak_lambda.shared.requests import RESUME, named_request, socket_message, socket_payload, socket_request
from ak_lambda.shared.sockets import Event, Sockets, check_message, context_of, open_sockets, response_of

ACCEPTED = 202

_log = logging.getLogger("ak_constructs.request_handler")


def handler(sent: object, _context: object) -> dict[str, Any]:
    """Answer one message of a client's with one frame."""
    event = mapping(sent)
    request_id: str | None = None
    reason: str | None = None
    frame: Frame = {}
    try:
        sockets = open_sockets()
        check_message(event)
        payload = socket_payload(socket_message(event))
        request_id = named_request(payload)
        user_id = sockets.user(event)
        submission = _submission(sockets, event, payload, user_id)
        if submission is None:
            frame = _resumed(sockets, event, payload, user_id)
        else:
            request_id = submission.request.request_id
            frame = _submitted(sockets, event, submission)
        response = sockets.answered(event, frame, user_id)
    except RefusedError as error:
        frame = frames.system(error.status, error.message, request_id=request_id)
        response = response_of(frame)
    except Exception as error:  # noqa: BLE001 - whatever it is, its words and its trace are for nobody
        reason = "throttled" if is_throttle(error) else type(error).__name__
        frame = core.refusal_frame(core.unavailable(request_id, reason), request_id)
        response = response_of(frame)
    status = frame.get("status_code", ACCEPTED)
    _log.log(
        logging.ERROR if status == UNAVAILABLE else logging.INFO,
        "answered",
        extra={"request_id": request_id, "type": frame["type"], "status": status, "reason": reason},
    )
    return response


def _submission(sockets: Sockets, event: Event, payload: Mapping[str, Any], user_id: str) -> core.Submission | None:
    """Read a message of the chat route; of `resume`, which submits nothing, none."""
    route = context_of(event).get("routeKey")
    if route == RESUME:
        return None
    if route != setting("AK_CONSTRUCTS_CHAT_ROUTE"):
        raise RefusedError(404, "route must be one that this API has")
    return core.submission_of(socket_request(payload, user_id=user_id, new_id=sockets.new_id), payload)


def _submitted(sockets: Sockets, event: Event, submission: core.Submission) -> Frame:
    found = submissions().begin(submission, endpoint_url=sockets.endpoint)
    if isinstance(found, Answer):
        return core.refusal_frame(found, submission.request.request_id)
    return _state(sockets, event, found)


def _resumed(sockets: Sockets, event: Event, payload: Mapping[str, Any], user_id: str) -> Frame:
    request_id = core.asked_id(payload, where=", got nothing")
    found = submissions().find(request_id, user_id)
    return (
        core.refusal_frame(core.not_found(request_id), request_id) if found is None else _state(sockets, event, found)
    )


def _state(sockets: Sockets, event: Event, item: protocol.Item) -> Frame:
    if protocol.is_final(item):
        return answer_frame(item, submissions().payloads)
    return core.queued_frame(item, reconnect=sockets.reconnect(event))
