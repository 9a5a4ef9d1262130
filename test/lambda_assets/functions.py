"""Our functions as Lambda calls them, with everything that they call in memory, as strict as AWS is."""

import hashlib
import io
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ak_lambda.agent_runner import handler as agent_runner
from ak_lambda.connection_handler import handler as connection_handler
from ak_lambda.dead_letter_handler import handler as dead_letter_handler
from ak_lambda.dead_letter_handler.dead_letters import DeadLetters
from ak_lambda.health import handler as health
from ak_lambda.redrive import handler as redrive
from ak_lambda.request_handler import handler as request_handler
from ak_lambda.request_handler import websocket
from ak_lambda.request_handler.submissions import Submissions
from ak_lambda.response_handler import handler as response_handler
from ak_lambda.response_handler.replies import Replies
from ak_lambda.shared import clients, payloads, pings, queues, requests_table
from ak_lambda.shared.messages import ToSend
from ak_lambda.shared.payloads import Payloads
from ak_lambda.shared.posting import Poster
from ak_lambda.shared.protocol import Change, Put
from ak_lambda.shared.requests_table import Written
from ak_lambda.shared.sockets import Sockets
from test.lambda_assets.events import Context
from test.lambda_assets.fake_connections import ENDPOINT, FakeConnections, FakeGateway
from test.lambda_assets.fakes import FakeQueue, FakeSessions, FakeTable, record

BUCKET = "payloads"
RETENTION = 1000
MAX_RECEIVES = 5
QUEUES = ("requests", "replies", "dead", "parked", "parked-replies")
ENVIRONMENT = {
    "AK_CONSTRUCTS_REQUESTS_TABLE": "table",
    "AK_CONSTRUCTS_REQUEST_QUEUE_URL": "requests",
    "AK_CONSTRUCTS_REPLY_QUEUE_URL": "replies",
    "AK_CONSTRUCTS_PARKED_QUEUE_URL": "parked",
    "AK_CONSTRUCTS_PARKED_REPLIES_URL": "parked-replies",
    "AK_CONSTRUCTS_PAYLOADS_BUCKET": BUCKET,
    "AK_CONSTRUCTS_RETENTION_SECONDS": str(RETENTION),
    "AK_CONSTRUCTS_MAX_RECEIVE_COUNT": str(MAX_RECEIVES),
    "AK_CONSTRUCTS_CHAT_ROUTE": "chat",
}

