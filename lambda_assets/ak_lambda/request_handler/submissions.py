"""Submits requests, waits for their answers, and looks them up."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ak_lambda.request_handler import core
from ak_lambda.shared import messages, protocol
from ak_lambda.shared.answers import MAX_RESPONSE_BYTES, Answer
from ak_lambda.shared.fields import RefusedError
from ak_lambda.shared.identity import caller
from ak_lambda.shared.payloads import ANSWERS, MAX_INLINE_BYTES, MAX_MESSAGE_BYTES, REQUESTS, Payloads
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.requests_table import RequestsTable
from ak_lambda.shared.sessions import Sessions


@dataclass(frozen=True, kw_only=True, slots=True)
class Submissions:
    """What requests are submitted with.

    Attributes:
        table: The truth.
        requests: The queue to the agent.
        payloads: Where large bodies are.
        sessions: Whose session is whose.
        retention: Seconds for which the queue keeps a message.
        default_wait_ms: How long a POST waits when the caller says nothing.
        takes_large: Whether the agent can fetch a body from S3: our runner can, a handler of the user's cannot.
        now_ms: The clock.
        rest: Sleeps for so many seconds.
    """

    table: RequestsTable
    requests: Queue
    payloads: Payloads
    sessions: Sessions
    retention: int
    default_wait_ms: int
    takes_large: bool
    now_ms: Callable[[], int]
    rest: Callable[[float], None]

    def submit(self, event: Mapping[str, Any], submission: core.Submission) -> Answer:
        """Put a request into the table and then into the queue, and wait for its answer if the caller does."""
        item = self.begin(submission)
        if isinstance(item, Answer):
            return item
        if protocol.is_final(item):
            return self._final(item)
        wait = core.wait_ms(event, self.default_wait_ms)
        return self._wait(event, item, wait) if wait else core.accepted(event, item)

    def look_up(self, event: Mapping[str, Any], said: Mapping[str, Any]) -> Answer:
        """Tell the state of a request to the user who submitted it."""
        request_id = core.asked_id(said)
        item = self.find(request_id, caller(event, said))
        if item is None:
            return core.not_found(request_id)
        if protocol.is_final(item):
            return self._final(item)
        wait = core.wait_ms(event, 0)
        return self._wait(event, item, wait) if wait else core.pending(event, item)

    def begin(self, submission: core.Submission, *, endpoint_url: str | None = None) -> protocol.Item | Answer:
        """Put a request into the table and then into the queue, and give its item, or say why not.

        A request that has its answer is not put into the queue again.
        """
        request = submission.request
        if not self.takes_large and len(messages.request_body(request)) > MAX_MESSAGE_BYTES:
            raise RefusedError(413, f"body must be at most {MAX_MESSAGE_BYTES:,} bytes for this agent")
        now_ms = self.now_ms()
        now = now_ms // 1000
        if submission.names_session and not self.sessions.claim(request.session_id, request.user_id, now=now):
            return core.closed()
        put = protocol.submit(
            request_id=request.request_id,
            session_id=request.session_id,
            user_id=request.user_id,
            body_hash=submission.body_hash,
            now_ms=now_ms,
            retention=self.retention,
        )
        written = self.table.write(put, now=now)
        item = written.item
        if item is None:
            return core.unavailable(request.request_id, "it expired this very moment")
        if not protocol.same_request(item, user_id=request.user_id, body_hash=submission.body_hash):
            return core.taken()
        item = self._settled(item)
        if protocol.is_final(item):
            return item
        if not submission.names_session:
            request = replace(request, session_id=item["session_id"])  # sent again, it is in the session of the first
            if not self.sessions.claim(request.session_id, request.user_id, now=now, new=written.done):
                return core.closed()
        self._send(messages.request_body(request), item, endpoint_url)
        return item

    def find(self, request_id: str, user_id: str | None) -> protocol.Item | None:
        """Give a request's item as it is now, to the user who submitted it."""
        item = self.table.read(request_id, now=self.now_ms() // 1000)
        if item is None or not protocol.may_read(item, user_id=user_id):
            return None
        return self._settled(item)

    def _send(self, body: str, item: protocol.Item, endpoint_url: str | None) -> None:
        """Send a request's message; sent again, the queue or the lease collapses the two."""
        fitted = self.payloads.fitted(body, MAX_MESSAGE_BYTES, folder=REQUESTS, session_id=item["session_id"])
        message = messages.request_message(
            body=fitted,
            request_id=item["request_id"],
            session_id=item["session_id"],
            user_id=item["user_id"] or None,
            redrives=item["redrives"],
            endpoint_url=endpoint_url,
        )
        self.requests.send(message)

    def _wait(self, event: Mapping[str, Any], item: protocol.Item, wait: int) -> Answer:
        """Look at once, and then at growing steps, until the answer is there or the caller's patience ends."""
        request_id = item["request_id"]
        began = self.now_ms()
        until = core.deadline_ms(event, now_ms=began, wait=wait)
        while True:
            found = self.table.read(request_id, now=self.now_ms() // 1000)
            if found is None:
                return core.not_found(request_id)
            if protocol.is_final(found):
                return self._final(found)
            now_ms = self.now_ms()
            if now_ms >= until:
                return core.pending(event, found)
            self.rest(min(core.step_ms(now_ms - began), until - now_ms) / 1000)

    def _settled(self, item: protocol.Item) -> protocol.Item:
        """End a request that no message can end any more, before anybody is told of it."""
        now = self.now_ms() // 1000
        if not protocol.can_expire(item, now=now):
            return item
        change = protocol.expire(item["request_id"], now=now, retention=self.retention)
        return self.table.write(change, now=now).item or item

    def _final(self, item: protocol.Item) -> Answer:
        kept = messages.referenced(item["answer"])
        if kept is None:
            return core.final(item, item["answer"])
        if int(kept["bytes"]) <= MAX_INLINE_BYTES:
            answer = self.payloads.whole(item["answer"], folder=ANSWERS)
            if len(json.dumps(answer)) <= MAX_RESPONSE_BYTES:
                return core.final(item, answer)
        return core.elsewhere(item, self.payloads.link(kept))
