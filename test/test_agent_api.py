"""AgentApi: a REST API in front of one agent."""

import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Capture, Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentApi, AgentFunction, Authorization, SessionStore
from ak_constructs.testing import normalised
from test.support import logical_ids, methods, statements

XRAY = (("xray:PutTraceSegments", "xray:PutTelemetryRecords"), "*")


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


def test_health_says_what_keeps_the_conversations(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Whenever that was attached."""
    AgentApi(stack, "Api", agent=agent)
    function = {"Environment": {"Variables": {"AK_CONSTRUCTS_MEMORY_BACKEND": "dynamodb"}}}
    SessionStore(stack, "Sessions").attach(agent)
    Template.from_stack(stack).has_resource_properties("AWS::Lambda::Function", function)


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
        assert integration["PassthroughBehavior"] == "NEVER", "a mock fails on a body that it has no template for"
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


def test_what_the_gateway_answers_itself_has_our_shape_and_our_words(stack: cdk.Stack, agent: AgentFunction) -> None:
    """API Gateway's own text for a wrong signature repeats the request's headers, tokens included."""
    AgentApi(stack, "Api", agent=agent)
    responses = Template.from_stack(stack).find_resources("AWS::ApiGateway::GatewayResponse").values()
    errors = {
        each["Properties"]["ResponseType"]: json.loads(each["Properties"]["ResponseTemplates"]["application/json"])
        for each in responses
    }
    assert errors == {
        "ACCESS_DENIED": {"error": "not allowed"},
        "BAD_REQUEST_BODY": {"error": "body must be a JSON object"},
        "DEFAULT_4XX": {"error": "refused: $context.error.responseType"},
        "DEFAULT_5XX": {"error": "failed: $context.error.responseType"},
        "INTEGRATION_TIMEOUT": {"error": "the agent took too long"},
        "MISSING_AUTHENTICATION_TOKEN": {"error": "not allowed: the request is not signed"},
        "REQUEST_TOO_LARGE": {"error": "body is too large"},
        "THROTTLED": {"error": "too many requests; try again later"},
        "UNAUTHORIZED": {"error": "not allowed: no credentials, or wrong ones"},
        "UNSUPPORTED_MEDIA_TYPE": {"error": "no such route"},
    }
    statuses = {each["Properties"]["ResponseType"]: each["Properties"].get("StatusCode") for each in responses}
    assert {name: status for name, status in statuses.items() if status} == {"UNSUPPORTED_MEDIA_TYPE": "404"}


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
    assert set(json.loads(text.as_string()).values()) >= {
        "$context.requestId",
        "$context.extendedRequestId",
        "$context.identity.sourceIp",
        "$context.identity.user",
        "$context.status",
        "$context.responseLatency",
        "$context.error.responseType",
    }
    assert "error.message" not in text.as_string()
    for secret in ("querystring", "$context.path", "header", "body", "$input", "claims", 'identity.apiKey"', "token"):
        assert secret not in text.as_string()


def test_the_stage_is_traced_and_throttled_and_health_on_its_own(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Health checks cannot use up the agent's rate, nor flood their function."""
    AgentApi(stack, "Api", agent=agent, rate_limit=7)
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGateway::Stage",
        {
            "TracingEnabled": True,
            "MethodSettings": [
                {
                    "ResourcePath": "/*",
                    "HttpMethod": "*",
                    "ThrottlingRateLimit": 7,
                    "ThrottlingBurstLimit": 14,
                    "MetricsEnabled": True,
                    "DataTraceEnabled": False,
                },
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


@pytest.mark.parametrize("authorization", [Authorization.iam, "IAM", apigateway.AuthorizationType.IAM])
def test_fails_when_the_authorization_is_not_made_by_a_factory(
    stack: cdk.Stack, agent: AgentFunction, authorization: object
) -> None:
    """Forgotten parentheses, or CDK's own word."""
    with pytest.raises(
        TypeError, match=r"^authorization must be made by a factory, such as Authorization.iam\(\), got"
    ):
        AgentApi(stack, "Api", agent=agent, authorization=authorization)  # type: ignore[arg-type]


def test_a_custom_route_calls_its_function_behind_the_same_authorization(
    stack: cdk.Stack, agent: AgentFunction, entry: Path
) -> None:
    """Below the chat route's base path and version."""
    other = AgentFunction(stack, "Other", entry=str(entry))
    api = AgentApi(stack, "Api", agent=agent)
    method = api.add_route("GET", "/orders/{id}", other)
    route = methods(stack)["GET", "/api/v1/orders/{id}"]
    assert isinstance(method, apigateway.Method)
    assert route["AuthorizationType"] == "AWS_IAM"
    assert [
        part["Fn::GetAtt"][0][:5] for part in route["Integration"]["Uri"]["Fn::Join"][1] if "Other" in str(part)
    ] == ["Other"]
    assert route["Integration"]["TimeoutInMillis"] == 29_000


@pytest.mark.parametrize("method", ["get", "OPTIONS", "FETCH", ""])
def test_fails_when_a_routes_method_is_none(stack: cdk.Stack, agent: AgentFunction, method: str) -> None:
    """OPTIONS belongs to cors."""
    with pytest.raises(ValueError, match=r"^method must be an HTTP method in capitals, or ANY, got '.*'$"):
        AgentApi(stack, "Api", agent=agent).add_route(method, "/app", agent)


@pytest.mark.parametrize("path", ["", "app", "/", "/app/", "/a b", "/{a-b}", "/{proxy+}"])
def test_fails_when_a_routes_path_is_malformed(stack: cdk.Stack, agent: AgentFunction, path: str) -> None:
    """The message shows two that are right."""
    with pytest.raises(
        ValueError, match=r"^path must be segments or parameters, such as /app or /items/\{id\}, got '.*'$"
    ):
        AgentApi(stack, "Api", agent=agent).add_route("GET", path, agent)


def test_fails_when_a_routes_function_may_run_longer_than_the_api_waits(
    stack: cdk.Stack, agent: AgentFunction, entry: Path
) -> None:
    """As for the agent, through an alias too."""
    slow = AgentFunction(stack, "Slow", entry=str(entry), timeout=cdk.Duration.seconds(30))
    live = lambda_.Alias(stack, "Live", alias_name="live", version=slow.current_version)
    api = AgentApi(stack, "Api", agent=agent)
    for handler in (slow, live, slow.current_version):
        with pytest.raises(ValueError, match=r"^the timeout of Stack/Slow must be at most 29 s, got 30 s"):
            api.add_route("GET", "/app", handler)


def test_a_raised_quota_lets_the_agent_take_longer(stack: cdk.Stack, entry: Path) -> None:
    """The caller says so; the integration waits as long."""
    slow = AgentFunction(stack, "Slow", entry=str(entry), timeout=cdk.Duration.seconds(100))
    AgentApi(stack, "Api", agent=slow, raised_timeout=cdk.Duration.seconds(120))
    assert methods(stack)["POST", "/api/v1/chat"]["Integration"]["TimeoutInMillis"] == 120_000
    with pytest.raises(ValueError, match=r"^the timeout of Stack/Slow must be at most 90 s, got 100 s"):
        AgentApi(stack, "Api2", agent=slow, raised_timeout=cdk.Duration.seconds(90))


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (29, "^raised_timeout in seconds must be at least 30, got 29; leave it out unless"),
        (901, "^raised_timeout must be at most 900 s, got 901 s; lower it: no function runs longer$"),
    ],
)
def test_fails_when_a_raised_timeout_is_out_of_range(
    stack: cdk.Stack, agent: AgentFunction, seconds: int, message: str
) -> None:
    """29 s need no raised quota, and beyond 900 s nothing runs."""
    with pytest.raises(ValueError, match=message):
        AgentApi(stack, "Api", agent=agent, raised_timeout=cdk.Duration.seconds(seconds))


def test_a_handler_of_ones_own_learns_its_routes(stack: cdk.Stack, entry: Path) -> None:
    """In Agent Kernel's words; our runner needs none."""
    raw = AgentFunction(stack, "Raw", entry=str(entry), handler="agent.respond")
    AgentApi(stack, "Api", agent=raw, chat_path="/agents/v2/ask")
    AgentApi(stack, "Same", agent=raw, chat_path="/agents/v2/ask")
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Handler": "agent.respond",
            "Environment": {"Variables": {"API_BASE_PATH": "agents", "API_VERSION": "v2", "AGENT_ENDPOINT": "ask"}},
        },
    )
    assert raw.chat_path == "/agents/v2/ask"
    with pytest.raises(ValueError, match=r"got '/api/v1/chat' after '/agents/v2/ask'; make a second AgentFunction"):
        AgentApi(stack, "Other", agent=raw)


