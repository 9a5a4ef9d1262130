"""Calls the handlers of one side of the queued pipeline, in a process of its own; prints what it measured as JSON.

Run by benchmarks.queued_pipeline, in an environment that has both sides, with the variables that a construct of ours
or Agent Kernel's Terraform sets. AWS is an emulator.
"""

import importlib
import json
import math
import os
import sys
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session

RECEIVE_SECONDS = 10
SUBMIT_SECONDS = 5
READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024

_role = threading.local()


class Context:
    """What Lambda hands over besides an event."""

    aws_request_id = "r"

    def get_remaining_time_in_millis(self) -> int:
        """Say that there is time."""
        return 300_000


class Pipeline(ABC):
    """One side."""

    def request(self, method: str, request_id: str, **more: object) -> dict[str, Any]:
        """Call the request handler."""
        body = {"request_id": request_id}
        if method == "POST":
            body |= {"prompt": "hi", "agent": "echo", "session_id": "s-1", **more}  # type: ignore[dict-item]
        event = {
            "resource": "/api/v1/chat",
            "path": "/api/v1/chat",
            "httpMethod": method,
            "headers": {"Content-Type": "application/json"},
            "requestContext": {"identity": {}},
            "stageVariables": {"akConstructsIdentity": "public"},
            "body": json.dumps(body),
            "isBase64Encoded": False,
        }
        response: dict[str, Any] = self.handler("request_handler")(event, Context())
        return response

    @abstractmethod
    def handler(self, role: str) -> Callable[[dict[str, Any], Context], Any]:
        """Import the handler of a role."""

    @abstractmethod
    def put_answer(self, request_id: str) -> None:
        """Put an answer where the request handler waits for it, as the response handler does."""


class Ours(Pipeline):
    """This library's handlers."""

    def handler(self, role: str) -> Callable[[dict[str, Any], Context], Any]:
        """See above."""
        found: Callable[[dict[str, Any], Context], Any] = importlib.import_module(f"ak_lambda.{role}.handler").handler
        return found

    def put_answer(self, request_id: str) -> None:
        """See above."""
        protocol = importlib.import_module("ak_lambda.shared.protocol")
        table = importlib.import_module("ak_lambda.shared.requests_table").RequestsTable(
            boto3.client("dynamodb"), os.environ["AK_CONSTRUCTS_REQUESTS_TABLE"]
        )
        now = int(time.time())
        change = protocol.finish(
            request_id,
            status="DONE",
            status_code=200,
            answer='{"result": "hello", "session_id": "s-1"}',
            session_id="s-1",
            user_id=None,
            redrives=0,
            reply_id=request_id,
            now=now,
            retention=3600,
        )
        deadline = time.monotonic() + SUBMIT_SECONDS
        while not table.write(change, now=now).done:  # a process that has just begun takes its time to submit
            if time.monotonic() > deadline:
                raise RuntimeError("the request was not there")
            time.sleep(0.01)


class Theirs(Pipeline):
    """Agent Kernel's handlers."""

    def handler(self, role: str) -> Callable[[dict[str, Any], Context], Any]:
        """See above."""
        found: Callable[[dict[str, Any], Context], Any] = importlib.import_module(f"lambda_{role}").handler
        return found

    def put_answer(self, request_id: str) -> None:
        """See above."""
        boto3.resource("dynamodb").Table(os.environ["AK_EXECUTION__RESPONSE_STORE__DYNAMODB__TABLE_NAME"]).put_item(
            Item={
                "session_id": "s-1",
                "request_id": request_id,
                "status_code": 200,
                "body": {"result": "hello", "session_id": "s-1"},
            }
        )


def wait(side: Pipeline, ready: float) -> dict[str, Any]:
    """Ask, have the answer ready so many seconds later, and see how much later than that it comes back."""
    first = str(uuid.uuid4())
    if isinstance(side, Theirs):
        side.put_answer(first)  # found at the first look; else this would take its five seconds
        side.request("POST", first)
    else:
        _ask(side, first, 0.05)
    print("ready", flush=True)
    sys.stdin.readline()
    return _ask(side, str(uuid.uuid4()), ready)


def _ask(side: Pipeline, request_id: str, ready: float) -> dict[str, Any]:
    at: list[float] = []

    def answer() -> None:
        time.sleep(ready)
        side.put_answer(request_id)
        at.append(time.monotonic())

    thread = threading.Thread(target=answer)
    began = time.monotonic()
    thread.start()
    response = side.request("POST", request_id)
    ended = time.monotonic()
    thread.join()
    answered = response["statusCode"] == 200 and json.loads(response["body"]).get("result") == "hello"  # noqa: PLR2004
    return {"took": ended - began, "added": ended - at[0] if answered else None}


