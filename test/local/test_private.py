"""Data with a key, and a private API, on an emulator that enforces IAM; it asks nobody's permission to use a key."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials

from ak_constructs.local.deployment import bootstrap, deploy, install_cdk
from ak_constructs.local.emulator import Emulator, emulator
from ak_constructs.local.logs import client
from ak_constructs.local.signing import signed_headers

pytestmark = pytest.mark.local
ROOT = Credentials("test", "test")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator that checks signatures and policies."""
    install_cdk()
    with emulator(tmp_path_factory.mktemp("private") / "emulator.log", enforce_iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def outputs(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Deploy the app."""
    work = tmp_path_factory.mktemp("work")
    bootstrap(aws, work)
    return deploy(aws, work, app=f"{sys.executable} -m test.local.private_app")["Private"]


def ask(aws: Emulator, url: str, credentials: Credentials) -> httpx.Response:
    """Ask with a signature."""
    url, body = aws.reachable(url), b'{"prompt": "hi"}'
    headers = signed_headers("POST", url, body, credentials=credentials, region="us-east-1")
    return httpx.post(url, content=body, headers=headers, timeout=35)


def test_a_request_goes_all_the_way_through_what_the_key_encrypts(aws: Emulator, outputs: dict[str, str]) -> None:
    """Queues and logs have it, as deployed; of tables, buckets and functions the emulator does not say it."""
    response = ask(aws, outputs["ChatUrl"], ROOT)
    assert (response.status_code, response.json()["result"]) == (200, "You said hi")
    key = outputs["KeyArn"]
    sqs = client("sqs", aws)
    urls = [url for url in sqs.list_queues()["QueueUrls"] if "Private-" in url]
    kept = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls]
    assert [queue["KmsMasterKeyId"] for queue in kept] == 5 * [key]
    logs = client("logs", aws).describe_log_groups()["logGroups"]
    assert [group.get("kmsKeyId") for group in logs].count(key) == 7


def test_a_private_api_refuses_whoever_does_not_come_by_the_endpoint(aws: Emulator, outputs: dict[str, str]) -> None:
    """Health too; the emulator has no endpoints, so everybody comes another way."""
    url = address(outputs)
    caller = user(aws, "caller", may_call=True)
    assert outputs["PrivateUrl"].startswith(f"https://{outputs['PrivateApi']}-vpce-0123456789abcdef0.execute-api.")
    assert ask(aws, url, caller).status_code == 403
    assert httpx.get(aws.reachable(url.replace("/api/v1/chat", "/health"))).status_code == 403


def test_by_the_endpoint_health_is_open_and_iam_decides_about_the_rest(aws: Emulator, outputs: dict[str, str]) -> None:
    """Without the refusal the policy is what an endpoint's caller meets; one that let in all would skip IAM."""
    url = address(outputs)
    apis = client("apigateway", aws)
    escaped = apis.get_rest_api(restApiId=outputs["PrivateApi"])["policy"]  # as AWS answers, a string in a string
    policy = json.loads(json.loads(f'"{escaped}"'))
    refuse, allow = policy["Statement"]
    assert (refuse["Effect"], allow["Effect"]) == ("Deny", "Allow")
    caller, stranger = user(aws, "colleague", may_call=True), user(aws, "stranger", may_call=False)

    def met(*statements: dict[str, Any]) -> tuple[int, int, int]:
        document = json.dumps({**policy, "Statement": statements})
        patch = [{"op": "replace", "path": "/policy", "value": document}]
        apis.update_rest_api(restApiId=outputs["PrivateApi"], patchOperations=patch)
        health = httpx.get(aws.reachable(url.replace("/api/v1/chat", "/health"))).status_code
        return health, ask(aws, url, caller).status_code, ask(aws, url, stranger).status_code

    assert met(allow) == (200, 200, 403)
    assert met({**allow, "Resource": "execute-api:/*"}) == (200, 200, 200)


def address(outputs: dict[str, str]) -> str:
    """Give the private API's chat route by the name that the emulator knows."""
    host = outputs["ChatUrl"].split("//")[1].split("/")[0].split(".", 1)[1]
    return f"https://{outputs['PrivateApi']}.{host}/prod/api/v1/chat"


def user(aws: Emulator, name: str, *, may_call: bool) -> Credentials:
    """Make a user of the account who may call every API, or do nothing."""
    users = client("iam", aws)
    users.create_user(UserName=name)
    if may_call:
        statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        users.put_user_policy(UserName=name, PolicyName="call", PolicyDocument=policy)
    key = users.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])
