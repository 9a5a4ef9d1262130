"""The Lambda handler of a WebSocket API's `$connect`, `$disconnect`, `ping` and `$default`.

A retry is harmless: a row is written as it was, and one that is gone stays gone. Nothing of a token, a query or a
message is ever logged.
"""

import logging
from typing import Any

from ak_lambda.connection_handler import core
from ak_lambda.shared import frames
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import RefusedError, mapping
from ak_lambda.shared.requests import socket_message
from ak_lambda.shared.sockets import CONNECT, DISCONNECT, Event, check_message, context_of, open_sockets, response_of

_log = logging.getLogger("ak_constructs.connection_handler")


def handler(sent: object, _context: object) -> dict[str, Any]:
    """Answer one event; what it is its type says, since a client may call a message's route anything."""
    event = mapping(sent)
    kind = context_of(event).get("eventType")
    if kind == CONNECT:
        return _connect(event)
    if kind == DISCONNECT:
        return _disconnect(event)
    return _message(event)


def _connect(event: Event) -> dict[str, Any]:
    """Keep who connects, or refuse without words: nothing of it reaches a browser's script anyway."""
    try:
        sockets = open_sockets()
        sockets.connections.add(sockets.connecting(event), now=sockets.now_ms() // 1000)
    except RefusedError as error:
        _log.info("refused", extra={"status": error.status, "reason": error.message})
        return {"statusCode": error.status}
    except Exception as error:  # noqa: BLE001 - whatever it is, its words and its trace are for nobody
        _log.error("not connected", extra={"reason": type(error).__name__})
        return {"statusCode": 503}
    _log.info("connected")
    return {"statusCode": 200, "headers": core.headers(event)}


def _disconnect(event: Event) -> dict[str, Any]:
    """Forget who hangs up. If that fails, the row goes with the first post that finds nobody, or when it expires."""
    try:
        sockets = open_sockets()
        gone = sockets.leaving(event)
        sockets.connections.remove(gone.user_id, gone.connection_id, endpoint=gone.endpoint)
    except Exception as error:  # noqa: BLE001 - nobody is there any more who could be told
        _log.warning("not forgotten", extra={"reason": type(error).__name__})
    return {"statusCode": 200}


def _message(event: Event) -> dict[str, Any]:
    """Answer a ping, or a message that no route takes."""
    try:
        check_message(event)
        if context_of(event).get("routeKey") == core.PING:
            frame = frames.pong(reconnect=open_sockets().reconnect(event))
        else:
            frame = core.unknown_route(socket_message(event), setting("AK_CONSTRUCTS_CHAT_ROUTE"))
    except RefusedError as error:
        frame = frames.system(error.status, error.message)
    except Exception as error:  # noqa: BLE001
        _log.error("not answered", extra={"reason": type(error).__name__})
        frame = frames.not_now()
    return response_of(frame)