class Counter:
    """Counts what boto3's clients of this process ask of AWS, by the role that asks, in the units that AWS bills."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, float]] = []
        self._told = threading.local()
        session = boto3.Session()
        boto3.DEFAULT_SESSION = session
        events = session.events
        events.register("before-parameter-build", self._asked)
        events.register("after-call", self._answered)

    def _asked(self, params: dict[str, Any], **_more: object) -> None:
        self._told.params = params

    def _answered(self, model: Any, parsed: dict[str, Any], **_more: object) -> None:  # noqa: ANN401
        service, operation = model.service_model.service_name, model.name
        units = _units(operation, self._told.params, parsed) if service == "dynamodb" else 1.0
        self.calls.append((getattr(_role, "name", "agent_runner"), f"{service}.{operation}", units))


def _units(operation: str, asked: dict[str, Any], answered: dict[str, Any]) -> float:
    """Read units, 4 kB each and half when they need not be consistent, or write units of 1 kB."""
    if operation in {"GetItem", "Query"}:
        items = answered.get("Items", [answered.get("Item", {})])
        return max(1, math.ceil(_size(items) / READ_UNIT_BYTES)) * (1.0 if asked.get("ConsistentRead") else 0.5)
    if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
        item = asked.get("Item") or answered.get("Attributes") or {}
        index = 2 if asked["TableName"] == os.environ.get("AK_EXECUTION__RESPONSE_STORE__DYNAMODB__TABLE_NAME") else 1
        return float(index * max(1, math.ceil(_size(item) / WRITE_UNIT_BYTES)))
    return 0.0


def _size(value: object) -> int:
    return len(json.dumps(value, default=lambda each: repr(getattr(each, "value", each))))


def calls(side: Pipeline, mode: str, seconds: float) -> dict[str, Any]:
    """Take one warm request through all handlers, and count."""
    counter = Counter()
    queues = botocore.session.Session().create_client("sqs")  # a session of its own: not counted
    _through(side, mode, 0.0, queues)
    counter.calls.clear()
    taken = _through(side, mode, seconds, queues)
    return {"calls": counter.calls, "seconds": taken, "mode": mode}


def _through(side: Pipeline, mode: str, seconds: float, queues: Any) -> dict[str, list[float]]:  # noqa: ANN401
    request_id = str(uuid.uuid4())
    taken: dict[str, list[float]] = {"request_handler": [], "agent_runner": [], "response_handler": []}

    def timed(role: str, call: Callable[[], Any]) -> Any:  # noqa: ANN401
        _role.name = role
        began = time.monotonic()
        result = call()
        taken[role].append(time.monotonic() - began)
        return result

    def submit() -> None:
        response = timed("request_handler", lambda: side.request("POST", request_id, do="sleep", seconds=seconds))
        if response["statusCode"] not in {200, 202}:
            raise RuntimeError(f"refused: {response}")

    submission = threading.Thread(target=submit)
    submission.start()
    if mode == "rest_async":
        submission.join()
    for role, queue in (("agent_runner", "REQUESTS_URL"), ("response_handler", "REPLIES_URL")):
        event = {"Records": [_received(queues, os.environ[queue])]}
        result = timed(role, lambda role=role, event=event: side.handler(role)(event, Context()))  # type: ignore[misc]
        if result["batchItemFailures"]:
            raise RuntimeError(f"{role} failed")
        receipt = event["Records"][0]["receiptHandle"]
        queues.delete_message(QueueUrl=os.environ[queue], ReceiptHandle=receipt)
    submission.join()
    if mode == "rest_async":
        response = timed("request_handler", lambda: side.request("GET", request_id))
        if response["statusCode"] != 200:  # noqa: PLR2004
            raise RuntimeError(f"no answer: {response}")
    return taken


def _received(queues: Any, url: str) -> dict[str, Any]:  # noqa: ANN401
    """Receive one message as an event source mapping would hand it over."""
    deadline = time.monotonic() + RECEIVE_SECONDS
    while time.monotonic() < deadline:
        response = queues.receive_message(
            QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
        )
        for message in response.get("Messages", []):
            return {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {
                    name: {"dataType": "String", "stringValue": each["StringValue"]}
                    for name, each in message.get("MessageAttributes", {}).items()
                },
                "eventSource": "aws:sqs",
            }
    raise TimeoutError(f"no message in {url}")


def main() -> None:
    """Measure what the arguments say: a side, what, and how."""
    name, what, *how = sys.argv[1:]
    side: Pipeline = Ours() if name == "ours" else Theirs()
    result = wait(side, float(how[0])) if what == "wait" else calls(side, how[0], float(how[1]))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
