"""The Lambda handler of an `AgentFunction`: runs the user's callable for one event.

A retry is as harmless as the agent: this function keeps nothing between two runs but the imported agent
and, when that is async, its event loop. A message of the request queue is run under a lease.
"""

import contextlib
import contextvars
import functools
import logging
import os
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ak_lambda.agent_runner import agent, core
from ak_lambda.agent_runner.turn import Turn
from ak_lambda.shared import requests
from ak_lambda.shared.agent_secrets import AgentSecrets, open_secrets
from ak_lambda.shared.answers import MAX_RESPONSE_BYTES, SERVER_ERRORS, Answer, http_response, is_throttle, refused
from ak_lambda.shared.cors import cors_headers
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import RefusedError
from ak_lambda.shared.pings import Environment, hold
from ak_lambda.shared.secret_rules import UnreadableError, are_repeated
from ak_lambda.shared.turns import turn_key

AGENT_VARIABLE = "AK_CONSTRUCTS_AGENT"
CONNECTIONS_VARIABLE = "AK_CONSTRUCTS_CONNECTIONS_TABLE"
DELTA_SECONDS = 2

if TYPE_CHECKING:
    from ak_lambda.agent_runner.audience import Audience

_log = logging.getLogger("ak_constructs.agent_runner")
_environment = Environment()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's own context class
    """Run the agent for one event and answer in the event's own form."""
    met = _environment.enter()
    kind = ""
    try:
        kind = requests.kind_of(event)
        if kind == "ping":
            hold(event)
            return met
        if kind == "sqs":
            return _messages(event["Records"], context)
        if kind == "websocket":
            return _socket_message(event, context)
        read = requests.http_request if kind == "http" else requests.direct_request
        request = read(event, lambda: str(uuid.uuid4()))
    except RefusedError as error:
        reply = refused(error)
        _log.info("refused", extra={"status": reply.status, "reason": error.message})
    else:
        reply = _run(request, context)
    return http_response(reply, cors_headers(event)) if kind == "http" else core.direct_response(reply)


