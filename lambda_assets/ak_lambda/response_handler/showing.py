"""Shows pieces of an answer to the connections of whoever asked, as they come: hints, which may fail."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from ak_lambda.response_handler.pieces import Piece
from ak_lambda.shared import frames
from ak_lambda.shared.connections import Connection, Connections
from ak_lambda.shared.messages import Received
from ak_lambda.shared.posting import Poster

FRESH_MS = 2000  # who has connected since then sees the next pieces, and the answer in any case
MOST_KEPT = 1000  # of users and of connections that an environment remembers

_log = logging.getLogger("ak_constructs.response_handler")


@dataclass(frozen=True, kw_only=True, slots=True)
class Showing:
    """What pieces are shown with.

    Attributes:
        connections: Who is connected.
        poster: Posts to them, and waits for none long.
        now_ms: The clock.
        new_id: Makes ids.
    """

    connections: Connections
    poster: Poster
    now_ms: Callable[[], int]
    new_id: Callable[[], str]
    _known: dict[str, tuple[int, list[Connection]]] = field(default_factory=dict, init=False)
    _deaf: set[tuple[str, int, str]] = field(default_factory=set, init=False)

    def show(self, received: Received, piece: Piece) -> None:
        """Show a piece; a connection that does not take one gets no more of its run."""
        if not received.has_audience or piece.seq is None:
            return
        run = (received.request_id, piece.attempt)
        try:
            connections = [
                each for each in self._of(str(received.user_id)) if (*run, each.connection_id) not in self._deaf
            ]
            frame = frames.chunk(
                request_id=received.request_id,
                session_id=received.session_id,
                attempt=piece.attempt,
                seq=piece.seq,
                delta=piece.delta,
                done=piece.ends,
                event=piece.event,
                error=piece.error,
            )
            written = frames.written(frame, self.new_id) if connections else []
            outcomes = self.poster.outcomes(connections, written)
        except Exception as error:  # noqa: BLE001 - the answer comes anyhow
            about = {"request_id": received.request_id, "error_type": type(error).__name__}
            _log.warning("a piece was not shown", extra=about)
            return
        if "gone" in outcomes:
            self._known.pop(str(received.user_id), None)  # perhaps it has connected anew
        if len(self._deaf) >= MOST_KEPT:
            self._deaf.clear()
        self._deaf.update(
            (*run, each.connection_id)
            for each, outcome in zip(connections, outcomes, strict=True)
            if outcome == "failed"
        )

    def _of(self, user_id: str) -> list[Connection]:
        now = self.now_ms()
        read_at, connections = self._known.get(user_id, (-FRESH_MS, []))
        if now - read_at >= FRESH_MS:
            connections = self.connections.of_user(user_id, now=now // 1000)
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[user_id] = (now, connections)
        return connections
