"""Runs the agent for a message of the request queue: lease, run, reply; what goes wrong comes back."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ak_lambda.shared import messages, protocol
from ak_lambda.shared.answers import Answer, refused
from ak_lambda.shared.fields import MAX_PROGRESS_CHARACTERS, RefusedError
from ak_lambda.shared.heartbeat import Heartbeat
from ak_lambda.shared.messages import Received
from ak_lambda.shared.payloads import ANSWERS, MAX_MESSAGE_BYTES, REQUESTS, Payloads
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.requests import Request, queued_request
from ak_lambda.shared.requests_table import RequestsTable

if TYPE_CHECKING:
    from ak_lambda.agent_runner.deltas import Deltas  # an agent without a WebSocket does without

FRESH_SECONDS = 10
REPLY_ON_ITS_WAY_SECONDS = 2

Progress = Callable[[str], None]
Feed = Callable[[object], None]
Run = Callable[[Request, Progress, int, Feed | None], Answer]

_log = logging.getLogger("ak_constructs.agent_runner")


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedRuns:
    """What a queued run works with.

    Attributes:
        table: The truth.
        requests: The queue that the message came from.
        replies: Where the answer goes.
        payloads: Where large bodies are.
        retention: Seconds for which the request queue keeps a message.
        max_receives: At so many receives the queue gives a message to the dead letters.
        now_ms: The clock.
        run: Runs the agent for a request; told where progress goes, when the request was made and where deltas go.
        open_deltas: Opens the deltas of a run, where there is a WebSocket.
    """

    table: RequestsTable
    requests: Queue
    replies: Queue
    payloads: Payloads
    retention: int
    max_receives: int
    now_ms: Callable[[], int]
    run: Run
    open_deltas: "Callable[..., Deltas] | None" = None

    def handle(self, record: Mapping[str, Any]) -> bool:
        """Run one message; False keeps it in its queue, to be seen again when its time has come."""
        message = messages.received(record)
        held = self._lease(message)
        if isinstance(held, int):
            if held:
                self.requests.hide(message.receipt_handle, held)
            return not held
        deltas = self._deltas(message, held)
        with (
            deltas or contextlib.nullcontext(),
            Heartbeat(lambda text: self._beat(message, held, text, deltas)) as beat,
        ):
            answer = self._run(message, held, beat.carry, deltas)
            if deltas:
                deltas.end(done=answer.went_well)
            if not answer.may_pass:
                self._reply(message, held, answer)
                return True
        self._give_back(message, held, answer)
        return False

    def _lease(self, message: Received) -> protocol.Item | int:
        """Give the item if this run may go on, else seconds after which to look again: 0 for never."""
        now_ms = self.now_ms()
        now = now_ms // 1000
        lease = protocol.lease(message.request_id, session_id=message.session_id, user_id=message.user_id, now=now)
        written = self.table.write(lease, now=now)
        if not written.done and written.item is None:
            begin = protocol.begin_unsubmitted(
                request_id=message.request_id,
                session_id=message.session_id,
                user_id=message.user_id,
                now_ms=now_ms,
                retention=self.retention,
            )
            written = self.table.write(begin, now=now)
        item = written.item
        if written.done and item is not None:
            return item
        if item is not None and not protocol.is_of(item, session_id=message.session_id, user_id=message.user_id):
            _log.error("dropped: the id stands for another request", extra={"request_id": message.request_id})
            return 0
        if item is not None and protocol.is_final(item):
            _log.info("answered before", extra={"request_id": message.request_id})
            return 0
        left = protocol.lease_left(item, now=now) if item is not None else 0
        _log.info("held by another run", extra={"request_id": message.request_id, "seconds": left})
        if message.receives == 1:
            left = min(left, REPLY_ON_ITS_WAY_SECONDS)  # a second copy, in its session right behind the run it repeats
        return max(left, 1)

    def _deltas(self, message: Received, held: protocol.Item) -> "Deltas | None":
        """Let a user hear the run who waits at a WebSocket."""
        if self.open_deltas is None or not message.has_audience:
            return None
        return self.open_deltas(
            request_id=message.request_id,
            session_id=message.session_id,
            user_id=message.user_id,
            attempt=int(held["attempt"]),
        )

    def _beat(self, message: Received, held: protocol.Item, text: str | None, deltas: "Deltas | None") -> bool:
        """Keep the lease and the message of a run that goes on."""
        now = self.now_ms() // 1000
        taken_at = held["lease_until"] - protocol.LEASE_SECONDS
        if text is not None or now - taken_at >= FRESH_SECONDS:  # the lease was just taken when the first beat comes
            change = protocol.extend(
                message.request_id,
                attempt=held["attempt"],
                now=now,
                progress=None if text is None else _shown(text),
            )
            if not self.table.write(change, now=now).done:
                about = {"request_id": message.request_id, "attempt": held["attempt"]}
                _log.warning("lost the lease", extra=about)
                if deltas:
                    deltas.stop()
                return False
        self.requests.hide(message.receipt_handle, protocol.LEASE_SECONDS)  # last: an outdated handle may be refused
        return True

    def _run(self, message: Received, held: protocol.Item, carry: Progress, deltas: "Deltas | None") -> Answer:
        try:
            request = queued_request(
                self.payloads.whole(message.body, folder=REQUESTS),
                request_id=message.request_id,
                session_id=message.session_id,
                user_id=message.user_id,
            )
        except RefusedError as error:
            return refused(error)
        if deltas is None:
            return self.run(request, carry, held["created_at"], None)

        def progress(text: str) -> None:
            carry(text)
            deltas.progress(text)

        return self.run(request, progress, held["created_at"], deltas.feed)

    def _reply(self, message: Received, held: protocol.Item, answer: Answer) -> None:
        session_id = held["session_id"]
        body = self.payloads.fitted(answer.text, MAX_MESSAGE_BYTES, folder=ANSWERS, session_id=session_id)
        reply = messages.reply_message(
            message,
            body=body,
            session_id=session_id,
            status_code=answer.status,
            attempt=held["attempt"],
            redrives=held["redrives"],
        )
        self.replies.send(reply)

    def _give_back(self, message: Received, held: protocol.Item, answer: Answer) -> None:
        """Let the next run begin after a rest; after the last, the dead letters take over at once."""
        now = self.now_ms() // 1000
        error = answer.reason or "the agent failed"
        self.table.write(protocol.release(message.request_id, attempt=held["attempt"], error=error), now=now)
        last = message.receives >= self.max_receives
        self.requests.hide(message.receipt_handle, 0 if last else protocol.backoff_seconds(message.receives))


def _shown(text: object) -> str:
    """What of a progress text a caller is shown; whatever the agent gave, a table must take it."""
    return str(text)[:MAX_PROGRESS_CHARACTERS].encode(errors="replace").decode()
