"""Answers a message that a WebSocket API brings straight to the agent: there is no queue, and no answer is kept.

A retry is as harmless as the agent. Every connection of the user gets the answer by a post, because API Gateway waits
29 s at most for what is returned here:
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html,
read 2026-11-21. What is returned must still have a body, or the client gets an empty message
(https://github.com/serverless/serverless/issues/6816, read 2026-11-21).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ak_lambda.agent_runner.audience import Audience
from ak_lambda.shared import frames
from ak_lambda.shared.answers import SERVER_ERRORS, Answer
from ak_lambda.shared.fields import RefusedError, mapping
from ak_lambda.shared.frames import Frame
from ak_lambda.shared.protocol import DONE, FAILED
from ak_lambda.shared.requests import (
    RESUME,
    Request,
    named_request,
    socket_message,
    socket_payload,
    socket_request,
)
from ak_lambda.shared.sockets import Event, Sockets, check_message, context_of, response_of

LAST_SECONDS = 2  # of the function, for the route's response alone

Run = Callable[[Request, Callable[[str], None], Callable[[object], None]], Answer]

_log = logging.getLogger("ak_constructs.agent_runner")


@dataclass(frozen=True, kw_only=True, slots=True)
class SocketRuns:
    """What a run for a WebSocket's message works with.

    Attributes:
        sockets: Who is at the other end.
        audience: Who hears what the run says.
        run: Runs the agent for a request; told where progress and deltas go.
        left_seconds: How long this function may still run.
    """

    sockets: Sockets
    audience: Audience
    run: Run
    left_seconds: Callable[[], float]

    def handle(self, event: Event) -> dict[str, Any]:
        """Run the agent for a message, tell all connections of its user, and give the route's response."""
        request_id: str | None = None
        try:
            check_message(event)
            payload = socket_payload(socket_message(event))
            request_id = named_request(payload)
            user_id = self.sockets.user(event)
            _check_route(event)
            request = socket_request(payload, user_id=user_id, new_id=self.sockets.new_id)
            return self._answered(event, request, user_id)
        except RefusedError as error:
            _log.info("refused", extra={"status": error.status, "reason": error.message})
            return response_of(frames.system(error.status, error.message, request_id=request_id))
        except Exception as error:  # noqa: BLE001 - whatever it is, its words and its trace are for nobody
            _log.error("not answered", extra={"request_id": request_id, "error_type": type(error).__name__})
            return response_of(frames.not_now(request_id))

    def _answered(self, event: Event, request: Request, user_id: str) -> dict[str, Any]:
        deltas = self.audience.deltas(
            request_id=request.request_id,
            session_id=request.session_id,
            user_id=user_id,
            attempt=self.sockets.now_ms() // 1000,  # no table counts; of a message that is sent again it must be higher
            left_seconds=self.left_seconds,
        )
        with deltas:
            answer = self.run(request, deltas.progress, deltas.feed)
            deltas.end(done=answer.went_well)
            if not answer.went_well and answer.status < SERVER_ERRORS:
                raise RefusedError(answer.status, str(mapping(answer.body).get("error")))
            frame = _response(request, answer)
            if self._posted(user_id, frame):
                return response_of(frames.system(200, "answered", status="SUCCESS"))
        return self.sockets.answered(event, frame, user_id)  # at least to who asked

    def _posted(self, user_id: str, frame: Frame) -> bool:
        """Post an answer to all connections of its user, and say whether anybody has it."""
        try:
            found = self.sockets.connections.of_user(user_id, now=self.sockets.now_ms() // 1000)
            written = frames.written(frame, self.sockets.new_id)
            posted = self.sockets.poster.post_all(found, written, has_time=lambda: self.left_seconds() > LAST_SECONDS)
        except Exception as error:  # noqa: BLE001 - of the table's, for one: who asked is answered all the same
            _log.error("not posted", extra={"error_type": type(error).__name__})
            return False
        if posted.gone or posted.failed:
            about = {"delivered": posted.delivered, "gone": posted.gone, "failed": posted.failed}
            _log.warning("not posted to all", extra={"request_id": frame["request_id"], **about})
        return posted.delivered > 0


def _check_route(event: Event) -> None:
    if context_of(event).get("routeKey") == RESUME:
        raise RefusedError(400, "this API keeps no answers; send the message again")


def _response(request: Request, answer: Answer) -> Frame:
    status = DONE if answer.went_well else FAILED
    about = {"request_id": request.request_id, "session_id": request.session_id}
    return frames.response({**about, "status": status, "status_code": answer.status}, answer.text)
