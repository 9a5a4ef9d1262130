"""The queued example with IAM enforced: each function may do what it must, and each of these grants is needed."""

import contextlib
import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials

from examples.local.client import signed_headers
from examples.local.deployment import bootstrap, deploy, install_cdk
from examples.local.emulator import Emulator, emulator
from examples.local.logs import client, log_lines
from test.local.queued_pipeline import new_id, until

pytestmark = pytest.mark.local
STACK = "QueuedPipeline"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator that checks signatures and policies."""
    install_cdk()
    with emulator(tmp_path_factory.mktemp("iam") / "emulator.log", enforce_iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def outputs(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Deploy the example."""
    work = tmp_path_factory.mktemp("work")
    bootstrap(aws, work)
    return deploy(aws, work, app=f"{sys.executable} -m test.local.queued_iam_app")[STACK]


def call(aws: Emulator, url: str, message: Mapping[str, Any] | None = None) -> httpx.Response:
    """Submit a message, or ask for an answer."""
    method, body = ("GET", b"") if message is None else ("POST", json.dumps(message).encode())
    url = aws.reachable(url)
    headers = signed_headers(method, url, body, credentials=Credentials("test", "test"), region="us-east-1")
    return httpx.request(method, url, content=body, headers=headers, timeout=35)


def answer(aws: Emulator, outputs: Mapping[str, str], request_id: str, seconds: float = 40) -> httpx.Response:
    """Poll until the answer is final."""

    def final() -> httpx.Response | None:
        response = call(aws, f"{outputs['AcceptUrl']}/{request_id}")
        return None if response.status_code == 202 else response

    return until(final, seconds)


def queue_url(aws: Emulator, name: str) -> str:
    """Find one of the queues by the id of its construct."""
    found = client("sqs", aws).list_queues(QueueNamePrefix=f"{STACK}-Queue{name}")["QueueUrls"]
    return min((str(each) for each in found), key=len)


def redrive(aws: Emulator, outputs: Mapping[str, str], queue: str) -> dict[str, Any]:
    """Invoke the redrive function."""
    payload = json.dumps({"queue": queue}).encode()
    response = client("lambda", aws).invoke(FunctionName=outputs["Redrive"], Payload=payload)
    counts: dict[str, Any] = json.load(response["Payload"])
    return counts


