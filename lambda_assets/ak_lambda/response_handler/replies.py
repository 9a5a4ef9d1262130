"""Brings a reply into the requests table, pushes the answer, and tells whoever wants to know."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ak_lambda.shared import messages, protocol
from ak_lambda.shared.messages import Received
from ak_lambda.shared.payloads import ANSWERS, MAX_ITEM_BYTES, Payloads
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.requests_table import RequestsTable

if TYPE_CHECKING:
    from ak_lambda.response_handler.streams import Streams

UNREADABLE = json.dumps({"error": "the agent's answer cannot be written as JSON"})

_log = logging.getLogger("ak_constructs.response_handler")


@dataclass(frozen=True, kw_only=True, slots=True)
class Replies:
    """What replies are handled with.

    Attributes:
        table: The truth.
        replies: The queue that the reply came from.
        payloads: Where large answers are.
        retention: Seconds for which the request queue keeps a message, and answers are kept at least.
        now_ms: The clock.
        streams: Takes a reply that is a piece of an answer; None where answers come whole.
        push: Pushes a final answer to whoever asked, at least once while that is possible.
        reply_handlers: Who is told each final answer, at least once.
    """

    table: RequestsTable
    replies: Queue
    payloads: Payloads
    retention: int
    now_ms: Callable[[], int]
    streams: "Streams | None" = None
    push: Callable[[Received, protocol.Item], None] | None = None
    reply_handlers: Sequence[Callable[[Mapping[str, Any]], None]] = ()

    def handle(self, record: Mapping[str, Any]) -> None:
        """Finish the request, unless it is finished or was redriven since, or more pieces of its answer are to come."""
        received = messages.received(record)
        reply = received if self.streams is None else self.streams.reply(received)
        if reply is None:
            return
        item, counted = self._finish(reply)
        if counted:
            if self.push is not None:  # first: somebody looks at a screen
                self.push(reply, item)
            for call in self.reply_handlers:
                call(_told(item))
        else:
            _log.info("ignored", extra={"request_id": reply.request_id, "status": item.get("status")})

    def _finish(self, reply: Received) -> tuple[protocol.Item, bool]:
        """Give the item as it then is, and whether this very reply is what finished it, now or the last time."""
        now_ms = self.now_ms()
        now = now_ms // 1000
        session_id = reply.session_id
        status, status_code, body = self._outcome(reply)
        change = protocol.finish(
            reply.request_id,
            status=status,
            status_code=status_code,
            answer=self.payloads.fitted(body, MAX_ITEM_BYTES, folder=ANSWERS, session_id=session_id),
            session_id=session_id,
            user_id=reply.user_id,
            redrives=reply.redrives,
            reply_id=_reply_id(reply),
            now=now,
            retention=self.retention,
        )
        written = self.table.write(change, now=now)
        if not written.done and written.item is None:
            put = protocol.finish_unsubmitted(
                change, session_id=session_id, user_id=reply.user_id, now_ms=now_ms, retention=self.retention
            )
            written = self.table.write(put, now=now)
        item = written.item or {}
        return item, written.done or item.get("answered_by") == _reply_id(reply)

    def _outcome(self, reply: Received) -> tuple[str, int, str]:
        if self.payloads.is_kept(reply.body, folder=ANSWERS):  # our runner's, and checked before
            return (*messages.outcome("{}", reply.attributes.get("status_code")), reply.body)
        if messages.referenced(reply.body) is not None or not messages.is_json_object(reply.body):
            return protocol.FAILED, 502, UNREADABLE
        status, status_code = messages.outcome(reply.body, reply.attributes.get("status_code"))
        return status, status_code, messages.failure_body(reply.body) if status == protocol.FAILED else reply.body


def _reply_id(reply: Received) -> str:
    """What a reply is called, also after it was redriven."""
    return reply.attributes.get("reply_id", reply.message_id)


def _told(item: protocol.Item) -> dict[str, Any]:
    """What a reply handler is told: the answer as text, since its numbers may be more than JSON's readers take."""
    names = ("request_id", "session_id", "user_id", "status", "status_code", "answer", "created_at", "attempt")
    return {name: item[name] for name in names if item.get(name) not in {None, protocol.NOBODY}}
