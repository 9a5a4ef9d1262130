"""The Lambda handler of an `AgentQueue`'s replies: gives each request its one final answer.

A retry is harmless: the first reply of a request is the only one that counts.
"""

import functools
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ak_lambda.response_handler.replies import Replies
from ak_lambda.shared.clients import callback_client, client
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import mapping
from ak_lambda.shared.messages import Received
from ak_lambda.shared.payloads import Payloads
from ak_lambda.shared.protocol import Item
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.record_batch import handled
from ak_lambda.shared.requests_table import RequestsTable

if TYPE_CHECKING:
    from ak_lambda.response_handler.streams import Streams

SHOW_SECONDS = 2  # for which one connection keeps a piece from the others

_log = logging.getLogger("ak_constructs.response_handler")


def handler(event: object, _context: object) -> dict[str, Any]:
    """Handle replies in order; one that fails rests longer each time."""
    return handled(mapping(event).get("Records"), replies().handle, replies().replies, _log)


@functools.cache
def replies() -> Replies:
    """Make what replies are handled with, once for an environment."""
    table = RequestsTable(client("dynamodb"), setting("AK_CONSTRUCTS_REQUESTS_TABLE"))
    payloads = Payloads(lambda: client("s3"), setting("AK_CONSTRUCTS_PAYLOADS_BUCKET"))
    retention = int(setting("AK_CONSTRUCTS_RETENTION_SECONDS"))
    streams, push = _to_connections(table, payloads, retention)
    return Replies(
        table=table,
        replies=Queue(client("sqs"), setting("AK_CONSTRUCTS_REPLY_QUEUE_URL")),
        payloads=payloads,
        retention=retention,
        now_ms=_now_ms,
        streams=streams,
        push=push,
        reply_handlers=[
            _reply_handler(name) for name in os.environ.get("AK_CONSTRUCTS_REPLY_HANDLERS", "").split(",") if name
        ],
    )


def _to_connections(
    table: RequestsTable, payloads: Payloads, retention: int
) -> tuple["Streams | None", Callable[[Received, Item], None] | None]:
    """Make what a WebSocket in front needs: nothing where there is none."""
    name = os.environ.get("AK_CONSTRUCTS_CONNECTIONS_TABLE")
    if not name:
        return None, None
    from ak_lambda.response_handler.pushing import Pushing  # noqa: PLC0415 - a queue without a WebSocket needs none
    from ak_lambda.shared.connections import Connections  # noqa: PLC0415
    from ak_lambda.shared.posting import Poster  # noqa: PLC0415

    connections = Connections(client("dynamodb"), name)
    poster = Poster(connections, callback_client)
    push = Pushing(
        connections=connections,
        poster=poster,
        payloads=payloads,
        function=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        now_ms=_now_ms,
        new_id=_new_id,
    ).push
    if os.environ.get("AK_CONSTRUCTS_STREAMS") != "true":
        return None, push
    from ak_lambda.response_handler.showing import Showing  # noqa: PLC0415 - few are told pieces
    from ak_lambda.response_handler.streams import Streams  # noqa: PLC0415

    hasty = Poster(connections, functools.partial(callback_client, read_seconds=SHOW_SECONDS))
    showing = Showing(connections=connections, poster=hasty, now_ms=_now_ms, new_id=_new_id)
    return Streams(table=table, payloads=payloads, retention=retention, now_ms=_now_ms, show=showing.show), push


def _now_ms() -> int:
    return int(time.time() * 1000)


def _new_id() -> str:
    return uuid.uuid4().hex


def _reply_handler(function: str) -> Callable[[Mapping[str, Any]], None]:
    """Call a function of the user's with each final answer; what it does not take comes again."""

    def call(answer: Mapping[str, Any]) -> None:
        response = client("lambda").invoke(FunctionName=function, Payload=json.dumps(answer).encode())
        if response.get("FunctionError"):
            raise RuntimeError("the reply handler failed")

    return call


if "AK_CONSTRUCTS_REQUESTS_TABLE" in os.environ:
    replies()  # in the init phase, where Lambda gives the function a full CPU