@contextlib.contextmanager
def without(aws: Emulator, role: str, action: str) -> Iterator[None]:
    """Take an action out of a role's policy for a while."""
    roles = client("iam", aws)
    (name,) = (
        found["RoleName"]
        for page in roles.get_paginator("list_roles").paginate()
        for found in page["Roles"]
        if found["RoleName"].startswith(f"{STACK}-{role}")
    )
    (policy,) = roles.list_role_policies(RoleName=name)["PolicyNames"]
    document = roles.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    kept = []
    for statement in document["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        if left := [each for each in actions if each != action]:
            kept.append({**statement, "Action": left})
    assert kept != document["Statement"], "the grant is not there"
    put = {"RoleName": name, "PolicyName": policy}
    roles.put_role_policy(**put, PolicyDocument=json.dumps({**document, "Statement": kept}))
    try:
        yield
    finally:
        roles.put_role_policy(**put, PolicyDocument=json.dumps(document))


@pytest.fixture(scope="module", autouse=True)
def unanswered(aws: Emulator, outputs: dict[str, str]) -> Mapping[str, httpx.Response]:
    """Submit what the runner may not handle, each without another grant, and give the first poll of each.

    Before all tests, which go on while these wait for their next run.
    """
    polls = {}
    for action in ("sqs:SendMessage", "dynamodb:UpdateItem"):
        request_id = new_id("unanswered")
        before = len(refusals(aws, outputs["AgentLogGroup"]))
        with without(aws, "AgentRole", action):
            call(aws, outputs["AcceptUrl"], {"prompt": "hi", "seconds": 0.1, "request_id": request_id})
            until(lambda: len(refusals(aws, outputs["AgentLogGroup"])) > before)  # noqa: B023 - called before the next round
        polls[request_id] = call(aws, f"{outputs['AcceptUrl']}/{request_id}")
    return polls


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_requests_and_answers_of_any_size_need_no_more_than_is_granted(
    aws: Emulator, outputs: dict[str, str], size: int
) -> None:
    """By a wait and by a poll, with progress and history, through the queue and through S3."""
    message = {"prompt": "x" * size, "session_id": new_id("s"), "seconds": 0.2}
    waited = call(aws, outputs["WaitUrl"], message)
    assert waited.status_code == 200, waited.text[:300]
    assert "this is turn 1 of the conversation" in waited.json()["result"]
    accepted = call(aws, outputs["AcceptUrl"], message)
    assert accepted.status_code == 202, accepted.text
    polled = answer(aws, outputs, accepted.json()["request_id"])
    assert "this is turn 2 of the conversation" in polled.json()["result"]
    assert len(polled.json()["result"]) > size


def test_failing_parking_and_redriving_need_no_more_than_is_granted(aws: Emulator, outputs: dict[str, str]) -> None:
    """The agent raises each time: dead letter, answer, parked, and redriven to fail once more."""
    request_id = new_id("fails")
    call(aws, outputs["AcceptUrl"], {"prompt": "hi", "seconds": "not a number", "request_id": request_id})
    failed = answer(aws, outputs, request_id)
    assert (failed.status_code, failed.json()["status"]) == (502, "FAILED")
    assert until(lambda: redrive(aws, outputs, "requests")) == {"redrive": 1}
    assert answer(aws, outputs, request_id).status_code == 502


def test_messages_and_replies_from_elsewhere_need_no_more_than_is_granted(
    aws: Emulator, outputs: dict[str, str]
) -> None:
    """A request without an item, a reply without one, and a parked reply."""
    queues = client("sqs", aws)

    def send(queue: str, body: Mapping[str, Any], request_id: str = "") -> str:
        attributes = {"request_id": {"DataType": "String", "StringValue": request_id}} if request_id else {}
        sent = queues.send_message(
            QueueUrl=queue_url(aws, queue),
            MessageBody=json.dumps(body),
            MessageGroupId="s",
            MessageDeduplicationId=uuid.uuid4().hex,
            MessageAttributes=attributes,
        )
        return str(sent["MessageId"])

    items = client("dynamodb", aws)

    def has_status(request_id: str) -> str | None:
        key = {"request_id": {"S": request_id}}
        item = items.get_item(TableName=outputs["RequestsTable"], Key=key, ConsistentRead=True).get("Item", {})
        status = item.get("status", {}).get("S")
        return None if status in {None, "PENDING"} else str(status)

    message_id = send("RequestQueue", {"prompt": "hi", "seconds": 0.1})
    assert until(lambda: has_status(message_id)) == "DONE"
    unknown = new_id("unknown")
    send("Replies", {"result": "from elsewhere"}, unknown)
    assert until(lambda: has_status(unknown)) == "DONE"
    parked = new_id("parked")
    send("ParkedReplies", {"result": "late"}, parked)
    assert redrive(aws, outputs, "replies") == {"redrive": 1}
    assert until(lambda: has_status(parked)) == "DONE"


@pytest.mark.parametrize("action", ["sqs:SendMessage", "dynamodb:PutItem", "dynamodb:GetItem", "s3:PutObject"])
def test_without_one_grant_nothing_is_submitted(aws: Emulator, outputs: dict[str, str], action: str) -> None:
    """And the caller may send the same request again, which then is answered."""
    message = {"prompt": "x" * 1_000_000, "request_id": new_id("again"), "session_id": new_id("s"), "seconds": 0.1}
    with without(aws, "WaitsRequestHandlerRole", action):
        refused = call(aws, outputs["WaitUrl"], message)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert call(aws, outputs["WaitUrl"], message).status_code == 200


@pytest.mark.parametrize("action", ["dynamodb:UpdateItem", "s3:PutObject"])
def test_without_one_grant_an_answer_waits_in_the_reply_queue(
    aws: Emulator, outputs: dict[str, str], action: str
) -> None:
    """Until the response handler may write it."""
    request_id = new_id("unwritten")
    logs = outputs["ResponseLogGroup"]
    before = len(refusals(aws, logs))
    with without(aws, "QueueResponseHandlerRole", action):
        call(aws, outputs["AcceptUrl"], {"prompt": "x" * 400_000, "seconds": 0.1, "request_id": request_id})
        until(lambda: len(refusals(aws, logs)) > before)
        assert call(aws, f"{outputs['AcceptUrl']}/{request_id}").status_code == 202
    assert answer(aws, outputs, request_id).status_code == 200


def test_without_one_grant_the_runner_gives_its_message_back_for_a_minute(
    aws: Emulator, outputs: dict[str, str], unanswered: Mapping[str, httpx.Response]
) -> None:
    """Whether it could not begin or could not reply; its log names the error, and a later run answers."""
    assert [response.status_code for response in unanswered.values()] == [202, 202]
    for request_id in unanswered:
        assert answer(aws, outputs, request_id, 80).status_code == 200


def refusals(aws: Emulator, log_group: str) -> list[dict[str, Any]]:
    """Give what a function logged of messages that it could not handle, by the type of the error alone."""
    found = [line for line in log_lines(aws, log_group) if line["message"] == "a message comes back"]
    assert {line["error_type"] for line in found} <= {"AccessDenied", "AccessDeniedException", "ClientError"}
    return found
