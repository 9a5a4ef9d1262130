"""The server's end of a WebSocket: who is at the other end, and how one message of theirs is answered."""

import functools
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared import frames
from ak_lambda.shared.clients import callback_client, client
from ak_lambda.shared.connections import Connection, Connections
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import RefusedError, mapping
from ak_lambda.shared.frames import Frame
from ak_lambda.shared.identity import caller_by
from ak_lambda.shared.posting import Poster

CONNECT, DISCONNECT, MESSAGE = "CONNECT", "DISCONNECT", "MESSAGE"
RECONNECT_MS = 110 * 60 * 1000  # API Gateway ends a connection after two hours
POSTING_MS = 20_000  # API Gateway waits 29 s for an answer
RESTS = (0.1, 0.3, 0.6)  # seconds between looks at an index that follows its table a little later

Event = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sockets:
    """What WebSocket events are read and answered with.

    Attributes:
        rule: Who is who: `lambda:` and a key of the authorizer's context, or `iam`.
        endpoint: The callback URL of this API's stage.
        connections: Who is connected.
        poster: Posts what is too long for one frame.
        now_ms: The clock.
        rest: Sleeps for so many seconds.
        new_id: Makes ids.
    """

    rule: str
    endpoint: str
    connections: Connections
    poster: Poster
    now_ms: Callable[[], int]
    rest: Callable[[float], None]
    new_id: Callable[[], str]

    def connecting(self, event: Event) -> Connection:
        """Say who connects."""
        return Connection(self._known(event), _connection_id(event), self.endpoint)

    def user(self, event: Event) -> str:
        """Say who sent a message or hangs up: whoever connected. Never the message says it."""
        if self.rule != "iam":
            return self._known(event)
        connection_id = _connection_id(event)
        for seconds in (*RESTS, None):
            found = self.connections.user_of(connection_id, now=self.now_ms() // 1000, endpoint=self.endpoint)
            if found is not None:
                return found
            if seconds is not None:
                self.rest(seconds)
        raise RefusedError(403, "not allowed: this connection is nobody's")

    def leaving(self, event: Event) -> Connection:
        """Say who hangs up."""
        return Connection(self.user(event), _connection_id(event), self.endpoint)

    def reconnect(self, event: Event) -> bool:
        """Whether the client does well to connect anew, before API Gateway hangs up."""
        connected_ms = context_of(event).get("connectedAt")
        return isinstance(connected_ms, int) and self.now_ms() - connected_ms >= RECONNECT_MS

    def answered(self, event: Event, frame: Frame, user_id: str) -> dict[str, Any]:
        """Answer a message of a user's with a frame. Of a long one all parts but the last are posted first."""
        *first, last = frames.written(frame, self.new_id)
        if first:
            here = Connection(user_id, _connection_id(event), self.endpoint)
            until = self.now_ms() + POSTING_MS
            posted = self.poster.post_all([here], first, has_time=lambda: self.now_ms() < until)
            if posted.failed:
                return response_of(
                    frames.system(503, "not now; ask again with resume", request_id=frame.get("request_id"))
                )
        return _response(last)

    def _known(self, event: Event) -> str:
        """Say who it is by what API Gateway says of the caller; a rule that lets anybody in lets nobody in here."""
        user_id = caller_by(self.rule, event, {}) if self.rule == "iam" or self.rule.startswith("lambda:") else None
        if user_id is None:
            raise RefusedError(403, "not allowed: this API does not say who asks")
        return user_id


@functools.cache
def open_sockets() -> Sockets:
    """Make what the environment names, once for an environment."""
    connections = Connections(client("dynamodb"), setting("AK_CONSTRUCTS_CONNECTIONS_TABLE"))
    return Sockets(
        rule=setting("AK_CONSTRUCTS_IDENTITY"),
        endpoint=setting("AK_CONSTRUCTS_CALLBACK_URL"),
        connections=connections,
        poster=Poster(connections, callback_client),
        now_ms=lambda: int(time.time() * 1000),
        rest=time.sleep,
        new_id=lambda: str(uuid.uuid4()),
    )


def context_of(event: Event) -> Mapping[str, Any]:
    """Give what API Gateway says of an event."""
    return mapping(event.get("requestContext"))


def check_message(event: Event) -> None:
    """Refuse what is no message: a route may bear any name, so that only the event's type tells."""
    if context_of(event).get("eventType") != MESSAGE:
        raise RefusedError(400, "event must be a message of a WebSocket")


def response_of(frame: Frame) -> dict[str, Any]:
    """Answer a message with a short frame."""
    (text,) = frames.written(frame, str)
    return _response(text)


def _response(text: bytes) -> dict[str, Any]:
    return {"statusCode": 200, "body": text.decode()}


def _connection_id(event: Event) -> str:
    connection_id = context_of(event).get("connectionId")
    if not isinstance(connection_id, str) or not connection_id:
        raise RefusedError(400, "event must have a connection")
    return connection_id


if "AK_CONSTRUCTS_CALLBACK_URL" in os.environ:
    open_sockets()  # in the init phase, where Lambda gives the function a full CPU
