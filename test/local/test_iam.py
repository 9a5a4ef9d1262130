"""The example with IAM enforced: who may call, and what the functions' roles may do."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from examples.local.client import signed_headers
from examples.local.deployment import bootstrap, deploy, install_cdk
from examples.local.emulator import Emulator, emulator
from examples.local.logs import client, log_lines

pytestmark = pytest.mark.local


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
    return deploy(aws, work, app=f"{sys.executable} -m test.local.iam_app")["ChatApi"]


def user(aws: Emulator, name: str, resource: str | None, action: str = "execute-api:Invoke") -> Credentials:
    """Make a user who may call a route, or do something else, or nothing."""
    users = client("iam", aws)
    users.create_user(UserName=name)
    if resource:
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        users.put_user_policy(UserName=name, PolicyName="call", PolicyDocument=policy)
    key = users.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def ask(aws: Emulator, url: str, credentials: Credentials) -> tuple[int, dict[str, Any]]:
    """Ask with a signature."""
    url = aws.reachable(url)
    body = b'{"prompt": "hi"}'
    headers = signed_headers("POST", url, body, credentials=credentials, region="us-east-1")
    response = httpx.post(url, content=body, headers=headers, timeout=35)
    answer: dict[str, Any] = response.json()
    return response.status_code, answer


def test_only_a_user_with_the_permission_and_the_secret_may_call(aws: Emulator, outputs: dict[str, str]) -> None:
    """Right, not allowed, wrongly signed."""
    api_id = outputs["ChatUrl"].split("//")[1].split(".")[0]
    allowed = user(aws, "alice", f"arn:aws:execute-api:us-east-1:000000000000:{api_id}/prod/POST/api/v1/chat")
    status, answer = ask(aws, outputs["ChatUrl"], allowed)
    assert (status, answer["result"][:15]) == (200, "[ministack mock")
    elsewhere = user(aws, "bob", f"arn:aws:execute-api:us-east-1:000000000000:{api_id}/prod/GET/health")
    nobody = user(aws, "carol", None)
    wrong = Credentials(allowed.access_key, "wrong")
    for credentials in (elsewhere, nobody, wrong):  # the emulator refuses before its gateway could choose the words
        assert ask(aws, outputs["ChatUrl"], credentials)[0] == 403
    assert httpx.post(aws.reachable(outputs["ChatUrl"]), json={"prompt": "hi"}).status_code == 403


def test_the_agents_role_may_do_what_the_example_grants_and_no_more(aws: Emulator, outputs: dict[str, str]) -> None:
    """Without the grant the model refuses, and the log says where."""
    roles = client("iam", aws)
    (name,) = (
        role["RoleName"] for role in roles.list_roles()["Roles"] if role["RoleName"].startswith("ChatApi-AgentRole")
    )
    (policy,) = roles.list_role_policies(RoleName=name)["PolicyNames"]
    document = roles.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    assert ask(aws, outputs["ChatUrl"], Credentials("test", "test"))[0] == 200
    without = [each for each in document["Statement"] if each["Action"] != "bedrock:InvokeModel"]
    assert len(without) == len(document["Statement"]) - 1
    changed = json.dumps({**document, "Statement": without})
    roles.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=changed)
    status, answer = ask(aws, outputs["ChatUrl"], Credentials("test", "test"))
    assert (status, answer["status"]) == (502, "FAILED")
    last = [line for line in log_lines(aws, outputs["LogGroup"]) if line["message"] == "the agent failed"][-1]
    assert (last["error_type"], last["agent_at"]) == ("AccessDeniedException", "agent.py:13 in respond")


def test_a_queue_that_wants_tls_is_usable(aws: Emulator) -> None:
    """On AWS every endpoint has it, and here none; apart from that the queue's policy works."""
    queues = client("sqs", aws)
    url = queues.create_queue(QueueName="secure")["QueueUrl"]

    def refuse_when(secure: str) -> None:
        refusal = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
        statement = {**refusal, "Condition": {"Bool": {"aws:SecureTransport": secure}}}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    refuse_when("false")
    queues.send_message(QueueUrl=url, MessageBody="hi")
    refuse_when("true")
    with pytest.raises(ClientError, match="AccessDenied"):
        queues.send_message(QueueUrl=url, MessageBody="hi")


def test_who_may_send_a_message_may_send_a_batch(aws: Emulator) -> None:
    """IAM has no actions for SQS's batches; what is allowed for one message counts."""
    client("sqs", aws).create_queue(QueueName="batches")
    erin = user(aws, "erin", "arn:aws:sqs:us-east-1:000000000000:batches", "sqs:SendMessage")
    queues = boto3.client(
        "sqs",
        endpoint_url=aws.endpoint,
        region_name="us-east-1",
        aws_access_key_id=erin.access_key,
        aws_secret_access_key=erin.secret_key,
    )
    url = f"{aws.endpoint}/000000000000/batches"
    assert queues.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "hi"}])["Successful"]
    with pytest.raises(ClientError, match="AccessDenied"):
        queues.receive_message(QueueUrl=url)
