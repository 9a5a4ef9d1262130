"""What handlers work with, in memory: a table that holds conditions, queues that hold messages, a bucket."""

import dataclasses
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ak_lambda.shared.messages import ToSend, reference, referenced
from ak_lambda.shared.protocol import Change, Item, Put
from ak_lambda.shared.requests_table import Written


class FakeTable:
    """`RequestsTable` in memory; `test/local/test_requests_table.py` holds that DynamoDB decides the same."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}

    def read(self, request_id: str, *, now: int) -> Item | None:
        """Give an item that has not expired."""
        item = self.items.get(request_id)
        return item if item and item["expiry_time"] > now else None

    def read_many(self, request_ids: Sequence[str], *, now: int) -> dict[str, Item]:
        """Give those that there are."""
        found = {request_id: self.read(request_id, now=now) for request_id in request_ids}
        return {request_id: item for request_id, item in found.items() if item}

    def write(self, change: Change, *, now: int) -> Written:
        """Make a change if its conditions hold."""
        if isinstance(change, Put):
            old = self.items.get(change.item["request_id"])
            if old is not None and old["expiry_time"] > change.now:
                return Written(done=False, item=self.read(change.item["request_id"], now=now))
            self.items[change.item["request_id"]] = dict(change.item)
            return Written(done=True, item=change.item)
        old = self.items.get(change.request_id)
        holds = (
            old is not None
            and all(old.get(name) == value for name, value in change.equal.items())
            and all(name in old and old[name] <= value for name, value in change.until.items())
            and all(name in old and old[name] > value for name, value in change.beyond.items())
        )
        if old is None or not holds:
            return Written(done=False, item=self.read(change.request_id, now=now))
        added = {name: old.get(name, 0) + value for name, value in change.add.items()}
        new = {**old, **change.values, **added}
        self.items[change.request_id] = new
        return Written(done=True, item=new)


@dataclasses.dataclass
class FakeMessage:
    """A message in a queue."""

    message_id: str
    sent: ToSend
    visible_at: float
    receives: int = 0


class FakeQueue:
    """A queue without an order: what was sent is there until it is deleted."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.messages: list[FakeMessage] = []
        self.hidden: list[tuple[str, int]] = []

    @property
    def sent(self) -> list[ToSend]:
        """What is in the queue."""
        return [message.sent for message in self.messages]

    def send(self, message: ToSend) -> None:
        """Take a message."""
        self.messages.append(FakeMessage(f"message-{next(self._numbers)}", message, 0))

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Note for how long a message is hidden."""
        self.hidden.append((receipt_handle, seconds))

    def receive(self, most: int, *, hold_seconds: int) -> list[dict[str, Any]]:
        """Give messages that were not given yet."""
        found = [message for message in self.messages if not message.visible_at][:most]
        for message in found:
            message.visible_at = hold_seconds
            message.receives += 1
        return [record(message.sent, message_id=message.message_id, receives=message.receives) for message in found]

    def delete(self, receipt_handle: str) -> None:
        """Drop a message."""
        self.messages = [message for message in self.messages if message.message_id != receipt_handle]


class FakePayloads:
    """A bucket."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def fitted(self, body: str, most_bytes: int, *, folder: str, session_id: str) -> str:
        """Keep what is too large."""
        if len(body.encode()) <= most_bytes:
            return body
        key = f"{folder}{len(self.kept)}"
        self.kept[key] = body
        digest = hashlib.sha256(body.encode()).hexdigest()
        return reference(bucket="b", key=key, size=len(body.encode()), sha256=digest, session_id=session_id)

    def whole(self, body: str, *, folder: str) -> str:
        """Give what was kept."""
        kept = referenced(body)
        if kept is None:
            return body
        assert str(kept["key"]).startswith(folder)
        return self.kept[kept["key"]]

    def is_kept(self, body: str, *, folder: str) -> bool:
        """Whether a body stands for what was kept."""
        return str((referenced(body) or {}).get("key")) in self.kept and folder in body

    def link(self, kept: Mapping[str, Any]) -> str:
        """Give an address."""
        return f"https://bucket/{kept['key']}"


class FakeSessions:
    """Whose session is whose, and what was said."""

    def __init__(self) -> None:
        self.owners: dict[str, str | None] = {}
        self.turns: dict[str, dict[str, dict[str, Any]]] = {}

    def claim(self, session_id: str, user_id: str | None, *, now: int, new: bool = False) -> bool:  # noqa: ARG002
        """Open a session, or say whose it is."""
        return self.owners.setdefault(session_id, user_id) == user_id

    def history(self, session_id: str, *, now: int, before: str | None = None) -> list[dict[str, Any]]:  # noqa: ARG002
        """Give the turns of before."""
        turns = self.turns.get(session_id, {})
        return [turns[key] for key in sorted(turns) if before is None or key < before]

    def add_turn(
        self,
        session_id: str,
        *,
        key: str,
        prompt: str,
        answer: str,
        request_id: str,
        created_at: int,
        now: int,  # noqa: ARG002
    ) -> None:
        """Keep a turn."""
        turn = {"prompt": prompt, "answer": answer, "request_id": request_id, "created_at": created_at}
        self.turns.setdefault(session_id, {})[key] = turn


def record(sent: ToSend, *, message_id: str = "message-1", receives: int = 1, fifo: bool = True) -> dict[str, Any]:
    """Make the record by which an event source mapping hands a message over."""
    attributes = {"ApproximateReceiveCount": str(receives), "MessageGroupId": sent.group}
    if fifo:
        attributes["MessageDeduplicationId"] = sent.deduplication_id
    return {
        "messageId": message_id,
        "receiptHandle": message_id,
        "body": sent.body,
        "attributes": attributes,
        "messageAttributes": {
            name: {"dataType": "String", "stringValue": value} for name, value in sent.attributes.items()
        },
        "eventSource": "aws:sqs",
    }