def test_our_runner_is_told_no_routes(stack: cdk.Stack, agent: AgentFunction) -> None:
    """So that an agent may serve any number of APIs."""
    AgentApi(stack, "Api", agent=agent)
    AgentApi(stack, "Other", agent=agent, chat_path="/agents/v2/ask")
    assert agent.chat_path is None
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function", {"Environment": {"Variables": {"AK_CONSTRUCTS_AGENT": "agent:respond"}}}
    )


def cors(**changes: object) -> apigateway.CorsOptions:
    """Make options for one page."""
    return apigateway.CorsOptions(**{"allow_origins": ["https://a.example.com"], **changes})  # type: ignore[arg-type]


def test_without_cors_there_is_no_trace_of_it(stack: cdk.Stack, agent: AgentFunction) -> None:
    """No page may call unless it is named."""
    AgentApi(stack, "Api", agent=agent)
    text = str(Template.from_stack(stack).to_json())
    assert "Access-Control" not in text
    assert "akConstructsCors" not in text
    assert not [route for route in methods(stack) if route[0] == "OPTIONS"]


def test_with_cors_every_route_answers_preflights_openly(stack: cdk.Stack, agent: AgentFunction) -> None:
    """A browser sends no credentials with them."""
    AgentApi(stack, "Api", agent=agent, cors=cors())
    preflights = {route: method for route, method in methods(stack).items() if route[0] == "OPTIONS"}
    assert {path for _, path in preflights} >= {"/api/v1/chat", "/health", "/{proxy+}"}
    assert {method["AuthorizationType"] for method in preflights.values()} == {"NONE"}
    assert {method["Integration"]["Type"] for method in preflights.values()} == {"MOCK"}


