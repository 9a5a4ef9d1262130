"""Posts frames to connections. What is posted is never logged.

A retry is harmless to those who post: a client that gets a frame twice takes the first.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from ak_lambda.shared.calls import CallError, calling
from ak_lambda.shared.connections import Connection, Connections

MAX_AT_ONCE = 16
GONE = "GoneException"

Outcome = Literal["delivered", "gone", "failed"]

_log = logging.getLogger("ak_constructs.posting")


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """How many connections got all frames, are gone, or failed."""

    delivered: int
    gone: int
    failed: int


class Poster:
    """Posts to connections, and forgets those that are gone.

    Args:
        connections: The table.
        client_for: Gives the client of an endpoint.
    """

    def __init__(self, connections: Connections, client_for: Callable[[str], Any]) -> None:
        self._connections = connections
        self._client_for = client_for

    def post(self, connection: Connection, data: bytes) -> Outcome:
        """Post one frame to one connection."""
        if not connection.endpoint.startswith("https://"):
            _log.error("not posted", extra={"operation": "PostToConnection", "code": "endpoint"})
            return "failed"
        try:
            client = self._client_for(connection.endpoint)
            calling(
                "PostToConnection",
                lambda: client.post_to_connection(ConnectionId=connection.connection_id, Data=data),
            )
        except CallError as error:
            if error.code == GONE:
                if not connection.is_new:
                    self._forget(connection)
                return "gone"
            _log.warning("not posted", extra={"operation": error.operation, "code": error.code})
            return "failed"
        return "delivered"

    def post_all(
        self,
        connections: Sequence[Connection],
        frames: Sequence[bytes],
        *,
        has_time: Callable[[], bool] = lambda: True,
    ) -> Posted:
        """Post frames in order to each connection, to all connections at once; once there is no time, no more."""
        outcomes = self.outcomes(connections, frames, has_time=has_time)
        return Posted(
            delivered=outcomes.count("delivered"), gone=outcomes.count("gone"), failed=outcomes.count("failed")
        )

    def outcomes(
        self,
        connections: Sequence[Connection],
        frames: Sequence[bytes],
        *,
        has_time: Callable[[], bool] = lambda: True,
    ) -> list[Outcome]:
        """Do the same, and give each connection's outcome in turn."""

        def post_each(connection: Connection) -> Outcome:
            """Stop at the first that does not arrive: what follows would be a gap."""
            outcomes = (self.post(connection, frame) if has_time() else "failed" for frame in frames)
            return next((outcome for outcome in outcomes if outcome != "delivered"), "delivered")

        if len(connections) <= 1:
            return [post_each(connection) for connection in connections]
        with ThreadPoolExecutor(max_workers=min(len(connections), MAX_AT_ONCE)) as pool:
            return list(pool.map(post_each, connections))

    def _forget(self, connection: Connection) -> None:
        try:
            calling(
                "DeleteItem",
                lambda: self._connections.remove(
                    connection.user_id, connection.connection_id, endpoint=connection.endpoint
                ),
            )
        except CallError as error:  # then the row goes when it expires
            _log.warning("not forgotten", extra={"operation": error.operation, "code": error.code})
