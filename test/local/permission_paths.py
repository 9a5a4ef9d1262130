"""The paths through the examples that need permissions: taken with all of them, and with one less."""

import functools
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from botocore.credentials import Credentials

from examples.local.client import signed_headers
from examples.local.emulator import Emulator
from examples.local.logs import client, log_lines
from test.local.permissions import short
from test.local.queued_pipeline import new_id, until

CREDENTIALS = Credentials("test", "test")
QUEUED = "QueuedPipeline"
LARGE = 720 * 1024  # more than a reply may have, and less than a message
ACCESS_DENIED = {"AccessDenied", "AccessDeniedException", "ClientError"}
FAR_AWAY = 2_000_000_000
SECONDS = 40  # for what takes one, on a machine that has other things to do


class Paths:
    """The deployed stacks, from outside; what goes past an API goes as the account's root, which may do all."""

    def __init__(self, aws: Emulator, outputs: Mapping[str, Mapping[str, str]]) -> None:
        self.aws = aws
        self.outputs = outputs
        self.queued = outputs[QUEUED]
        self.large_request = ""
        self._queues = client("sqs", aws)
        self._functions = client("lambda", aws)
        self._items = client("dynamodb", aws)
        self._objects = client("s3", aws)
        urls = self._queues.list_queues(QueueNamePrefix=QUEUED, MaxResults=1000)["QueueUrls"]
        self._urls = {short(url.rpartition("/")[2]): url for url in urls}
        groups = client("logs", aws).get_paginator("describe_log_groups").paginate()
        self._groups = [each["logGroupName"] for page in groups for each in page["logGroups"]]
        buckets = self._objects.list_buckets()["Buckets"]
        (self._bucket,) = (each["Name"] for each in buckets if "queuepayloads" in each["Name"])

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
            response = self.call(f"{self.queued['AcceptUrl']}/{request_id}")
            return None if response.status_code == 202 else response

        return until(final, seconds)

    @functools.cached_property
    def user_id(self) -> str:
        """Whom the APIs take us for."""
        request_id = new_id("who")
        self.call(self.queued["AcceptUrl"], {"prompt": "hi", "request_id": request_id})
        return self.field(request_id, "user_id")

    # What is done past the APIs

    def send(self, queue: str, body: Mapping[str, Any], request_id: str = "") -> str:
        """Send a message to one of the example's queues, by the id of its construct, in a session of its own."""
        url = self._urls[queue]
        attributes = {"request_id": {"DataType": "String", "StringValue": request_id}} if request_id else {}
        fifo = {"MessageDeduplicationId": uuid.uuid4().hex} if url.endswith(".fifo") else {}
        sent = self._queues.send_message(
            QueueUrl=url,
            MessageBody=json.dumps(body),
            MessageGroupId=request_id or uuid.uuid4().hex,
            MessageAttributes=attributes,
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
        self._items.put_item(
            TableName=self.queued["RequestsTable"], Item={name: _typed(value) for name, value in item.items()}
        )

    def field(self, request_id: str, name: str) -> str:
        """Give a field of a request's item as text, empty while there is none."""
        key = {"request_id": {"S": request_id}}
        found = self._items.get_item(TableName=self.queued["RequestsTable"], Key=key, ConsistentRead=True)
        return "".join(found.get("Item", {}).get(name, {}).values())

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

    def prune(self, stack: str, output: str, event: object) -> dict[str, Any]:
        """Have a pruner run and give its report."""
        report: dict[str, Any] = json.loads(self.invoke(self.outputs[stack][output], event))
        assert "failures" in report, report
        return report

    def redrive(self, queue: str) -> str:
        """Have what is parked run again."""
        return self.invoke(self.queued["Redrive"], {"queue": queue})

    # What is seen afterwards

    def lines(self, function: str, message: str, **fields: str) -> list[dict[str, Any]]:
        """Give the lines that a function logged, by `Stack/Id`, with a text and fields."""
        stack, _, id_ = function.partition("/")
        (group,) = (each for each in self._groups if each.startswith(f"/aws/cloudformation/{stack}/{id_}Logs"))
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
        assert line["error_type"] in ACCESS_DENIED

    def comes_back(self, function: str, message_id: str) -> None:
        """Wait until a function gave a message back since a call was refused."""
        line = self.said(function, "a message comes back", message_id=message_id)
        assert line["error_type"] in ACCESS_DENIED


def _typed(value: str | int | bool) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


# With all permissions


def chats(paths: Paths) -> None:
    """Every address that a stack gives answers, and the health of its API."""
    for stack, outputs in paths.outputs.items():
        for name in (each for each in outputs if each.endswith("Url")):
            response = paths.call(outputs[name], {"prompt": "hi"})
            assert response.status_code in {200, 202}, (stack, name, response.text)
            health = httpx.get(paths.aws.reachable(outputs[name].partition("/api/")[0] + "/health"), timeout=35)
            assert health.status_code == 200, (stack, name, health.text)


def sizes(paths: Paths) -> None:
    """Requests and answers through the queue and through S3, by a wait and by a poll, with progress and history."""
    for size in (1, 1_000_000):
        message = {"prompt": "x" * size, "session_id": new_id("s"), "seconds": 0.6}
        waited = paths.call(paths.queued["WaitUrl"], message)
        assert waited.status_code == 200, waited.text[:300]
        assert "this is turn 1 of the conversation" in waited.json()["result"]
        accepted = paths.call(paths.queued["AcceptUrl"], message)
        assert accepted.status_code == 202, accepted.text
        paths.large_request = accepted.json()["request_id"]
        polled = paths.answer(paths.large_request)
        assert "this is turn 2 of the conversation" in polled.json()["result"]
        assert len(polled.json()["result"]) > size


def fails(paths: Paths) -> None:
    """The agent raises each time: dead letter, answer, parked, and redriven to fail once more."""
    request_id = new_id("fails")
    message = {"prompt": "hi", "seconds": "not a number", "request_id": request_id}
    assert paths.call(paths.queued["AcceptUrl"], message).status_code == 202
    failed = paths.answer(request_id)
    assert (failed.status_code, failed.json()["status"]) == (502, "FAILED")
    until(lambda: paths.redrive("requests") and paths.field(request_id, "redrives") == "1")  # perhaps by another's call


def comes_from_elsewhere(paths: Paths) -> None:
    """Requests and replies without an item, parked ones, one that has expired; a reply that fails at first."""
    message_id = paths.send("QueueRequestQueue", {"prompt": "hi", "seconds": 0.1})
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
    paths.said(f"{QUEUED}/QueueResponseHandler", "a message comes back", error_type="KeyError")
    leased = new_id("leased")
    paths.put(leased, lease_until=int(time.time()) + 1)
    paths.send("QueueDeadLetters", {"prompt": "hi"}, leased)
    paths.said(f"{QUEUED}/QueueDeadLetterHandler", "parked", request_id=leased)
    for api in ("AcceptUrl", "WaitUrl"):
        overdue = new_id("overdue")
        paths.put(overdue, user_id=paths.user_id, pending_until=1)
        assert paths.call(f"{paths.queued[api]}/{overdue}").status_code == 502


def warms_and_prunes(paths: Paths) -> None:
    """Warm, and say what would be deleted."""
    platform = paths.outputs["AgentPlatform"]
    targets = json.loads(paths.invoke(platform["Warmer"], {}))["targets"]
    assert [(each["distinct"], each["failed"]) for each in targets.values()] == [(3, 0)]
    assert paths.prune("AgentPlatform", "PrunerName", {})["failures"] == []
    assert paths.prune("Pruning", "ByTagFunction", {})["failures"] == []


WITH_ALL = (fails, sizes, comes_from_elsewhere, chats, warms_and_prunes)  # the one that takes longest first
