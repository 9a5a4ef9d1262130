"""Takes an answer that comes in pieces: keeps each, shows it to the user, and joins them when the last has come."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ak_lambda.response_handler import pieces
from ak_lambda.response_handler.pieces import Piece
from ak_lambda.shared import protocol
from ak_lambda.shared.messages import Received
from ak_lambda.shared.payloads import ANSWERS, MAX_ITEM_BYTES, Payloads
from ak_lambda.shared.requests_table import MOST_READ, RequestsTable

MAX_PIECES = 10_000  # a hundred readings, some seconds of the handler's thirty
TOO_MANY = f"the agent's answer has too many pieces: at most {MAX_PIECES:,}"

_log = logging.getLogger("ak_constructs.response_handler")


@dataclass(frozen=True, kw_only=True, slots=True)
class Streams:
    """What pieces are taken with.

    Attributes:
        table: The truth; a piece is an item of its own beside its request's, and goes by its expiry time alone.
        payloads: Where large pieces are.
        retention: Seconds for which the request queue keeps a message, and pieces are kept.
        now_ms: The clock.
        show: Shows a piece to whom it is for; never raises.
    """

    table: RequestsTable
    payloads: Payloads
    retention: int
    now_ms: Callable[[], int]
    show: Callable[[Received, Piece], None]

    def reply(self, received: Received) -> Received | None:
        """Give the reply that a piece completes, or None; a reply that is no piece is given as it is."""
        piece = pieces.piece_of(received)
        if piece is None:
            return received
        now_ms = self.now_ms()
        now = now_ms // 1000
        begun = _begun(received, piece, now)
        written = self.table.write(begun, now=now)
        if not written.done and written.item is None:  # it came by the queue alone, or what was submitted has expired
            put = protocol.begin_streamed(begun, user_id=received.user_id, now_ms=now_ms, retention=self.retention)
            written = self.table.write(put, now=now)
        if not written.done:
            if piece.ends and written.item and protocol.is_final(written.item):
                # perhaps by this very piece, and nobody was told
                return self._ended(received, piece, now)
            about = {"request_id": received.request_id, "attempt": piece.attempt, "seq": piece.seq}
            _log.info("ignored a piece", extra=about)
            return None
        if self._keep(received, piece, now):
            self.show(received, piece)
        return self._ended(received, piece, now) if piece.ends else None

    def _keep(self, received: Received, piece: Piece, now: int) -> bool:
        """Keep a piece, and say whether it is new: shown twice, its text would be there twice."""
        if piece.seq is None or piece.seq >= MAX_PIECES:
            return False
        text = self.payloads.fitted(piece.kept, MAX_ITEM_BYTES, folder=ANSWERS, session_id=received.session_id)
        name = protocol.piece_name(received.request_id, attempt=piece.attempt, seq=piece.seq)
        return self.table.write(protocol.piece(name, text=text, now=now, retention=self.retention), now=now).done

    def _ended(self, received: Received, piece: Piece, now: int) -> Received:
        """Make the reply that the runner would have sent without a stream."""
        body = {"error": piece.error} if piece.error is not None else self._joined(received, piece, now)
        if "error" in body:
            about = {"request_id": received.request_id, "attempt": piece.attempt, "seq": piece.seq}
            _log.warning("a stream ended without an answer", extra=about)
        return replace(received, body=json.dumps(body), redrives=piece.redrives)

    def _joined(self, received: Received, piece: Piece, now: int) -> dict[str, Any]:
        if piece.seq is None:
            return {"error": pieces.MISSING}
        if piece.seq >= MAX_PIECES:
            return {"error": TOO_MANY}
        names = [
            protocol.piece_name(received.request_id, attempt=piece.attempt, seq=seq) for seq in range(piece.seq + 1)
        ]
        return pieces.joined(self._pieces(names, now), session_id=received.session_id)

    def _pieces(self, names: Sequence[str], now: int) -> Iterator[str | None]:
        """Read pieces, as many at a time as one call gives."""
        for start in range(0, len(names), MOST_READ):
            batch = names[start : start + MOST_READ]
            found = self.table.read_many(batch, now=now)
            for name in batch:
                yield self.payloads.whole(found[name]["piece"], folder=ANSWERS) if name in found else None


def _begun(received: Received, piece: Piece, now: int) -> protocol.Update:
    """The first piece seen of a run makes that run the newest; of older ones no more are taken."""
    return protocol.stream(
        received.request_id,
        session_id=received.session_id,
        user_id=received.user_id,
        redrives=piece.redrives,
        attempt=piece.attempt,
        now=now,
    )