@pytest.mark.parametrize(
    ("options", "variables", "origin"),
    [
        (cors(), {"akConstructsCorsOrigins": "https://a.example.com"}, "'https://a.example.com'"),
        (
            cors(allow_origins=["https://a.example.com", "https://b.example.com"], allow_credentials=True),
            {
                "akConstructsCorsOrigins": "https://a.example.com,https://b.example.com",
                "akConstructsCorsCredentials": "true",
            },
            "method.request.header.origin",
        ),
        (
            cors(allow_origins=["*"], expose_headers=["Retry-After", "Location"]),
            {"akConstructsCorsOrigins": "any", "akConstructsCorsExpose": "Retry-After,Location"},
            "'*'",
        ),
    ],
)
def test_cors_reaches_the_runner_and_the_gateways_own_answers(
    stack: cdk.Stack, agent: AgentFunction, options: apigateway.CorsOptions, variables: dict[str, str], origin: str
) -> None:
    """A page must be able to read an error too."""
    AgentApi(stack, "Api", agent=agent, cors=options)
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::ApiGateway::Stage", {"Variables": {"akConstructsIdentity": "iam", **variables}}
    )
    for response in template.find_resources("AWS::ApiGateway::GatewayResponse").values():
        assert response["Properties"]["ResponseParameters"] == {
            "gatewayresponse.header.Access-Control-Allow-Origin": origin,
            "gatewayresponse.header.Vary": "'Origin'",
        }


