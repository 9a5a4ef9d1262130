"""AgentApi: a REST API in front of one agent."""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Capture, Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentApi, AgentFunction, Authorization
from test.support import logical_ids, normalised, statements

XRAY = (("xray:PutTraceSegments", "xray:PutTelemetryRecords"), "*")


def methods(stack: cdk.Stack) -> dict[tuple[str, str], dict[str, Any]]:
    """Give every method's properties by verb and path."""
    resources = Template.from_stack(stack).to_json()["Resources"]

    def path(reference: dict[str, Any]) -> str:
        if "Fn::GetAtt" in reference:
            return ""
        properties = resources[reference["Ref"]]["Properties"]
        return f"{path(properties['ParentId'])}/{properties['PathPart']}"

    return {
        (properties["HttpMethod"], path(properties["ResourceId"]) or "/"): properties
        for properties in (r["Properties"] for r in resources.values() if r["Type"] == "AWS::ApiGateway::Method")
    }


def test_the_chat_route_calls_the_agent_and_needs_a_signature(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Leaving authorization out means IAM, never public."""
    AgentApi(stack, "Api", agent=agent)
    chat = methods(stack)["POST", "/api/v1/chat"]
    assert chat["AuthorizationType"] == "AWS_IAM"
    assert chat["Integration"]["Type"] == "AWS_PROXY"
    assert {"Fn::GetAtt": ["Agent255F68E9", "Arn"]} in chat["Integration"]["Uri"]["Fn::Join"][1]


def test_health_is_the_only_open_route(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Every other route asks for the same proof."""
    AgentApi(stack, "Api", agent=agent)
    assert {route: method["AuthorizationType"] for route, method in methods(stack).items()} == {
        ("GET", "/health"): "NONE",
        ("POST", "/api/v1/chat"): "AWS_IAM",
        ("ANY", "/{proxy+}"): "AWS_IAM",
        ("ANY", "/"): "AWS_IAM",
    }


def test_a_public_api_asks_for_nothing(stack: cdk.Stack, agent: AgentFunction) -> None:
    """It must be asked for by name."""
    AgentApi(stack, "Api", agent=agent, authorization=Authorization.public())
    assert {method["AuthorizationType"] for method in methods(stack).values()} == {"NONE"}


@pytest.mark.parametrize(("authorization", "rule"), [(Authorization.iam(), "iam"), (Authorization.public(), "public")])
def test_the_stage_tells_the_runner_whose_request_it_is(
    stack: cdk.Stack, agent: AgentFunction, authorization: Authorization, rule: str
) -> None:
    """A stage variable is out of the caller's reach."""
    AgentApi(stack, "Api", agent=agent, authorization=authorization)
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGateway::Stage", {"Variables": {"akConstructsIdentity": rule}}
    )


def test_unknown_routes_are_answered_with_404_and_an_error(stack: cdk.Stack, agent: AgentFunction) -> None:
    """API Gateway's own answer would be 403."""
    AgentApi(stack, "Api", agent=agent)
    for path in ("/", "/{proxy+}"):
        integration = methods(stack)["ANY", path]["Integration"]
        assert integration["Type"] == "MOCK"
        assert integration["RequestTemplates"] == {"application/json": '{"statusCode": 404}'}
        (response,) = integration["IntegrationResponses"]
        assert response["StatusCode"] == "404"
        assert response["ResponseTemplates"] == {"application/json": '{"error": "no such route"}'}


