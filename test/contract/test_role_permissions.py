"""What roles may do: as much as the handlers call, nowhere wider than it must be, and for nobody else.

What the local emulator can check of this, and how, is in test/local/test_permissions.py.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aws_cdk as cdk
import boto3
import botocore.session
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from ak_constructs import (
    AgentApi,
    AgentFunction,
    AgentQueue,
    Authorization,
    KeepWarm,
    SharedCapacityProvider,
    VersionPruner,
    WebSocketAgentApi,
)
from ak_lambda.connection_handler import handler as connection_handler
from ak_lambda.shared import clients, sockets
from ak_lambda.version_counter import handler as counter
from ak_lambda.version_pruner import handler as pruner
from examples.agent_platform.app import AgentPlatformStack
from examples.queued_pipeline.app import QueuedPipelineStack
from test.support import statements

Resources = dict[str, dict[str, Any]]
ENTRY = Path(__file__).parents[2] / "examples/chat_api/agent"
LAMBDA = "arn:aws:lambda:us-east-1:111122223333:"
WORKER = f"{LAMBDA}function:worker"
RUNTIME = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
ANSWERS: dict[str, dict[str, Any]] = {
    "DeleteFunction": {},
    "DeleteItem": {},
    "GetAccountSettings": {"AccountUsage": {"TotalCodeSize": 1}, "AccountLimit": {"TotalCodeSize": 2}},
    "GetParameter": {"Parameter": {"Value": "-"}},
    "GetResources": {"ResourceTagMappingList": [{"ResourceARN": WORKER}]},
    "ListAliases": {"Aliases": []},
    "ListDurableExecutionsByFunction": {"DurableExecutions": []},
    "ListEventSourceMappings": {"EventSourceMappings": []},
    "ListFunctionVersionsByCapacityProvider": {
        "FunctionVersions": [{"FunctionArn": f"{WORKER}:{number}", "State": "Active"} for number in range(1, 5)]
    },
    "ListProvisionedConcurrencyConfigs": {"ProvisionedConcurrencyConfigs": []},
    "ListVersionsByFunction": {
        "Versions": [
            {
                "FunctionArn": f"{WORKER}:{number}",
                "Version": f"{number}",
                "LastModified": "2026-01-01T00:00:00.000+0000",
                "DurableConfig": {"ExecutionTimeout": 60},
                "CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": {}},
            }
            for number in range(1, 5)
        ]
    },
    "PutItem": {},
    "PutObject": {},
    "PutParameter": {},
    "Query": {
        "Items": [
            {
                "user_id": {"S": "somebody"},
                "connection_id": {"S": "one"},
                "endpoint": {"S": "somewhere"},
                "expiry_time": {"N": "99999999999"},
            }
        ]
    },
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Answer every call of boto3's clients here, and give the actions that AWS would have checked."""
    made: set[str] = set()

    def answer(**event: Any) -> Any:  # noqa: ANN401 - botocore's own
        model = event["model"]
        service = {"tagging": "tag"}.get(model.service_model.signing_name, model.service_model.signing_name)
        made.add(f"{service}:{model.name}")
        return SimpleNamespace(status_code=200), ANSWERS[model.name]

    session = botocore.session.get_session()
    session.register("before-call", answer)
    monkeypatch.setattr(
        boto3, "DEFAULT_SESSION", boto3.Session("x", "x", region_name="us-east-1", botocore_session=session)
    )
    made_before = (clients.client, clients.patient_client, sockets.open_sockets)
    for each in made_before:
        each.cache_clear()
    yield made
    for each in made_before:
        each.cache_clear()


def stack_somewhere() -> cdk.Stack:
    """Make a stack that knows where it is, so that ARNs are text."""
    return cdk.Stack(cdk.App(), "Stack", env=cdk.Environment(account="111122223333", region="us-east-1"))


def granted(stack: cdk.Stack, role: str) -> set[str]:
    """Give what a function's role may do beyond what Lambda's runtime does by it."""
    return {action for actions, _ in statements(stack, role) for action in actions} - RUNTIME