# What SQS takes: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html and
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html, read 2026-11-21.
TEXT = re.compile("[\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
NAME = re.compile(r"[!-~]{1,128}")
MAX_BYTES = 1024 * 1024
MAX_ATTRIBUTES = 10
MAX_ITEM_BYTES = 400 * 1024  # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html


class StrictQueue(FakeQueue):
    """Refuses what SQS refuses."""

    def send(self, message: ToSend) -> None:
        """Take a message that SQS would take."""
        texts = [message.body, *message.attributes.values()]
        assert all(TEXT.fullmatch(each) for each in texts), "no character that SQS refuses, and nothing empty"
        assert NAME.fullmatch(message.group)
        assert NAME.fullmatch(message.deduplication_id)
        assert len(message.attributes) <= MAX_ATTRIBUTES
        size = sum(len(name) + len("String") + len(value.encode()) for name, value in message.attributes.items())
        assert len(message.body.encode()) + size <= MAX_BYTES
        super().send(message)


class StrictTable(FakeTable):
    """Refuses what DynamoDB refuses."""

    def write(self, change: Change, *, now: int) -> Written:
        """Make a change that DynamoDB would make."""
        values = change.item if isinstance(change, Put) else {"request_id": change.request_id, **change.values}
        assert values["request_id"]
        texts = [str(value) for value in values.values()]
        assert sum(len(each.encode()) for each in texts) < MAX_ITEM_BYTES
        return super().write(change, now=now)


class Bucket:
    """S3, as far as payloads use it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> None:  # noqa: N803 - boto3's names
        """Keep an object."""
        assert (Bucket, ContentType) == (BUCKET, "application/json")
        self.objects[Key] = Body

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """Give an object."""
        assert Bucket == BUCKET
        return {"Body": io.BytesIO(self.objects[Key])}

    def generate_presigned_url(self, _operation: str, *, Params: Mapping[str, str], ExpiresIn: int) -> str:  # noqa: N803
        """Give an address."""
        return f"https://{Params['Bucket']}/{Params['Key']}?expires={ExpiresIn}"

    def keep(self, folder: str, body: str) -> str:
        """Keep a body as payloads are kept, and give its key."""
        key = folder + hashlib.sha256(body.encode()).hexdigest()
        self.objects[key] = body.encode()
        return key


class Clock:
    """Takes the place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1_780_000_000.0

    def time(self) -> float:
        """Seconds since 1970."""
        return self.now

    perf_counter = time

    def sleep(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds


class Functions:
    """All functions of a queue and of the APIs in front of it.

    Attributes:
        agent: What the user wrote.
        rule: Who is who at a WebSocket.
        takes_large: Whether the agent can fetch a body from S3.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.agent: Callable[[Any], object] = lambda _turn: "ok"
        self.rule = "lambda:user_id"
        self.takes_large = True
        self.reset()
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        for module in (agent_runner, request_handler, response_handler, dead_letter_handler, redrive, pings):
            monkeypatch.setattr(module, "time", self.clock)
        for module in (queues, redrive):
            monkeypatch.setattr(module, "Queue", lambda _client, url: self.queues[url])
        for module in (requests_table, redrive):
            monkeypatch.setattr(module, "RequestsTable", lambda *_: self.table)
        for module in (clients, redrive):
            monkeypatch.setattr(module, "client", lambda _service: None)
        monkeypatch.setattr(payloads, "Payloads", lambda *_: self.payloads)
        monkeypatch.setattr(agent_runner, "_agent", lambda: self.agent)
        monkeypatch.setattr(agent_runner, "_sessions", lambda: self.sessions)
        for module in (request_handler, websocket):
            monkeypatch.setattr(module, "submissions", self._submissions)
        for module in (connection_handler, websocket):
            monkeypatch.setattr(module, "open_sockets", self._sockets)
        monkeypatch.setattr(response_handler, "replies", self._replies)
        monkeypatch.setattr(dead_letter_handler, "dead_letters", self._dead_letters)

    def reset(self) -> None:
        """Forget everything."""
        self.table = StrictTable()
        self.sessions = FakeSessions()
        self.bucket = Bucket()
        self.payloads = Payloads(lambda: self.bucket, BUCKET)
        self.queues = {name: StrictQueue() for name in QUEUES}
        self.connections = FakeConnections()
        self.gateway = FakeGateway()
        self.told: list[Mapping[str, Any]] = []

    def agent_function(self, event: object) -> Any:  # noqa: ANN401
        """Invoke the agent's function."""
        return agent_runner.handler(event, Context())  # type: ignore[arg-type]

    def pipeline(self, event: object) -> Any:  # noqa: ANN401
        """Invoke the request handler."""
        return request_handler.handler(event, Context())

    def connection(self, event: object) -> Any:  # noqa: ANN401
        """Invoke the handler of connections."""
        return connection_handler.handler(event, Context())

    def websocket(self, event: object) -> Any:  # noqa: ANN401
        """Invoke the handler of messages."""
        return websocket.handler(event, Context())

    def response_handler(self, event: object) -> Any:  # noqa: ANN401
        """Invoke the handler of replies."""
        return response_handler.handler(event, Context())

    def dead_letter_handler(self, event: object) -> Any:  # noqa: ANN401
        """Invoke the handler of dead letters."""
        return dead_letter_handler.handler(event, Context())

    def redrive(self, event: object) -> Any:  # noqa: ANN401
        """Invoke the redrive function."""
        return redrive.handler(event, Context())

    def health(self, event: object) -> Any:  # noqa: ANN401
        """Invoke the health check."""
        return health.handler(event, Context())

    def deliver(self, sent: ToSend, *, fifo: bool = True) -> None:
        """Bring a message to the agent, as often as its queue would, and then where it ends; nothing is left over."""
        for receives in range(1, MAX_RECEIVES + 1):
            one = record(sent, receives=receives, fifo=fifo)
            if not self.agent_function({"Records": [one]})["batchItemFailures"]:
                break
            self.clock.now += 120
        else:
            dead = record(sent, receives=MAX_RECEIVES + 1, fifo=fifo)
            assert self.dead_letter_handler({"Records": [dead]}) == {"batchItemFailures": []}
        self.deliver_replies(fifo=fifo)

    def deliver_requests(self) -> None:
        """Bring what was submitted to the agent."""
        queue = self.queues["requests"]
        sent, queue.messages = queue.sent, []
        for each in sent:
            self.deliver(each)

    def deliver_replies(self, *, fifo: bool = True) -> None:
        """Bring the replies to where they end."""
        queue = self.queues["replies"]
        replies, queue.messages = queue.sent, []
        for number, reply in enumerate(replies):
            one = record(reply, message_id=f"reply-{number}", fifo=fifo)
            assert self.response_handler({"Records": [one]}) == {"batchItemFailures": []}

    def _now_ms(self) -> int:
        return int(self.clock.now * 1000)

    def _submissions(self) -> Submissions:
        return Submissions(
            table=self.table,  # type: ignore[arg-type]
            requests=self.queues["requests"],  # type: ignore[arg-type]
            payloads=self.payloads,
            sessions=self.sessions,
            retention=RETENTION,
            default_wait_ms=0,
            takes_large=self.takes_large,
            now_ms=self._now_ms,
            rest=self.clock.sleep,
        )

    def _sockets(self) -> Sockets:
        return Sockets(
            rule=self.rule,
            endpoint=ENDPOINT,
            connections=self.connections,  # type: ignore[arg-type]
            poster=Poster(self.connections, self.gateway.client_for),  # type: ignore[arg-type]
            now_ms=self._now_ms,
            rest=self.clock.sleep,
            new_id=lambda: str(uuid.uuid4()),
        )

    def _replies(self) -> Replies:
        return Replies(
            table=self.table,  # type: ignore[arg-type]
            replies=self.queues["replies"],  # type: ignore[arg-type]
            payloads=self.payloads,
            retention=RETENTION,
            now_ms=self._now_ms,
            reply_handlers=[self.told.append],
        )

    def _dead_letters(self) -> DeadLetters:
        return DeadLetters(
            table=self.table,  # type: ignore[arg-type]
            dead_letters=self.queues["dead"],  # type: ignore[arg-type]
            replies=self.queues["replies"],  # type: ignore[arg-type]
            parked=self.queues["parked"],  # type: ignore[arg-type]
            now_ms=self._now_ms,
        )