def test_the_gateway_refuses_bodies_that_are_no_json_object(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Before the agent costs anything."""
    AgentApi(stack, "Api", agent=agent)
    template = Template.from_stack(stack)
    template.has_resource_properties("AWS::ApiGateway::RequestValidator", {"ValidateRequestBody": True})
    schema = Capture()
    template.has_resource_properties("AWS::ApiGateway::Model", {"ContentType": "application/json", "Schema": schema})
    assert schema.as_object()["type"] == "object"
    chat = methods(stack)["POST", "/api/v1/chat"]
    assert set(chat["RequestModels"]) == {"application/json"}
    assert "Ref" in chat["RequestValidatorId"]


def test_what_the_gateway_answers_itself_has_our_shape(stack: cdk.Stack, agent: AgentFunction) -> None:
    """One shape of error for a client to read."""
    AgentApi(stack, "Api", agent=agent)
    responses = Template.from_stack(stack).find_resources("AWS::ApiGateway::GatewayResponse").values()
    assert {r["Properties"]["ResponseType"]: r["Properties"]["ResponseTemplates"] for r in responses} == {
        "BAD_REQUEST_BODY": {"application/json": '{"error": "body must be a JSON object"}'},
        "DEFAULT_4XX": {"application/json": '{"error": $context.error.messageString}'},
        "DEFAULT_5XX": {"application/json": '{"error": $context.error.messageString}'},
    }


def test_the_access_log_has_no_query_strings_and_no_bodies(stack: cdk.Stack, agent: AgentFunction) -> None:
    """A token may travel in a query string."""
    AgentApi(stack, "Api", agent=agent)
    text = Capture()
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGateway::Stage",
        {
            "AccessLogSetting": {
                "DestinationArn": {"Fn::GetAtt": [Match.string_like_regexp("^ApiAccessLogs"), "Arn"]},
                "Format": text,
            }
        },
    )
    assert "$context.requestId" in text.as_string()
    for secret in ("querystring", "$context.path", "header", "body", "$input", "authorizer"):
        assert secret not in text.as_string()


def test_the_stage_is_traced_and_throttled_and_health_on_its_own(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Health checks cannot use up the agent's rate, nor flood their function."""
    AgentApi(stack, "Api", agent=agent, rate_limit=7, burst_limit=9)
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGateway::Stage",
        {
            "TracingEnabled": True,
            "MethodSettings": [
                Match.object_like({"ResourcePath": "/*", "ThrottlingRateLimit": 7, "ThrottlingBurstLimit": 9}),
                Match.object_like({"ResourcePath": "/~1health", "ThrottlingRateLimit": 10, "ThrottlingBurstLimit": 20}),
            ],
        },
    )


def test_the_chat_path_can_be_another(stack: cdk.Stack, agent: AgentFunction) -> None:
    """The route follows, and so does the address."""
    api = AgentApi(stack, "Api", agent=agent, chat_path="/agents/v2/ask")
    assert ("POST", "/agents/v2/ask") in methods(stack)
    assert stack.resolve(api.chat_url)["Fn::Join"][1][-1] == "/agents/v2/ask"


def test_an_alias_is_called_as_an_alias(stack: cdk.Stack, agent: AgentFunction) -> None:
    """The integration goes to the alias, so that a rollback moves what callers get."""
    AgentApi(stack, "Api", agent=lambda_.Alias(stack, "Live", alias_name="live", version=agent.current_version))
    uri = methods(stack)["POST", "/api/v1/chat"]["Integration"]["Uri"]["Fn::Join"][1]
    assert [part["Ref"][:4] for part in uri if "Live" in str(part)] == ["Live"]


def test_an_imported_function_is_called_by_its_arn(stack: cdk.Stack) -> None:
    """The function may be somebody else's."""
    arn = "arn:aws:lambda:us-east-1:111122223333:function:agent"
    AgentApi(stack, "Api", agent=lambda_.Function.from_function_arn(stack, "Imported", arn))
    assert arn in str(methods(stack)["POST", "/api/v1/chat"]["Integration"]["Uri"])


def test_the_api_may_live_in_another_stack_than_its_agent(app: cdk.App, stack: cdk.Stack, entry: Path) -> None:
    """The agent's stack must not need the API's: that would be a cycle."""
    agent_stack = cdk.Stack(app, "AgentStack")
    AgentApi(stack, "Api", agent=AgentFunction(agent_stack, "Agent", entry=str(entry)))
    app.synth()
    assert ("POST", "/api/v1/chat") in methods(stack)
    assert [dependency.stack_name for dependency in stack.dependencies] == ["AgentStack"]
    assert agent_stack.dependencies == []