def tell(stack: cdk.Stack, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of a function, as far as they are known."""
    found = Template.from_stack(stack).find_resources("AWS::Lambda::Function")
    (properties,) = (each["Properties"] for name, each in found.items() if name.startswith(function))
    for name, value in properties["Environment"]["Variables"].items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "somewhere")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "function")


@pytest.mark.parametrize("dry_run", [False, True], ids=["deletes", "is dry"])
@pytest.mark.parametrize("scope", ["functions", "tags", "capacity_provider"])
def test_a_pruner_calls_exactly_what_it_may(
    calls: set[str], monkeypatch: pytest.MonkeyPatch, scope: str, dry_run: bool
) -> None:
    """Of versions with durable executions, on managed instances, with a report bucket."""
    stack = stack_somewhere()
    scopes: dict[str, Callable[[], Any]] = {
        "functions": lambda: [lambda_.Function.from_function_arn(stack, "Worker", WORKER)],
        "tags": lambda: {"team": "agents"},
        "capacity_provider": lambda: lambda_.CapacityProvider.from_capacity_provider_arn(
            stack, "Pool", f"{LAMBDA}capacity-provider:pool"
        ),
    }
    defined = VersionPruner(stack, "Pruner", dry_run=dry_run, **{scope: scopes[scope]()})
    defined.add_report_bucket(s3.Bucket.from_bucket_name(stack, "Bucket", "reports"))
    tell(stack, "PrunerFunction", monkeypatch)
    context = SimpleNamespace(aws_request_id="1", get_remaining_time_in_millis=lambda: 900_000)
    report = pruner.handler({}, context)
    assert report["failures"] == []
    assert list(report["would_delete" if dry_run else "deleted"].values()) == [["1"]]
    assert calls == granted(stack, "PrunerFunctionRole")


def test_a_version_counter_calls_exactly_what_it_may(calls: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One list."""
    stack = stack_somewhere()
    SharedCapacityProvider(stack, "Pool", vpc=ec2.Vpc(stack, "Vpc"))
    tell(stack, "PoolVersionCounter", monkeypatch)
    assert counter.handler({}, None)["function_versions"] == 4
    assert calls == granted(stack, "PoolVersionCounterRole")


@pytest.mark.parametrize("callers", ["iam", "function"])
def test_a_connection_handler_calls_exactly_what_it_may(
    calls: set[str], monkeypatch: pytest.MonkeyPatch, callers: str
) -> None:
    """It looks up who hangs up only where nothing else says so."""
    stack = stack_somewhere()
    authorization = Authorization.iam()
    if callers == "function":
        asked = lambda_.Function.from_function_arn(stack, "Asked", WORKER)
        authorization = Authorization.lambda_function(asked, user_key="user")
    WebSocketAgentApi(
        stack, "Chat", agent=AgentFunction(stack, "Agent", entry=ENTRY), authorization=authorization, buffered=False
    )
    tell(stack, "ChatConnectionHandler", monkeypatch)
    who = {"identity": {"user": "somebody", "userArn": "somebody"}, "authorizer": {"user": "somebody"}}
    for kind in ("CONNECT", "DISCONNECT"):
        event = {"requestContext": {**who, "eventType": kind, "connectionId": "one"}}
        assert connection_handler.handler(event, None)["statusCode"] == 200
    assert calls == granted(stack, "ChatConnectionHandlerRole")


@pytest.fixture(scope="module")
def templates() -> list[Resources]:
    """Give the resources of two examples, and of what these do not have, by logical id."""
    stack = stack_somewhere()
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    agent = AgentFunction(stack, "Agent", entry=ENTRY, vpc=vpc)
    tell = AgentFunction(stack, "Tell", entry=ENTRY)
    AgentQueue(stack, "Queue", agent=agent).add_reply_handler(tell)
    KeepWarm(stack, "Warm", targets=[tell], after_deployment=True)
    for name, header in (("Request", None), ("Token", "Authorization")):
        proof = Authorization.lambda_function(tell, user_key="user", token_header=header)
        AgentApi(stack, name, agent=agent, authorization=proof)
    WebSocketAgentApi(
        stack, "Chat", agent=agent, authorization=Authorization.lambda_function(tell, user_key="user"), buffered=False
    ).add_route("app", AgentFunction(stack, "App", entry=ENTRY, handler="agent.respond"))
    VersionPruner(stack, "Tagged", tags={"team": "agents"}, dry_run=False)
    app = cdk.App()
    stacks = [stack, AgentPlatformStack(app, "Platform"), QueuedPipelineStack(app, "Queued")]
    return [Template.from_stack(each).to_json()["Resources"] for each in stacks]


def of_type(templates: list[Resources], type_: str) -> list[dict[str, Any]]:
    """Give the properties of each resource of a type."""
    return [each["Properties"] for found in templates for each in found.values() if each["Type"] == type_]


def test_functions_can_be_invoked_from_one_place_each(templates: list[Resources]) -> None:
    """A route of an API, an authorizer or a rule: without a source every account's could."""
    permissions = of_type(templates, "AWS::Lambda::Permission")
    assert {each["Principal"] for each in permissions} == {"apigateway.amazonaws.com", "events.amazonaws.com"}
    for each in permissions:
        source = json.dumps(each["SourceArn"])
        assert each["Action"] == "lambda:InvokeFunction"
        of_socket = re.compile(r"/\*(?=\$?[a-z]+\")")  # the stage of a WebSocket API, as CDK has it, and one route
        assert "*" not in of_socket.sub("", source.replace("api/v1/chat/*", "")), source


def test_a_schedules_role_may_do_what_the_schedule_does_and_nothing_else(templates: list[Resources]) -> None:
    """Invoke its function, or the one call of a universal target."""
    seen = 0
    for template in templates:
        for schedule in of_type([template], "AWS::Scheduler::Schedule"):
            target = schedule["Target"]
            (policy,) = (
                each["PolicyDocument"]
                for each in of_type([template], "AWS::IAM::Policy")
                if {"Ref": target["RoleArn"]["Fn::GetAtt"][0]} in each["Roles"]
            )
            (statement,) = policy["Statement"]
            universal = re.search(r":aws-sdk:(\w+):(\w)(\w+)", json.dumps(target["Arn"]))
            if universal:
                assert statement["Action"] == f"{universal[1]}:{universal[2].upper()}{universal[3]}"
                assert statement["Resource"]["Fn::GetAtt"][0] in json.dumps(target["Input"])
            else:
                assert (statement["Action"], statement["Resource"]) == ("lambda:InvokeFunction", target["Arn"])
            seen += 1
    assert seen == 6


def test_a_star_as_a_resource_is_for_what_has_none(templates: list[Resources]) -> None:
    """The list of these actions is whole, and each is needed for the reason given where it is granted."""
    wide = set()
    for properties in of_type(templates, "AWS::IAM::Policy"):
        for statement in properties["PolicyDocument"]["Statement"]:
            if statement["Resource"] == "*" and statement["Effect"] == "Allow":
                wide |= {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
    assert wide == {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        "lambda:GetAccountSettings",
        "lambda:ListEventSourceMappings",
        "tag:GetResources",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_a_role_is_taken_by_one_service_and_for_this_account_where_that_can_be_said(
    templates: list[Resources],
) -> None:
    """Lambda takes a role only when somebody of the account passed it, and AWS's pages give such roles no condition.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html and
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-operator-role.html, read 2026-11-21. The role
    of the example's flow log is CDK's.
    """
    free: set[str] = set()
    bound: set[str] = set()
    for properties in of_type(templates, "AWS::IAM::Role"):
        (statement,) = properties["AssumeRolePolicyDocument"]["Statement"]
        condition = statement.get("Condition", {}).get("StringEquals", {})
        names = bound if {"aws:SourceAccount", "aws:SourceArn"} == set(condition) else free
        names.add(statement["Principal"]["Service"])
    assert free == {"lambda.amazonaws.com", "vpc-flow-logs.amazonaws.com"}
    assert bound == {"scheduler.amazonaws.com"}
