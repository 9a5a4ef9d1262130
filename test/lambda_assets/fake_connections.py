"""API Gateway's side of a WebSocket API in memory: posts to connections, with the service's limits, and their table.

A frame has at most 32 KB and a message at most 128 KB; whoever sends more loses the connection with code 1009:
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html,
read 2026-11-21. The service splits no message of ours here, the stricter reading: whatever is posted must be
one frame. The errors and their HTTP statuses are those of botocore's model of the service: Gone 410, LimitExceeded 429
(also when a client does not read and its buffer is full), PayloadTooLarge 413, Forbidden 403.
"""

import functools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.errorfactory import ClientExceptionsFactory
from botocore.exceptions import ReadTimeoutError

from ak_lambda.shared.connections import TTL_SECONDS

ENDPOINT = "https://api1.execute-api.eu-west-1.amazonaws.com/prod"
FRAME_BYTES = 32 * 1024
TOO_LARGE = 1009

GONE = "GoneException"
THROTTLED = "LimitExceededException"
FORBIDDEN = "ForbiddenException"
PAYLOAD_TOO_LARGE = "PayloadTooLargeException"
TIMEOUT = "timeout"
_STATUSES = {GONE: 410, THROTTLED: 429, FORBIDDEN: 403, PAYLOAD_TOO_LARGE: 413, "InternalServerErrorException": 500}


@functools.cache
def exceptions() -> Any:  # noqa: ANN401 - botocore makes its classes at run time
    """Give the exceptions that a real client has."""
    model = botocore.session.get_session().get_service_model("apigatewaymanagementapi")
    return ClientExceptionsFactory().create_client_exceptions(model)


