"""Who hears what a run says: the connections of the user who asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ak_lambda.agent_runner.delta_rules import Cutting
from ak_lambda.agent_runner.deltas import Deltas
from ak_lambda.shared.connections import Connection, Connections
from ak_lambda.shared.posting import Poster


@dataclass(frozen=True, kw_only=True, slots=True)
class Audience:
    """What deltas are posted with.

    Attributes:
        connections: Who is connected.
        client_for: Gives the client of an endpoint, which gives a post up soon.
        now: Seconds since 1970.
        clock: Seconds, that only ever grow.
    """

    connections: Connections
    client_for: Callable[[str], Any]
    now: Callable[[], int]
    clock: Callable[[], float]

    def deltas(
        self, *, request_id: str, session_id: str, user_id: str, attempt: int, left_seconds: Callable[[], float]
    ) -> Deltas:
        """Give what posts one run's deltas and progress."""

        def find() -> list[Connection]:
            found = self.connections.of_user(user_id, now=self.now())
            for connection in found:
                if connection.endpoint.startswith("https://"):
                    self.client_for(connection.endpoint)  # made while the agent is still thinking
            return found

        return Deltas(
            Cutting(request_id=request_id, session_id=session_id, attempt=attempt),
            find=find,
            post=Poster(self.connections, self.client_for).post,
            clock=self.clock,
            left_seconds=left_seconds,
        )
