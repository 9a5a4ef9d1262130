"""A deployed pipeline with an agent that does as it is told: asks it over HTTP, and looks behind it."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import boto3
import httpx
from boto3.dynamodb.conditions import Key
from botocore.credentials import Credentials

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from ak_constructs.local.signing import signed_headers
from test.local.processes import kill

CREDENTIALS = Credentials("test", "test")
LOOK_SECONDS = 0.1
T = TypeVar("T")


def until(look: Callable[[], T | None], seconds: float = 90) -> T:
    """Look until there is something, or fail."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing within {seconds:g} s"
        time.sleep(LOOK_SECONDS)
    return found


class Pipeline:
    """The stack of `queued_pipeline_app`."""

    def __init__(self, aws: Emulator, outputs: Mapping[str, str], http: httpx.Client) -> None:
        self.aws = aws
        self.outputs = outputs
        self.http = http
        self.queues = client("sqs", aws)
        self.tables = boto3.resource(
            "dynamodb",
            endpoint_url=aws.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def post(
        self, api: str, *runs: Mapping[str, Any], headers: Mapping[str, str] | None = None, **fields: object
    ) -> httpx.Response:
        """Submit a request with what the agent is to do at each run."""
        message = {"prompt": "SECRET prompt", "runs": list(runs) or [{}], **fields}
        return self.send(api, json.dumps(message).encode(), headers)

    def send(self, api: str, content: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Submit a body as it is."""
        return self.call(api, "POST", content=content, headers=headers)

    def poll(self, api: str, request_id: str, query: str = "") -> httpx.Response:
        """Ask for a request's answer."""
        return self.call(api, "GET", f"/{request_id}{query}")

    def poll_as(self, user_id: str, request_id: str) -> httpx.Response:
        """Ask as a backend does on behalf of a user."""
        return self.poll("Backend", request_id, f"?user_id={user_id}")

    def call(
        self, api: str, method: str, rest: str = "", *, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Call a chat route; the one that wants signatures gets them."""
        url = self.aws.reachable(self.outputs[f"{api}Url"]) + rest
        signed = {}
        if api == "Backend":
            signed = signed_headers(method, url, content, credentials=CREDENTIALS, region="us-east-1")
        return self.http.request(method, url, content=content, headers={**signed, **(headers or {})})

    def answer(self, api: str, request_id: str, seconds: float = 30) -> httpx.Response:
        """Poll until the answer is final."""

        def final() -> httpx.Response | None:
            response = self.poll(api, request_id)
            return None if response.status_code == httpx.codes.ACCEPTED else response

        return until(final, seconds)

    def runs(self, request_id: str) -> list[dict[str, int]]:
        """Give the runs of a request, oldest first."""
        table = self.tables.Table(self.outputs["RunsTable"])
        found = table.query(KeyConditionExpression=Key("request_id").eq(request_id), ConsistentRead=True)["Items"]
        return [{name: int(run[name]) for name in ("began", "ended", "pid") if name in run} for run in found]

    def kill_run(self, request_id: str, number: int = 1) -> None:
        """Kill a run in its middle, as soon as it has begun."""
        run = until(lambda: self.runs(request_id)[number - 1 :])[0]
        assert "ended" not in run
        kill(run["pid"], self.aws)

    def item(self, request_id: str, table: str = "RequestsTable") -> dict[str, Any]:
        """Give a request's item."""
        requests = self.tables.Table(self.outputs[table])
        item: dict[str, Any] = requests.get_item(Key={"request_id": request_id}, ConsistentRead=True).get("Item", {})
        return item

    def told(self, request_id: str, *, times: int = 1) -> dict[str, Any]:
        """Give what the reply handler was told of a request, once it was told so often."""
        table = self.tables.Table(self.outputs["ToldTable"])
        item: dict[str, Any] = table.get_item(Key={"request_id": request_id}, ConsistentRead=True).get("Item", {})
        return item if item.get("times", 0) >= times else {}

    def queue_is_empty(self, queue: str) -> bool:
        """Tell whether a queue has nothing left, be it visible or under way."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.queues.get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)["Attributes"]
        return all(int(found[name]) == 0 for name in names)

    def parked(self, request_id: str) -> dict[str, Any]:
        """Give the parked message of a request, which stays where it is."""
        url = self.outputs["ParkedUrl"]
        response = self.queues.receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], MaxNumberOfMessages=10, VisibilityTimeout=0
        )
        found: list[dict[str, Any]] = response.get("Messages", [])
        return next((each for each in found if self._is_of(each, request_id)), {})

    @staticmethod
    def _is_of(message: Mapping[str, Any], request_id: str) -> bool:
        return bool(message["MessageAttributes"]["request_id"]["StringValue"] == request_id)

    def send_message(self, queue: str, message: Mapping[str, Any], group: str, **attributes: str) -> str:
        """Send a message past the API, each time a new one to its queue, and give its id."""
        url = self.outputs[queue]
        named = {"MessageDeduplicationId": uuid.uuid4().hex} if url.endswith(".fifo") else {}
        response = self.queues.send_message(
            QueueUrl=url,
            MessageBody=json.dumps(message),
            MessageGroupId=group,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
            **named,
        )
        return str(response["MessageId"])


def new_id(name: str) -> str:
    """Make an id for a request or a session."""
    return f"{name}-{uuid.uuid4().hex[:12]}"