def test_grant_invoke_lets_a_role_call_the_chat_route(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And no other route."""
    api = AgentApi(stack, "Api", agent=agent)
    role = iam.Role(stack, "Backend", assumed_by=iam.AccountRootPrincipal())
    api.grant_invoke(role)
    ((actions, resource),) = statements(stack, "Backend")
    assert actions == ("execute-api:Invoke",)
    assert resource == stack.resolve(api.arn_for_execute_api("POST", "/api/v1/chat"))
    assert resource["Fn::Join"][1][-1] == "/POST/api/v1/chat"
    assert stack.resolve(api.arn_for_execute_api())["Fn::Join"][1][-1] == "/*/*"


def test_metrics_are_those_of_the_stage(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Ready for alarms and dashboards."""
    api = AgentApi(stack, "Api", agent=agent)
    metrics = [api.metric_count(), api.metric_latency(), api.metric_client_error(), api.metric_server_error()]
    assert [metric.metric_name for metric in metrics] == ["Count", "Latency", "4XXError", "5XXError"]
    assert {metric.namespace for metric in metrics} == {"AWS/ApiGateway"}
    assert all("Stage" in (metric.dimensions or {}) for metric in metrics)


def test_url_is_the_stages_address(stack: cdk.Stack, agent: AgentFunction) -> None:
    """The chat route lies below it."""
    api = AgentApi(stack, "Api", agent=agent)
    assert stack.resolve(api.url)["Fn::Join"][1][:-1] == stack.resolve(api.chat_url)["Fn::Join"][1][:-1]


@pytest.mark.parametrize(
    "chat_path", ["/chat", "api/v1/chat", "/api/v1/chat/", "/api/v1/a b", "/api/v1/{id}", "/./../.."]
)
def test_fails_when_the_chat_path_has_not_three_plain_segments(
    stack: cdk.Stack, agent: AgentFunction, chat_path: str
) -> None:
    """Agent Kernel's handlers know a base path, a version and an endpoint."""
    with pytest.raises(ValueError, match=r"^chat_path must be three segments, such as /api/v1/chat, got '.*'$"):
        AgentApi(stack, "Api", agent=agent, chat_path=chat_path)


def test_fails_when_the_rate_limit_is_zero(stack: cdk.Stack, agent: AgentFunction) -> None:
    """API Gateway would refuse every request."""
    with pytest.raises(ValueError, match=r"^rate_limit must be at least 1, got 0; to close the API, remove it$"):
        AgentApi(stack, "Api", agent=agent, rate_limit=0)


def test_fails_when_the_agent_may_run_longer_than_the_api_waits(stack: cdk.Stack, entry: Path) -> None:
    """Nobody would hear the answer."""
    slow = AgentFunction(stack, "Slow", entry=str(entry), timeout=cdk.Duration.seconds(30))
    with pytest.raises(ValueError, match=r"^the timeout of Stack/Slow must be at most 29 s, got 30 s; lower it, since"):
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


def test_by_default_each_route_takes_a_hundred_requests_a_second(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And twice as many at once."""
    AgentApi(stack, "Api", agent=agent)
    settings = Capture()
    Template.from_stack(stack).has_resource_properties("AWS::ApiGateway::Stage", {"MethodSettings": settings})
    everywhere = settings.as_array()[0]
    assert (everywhere["ThrottlingRateLimit"], everywhere["ThrottlingBurstLimit"]) == (100, 200)


def test_health_is_a_small_function_of_ours_on_the_same_platform(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Lambda alone may take its role, which has no managed policy."""
    AgentApi(stack, "Api", agent=agent)
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Handler": "ak_lambda.health.handler.handler",
            "Architectures": ["arm64"],
            "Runtime": "python3.13",
            "MemorySize": 128,
            "Timeout": 3,
        },
    )
    for role in template.find_resources("AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role["Properties"]
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Allow", {"Service": "lambda.amazonaws.com"})
    for group in template.find_resources("AWS::Logs::LogGroup").values():
        assert (group["Properties"], group["DeletionPolicy"]) == ({"RetentionInDays": 30}, "Retain")


def test_the_api_is_regional_and_its_functions_log_json(stack: cdk.Stack, agent: AgentFunction) -> None:
    """An edge API could not wait longer than 29 s, whatever the quota."""
    AgentApi(stack, "Api", agent=agent)
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::ApiGateway::RestApi", {"EndpointConfiguration": {"Types": ["REGIONAL"]}, "Name": "Stack Api"}
    )
    functions = template.find_resources("AWS::Lambda::Function").values()
    assert [each["Properties"]["LoggingConfig"]["LogFormat"] for each in functions] == ["JSON", "JSON"]
    assert [each["Properties"]["TracingConfig"]["Mode"] for each in functions] == ["Active", "Active"]


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
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    api = AgentApi(
        stack,
        "Api",
        agent=agent,
        authorization=Authorization.lambda_function(agent, user_key="userId"),
        chat_path="/agents/v2/ask",
        cors=cors(),
        rate_limit=7,
        raised_timeout=cdk.Duration.seconds(60),
        vpc_endpoint=vpc.add_interface_endpoint("Endpoint", service=ec2.InterfaceVpcEndpointAwsService.APIGATEWAY),
        key=kms.Key(stack, "Key"),
        vpc=vpc,
    )
    api.add_route("GET", "/app", agent)
    api.add_web_acl("arn:aws:wafv2:us-east-1:111122223333:regional/webacl/rules/1")
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
