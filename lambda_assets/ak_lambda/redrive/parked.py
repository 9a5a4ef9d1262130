"""Takes parked messages and sends them where they came from."""

import collections
from collections.abc import Callable
from dataclasses import dataclass, replace

from ak_lambda.redrive import core
from ak_lambda.shared import messages, protocol
from ak_lambda.shared.messages import Received, ToSend
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.requests_table import RequestsTable

HOLD_SECONDS = 300  # as long as the function may run
_OF_PARKING = frozenset({"dead_reason", "session_id", "redrives"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Redrive:
    """What parked messages are redriven with.

    Attributes:
        table: The truth.
        parked: Where requests wait.
        requests: Where they go.
        parked_replies: Where replies wait.
        replies: Where they go.
        retention: Seconds for which the request queue keeps a message.
        now_ms: The clock.
        new_id: Makes ids.
        has_time: Whether there is time for more.
    """

    table: RequestsTable
    parked: Queue
    requests: Queue
    parked_replies: Queue
    replies: Queue
    retention: int
    now_ms: Callable[[], int]
    new_id: Callable[[], str]
    has_time: Callable[[], bool]

    def run(self, queue: str, most: int) -> dict[str, int]:
        """Redrive up to so many messages and count what became of them."""
        source, redrive = (self.parked, self._request) if queue == "requests" else (self.parked_replies, self._reply)
        counts: collections.Counter[str] = collections.Counter()
        left: list[str] = []
        while counts.total() < most and self.has_time():
            batch = source.receive(min(10, most - counts.total()), hold_seconds=HOLD_SECONDS)
            if not batch:
                break
            for record in batch:
                message = messages.received(record)
                what = redrive(message)
                counts[what] += 1
                if what in {core.NOT_FAILED_YET, core.FORGOTTEN}:
                    left.append(message.receipt_handle)
                else:
                    source.delete(message.receipt_handle)
        for handle in left:
            source.hide(handle, 0)
        return dict(counts)

    def _request(self, message: Received) -> str:
        """The table first: a message that is sent twice is run once, one that is not sent is never run."""
        now = self.now_ms() // 1000
        item = self.table.read(message.request_id, now=now)
        what = _decision(item, message)
        if what == core.REDRIVE:
            change = protocol.redrive(
                message.request_id, session_id=message.session_id, now=now, retention=self.retention
            )
            written = self.table.write(change, now=now)
            item = written.item
            what = core.REDRIVE if written.done else _decision(item, message)
        if what in {core.REDRIVE, core.RESEND} and item is not None:
            self.requests.send(_again(message, item))
        return what

    def _reply(self, message: Received) -> str:
        """Send a reply under its first name: it may have finished its request before anybody was told."""
        attributes = {"reply_id": message.message_id, **message.attributes}
        if message.redrives is not None:
            attributes["redrives"] = str(message.redrives)
        else:  # of a streamed piece it says which one it is
            attributes = {"sent_as": message.deduplication_id, **attributes}
        name = self.new_id()
        sent = ToSend(body=message.body, attributes=attributes, group=message.session_id, deduplication_id=name)
        self.replies.send(sent)
        return core.REDRIVE


def _decision(item: protocol.Item | None, message: Received) -> str:
    return core.decision(
        item, session_id=message.session_id, user_id=message.user_id, parked_redrives=message.redrives or 0
    )


def _again(message: Received, item: protocol.Item) -> ToSend:
    """The parked message as it first was; never with its trace, by which AWS would take it for an endless loop."""
    made = messages.request_message(
        body=message.body,
        request_id=message.request_id,
        session_id=item["session_id"],
        user_id=item["user_id"] or None,
        redrives=item["redrives"],
    )
    own = {name: value for name, value in message.attributes.items() if name not in _OF_PARKING}
    return replace(made, attributes={**own, **made.attributes})