@pytest.mark.parametrize("chat_path", ["/chat", "api/v1/chat", "/api/v1/chat/", "/api/v1/a b", "/api/v1/{id}"])
def test_fails_when_the_chat_path_has_not_three_plain_segments(
    stack: cdk.Stack, agent: AgentFunction, chat_path: str
) -> None:
    """Agent Kernel's handlers know a base path, a version and an endpoint."""
    with pytest.raises(ValueError, match=r"^chat_path must match .*; write it like /api/v1/chat$"):
        AgentApi(stack, "Api", agent=agent, chat_path=chat_path)


def test_fails_when_a_limit_is_zero(stack: cdk.Stack, agent: AgentFunction) -> None:
    """API Gateway would refuse every request."""
    with pytest.raises(ValueError, match=r"^rate_limit must be at least 1, got 0; to close the API, remove it$"):
        AgentApi(stack, "Api", agent=agent, rate_limit=0)
    with pytest.raises(ValueError, match=r"^burst_limit must be at least 1, got 0; to close the API, remove it$"):
        AgentApi(stack, "Api2", agent=agent, burst_limit=0)


def test_fails_when_the_agent_may_run_longer_than_the_api_waits(stack: cdk.Stack, entry: Path) -> None:
    """Nobody would hear the answer."""
    slow = AgentFunction(stack, "Slow", entry=str(entry), timeout=cdk.Duration.seconds(30))
    with pytest.raises(ValueError, match=r"^agent's timeout must be at most 29 s, got 30 s; lower it, since"):
        AgentApi(stack, "Api", agent=slow)


def test_each_function_may_be_called_through_its_own_route_only(stack: cdk.Stack, agent: AgentFunction) -> None:
    """By API Gateway, from this API, this method."""
    AgentApi(stack, "Api", agent=agent)
    permissions = Template.from_stack(stack).find_resources("AWS::Lambda::Permission").values()
    assert {p["Properties"]["SourceArn"]["Fn::Join"][1][-1] for p in permissions} == {
        "/POST/api/v1/chat",
        "/GET/health",
    }
    assert {p["Properties"]["Principal"] for p in permissions} == {"apigateway.amazonaws.com"}


def test_the_health_functions_role_may_write_its_own_logs_and_traces(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And nothing else."""
    AgentApi(stack, "Api", agent=agent)
    logs = {"Fn::GetAtt": ["ApiHealthLogsBA320D76", "Arn"]}
    assert statements(stack, "ApiHealthRole") == [(("logs:CreateLogStream", "logs:PutLogEvents"), logs), XRAY]


def test_defines_no_output_and_no_account_wide_role(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Both would be the user's decision."""
    AgentApi(stack, "Api", agent=agent)
    template = Template.from_stack(stack)
    assert "Outputs" not in template.to_json()
    template.resource_count_is("AWS::ApiGateway::Account", 0)


def test_ids_do_not_change(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Another id would give a user's API another address."""
    AgentApi(stack, "Api", agent=agent)
    types = ("AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage", "AWS::Lambda::Function", "AWS::Logs::LogGroup")
    assert {name: type_ for name, type_ in logical_ids(stack).items() if type_ in types and name.startswith("Api")} == {
        "ApiAccessLogs50B185DB": "AWS::Logs::LogGroup",
        "ApiHealth24111001": "AWS::Lambda::Function",
        "ApiHealthLogsBA320D76": "AWS::Logs::LogGroup",
        "ApiRestApiDeploymentStageprodE828476C": "AWS::ApiGateway::Stage",
        "ApiRestApiE35FEAFE": "AWS::ApiGateway::RestApi",
    }


def test_snapshot_of_the_defaults(stack: cdk.Stack, agent: AgentFunction, snapshot: SnapshotAssertion) -> None:
    """Guards against surprises."""
    AgentApi(stack, "Api", agent=agent)
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)


def test_snapshot_of_everything_set(stack: cdk.Stack, agent: AgentFunction, snapshot: SnapshotAssertion) -> None:
    """Guards against surprises."""
    AgentApi(
        stack,
        "Api",
        agent=agent,
        authorization=Authorization.iam(end_user_from_body=True),
        chat_path="/agents/v2/ask",
        rate_limit=7,
        burst_limit=9,
    )
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
