"""What we add to the emulator: each fails when a private name of the pinned version moves."""

import json
import time

import boto3
import pytest

from examples.local.emulator import Emulator
from test.local.test_agent_api import boto3_settings

pytestmark = pytest.mark.local

TABLE = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "TimeToLiveSpecification": {"AttributeName": "expiry_time", "Enabled": True},
}
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
    stacks = boto3.client("cloudformation", **boto3_settings(aws))
    stacks.create_stack(StackName="Additions", TemplateBody=json.dumps(TEMPLATE))
    for _ in range(100):
        (stack,) = stacks.describe_stacks(StackName="Additions")["Stacks"]
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(0.1)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert outputs["PoolArn"].startswith("arn:aws:lambda:us-east-1:000000000000:capacity-provider:")
    tables = boto3.client("dynamodb", **boto3_settings(aws))
    for table in ("Table", "Global"):
        described = tables.describe_time_to_live(TableName=outputs[table])["TimeToLiveDescription"]
        assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiry_time"}
    stacks.delete_stack(StackName="Additions")
