"""QueuedAgentPipeline: a REST API in front of an agent's queue."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentApi, AgentFunction, AgentQueue, Authorization, QueuedAgentPipeline, SessionStore
from ak_constructs.testing import normalised
from test.support import methods
from test.test_agent_queue import found, granted, variables


def test_the_chat_route_takes_requests_and_polls_and_nobody_unsigned(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Health alone is open."""
    QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    made = methods(stack)
    assert {route: method["AuthorizationType"] for route, method in made.items()} == {
        ("GET", "/health"): "NONE",
        ("POST", "/api/v1/chat"): "AWS_IAM",
        ("GET", "/api/v1/chat"): "AWS_IAM",
        ("GET", "/api/v1/chat/{request_id}"): "AWS_IAM",
        ("ANY", "/{proxy+}"): "AWS_IAM",
        ("ANY", "/"): "AWS_IAM",
    }
    for route in (("POST", "/api/v1/chat"), ("GET", "/api/v1/chat"), ("GET", "/api/v1/chat/{request_id}")):
        assert "PipelineRequestHandler" in str(made[route]["Integration"]["Uri"])
    assert "RequestModels" in made["POST", "/api/v1/chat"]
    assert "RequestModels" not in made["GET", "/api/v1/chat"]


def test_another_authorization_holds_on_every_route(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And tells the request handler whose request it is."""
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, authorization=Authorization.api_key())
    for route, method in methods(stack).items():
        assert method["ApiKeyRequired"] is (route != ("GET", "/health"))
    assert pipeline.api_key is not None
    assert pipeline.usage_plan is not None
    assert pipeline.authorizer is None
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGateway::Stage", {"Variables": {"akConstructsIdentity": "api_key"}}
    )


def test_a_custom_route_calls_its_function_behind_the_same_authorization(
    stack: cdk.Stack, agent: AgentFunction, entry: Path
) -> None:
    """Past the queue; a handler that is not ours is told where its routes are."""
    other = AgentFunction(stack, "Other", entry=str(entry), handler="agent.respond")
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, chat_path="/api/v2/talk")
    assert isinstance(pipeline.add_route("GET", "/orders/{id}", other), apigateway.Method)
    route = methods(stack)["GET", "/api/v2/orders/{id}"]
    assert route["AuthorizationType"] == "AWS_IAM"
    assert "Other" in str(route["Integration"]["Uri"])
    assert route["Integration"]["TimeoutInMillis"] == 29_000
    told = variables(stack, "Other")
    assert (told["API_BASE_PATH"], told["API_VERSION"], told["AGENT_ENDPOINT"]) == ("api", "v2", "talk")


def test_fails_when_a_route_is_malformed_or_its_function_may_run_longer_than_the_api_waits(
    stack: cdk.Stack, agent: AgentFunction, entry: Path
) -> None:
    """As in an AgentApi."""
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    slow = AgentFunction(stack, "Slow", entry=str(entry), timeout=cdk.Duration.seconds(30))
    for method, path, handler, said in (
        ("get", "/app", agent, r"^method must be an HTTP method in capitals, or ANY, got 'get'$"),
        ("GET", "app", agent, r"^path must be segments or parameters, such as /app or /items/\{id\}, got 'app'$"),
        ("GET", "/app", slow, r"^the timeout of Stack/Slow must be at most 29 s, got 30 s"),
    ):
        with pytest.raises(ValueError, match=said):
            pipeline.add_route(method, path, handler)


def test_a_handler_of_ones_own_behind_a_route_has_one_chat_path(
    stack: cdk.Stack, agent: AgentFunction, entry: Path
) -> None:
    """It could not tell two apart; one that was refused for another reason has none yet."""
    other = AgentFunction(stack, "Other", entry=str(entry), handler="agent.respond")
    first = QueuedAgentPipeline(stack, "First", agent=agent, chat_path="/api/v1/ask")
    with pytest.raises(ValueError, match=r"^scopes must be left out with this authorization"):
        first.add_route("GET", "/app", other, scopes=["admin"])
    AgentApi(stack, "Second", agent=agent).add_route("GET", "/app", other)
    with pytest.raises(ValueError, match=r"^chat_path must be the same for all APIs of an agent with a handler"):
        first.add_route("GET", "/app", other)
    assert variables(stack, "Other")["AGENT_ENDPOINT"] == "chat"


def test_chat_asks_for_no_more_where_a_route_takes_its_other_methods(stack: cdk.Stack, agent: AgentFunction) -> None:
    """ANY is for what has no method of its own."""
    tokens = Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"])
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, authorization=tokens)
    for path in ("/chat", "/chat/{request_id}"):
        pipeline.add_route("ANY", path, agent, scopes=["admin"])
    assert json.loads(variables(stack, "PipelineAuthorizerFunction")["AK_CONSTRUCTS_SCOPES"]) == {
        "POST /api/v1/chat": [],
        "GET /api/v1/chat": [],
        "ANY /api/v1/chat": ["admin"],
        "GET /api/v1/chat/{request_id}": [],
        "ANY /api/v1/chat/{request_id}": ["admin"],
    }


@pytest.mark.parametrize("mode", ["rest_sync", "rest_async"])
def test_the_request_handler_is_told_its_mode_and_where_things_are(
    stack: cdk.Stack, agent: AgentFunction, mode: str
) -> None:
    """With a second to spare after API Gateway hung up."""
    QueuedAgentPipeline(stack, "Pipeline", agent=agent, mode=mode)
    told = variables(stack, "PipelineRequestHandler")
    assert (told["AK_CONSTRUCTS_MODE"], told["AK_CONSTRUCTS_TAKES_LARGE"]) == (mode, "true")
    assert set(told) == {
        "AK_CONSTRUCTS_HISTORY_TURNS",
        "AK_CONSTRUCTS_MODE",
        "AK_CONSTRUCTS_PAYLOADS_BUCKET",
        "AK_CONSTRUCTS_REQUESTS_TABLE",
        "AK_CONSTRUCTS_REQUEST_QUEUE_URL",
        "AK_CONSTRUCTS_RETENTION_SECONDS",
        "AK_CONSTRUCTS_SESSIONS_TABLE",
        "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS",
        "AK_CONSTRUCTS_TAKES_LARGE",
    }
    function = found(stack, "AWS::Lambda::Function", "PipelineRequestHandler")
    assert (function["Timeout"], function["MemorySize"]) == (30, 256)
    assert "ReservedConcurrentExecutions" not in function


def test_a_handler_of_the_users_is_told_the_mode_and_the_routes(stack: cdk.Stack, entry: Path) -> None:
    """In Agent Kernel's names; large bodies are refused for it."""
    agent = AgentFunction(stack, "Agent", entry=entry, handler="agent.respond")
    QueuedAgentPipeline(stack, "Pipeline", agent=agent, chat_path="/a/b/c")
    told = variables(stack, "Agent255")
    assert told["AK_EXECUTION__MODE"] == "rest_sync"
    assert [told[name] for name in ("API_BASE_PATH", "API_VERSION", "AGENT_ENDPOINT")] == ["a", "b", "c"]
    assert variables(stack, "PipelineRequestHandler")["AK_CONSTRUCTS_TAKES_LARGE"] == "false"
    assert not [what for what, _ in granted(stack, "PipelineRequestHandlerRole") if what == ("s3:PutObject",)]


def test_the_request_handler_may_do_what_it_does(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And nothing else."""
    QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    made = {(what, "".join(filter(str.isalpha, who))) for what, who in granted(stack, "PipelineRequestHandlerRole")}
    assert {what for what, _ in made} == {
        ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        ("sqs:SendMessage",),
        ("s3:GetObject",),
        ("s3:PutObject",),
        ("dynamodb:GetItem", "dynamodb:PutItem"),
    }
    for what, who in granted(stack, "PipelineRequestHandlerRole"):
        if what == ("s3:GetObject",):
            assert who.endswith("answers/*")
        if what == ("s3:PutObject",):
            assert who.endswith("requests/*")


def test_the_number_of_waiting_callers_may_be_bounded(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And an alarm says when somebody was refused."""
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, max_waiting=50)
    function = found(stack, "AWS::Lambda::Function", "PipelineRequestHandler")
    assert function["ReservedConcurrentExecutions"] == 50
    alarm = found(stack, "AWS::CloudWatch::Alarm", "PipelineThrottledAlarm")
    assert (alarm["MetricName"], alarm["Threshold"], alarm["Period"]) == ("Throttles", 1, 60)
    assert "PipelineRequestHandler" in str(alarm["Dimensions"])
    assert pipeline.metric_waiting_callers().metric_name == "ConcurrentExecutions"


def test_two_apis_may_stand_in_front_of_one_queue(stack: cdk.Stack, agent: AgentFunction) -> None:
    """One that waits and one that does not."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    one = QueuedAgentPipeline(stack, "One", agent=queue)
    two = QueuedAgentPipeline(stack, "Two", agent=queue, mode="rest_async")
    assert one.queue is two.queue is queue
    Template.from_stack(stack).resource_count_is("AWS::SQS::Queue", 5)
    Template.from_stack(stack).resource_count_is("AWS::ApiGateway::RestApi", 2)


def test_health_says_what_keeps_the_conversations(stack: cdk.Stack, agent: AgentFunction) -> None:
    """As Agent Kernel's does."""
    QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    assert variables(stack, "PipelineHealth") == {"AK_CONSTRUCTS_MEMORY_BACKEND": "dynamodb"}


def test_with_sessions_in_redis_the_request_handler_is_in_the_agents_network(stack: cdk.Stack, entry: Path) -> None:
    """Who submits must look there whose a session is."""
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    agent = AgentFunction(stack, "Agent", entry=entry, vpc=vpc)
    sessions = SessionStore.from_redis(stack, "Sessions", host="redis.example.com")
    QueuedAgentPipeline(stack, "Pipeline", agent=AgentQueue(stack, "Queue", agent=agent, session_store=sessions))
    assert "VpcConfig" in found(stack, "AWS::Lambda::Function", "PipelineRequestHandler")
    assert "VpcConfig" not in found(stack, "AWS::Lambda::Function", "QueueResponseHandler")


def test_a_caller_may_be_let_in(stack: cdk.Stack, agent: AgentFunction) -> None:
    """To submit and to poll, and nowhere else above the chat route."""
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    role = iam.Role(stack, "Backend", assumed_by=iam.AccountRootPrincipal())
    pipeline.grant_invoke(role)
    policy = Template.from_stack(stack).find_resources(
        "AWS::IAM::Policy", {"Properties": {"PolicyName": Match.string_like_regexp("^Backend")}}
    )
    (statement,) = next(iter(policy.values()))["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "execute-api:Invoke"
    ends = [resource["Fn::Join"][1][-1] for resource in statement["Resource"]]
    assert ends == ["/POST/api/v1/chat", "/GET/api/v1/chat", "/GET/api/v1/chat/*"]


def test_urls_are_those_of_the_stage(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Known at deployment."""
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    assert str(stack.resolve(pipeline.chat_url)).endswith("/api/v1/chat']]}")
    assert stack.resolve(pipeline.url) == stack.resolve(pipeline.api.url)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mode": "sync"}, "mode must be rest_sync or rest_async, got 'sync'"),
        ({"chat_path": "/chat"}, "chat_path must be three segments, such as /api/v1/chat, got '/chat'"),
        ({"rate_limit": 0}, "rate_limit must be at least 1, got 0; to close the API, remove it"),
        ({"max_waiting": 0}, "max_waiting must be at least 1, got 0; leave it out to let the account's pool bound it"),
    ],
)
def test_fails_when_an_argument_is_malformed(
    stack: cdk.Stack, agent: AgentFunction, arguments: dict[str, Any], error: str
) -> None:
    """Before anything is defined."""
    with pytest.raises(ValueError, match=f"^{error}$"):
        QueuedAgentPipeline(stack, "Pipeline", agent=agent, **arguments)
    assert not stack.node.find_child("Pipeline").node.children


def test_fails_when_the_authorization_is_not_made_by_a_factory(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Before anything is defined."""
    with pytest.raises(TypeError, match=r"^authorization must be made by a factory"):
        QueuedAgentPipeline(stack, "Pipeline", agent=agent, authorization="public")  # type: ignore[arg-type]


def test_snapshot_of_the_defaults(stack: cdk.Stack, agent: AgentFunction, snapshot: SnapshotAssertion) -> None:
    """Ids and surprises."""
    QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)


def test_snapshot_of_everything_set(stack: cdk.Stack, agent: AgentFunction, snapshot: SnapshotAssertion) -> None:
    """Ids and surprises."""
    QueuedAgentPipeline(
        stack,
        "Pipeline",
        agent=AgentQueue(stack, "Queue", agent=agent),
        authorization=Authorization.public(),
        mode="rest_async",
        chat_path="/a/b/c",
        cors=apigateway.CorsOptions(allow_origins=["https://example.com"], expose_headers=["Location"]),
        rate_limit=10,
        max_waiting=5,
    )
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
