"""The paths through the examples that need permissions: taken with all of them, and with one less."""

import contextlib
import functools
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from botocore.credentials import Credentials

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client, log_lines
from ak_constructs.local.signing import signed_headers
from test.local.permissions import short
from test.local.queued_pipeline import new_id, until
from test.local.websocket_talk import Talk

CREDENTIALS = Credentials("test", "test")
QUEUED = "QueuedPipeline"
AGENT = "Agent"
RESPONSES = "QueueResponseHandler"
DEAD_LETTERS = "QueueDeadLetterHandler"
REDRIVE = "QueueRedrive"
LARGE = 720 * 1024  # more than a reply may have, and less than a message
ACCESS_DENIED = {"AccessDenied", "AccessDeniedException", "ClientError"}
FAR_AWAY = 2_000_000_000
QUICK = {"seconds": 0.1, "pause": 0.001}  # what each of the examples' agents calls it
SECONDS = 40  # for what takes one, on a machine that has other things to do


class Paths:
    """A deployed stack, from outside; what goes past its APIs goes as the account's root, which may do all.

    Attributes:
        aws: The emulator.
        outputs: What each stack put out.
        own: What this one did.
        stack: Its name.
        token: Gives the token of a user.
        talks: Connections that are open, by who connected.
        opened: What closes them.
        large_request: Somebody's, whose answer is in S3.
    """

    def __init__(
        self,
        aws: Emulator,
        outputs: Mapping[str, Mapping[str, str]],
        *,
        token: Callable[[str], str],
        stack: str = QUEUED,
    ) -> None:
        self.aws = aws
        self.outputs = outputs
        self.token = token
        self.stack = stack
        self.own = outputs[stack]
        self.talks: dict[str, Talk] = {}
        self.opened = contextlib.ExitStack()
        self.large_request = ""
        self._queues = client("sqs", aws)
        self._functions = client("lambda", aws)
        self._items = client("dynamodb", aws)
        self._objects = client("s3", aws)
        self._others: dict[str, Paths] = {stack: self}

    def of(self, stack: str) -> "Paths":
        """Give another of the stacks, or this one."""
        if stack not in self._others:
            self._others[stack] = Paths(self.aws, self.outputs, token=self.token, stack=stack)
        return self._others[stack]

    @functools.cached_property
    def named(self) -> Mapping[str, str]:
        """What the queues' addresses, the tables and the functions are called, by the ids of their constructs."""
        own = f"{self.stack}-"
        tables = client("dynamodb", self.aws).get_paginator("list_tables").paginate()
        functions = client("lambda", self.aws).get_paginator("list_functions").paginate()
        found = [
            *self._queues.list_queues(QueueNamePrefix=own, MaxResults=1000)["QueueUrls"],
            *(name for page in tables for name in page["TableNames"] if name.startswith(own)),
            *(each["FunctionName"] for page in functions for each in page["Functions"]),
        ]
        names = [(each, each.rpartition("/")[2]) for each in found]
        return {short(name): each for each, name in names if name.startswith(own)}

    @functools.cached_property
    def _groups(self) -> list[str]:
        groups = client("logs", self.aws).get_paginator("describe_log_groups").paginate()
        return [each["logGroupName"] for page in groups for each in page["logGroups"]]

    @functools.cached_property
    def _bucket(self) -> str:
        own = f"{self.stack.lower()}-queuepayloads"
        (bucket,) = (each["Name"] for each in self._objects.list_buckets()["Buckets"] if each["Name"].startswith(own))
        return str(bucket)

    # What is asked over HTTP

    def call(
        self, url: str, message: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST a message, or GET."""
        method, body = ("GET", b"") if message is None else ("POST", json.dumps(message).encode())
        url = self.aws.reachable(url)
        signed = signed_headers(method, url, body, credentials=CREDENTIALS, region="us-east-1")
        return httpx.request(method, url, content=body, headers={**signed, **(headers or {})}, timeout=35)

    def answer(self, request_id: str, seconds: float = 2 * SECONDS) -> httpx.Response:
        """Poll until the answer is final."""

        def final() -> httpx.Response | None:
            response = self.call(f"{self.own['AcceptUrl']}/{request_id}")
            return None if response.status_code == 202 else response

        return until(final, seconds)

    @functools.cached_property
    def user_id(self) -> str:
        """Whom the APIs take us for."""
        request_id = new_id("who")
        self.call(self.own["AcceptUrl"], {"prompt": "hi", "request_id": request_id})
        return self.field(request_id, "user_id")

    # What is done past the APIs

    def send(self, queue: str, body: Mapping[str, Any], request_id: str = "", **others: str) -> str:
        """Send a message to one of the stack's queues, by the id of its construct, in a session of its own."""
        url = self.named[queue]
        texts = {**others, **({"request_id": request_id} if request_id else {})}
        fifo = {"MessageDeduplicationId": uuid.uuid4().hex} if url.endswith(".fifo") else {}
        sent = self._queues.send_message(
            QueueUrl=url,
            MessageBody=json.dumps(body),
            MessageGroupId=request_id or uuid.uuid4().hex,
            MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in texts.items()},
            **fifo,
        )
        return str(sent["MessageId"])

    def put(self, request_id: str, **fields: str | int | bool) -> None:
        """Write the item of somebody's request, in a session named like it, pending unless said otherwise."""
        item = {
            "request_id": request_id,
            "session_id": request_id,
            "user_id": "",
            "status": "PENDING",
            "attempt": 1,
            "redrives": 0,
            "lease_until": 0,
            "created_at": 1,
            "pending_until": FAR_AWAY,
            "expiry_time": FAR_AWAY,
            **fields,
        }
        self.write("QueueRequests", item)

    def field(self, request_id: str, name: str) -> str:
        """Give a field of a request's item as text, empty while there is none."""
        return "".join(self.read("QueueRequests", request_id=request_id).get(name, {}).values())

    def write(self, table: str, item: Mapping[str, str | int | bool]) -> None:
        """Write an item."""
        typed = {name: _typed(value) for name, value in item.items()}
        self._items.put_item(TableName=self.named[table], Item=typed)

    def read(self, table: str, **key: str) -> dict[str, Any]:
        """Give an item, empty while there is none."""
        typed = {name: _typed(value) for name, value in key.items()}
        found = self._items.get_item(TableName=self.named[table], Key=typed, ConsistentRead=True)
        return dict(found.get("Item", {}))

    def query(self, table: str, **key: str) -> list[object]:
        """Give the items of a partition."""
        ((name, value),) = key.items()
        found = self._items.query(
            TableName=self.named[table],
            KeyConditionExpression=f"{name} = :value",
            ExpressionAttributeValues={":value": _typed(value)},
            ConsistentRead=True,
        )
        return list(found["Items"])

    def keep(self, text: str) -> dict[str, Any]:
        """Keep the body of a request in S3, and give the message that refers to it."""
        content = text.encode()
        digest = hashlib.sha256(content).hexdigest()
        self._objects.put_object(Bucket=self._bucket, Key=f"requests/{digest}", Body=content)
        kept = {"bucket": self._bucket, "key": f"requests/{digest}", "bytes": len(content), "sha256": digest}
        return {"$ak_constructs_ref": kept}

    def invoke(self, function: str, event: object) -> str:
        """Invoke a function and give its answer as text, an error's too."""
        text: str = (
            self._functions.invoke(FunctionName=function, Payload=json.dumps(event).encode())["Payload"].read().decode()
        )
        return text

    def prune(self, output: str, event: object) -> dict[str, Any]:
        """Have a pruner run and give its report."""
        report: dict[str, Any] = json.loads(self.invoke(self.own[output], event))
        assert "failures" in report, report
        return report

    def redrive(self, queue: str) -> str:
        """Have what is parked run again."""
        return self.invoke(self.named[REDRIVE], {"queue": queue})

    # What is seen afterwards

    def lines(self, function: str, message: str, **fields: str) -> list[dict[str, Any]]:
        """Give the lines that a function logged, by its construct's id, with a text and fields."""
        own = f"/aws/cloudformation/{self.stack}/{function}Logs"
        (group,) = (each for each in self._groups if each.startswith(own))
        found = [line for line in log_lines(self.aws, group) if line.get("message") == message]
        return [line for line in found if all(line.get(name) == value for name, value in fields.items())]

    def said(self, function: str, message: str, **fields: str) -> dict[str, Any]:
        """Wait for a line."""
        return until(lambda: self.lines(function, message, **fields), SECONDS)[-1]

    def said_more(self, function: str, message: str, path: Callable[[], object]) -> None:
        """Wait for one line more than there were before a path was taken."""
        before = len(self.lines(function, message))
        path()
        line = until(lambda: self.lines(function, message)[before:], SECONDS)[-1]
        assert {line.get(name) for name in ("error_type", "reason", "code")} & ACCESS_DENIED, line

    def comes_back(self, function: str, message_id: str) -> None:
        """Wait until a function gave a message back since a call was refused."""
        line = self.said(function, "a message comes back", message_id=message_id)
        assert line["error_type"] in ACCESS_DENIED


