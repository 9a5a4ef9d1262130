"""What we add to the emulator: each fails when a private name of the pinned version moves."""

import json
import time
from pathlib import Path

import aws_cdk as cdk
import httpx
import pytest
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from test.local.stacks import create, new_stack
from test.pythons import missing

pytestmark = pytest.mark.local

TABLE = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "TimeToLiveSpecification": {"AttributeName": "expiry_time", "Enabled": True},
}
SLOW = """
import time

def handler(event, context):
    time.sleep(4)
    return {"statusCode": 200, "body": "late"}
"""
TEMPLATE = {
    "Resources": {
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": TABLE},
        "Global": {
            "Type": "AWS::DynamoDB::GlobalTable",
            "Properties": {**TABLE, "Replicas": [{"Region": "us-east-1"}]},
        },
        "Pool": {"Type": "AWS::Lambda::CapacityProvider", "Properties": {}},
        "Runtime": {"Type": "AWS::BedrockAgentCore::Runtime", "Properties": {}},
        "Response": {"Type": "AWS::ApiGatewayV2::RouteResponse", "Properties": {}},
    },
    "Outputs": {
        "Table": {"Value": {"Ref": "Table"}},
        "Global": {"Value": {"Ref": "Global"}},
        "PoolArn": {"Value": {"Fn::GetAtt": ["Pool", "Arn"]}},
    },
}


def test_templates_with_types_it_lacks_deploy_and_time_to_live_is_on(aws: Emulator) -> None:
    """Without our additions the first are refused and the second stays off."""
    stacks = client("cloudformation", aws)
    stacks.create_stack(StackName="Additions", TemplateBody=json.dumps(TEMPLATE))
    for _ in range(100):
        (stack,) = stacks.describe_stacks(StackName="Additions")["Stacks"]
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.1)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["PoolArn"].startswith("arn:aws:lambda:us-east-1:000000000000:capacity-provider:")
    tables = client("dynamodb", aws)
    for table in ("Table", "Global"):
        described = tables.describe_time_to_live(TableName=outputs[table])["TimeToLiveDescription"]
        assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiry_time"}
    stacks.delete_stack(StackName="Additions")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "file://"}],
)
def test_a_web_page_in_this_machines_browser_is_refused(aws: Emulator, headers: dict[str, str]) -> None:
    """It could create a function and run it, as this user."""
    refused = httpx.post(f"{aws.endpoint}/2015-03-31/functions", headers=headers, json={})
    assert (refused.status_code, refused.text) == (403, "only for this machine")


def test_an_image_of_a_web_page_makes_no_stack(aws: Emulator) -> None:
    """Its request has no origin, and CreateStack takes GET: with a custom resource it would run code here."""
    query = {"Action": "CreateStack", "StackName": "Evil", "TemplateBody": json.dumps({"Resources": {}})}
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    refused = httpx.get(aws.endpoint, params=query, headers=headers)
    assert (refused.status_code, refused.text) == (403, "only for this machine")
    stacks = client("cloudformation", aws).list_stacks()["StackSummaries"]
    assert "Evil" not in {stack["StackName"] for stack in stacks}


def test_a_web_page_opens_no_websocket_either(aws: Emulator) -> None:
    """Browsers let any page try, and leave it to the server to look at where it comes from."""
    url = aws.endpoint.replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{url}/_aws/execute-api/any/prod", origin=Origin("https://evil.example"))
    assert refused.value.response.status_code == 403


def test_it_listens_on_loopback_only(aws: Emulator) -> None:
    """Nobody on the network may run code here."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        missing("the kernel's table of sockets, as Linux has it,")
    port = int(aws.endpoint.rpartition(":")[2])
    listening = [line.split() for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    addresses = {
        each[1].split(":")[0] for each in listening if each[3] == "0A" and int(each[1].split(":")[1], 16) == port
    }
    assert addresses == {"0100007F"}, "127.0.0.1, as the kernel writes it"


def test_a_page_of_this_machine_is_let_in(aws: Emulator) -> None:
    """An example may serve one."""
    answered = httpx.get(f"{aws.endpoint}/_ministack/health", headers={"Origin": "http://127.0.0.1:8000"})
    assert answered.status_code == 200


def test_a_rest_api_answers_504_when_its_function_takes_too_long(aws: Emulator) -> None:
    """It waited for as long as the function took; API Gateway waits for 29 s, or for what the integration says."""
    stack = new_stack("Slow")
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_inline(SLOW),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_12,
        timeout=cdk.Duration.seconds(10),
    )
    api = apigateway.RestApi(stack, "Api", cloud_watch_role=False)
    impatient = apigateway.LambdaIntegration(function, timeout=cdk.Duration.seconds(1))
    api.root.add_resource("impatient").add_method("GET", impatient)
    api.root.add_resource("patient").add_method("GET", apigateway.LambdaIntegration(function))
    cdk.CfnOutput(stack, "Url", value=api.url)
    url = aws.reachable(create(aws, stack)["Url"])
    started = time.monotonic()
    late = httpx.get(f"{url}impatient")
    assert (late.status_code, late.json()) == (504, {"message": "Endpoint request timed out"})
    assert 1 <= time.monotonic() - started < 4
    assert httpx.get(f"{url}patient", timeout=10).text == "late"
    client("cloudformation", aws).delete_stack(StackName="Slow")
