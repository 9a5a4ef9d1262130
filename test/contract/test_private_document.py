"""docs/private.md is compared with the templates."""

import json
import re
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

import ak_constructs
from ak_constructs import (
    AgentApi,
    AgentFunction,
    Authorization,
    KeepWarm,
    QueuedAgentPipeline,
    SharedCapacityProvider,
    VersionPruner,
    WebSocketAgentApi,
)
from ak_lambda.shared import frames
from test.contract.test_docs import python_blocks
from test.support import statements

DOCUMENT = (Path(__file__).parents[2] / "docs" / "private.md").read_text(encoding="utf-8")
ROLES = {
    "agent": "AgentRole",
    "Health": "PipelineHealthRole",
    "RequestHandler": "PipelineRequestHandlerRole",
    "ResponseHandler": "PipelineQueueResponseHandlerRole",
    "DeadLetterHandler": "PipelineQueueDeadLetterHandlerRole",
    "Redrive": "PipelineQueueRedriveRole",
    "Warmer": "WarmWarmerRole",
    "Function": "PrunerFunctionRole",
    "VersionCounter": "PoolVersionCounterRole",
    "ConnectionHandler": "ChatConnectionHandlerRole",
    "MessageHandler": "ChatMessageHandlerRole",
}
ENDPOINTS = {"dynamodb", "lambda", "s3", "sqs", "ssm", "tagging"}
NO_ENDPOINT = {"ec2", "kms", "logs", "xray"}  # Lambda itself, and the services, call these
PUSHES = "execute-api"  # of WebSocket APIs, to which no endpoint leads


def test_the_example_runs(stack: cdk.Stack, entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with the agent that it names."""
    (entry.parent / "agents").mkdir()
    entry.rename(entry.parent / "agents" / "support")
    monkeypatch.chdir(entry.parent)
    names = {name: getattr(ak_constructs, name) for name in ak_constructs.__all__}
    (block,) = python_blocks(DOCUMENT)
    exec(block, {"stack": stack, **names})  # noqa: S102 - our own documentation


def test_the_endpoints_are_those_of_what_each_function_may_call(
    stack: cdk.Stack, agent: AgentFunction, entry: Path
) -> None:
    """A permission without an endpoint would be a call that times out."""
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    pipeline.queue.add_reply_handler(agent)
    KeepWarm(stack, "Warm", targets=[agent])
    VersionPruner(stack, "Pruner", tags={"team": "agents"}).add_report_bucket(s3.Bucket(stack, "Bucket"))
    SharedCapacityProvider(stack, "Pool", vpc=ec2.Vpc(stack, "Vpc", max_azs=1))
    chatting = AgentFunction(stack, "Chatting", entry=entry)
    chat = WebSocketAgentApi(stack, "Chat", agent=chatting, authorization=Authorization.iam())
    assert chat.queue is not None
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", DOCUMENT, flags=re.MULTILINE)
    written = {}
    for function, calls in rows:
        found = re.findall(r": `(\w+)`$|^(agent) of", function)
        if found:
            written["".join(found[0])] = ENDPOINTS & set(re.findall(r"\w+", calls))
    granted = {}
    for function, role in ROLES.items():
        services = {action.split(":")[0] for actions, _ in statements(stack, role) for action in actions}
        services -= {*NO_ENDPOINT, PUSHES}
        granted[function] = {"tagging" if service == "tag" else service for service in services}
    assert written == granted


def test_whoever_pushes_to_a_websocket_is_named(stack: cdk.Stack, agent: AgentFunction) -> None:
    """They need a way to the internet."""
    WebSocketAgentApi(stack, "Chat", agent=agent, authorization=Authorization.iam())
    roles = {**ROLES, "ResponseHandler": "ChatQueueResponseHandlerRole"}
    pushing = {
        function
        for function, role in roles.items()
        if any(f"{PUSHES}:ManageConnections" in actions for actions, _ in statements(stack, role))
    }
    rows = [row for row in DOCUMENT.splitlines() if row.startswith("| ") and "the WebSocket API" in row]
    assert pushing == {name for name in roles if any(re.search(rf"\b{name}\b", row) for row in rows)}
    assert f"answers over {frames.MAX_FRAME_BYTES} bytes" in DOCUMENT


def test_the_statement_for_an_imported_key_is_the_one_that_a_key_of_the_app_gets(app: cdk.App) -> None:
    """For the region and account of the text."""
    (text,) = re.findall(r"```json\n(.*?)```", DOCUMENT, flags=re.DOTALL)
    stack = cdk.Stack(app, "There", env=cdk.Environment(account="111122223333", region="us-east-1"))
    code = ak_constructs.AgentFunction(stack, "Agent", entry="examples/chat_api/agent", key=kms.Key(stack, "Key"))
    assert code.log_group is not None
    (key,) = Template.from_stack(stack).find_resources("AWS::KMS::Key").values()
    *_, statement = key["Properties"]["KeyPolicy"]["Statement"]
    resolved = json.dumps(statement)
    for token, value in (("Partition", "aws"), ("URLSuffix", "amazonaws.com")):
        reference = f'{{"Ref": "AWS::{token}"}}'
        resolved = resolved.replace(reference, f'"{value}"')
    joined = re.sub(
        r'\{"Fn::Join": \["", (\[.*?\])\]\}', lambda found: json.dumps("".join(json.loads(found[1]))), resolved
    )
    assert json.loads(joined) == json.loads(text)


def test_the_table_says_what_the_resource_policy_lets_in(stack: cdk.Stack, agent: AgentFunction) -> None:
    """With each authorization that there is."""
    endpoint = ec2.Vpc(stack, "Vpc", max_azs=1).add_interface_endpoint(
        "Endpoint", service=ec2.InterfaceVpcEndpointAwsService.APIGATEWAY
    )
    each = {
        "iam": Authorization.iam(),
        "jwt": Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"]),
        "lambda_function": Authorization.lambda_function(agent, user_key="user"),
        "cognito": Authorization.cognito([cognito.UserPool(stack, "Pool")]),
        "api_key": Authorization.api_key(),
        "public": Authorization.public(),
    }
    for name, authorization in each.items():
        AgentApi(stack, name, agent=agent, authorization=authorization, vpc_endpoint=endpoint)
    apis = Template.from_stack(stack).find_resources("AWS::ApiGateway::RestApi")
    health_only = set()
    for id_, api in apis.items():
        _, allowed = api["Properties"]["Policy"]["Statement"]
        if "/health" in json.dumps(allowed["Resource"]):
            health_only.add(id_)
    rows = re.findall(r"^\| (`\w+\(\)`.*?) \| (.*?) \|$", DOCUMENT, flags=re.MULTILINE)
    written = {name: "GET /health" in lets_in for names, lets_in in rows for name in re.findall(r"`(\w+)\(", names)}
    logical = {name: name.replace("_", "") for name in each}
    assert written == {name: any(id_.startswith(logical[name]) for id_ in health_only) for name in each}
    assert len(apis) == len(each)