def overdue(paths: Paths, user_id: str) -> str:
    """Make a request of somebody's that no message can end any more."""
    request_id = new_id("overdue")
    paths.put(request_id, user_id=user_id, pending_until=1)
    return request_id


def _typed(value: str | int | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


Failing = Callable[[Paths], Callable[[], None] | None]  # it fails visibly, and gives what must work afterwards


# With all permissions


def chats(paths: Paths) -> None:
    """Every address that a stack gives answers, and the health of its API."""
    for stack, outputs in paths.outputs.items():
        for name in (each for each in outputs if outputs[each].startswith("https://") and each.endswith("Url")):
            response = paths.call(outputs[name], {"prompt": "hi"})
            assert response.status_code in {200, 202}, (stack, name, response.text)
            health = httpx.get(paths.aws.reachable(outputs[name].partition("/api/")[0] + "/health"), timeout=35)
            assert health.status_code == 200, (stack, name, health.text)


def sizes(paths: Paths) -> None:
    """Requests and answers through the queue and S3, by a wait and a poll, with progress and history; one expired."""
    for size in (1, 1_000_000):
        message = {"prompt": "x" * size, "session_id": new_id("s"), "seconds": 0.6}
        waited = paths.call(paths.own["WaitUrl"], message)
        assert waited.status_code == 200, waited.text[:300]
        assert "this is turn 1 of the conversation" in waited.json()["result"]
        accepted = paths.call(paths.own["AcceptUrl"], message)
        assert accepted.status_code == 202, accepted.text
        paths.large_request = accepted.json()["request_id"]
        polled = paths.answer(paths.large_request)
        assert "this is turn 2 of the conversation" in polled.json()["result"]
        assert len(polled.json()["result"]) > size
    for api in ("AcceptUrl", "WaitUrl"):
        assert paths.call(f"{paths.own[api]}/{overdue(paths, paths.user_id)}").status_code == 502


def fails(paths: Paths) -> None:
    """The agent raises each time: dead letter, answer, parked, and redriven to fail once more."""
    request_id = new_id("fails")
    message = {"prompt": "hi", "seconds": "not a number", "request_id": request_id}
    assert paths.call(paths.own["AcceptUrl"], message).status_code == 202
    failed = paths.answer(request_id)
    assert (failed.status_code, failed.json()["status"]) == (502, "FAILED")
    until(lambda: paths.redrive("requests") and paths.field(request_id, "redrives") not in {"", "0"})


def troubles(paths: Paths) -> None:
    """One after the other: what one redrives the other would wait for in vain."""
    fails(paths)
    comes_from_elsewhere(paths)


def comes_from_elsewhere(paths: Paths) -> None:
    """Requests and replies without an item, parked ones; a reply that fails at first."""
    message_id = paths.send("QueueRequestQueue", {"prompt": "hi", **QUICK})
    unknown, parked = new_id("unknown"), new_id("parked")
    paths.send("QueueReplies", {"result": "from elsewhere"}, unknown)
    paths.send("QueueParkedReplies", {"result": "late"}, parked)
    assert paths.redrive("replies") == '{"redrive": 1}'
    for each in (message_id, unknown, parked):
        assert until(lambda each=each: paths.field(each, "status") == "DONE")  # type: ignore[misc]
    forgotten = new_id("forgotten")
    paths.send("QueueParked", {"prompt": "hi"}, forgotten)
    until(lambda: "forgotten" in paths.redrive("requests"))
    odd = new_id("odd")
    paths.put(odd, odd=True)
    paths.send("QueueReplies", {"result": "hi"}, odd)
    paths.said(RESPONSES, "a message comes back", error_type="KeyError")
    leased = new_id("leased")
    paths.put(leased, lease_until=int(time.time()) + 1)
    paths.send("QueueDeadLetters", {"prompt": "hi"}, leased)
    paths.said(DEAD_LETTERS, "parked", request_id=leased)
    failed = new_id("failed")
    paths.put(failed, status="FAILED")
    paths.send("QueueParked", {"prompt": "hi", **QUICK}, failed)
    until(lambda: paths.redrive("requests") and paths.field(failed, "redrives") not in {"", "0"})


def warms_and_prunes(paths: Paths) -> None:
    """Warm, and say what would be deleted."""
    platform = paths.of("AgentPlatform")
    targets = json.loads(paths.invoke(platform.own["Warmer"], {}))["targets"]
    assert [(each["distinct"], each["failed"]) for each in targets.values()] == [(3, 0)]
    assert platform.prune("PrunerName", {})["failures"] == []
    assert paths.of("Pruning").prune("ByTagFunction", {})["failures"] == []
