"""Ends a request that the queue has given up: reply, then park, then let go."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ak_lambda.shared import messages, protocol
from ak_lambda.shared.messages import Received, ToSend
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.requests_table import RequestsTable

MAX_ATTRIBUTES = 10  # that SQS takes with a message
_KEPT_FIRST = ("user_id", "endpoint_url")  # whose the request is, and where they wait

_log = logging.getLogger("ak_constructs.dead_letter_handler")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetters:
    """What dead letters are handled with.

    Attributes:
        table: The truth.
        dead_letters: The queue that the message came from.
        replies: Where the failure is told.
        parked: Where the message waits for somebody to redrive it.
        now_ms: The clock.
    """

    table: RequestsTable
    dead_letters: Queue
    replies: Queue
    parked: Queue
    now_ms: Callable[[], int]

    def handle(self, record: Mapping[str, Any]) -> bool:
        """End one request; False keeps the message for as long as a run goes on."""
        message = messages.received(record)
        now = self.now_ms() // 1000
        item = self.table.read(message.request_id, now=now)
        if item is not None:
            if protocol.is_final(item) and item.get("status") == protocol.DONE:
                return True
            if protocol.is_outdated(item, redrives=message.redrives or 0):
                return True
            if not protocol.is_of(item, session_id=message.session_id, user_id=message.user_id):
                return True
            left = protocol.lease_left(item, now=now)
            if left:
                self.dead_letters.hide(message.receipt_handle, left)
                return False
        reason = str((item or {}).get("error") or protocol.NO_ANSWER)
        self.replies.send(_reply(message, item, reason))
        self.parked.send(_parked(message, reason))
        _log.error("parked", extra={"request_id": message.request_id, "reason": reason})
        return True


def _reply(message: Received, item: protocol.Item | None, reason: str) -> ToSend:
    reply = messages.reply_message(
        message,
        body=json.dumps({"error": reason, "session_id": message.session_id}),
        session_id=message.session_id,
        status_code=502,
        attempt=None if item is None else item["attempt"],
        redrives=message.redrives if item is None else item["redrives"],  # whatever its sender says
    )
    return replace(reply, deduplication_id=f"{message.deduplication_id}#dead")


def _parked(message: Received, reason: str) -> ToSend:
    """The message as it was, with what a redrive has to know."""
    ours = {
        "request_id": message.request_id,
        "session_id": message.session_id,
        "redrives": str(message.redrives or 0),
        "dead_reason": reason,
    }
    named = {name: message.attributes[name] for name in _KEPT_FIRST if name in message.attributes}
    attributes = ours | named | {name: value for name, value in message.attributes.items() if name not in ours}
    return ToSend(
        body=message.body,
        attributes=dict(list(attributes.items())[:MAX_ATTRIBUTES]),
        group=message.session_id,
        deduplication_id=message.message_id,
    )