def error(code: str, operation: str = "PostToConnection") -> Exception:
    """Make an error of the service's, of the class that a real client raises."""
    status = _STATUSES.get(code, 400)
    response = {"Error": {"Code": code, "Message": "from the service"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    made: Exception = exceptions().from_code(code)(response, operation)
    return made


@dataclass
class FakeConnection:
    """One client's end.

    Attributes:
        endpoint: The API it is connected to.
        posted: What arrived, post by post.
        closed: The code with which the connection was closed, or None.
        fails: Errors of its next posts, in order: a code, or TIMEOUT; None for a post that succeeds.
        always: The error of every later post.
        opened: A post waits for it: clear it to make a client that does not read.
        before: Called before each post, with the data.
    """

    endpoint: str
    posted: list[bytes] = field(default_factory=list)
    closed: int | None = None
    fails: list[str | None] = field(default_factory=list)
    always: str | None = None
    opened: threading.Event = field(default_factory=threading.Event)
    before: Callable[[bytes], None] = lambda _data: None

    def __post_init__(self) -> None:
        self.opened.set()

    def close(self, code: int = 1001) -> None:
        """Hang up: the service knows at once."""
        self.closed = code

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What the client makes of it: parts joined, each in order, none missing, none twice."""
        frames = []
        parts: dict[str, list[str]] = {}
        for data in self.posted:
            frame = json.loads(data)
            if frame["type"] != "PART":
                frames.append(frame)
                continue
            assert set(frame) == {"type", "request_id", "part_id", "i", "n", "data"}, frame
            pieces = parts.setdefault(frame["part_id"], [])
            assert frame["i"] == len(pieces) < frame["n"], f"part {frame['i']} of {frame['n']} after {len(pieces)}"
            pieces.append(frame["data"])
            if len(pieces) == frame["n"]:
                frames.append(json.loads("".join(parts.pop(frame["part_id"]))))
        assert not parts, f"parts are missing of {len(parts)} frames"
        return frames

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """Give the frames of one type."""
        return [frame for frame in self.frames if frame["type"] == name]


class FakeGateway:
    """The management APIs of any number of WebSocket APIs.

    Attributes:
        posts: Every post in the order in which it began: the connection's id and its bytes.
    """

    def __init__(self) -> None:
        self.connections: dict[str, FakeConnection] = {}
        self.posts: list[tuple[str, int]] = []
        self._lock = threading.Lock()

    def connect(self, connection_id: str, endpoint: str = ENDPOINT) -> FakeConnection:
        """Open a connection."""
        self.connections[connection_id] = FakeConnection(endpoint)
        return self.connections[connection_id]

    def client_for(self, endpoint: str) -> Any:  # noqa: ANN401
        """Give what stands for a boto3 client with this `endpoint_url`."""
        return SimpleNamespace(
            exceptions=exceptions(),
            meta=SimpleNamespace(endpoint_url=endpoint),
            post_to_connection=functools.partial(self._post, endpoint),
            get_connection=functools.partial(self._get, endpoint),
            delete_connection=functools.partial(self._delete, endpoint),
        )

    def _post(self, endpoint: str, *, ConnectionId: str, Data: bytes) -> dict[str, Any]:  # noqa: N803
        data = Data if isinstance(Data, bytes) else bytes(Data)
        with self._lock:
            self.posts.append((ConnectionId, len(data)))
        connection = self._open(endpoint, ConnectionId, "PostToConnection")
        connection.before(data)
        wrong = connection.fails.pop(0) if connection.fails else connection.always
        if wrong == TIMEOUT:
            raise ReadTimeoutError(endpoint_url=endpoint)
        if wrong is not None:
            raise error(wrong)
        if not connection.opened.wait(timeout=30):
            raise ReadTimeoutError(endpoint_url=endpoint)
        with self._lock:
            if connection.closed is not None:
                raise error(GONE)
            if len(data) > FRAME_BYTES:
                connection.close(TOO_LARGE)
                raise error(PAYLOAD_TOO_LARGE)
            connection.posted.append(data)
        return {"ResponseMetadata": {"HTTPStatusCode": 200}}

    def _get(self, endpoint: str, *, ConnectionId: str) -> dict[str, Any]:  # noqa: N803
        self._open(endpoint, ConnectionId, "GetConnection")
        return {"Identity": {"SourceIp": "203.0.113.1", "UserAgent": "test"}}

    def _delete(self, endpoint: str, *, ConnectionId: str) -> dict[str, Any]:  # noqa: N803
        self._open(endpoint, ConnectionId, "DeleteConnection").close(1000)
        return {}

    def _open(self, endpoint: str, connection_id: str, operation: str) -> FakeConnection:
        connection = self.connections.get(connection_id)
        if connection is None or connection.endpoint != endpoint or connection.closed is not None:
            raise error(GONE, operation)
        return connection


class FakeConnections:
    """`shared.connections.Connections` in memory: rows by user and connection id.

    Attributes:
        rows: What the table holds, expired rows included.
        reads: How often the rows of a user were asked for.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.reads = 0
        self._lock = threading.Lock()

    def add(self, connection: Any, *, now: int) -> None:  # noqa: ANN401 - whatever stands for a Connection
        """Write a row."""
        key = (connection.user_id, connection.connection_id)
        row = {"endpoint": connection.endpoint, "connected_at": now, "expiry_time": now + TTL_SECONDS}
        self.rows[key] = {**row, "connection": connection}

    def remove(self, user_id: str, connection_id: str, *, endpoint: str | None = None) -> None:
        """Delete a row, if it is of this endpoint."""
        with self._lock:
            row: Mapping[str, Any] = self.rows.get((user_id, connection_id), {})
            if row and endpoint in {None, row["endpoint"]}:
                del self.rows[user_id, connection_id]

    def of_user(self, user_id: str, *, now: int) -> list[Any]:
        """Give the connections of a user that have not expired and have an endpoint."""
        with self._lock:
            self.reads += 1
            return [
                row["connection"]
                for (user, _), row in self.rows.items()
                if user == user_id and row["expiry_time"] > now and row["endpoint"]
            ]

    def user_of(self, connection_id: str, *, now: int, endpoint: str | None = None) -> str | None:
        """Say whose a connection is."""
        found = {
            user
            for (user, each), row in self.rows.items()
            if each == connection_id and row["expiry_time"] > now and endpoint in {None, row["endpoint"]}
        }
        return found.pop() if len(found) == 1 else None
