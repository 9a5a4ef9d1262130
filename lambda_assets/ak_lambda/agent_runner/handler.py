"""The Lambda handler of an `AgentFunction`: runs the user's callable for one event.

A retry is as harmless as the agent: this function keeps nothing between two runs but the imported agent
and, when that is async, its event loop. A message of the request queue is run under a lease.
"""

import contextlib
import contextvars
import functools
import importlib
import inspect
import logging
import os
import time
import traceback
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from ak_lambda.agent_runner import core
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
        run=lambda request, tell, made_ms: _run(
            request, context, progress=tell, made_ms=made_ms, most_bytes=core.MAX_KEPT_BYTES
        ),
    )
    if are_repeated(records):
        _secrets().doubt()
    # A service failed, not the agent: five receives must last for minutes, and a lease may still hold.
    return handled(records, runs.handle, runs.requests, _log, rest_seconds=lambda _receives: LEASE_SECONDS)


def _run(
    request: requests.Request,
    context: Any,  # noqa: ANN401
    *,
    progress: Callable[[str], None] | None = None,
    made_ms: int | None = None,
    most_bytes: int = MAX_RESPONSE_BYTES,
) -> Answer:
    """Run the agent within its conversation, and say in the log how that went."""
    started = time.perf_counter()
    try:
        _secrets().bring()
    except UnreadableError as error:
        reply = core.secrets_failure(request.request_id, may_pass=error.may_pass)
    else:
        reply = _answered(request, context, progress or _no_progress, made_ms or int(time.time() * 1000), most_bytes)
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
    request: requests.Request,
    context: Any,  # noqa: ANN401
    progress: Callable[[str], None],
    made_ms: int,
    most_bytes: int,
) -> Answer:
    turn = Turn(request, remaining_ms=context.get_remaining_time_in_millis, progress=progress)
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
        result = contextvars.copy_context().run(_complete, turn)
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
    frames = _frames(error)
    _log.error(
        "the agent failed",
        extra={
            "request_id": request.request_id,
            "error_type": type(error).__name__,
            "agent_at": _place(frames[0]) if frames else None,
            "raised_at": _place(frames[-1]) if frames else None,
        },
    )
    return core.failure(error, request.request_id)


def _store_failed(error: BaseException, request: requests.Request) -> Answer:
    _log.error("the session store failed", extra={"request_id": request.request_id, "error_type": type(error).__name__})
    return core.store_failure(request.request_id, throttled=is_throttle(error))


def _complete(turn: Turn) -> object:
    """Call the agent, wait for what it promises and join what it yields."""
    result: Any = _agent()(turn)
    if hasattr(result, "__await__"):
        result = _wait(_awaited(result))
    if hasattr(result, "__anext__"):
        return _wait(_joined(result))
    if hasattr(result, "__next__"):
        return "".join(result)
    return result


def _wait(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
    return _loop().run(coroutine, context=contextvars.copy_context())


async def _awaited(result: Any) -> Any:  # noqa: ANN401
    return await result


async def _joined(pieces: Any) -> str:  # noqa: ANN401
    return "".join([piece async for piece in pieces])


def _no_progress(_text: str) -> None:
    """Nobody can be told while a caller waits for one HTTP response, and no queue is behind."""


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames below ours that are not of Python's own library: asyncio's, when the agent is async."""
    ours = (__file__, os.path.dirname(os.__file__), "<frozen")  # noqa: PTH120
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if not frame.filename.startswith(ours) or "site-packages" in frame.filename]


def _place(frame: traceback.FrameSummary) -> str:
    return f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}"


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


@functools.cache
def _loop() -> Any:  # noqa: ANN401
    """One event loop an environment: clients that an agent keeps stay bound to a loop that lives.

    A task that a run leaves behind goes on in the next one, in its own context.
    """
    import asyncio  # noqa: PLC0415 - only async agents pay for it

    runner = asyncio.Runner()
    runner.get_loop().set_exception_handler(_task_failed)
    return runner


def _task_failed(_loop: object, context: Mapping[str, Any]) -> None:
    """Log what nobody waited for as a run's own failure: asyncio would log its text and its stack trace."""
    error = context.get("exception")
    frames = _frames(error) if error is not None else []
    _log.error(
        "a task of the agent failed and nobody waited for it",
        extra={
            "error_type": type(error).__name__,
            "raised_at": _place(frames[-1]) if frames else None,
        },
    )


@functools.cache
def _agent() -> Callable[[Turn], object]:
    """Import the user's callable, named as module:callable."""
    name = os.environ.get(AGENT_VARIABLE)
    if not name:
        raise RuntimeError(f"{AGENT_VARIABLE} must be set to module:callable; AgentFunction does so")
    module, _, attribute = name.partition(":")
    found: Any = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    if not callable(found):
        raise TypeError(f"{AGENT_VARIABLE} must name a callable, {name} is {type(found).__name__}")
    with contextlib.suppress(ValueError):  # not every callable has a signature to look at
        _check_signature(name, inspect.signature(found))
    return found  # type: ignore[no-any-return]


def _check_signature(name: str, signature: inspect.Signature) -> None:
    try:
        signature.bind(None)
    except TypeError:
        raise TypeError(f"the agent must take one argument, the turn, but it is {name}{signature}") from None


if AGENT_VARIABLE in os.environ:  # in the init phase, where Lambda gives the function a full CPU
    with contextlib.suppress(UnreadableError):  # the log has said why, and the first request tries again
        _secrets().bring()
        _agent()
