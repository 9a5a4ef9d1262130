"""Requests, replies and connections in memory, for tests of what the response handler pushes."""

import itertools
import json
from typing import Any

from ak_lambda.dead_letter_handler.dead_letters import DeadLetters
from ak_lambda.response_handler.pushing import Pushing
from ak_lambda.response_handler.replies import Replies
from ak_lambda.response_handler.showing import Showing
from ak_lambda.response_handler.streams import Streams
from ak_lambda.shared import protocol
from ak_lambda.shared.connections import Connection
from ak_lambda.shared.messages import ToSend
from ak_lambda.shared.posting import Poster
from test.lambda_assets.fake_connections import ENDPOINT, FakeConnection, FakeConnections, FakeGateway
from test.lambda_assets.fakes import FakePayloads, FakeQueue, FakeTable, record

RETENTION = 1000
NOW = 1_000_000


class World:
    """One pending request of Alice's, and everything around it.

    Attributes:
        streams: Whether the agent streams.
    """

    def __init__(self, *, streams: bool = False) -> None:
        self.streams = streams
        self.now_ms = NOW * 1000
        self.table = FakeTable()
        self.payloads = FakePayloads()
        self.gateway = FakeGateway()
        self.rows = FakeConnections()
        self.told: list[Any] = []
        ids = itertools.count()
        poster = Poster(self.rows, self.gateway.client_for)  # type: ignore[arg-type]
        around: Any = {"connections": self.rows, "poster": poster, "now_ms": lambda: self.now_ms}
        around["new_id"] = lambda: f"part-{next(ids)}"
        self.pushing = Pushing(payloads=self.payloads, function="its-name", **around)  # type: ignore[arg-type]
        self.showing = Showing(**around)
        self.table.write(self.submission("r", "alice"), now=NOW)

    def submission(self, request_id: str, user_id: str) -> protocol.Put:
        """Make the change that submits a request."""
        return protocol.submit(
            request_id=request_id,
            session_id="s",
            user_id=user_id,
            body_hash="h",
            now_ms=self.now_ms,
            retention=RETENTION,
        )

    def connect(
        self, connection_id: str, user_id: str = "alice", *, endpoint: str = ENDPOINT, is_new: bool = False
    ) -> FakeConnection:
        """Connect somebody."""
        self.rows.add(Connection(user_id, connection_id, endpoint, is_new), now=self.now_ms // 1000)
        return self.gateway.connect(connection_id, endpoint)

    @property
    def replies(self) -> Any:  # noqa: ANN401 - made of fakes
        """What handles replies."""
        shared: Any = {"table": self.table, "payloads": self.payloads, "retention": RETENTION}
        shared["now_ms"] = lambda: self.now_ms
        streams = Streams(show=self.showing.show, **shared) if self.streams else None
        queue: Any = FakeQueue()
        return Replies(
            replies=queue, streams=streams, push=self.pushing.push, reply_handlers=[self.told.append], **shared
        )

    def deliver(self, sent: ToSend, *, message_id: str = "m-1", receives: int = 1) -> None:
        """Deliver a reply message."""
        self.replies.handle(record(sent, message_id=message_id, receives=receives))

    def reply(
        self,
        body: str = '{"result": "ok"}',
        *,
        message_id: str = "m-1",
        receives: int = 1,
        named: str = "r",
        endpoint_url: str | None = ENDPOINT,
        user_id: str | None = "alice",
        **more: str,
    ) -> None:
        """Deliver a reply to the request."""
        given = {"request_id": "r", "user_id": user_id, "endpoint_url": endpoint_url, **more}
        attributes = {name: value for name, value in given.items() if value is not None}
        self.deliver(ToSend(body, attributes, "s", named), message_id=message_id, receives=receives)

    def piece(self, run: int, seq: int | str, *, redrives: int = 0, receives: int = 1, **body: Any) -> None:  # noqa: ANN401
        """Deliver one piece as agentkernel 0.9.5 sends it; `run` is how often its runner had received the request."""
        named = f"{protocol.deduplication_id('r', redrives)}-{run}-{seq}"
        text = json.dumps({"done": False, **body, "session_id": "s"})
        self.reply(text, named=named, message_id=f"m-{named}", receives=receives)

    def stream(self, run: int, *deltas: str) -> None:
        """Deliver pieces from the first on, none of them the last."""
        for seq, delta in enumerate(deltas):
            self.piece(run, seq, delta=delta, event={"type": "text_delta", "message_id": "m", "content": delta})

    def give_up(self, **attributes: str) -> ToSend:
        """Have the dead letter handler end the request, and give its reply."""
        replies, others = FakeQueue(), FakeQueue()
        around: Any = {"table": self.table, "replies": replies, "dead_letters": others, "parked": others}
        message = ToSend('{"prompt": "hi"}', {"request_id": "r", "user_id": "alice", **attributes}, "s", "r")
        handler = DeadLetters(now_ms=lambda: self.now_ms, **around)
        assert handler.handle(record(message, receives=6))
        (reply,) = replies.sent
        return reply

    @property
    def item(self) -> Any:  # noqa: ANN401
        """The request's item."""
        return self.table.items["r"]

    @property
    def answer(self) -> Any:  # noqa: ANN401
        """What the item says."""
        return self.item["status"], json.loads(self.item.get("answer", "null"))
