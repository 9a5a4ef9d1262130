"""SQS in memory, with a simulated clock and no more promises than AWS makes.

`docs/decisions/0007-the-model-of-sqs.md` says for each promise, made or not made, in which words AWS makes it.
"""

import dataclasses
import itertools
from typing import Any

from botocore.exceptions import ClientError

from ak_lambda.shared.messages import ToSend
from test.lambda_assets.fakes import record

DEDUPLICATION_MS = 5 * 60 * 1000


@dataclasses.dataclass
class Clock:
    """The time, which passes when somebody says so."""

    now_ms: int = 1_780_000_000_000

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return self.now_ms // 1000


@dataclasses.dataclass
class Message:
    """A message in a queue.

    Attributes:
        number: Its place in the queue.
        handles: One for each time it was received; only the last is sure to work.
        doubled: Whether it was ever delivered although it was in flight or deleted.
    """

    message_id: str
    sent: ToSend
    number: int
    sent_at_ms: int
    visible_at_ms: int
    receives: int = 0
    handles: list[str] = dataclasses.field(default_factory=list)
    doubled: bool = False


def service_error(code: str) -> ClientError:
    """Make what boto3 raises."""
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")


class ModelQueue:
    """One queue: the interface of `ak_lambda.shared.queues.Queue`, and what the service does by itself.

    Attributes:
        outdated_handles_work: Whether a handle that is not the last one does what it is asked to.
        accepted: Every message that was taken in, not those that were dropped as duplicates.
        waiting: What is in the queue, in flight included, in order.
        deleted: What was deleted: it may be delivered again all the same.
        lost: What was dropped because it was too old.
    """

    def __init__(
        self,
        clock: Clock,
        name: str,
        *,
        visibility_seconds: int,
        retention_seconds: int,
        fifo: bool = True,
        max_receives: int | None = None,
        dead_letters: "ModelQueue | None" = None,
    ) -> None:
        self._clock = clock
        self.name = name
        self._fifo = fifo
        self._visibility_ms = visibility_seconds * 1000
        self._retention_ms = retention_seconds * 1000
        self._max_receives = max_receives
        self._dead_letters = dead_letters
        self._numbers = itertools.count(1)
        self._deduplicated: dict[tuple[str, str], int] = {}
        self.outdated_handles_work = False
        self.accepted: list[Message] = []
        self.waiting: list[Message] = []
        self.deleted: list[Message] = []
        self.lost: list[Message] = []

    def send(self, message: ToSend) -> None:
        """Take a message, unless it is one of those that were taken within five minutes, deleted or not."""
        now_ms = self._clock.now_ms
        if self._fifo:
            key = (message.group, message.deduplication_id)
            taken_ms = self._deduplicated.get(key)
            if taken_ms is not None and now_ms < taken_ms + DEDUPLICATION_MS:
                return
            self._deduplicated[key] = now_ms
        number = next(self._numbers)
        taken = Message(f"{self.name}-{number}", message, number, now_ms, now_ms)
        self.accepted.append(taken)
        self.waiting.append(taken)

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Let a message in flight be seen again so many seconds from now."""
        message = self._in_flight(receipt_handle)
        if message is None:
            raise service_error("InvalidParameterValue")
        message.visible_at_ms = self._clock.now_ms + seconds * 1000

    def delete(self, receipt_handle: str) -> None:
        """Let go of a message; an outdated handle a FIFO queue refuses, and a standard one takes and may ignore."""
        message = self._in_flight(receipt_handle)
        if message is not None:
            self.waiting.remove(message)
            self.deleted.append(message)
        elif self._fifo:
            raise service_error("InvalidParameterValue")

    def receive(self, most: int, *, hold_seconds: int) -> list[dict[str, Any]]:
        """Receive messages, in the form in which an event source mapping would hand them over."""
        return [self.take(message, hold_ms=hold_seconds * 1000) for message in self.receivable()[:most]]

    def receivable(self) -> list[Message]:
        """Give what can be received now: of a FIFO queue's group its first message, unless that is in flight."""
        self.pass_time()
        if not self._fifo:
            return [message for message in self.waiting if message.visible_at_ms <= self._clock.now_ms]
        heads: dict[str, Message] = {}
        for message in self.waiting:
            heads.setdefault(message.sent.group, message)
        return [message for message in heads.values() if message.visible_at_ms <= self._clock.now_ms]

    def pass_time(self) -> None:
        """Drop what is too old, and give to the dead letters what would be received once too often."""
        for message in list(self.waiting):
            if message.sent_at_ms + self._retention_ms <= self._clock.now_ms:
                self.waiting.remove(message)
                self.lost.append(message)
        self.deleted = [each for each in self.deleted if each.sent_at_ms + self._retention_ms > self._clock.now_ms]
        blocked: set[str] = set()
        for message in list(self.waiting):
            given_up = self._max_receives is not None and message.receives >= self._max_receives
            if not given_up or message.visible_at_ms > self._clock.now_ms or message.sent.group in blocked:
                blocked.add(message.sent.group if self._fifo else "")
            elif self._dead_letters is not None:
                self.waiting.remove(message)
                self._dead_letters.bury(message)

    def bury(self, message: Message) -> None:
        """Take a message that another queue gave up: the same id, a new time."""
        now_ms = self._clock.now_ms
        buried = Message(message.message_id, message.sent, next(self._numbers), now_ms, now_ms, doubled=message.doubled)
        self.accepted.append(buried)
        self.waiting.append(buried)

    def take(self, message: Message, *, hold_ms: int | None = None) -> dict[str, Any]:
        """Receive a message."""
        message.receives += 1
        message.handles.append(f"{message.message_id}/{message.number}/{message.receives}")
        message.visible_at_ms = self._clock.now_ms + (self._visibility_ms if hold_ms is None else hold_ms)
        event = record(message.sent, message_id=message.message_id, receives=message.receives, fifo=self._fifo)
        return {**event, "receiptHandle": message.handles[-1]}

    def take_again(self, message: Message) -> dict[str, Any]:
        """Receive a message that is in flight, or one that was deleted, of which one server kept a copy."""
        self.show_again(message)
        return self.take(message)

    def show_again(self, message: Message) -> None:
        """Let a message be received though it is in flight, or was deleted."""
        message.doubled = True
        message.visible_at_ms = self._clock.now_ms
        if message in self.deleted:
            self.deleted.remove(message)
            self.waiting.append(message)
            self.waiting.sort(key=lambda each: each.number)

    def _in_flight(self, receipt_handle: str) -> Message | None:
        self.pass_time()
        for message in self.waiting:
            if receipt_handle in message.handles and message.visible_at_ms > self._clock.now_ms:
                newest = message.handles[-1] == receipt_handle
                return message if newest or self.outdated_handles_work else None
        return None