def _messages(records: list[dict[str, Any]], context: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run the messages of a batch."""
    from ak_lambda.agent_runner.queued import QueuedRuns  # noqa: PLC0415 - an agent without a queue needs none of it
    from ak_lambda.shared.clients import client  # noqa: PLC0415
    from ak_lambda.shared.payloads import Payloads  # noqa: PLC0415
    from ak_lambda.shared.protocol import LEASE_SECONDS  # noqa: PLC0415
    from ak_lambda.shared.queues import Queue  # noqa: PLC0415
    from ak_lambda.shared.record_batch import handled  # noqa: PLC0415
    from ak_lambda.shared.requests_table import RequestsTable  # noqa: PLC0415

    runs = QueuedRuns(
        table=RequestsTable(client("dynamodb"), setting("AK_CONSTRUCTS_REQUESTS_TABLE")),
        requests=Queue(client("sqs"), setting("AK_CONSTRUCTS_REQUEST_QUEUE_URL")),
        replies=Queue(client("sqs"), setting("AK_CONSTRUCTS_REPLY_QUEUE_URL")),
        payloads=Payloads(lambda: client("s3"), setting("AK_CONSTRUCTS_PAYLOADS_BUCKET")),
        retention=int(setting("AK_CONSTRUCTS_RETENTION_SECONDS")),
        max_receives=int(setting("AK_CONSTRUCTS_MAX_RECEIVE_COUNT")),
        now_ms=lambda: int(time.time() * 1000),
        run=lambda request, progress, made_ms, feed: _run(
            request, context, progress=progress, made_ms=made_ms, most_bytes=core.MAX_KEPT_BYTES, feed=feed
        ),
        open_deltas=functools.partial(_audience().deltas, left_seconds=_left_seconds(context))
        if CONNECTIONS_VARIABLE in os.environ
        else None,
    )
    if are_repeated(records):
        _secrets().doubt()
    # A service failed, not the agent: five receives must last for minutes, and a lease may still hold.
    return handled(records, runs.handle, runs.requests, _log, rest_seconds=lambda _receives: LEASE_SECONDS)


def _socket_message(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run the agent for a message of a WebSocket's."""
    from ak_lambda.agent_runner.websocket import SocketRuns  # noqa: PLC0415 - most agents have no WebSocket
    from ak_lambda.shared import frames, sockets  # noqa: PLC0415

    try:
        runs = SocketRuns(
            sockets=sockets.open_sockets(),
            audience=_audience(),
            run=lambda request, progress, feed: _run(
                request, context, progress=progress, most_bytes=frames.MAX_PUSHED_BYTES, feed=feed
            ),
            left_seconds=_left_seconds(context),
        )
        return runs.handle(event)
    except Exception as error:  # noqa: BLE001 - whatever it is, its words and its trace are for nobody
        _log.error("not answered", extra={"error_type": type(error).__name__})
        return sockets.response_of(frames.not_now())


def _left_seconds(context: Any) -> Callable[[], float]:  # noqa: ANN401
    return lambda: context.get_remaining_time_in_millis() / 1000


@functools.cache
def _audience() -> "Audience":
    from ak_lambda.agent_runner.audience import Audience  # noqa: PLC0415 - an agent without a WebSocket needs none
    from ak_lambda.shared.clients import callback_client, client  # noqa: PLC0415
    from ak_lambda.shared.connections import Connections  # noqa: PLC0415

    return Audience(
        connections=Connections(client("dynamodb"), setting(CONNECTIONS_VARIABLE)),
        client_for=functools.partial(callback_client, read_seconds=DELTA_SECONDS, attempts=1),
        now=lambda: int(time.time()),
        clock=time.monotonic,
    )


def _run(
    request: requests.Request,
    context: Any,  # noqa: ANN401
    *,
    progress: Callable[[str], None] | None = None,
    made_ms: int | None = None,
    most_bytes: int = MAX_RESPONSE_BYTES,
    feed: Callable[[object], None] | None = None,
) -> Answer:
    """Run the agent within its conversation, and say in the log how that went."""
    started = time.perf_counter()
    try:
        _secrets().bring()
    except UnreadableError as error:
        reply = core.secrets_failure(request.request_id, may_pass=error.may_pass)
    else:
        made_ms = made_ms or int(time.time() * 1000)
        turn = Turn(request, remaining_ms=context.get_remaining_time_in_millis, progress=progress or _to_nobody)
        reply = _answered(request, turn, made_ms, most_bytes, feed or _to_nobody)
    if reply.status >= SERVER_ERRORS:  # perhaps a secret was rotated since it was read
        _secrets().doubt()
    _log.log(
        logging.INFO if reply.went_well else logging.ERROR,
        "answered",
        extra={
            "request_id": request.request_id,
            "session_id": request.session_id,
            "status": reply.status,
            "reason": reply.reason,
            "duration_ms": round((time.perf_counter() - started) * 1000),
        },
    )
    return reply


def _answered(
    request: requests.Request, turn: Turn, made_ms: int, most_bytes: int, feed: Callable[[object], None]
) -> Answer:
    sessions = _sessions()
    key = turn_key(made_ms, request.request_id)
    try:
        if sessions is not None:
            now = int(time.time())
            if not sessions.claim(request.session_id, request.user_id, now=now):
                return Answer(403, {"error": "session_id belongs to somebody else"}, reason="somebody else's session")
            turn.history = sessions.history(request.session_id, now=now, before=key)
    except Exception as error:  # noqa: BLE001 - of the store's: no run without its conversation
        return _store_failed(error, request)
    try:
        # In a copy of the context: what one user's run sets in a ContextVar, the next user's must not read.
        result = contextvars.copy_context().run(_complete, turn, feed)
        reply = core.answer(result, request, most_bytes=most_bytes)  # looking at what it returned may fail too
    except BaseException as error:  # noqa: BLE001 - SystemExit and CancelledError too: Lambda would log their text
        return _agent_failed(error, request)
    try:
        if sessions is not None and reply.went_well:
            sessions.add_turn(
                request.session_id,
                key=key,
                prompt=request.prompt,
                answer=core.history_text(reply),
                request_id=request.request_id,
                created_at=made_ms,
                now=int(time.time()),
            )
    except Exception as error:  # noqa: BLE001 - better an answer that is not remembered than a second run
        _log.error("the turn is not kept", extra={"request_id": request.request_id, "error_type": type(error).__name__})
    return reply


def _agent_failed(error: BaseException, request: requests.Request) -> Answer:
    frames = agent.frames_of(error)
    _log.error(
        "the agent failed",
        extra={
            "request_id": request.request_id,
            "error_type": type(error).__name__,
            "agent_at": agent.place(frames[0]) if frames else None,
            "raised_at": agent.place(frames[-1]) if frames else None,
        },
    )
    return core.failure(error, request.request_id)


def _store_failed(error: BaseException, request: requests.Request) -> Answer:
    _log.error("the session store failed", extra={"request_id": request.request_id, "error_type": type(error).__name__})
    return core.store_failure(request.request_id, throttled=is_throttle(error))


def _to_nobody(_said: object) -> None:
    """Nobody can be told while a caller waits for one HTTP response, and no queue is behind."""


def _complete(turn: Turn, feed: Callable[[object], None]) -> object:
    return agent.complete(_agent(), turn, feed)


@functools.cache
def _agent() -> Callable[[Turn], object]:
    name = os.environ.get(AGENT_VARIABLE)
    if not name:
        raise RuntimeError(f"{AGENT_VARIABLE} must be set to module:callable; AgentFunction does so")
    return agent.find(name, AGENT_VARIABLE)


@functools.cache
def _secrets() -> AgentSecrets:
    return open_secrets()


@functools.cache
def _sessions() -> Any:  # noqa: ANN401
    """Open the session store, if this function has one."""
    if "AK_CONSTRUCTS_HISTORY_TURNS" not in os.environ:
        return None
    from ak_lambda.shared.sessions import open_sessions  # noqa: PLC0415 - most agents have none

    return open_sessions()


if AGENT_VARIABLE in os.environ:  # in the init phase, where Lambda gives the function a full CPU
    with contextlib.suppress(UnreadableError):  # the log has said why, and the first request tries again
        _secrets().bring()
        _agent()
