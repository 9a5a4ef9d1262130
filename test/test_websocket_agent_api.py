"""WebSocketAgentApi: a WebSocket API in front of an agent, with a queue or without."""

import json
import re
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import (
    AgentFunction,
    AgentQueue,
    Authorization,
    QueuedAgentPipeline,
    SessionStore,
    WebSocketAgentApi,
)
from ak_constructs.testing import normalised
from test.support import statements
from test.test_agent_queue import LOGS, XRAY, found, variables
from test.test_queue_wiring import id_of

POST, INDEX = ":prod/POST/@connections/*", "/index/connection_id-index"
MANAGE = ("execute-api:ManageConnections",)
PUT, DELETE, QUERY = ("dynamodb:PutItem",), ("dynamodb:DeleteItem",), ("dynamodb:Query",)


@pytest.fixture
def asked(stack: cdk.Stack) -> lambda_.Function:
    """Make a function of the user's."""
    code = lambda_.Code.from_inline("def handler(event, context): ...")
    return lambda_.Function(stack, "Asked", runtime=lambda_.Runtime.PYTHON_3_13, handler="index.handler", code=code)


@pytest.fixture
def people(asked: lambda_.Function) -> Authorization:
    """Let in whom that function lets in."""
    return Authorization.lambda_function(asked, user_key="person")


@pytest.fixture
def own_handler(stack: cdk.Stack, entry: Path) -> AgentFunction:
    """Make an agent with a handler of its own."""
    return AgentFunction(stack, "Agent", entry=entry, handler="agent.respond")


def routes(stack: cdk.Stack, api: str = "Chat") -> dict[str, tuple[str, str, bool]]:
    """Give of each route of an API who may call it, which function it calls, and whether that answers the client.

    Each function must be let by the route, and answer by a route response.
    """
    resources = Template.from_stack(stack).to_json()["Resources"]
    by_type: dict[str, dict[str, Any]] = {}
    for id_, resource in resources.items():
        by_type.setdefault(resource["Type"], {})[id_] = resource.get("Properties", {})
    answered = {each["RouteId"]["Ref"] for each in by_type["AWS::ApiGatewayV2::RouteResponse"].values()}
    lets = {
        (named(each["FunctionName"]), str(each["SourceArn"]["Fn::Join"][1][-1]))
        for each in by_type["AWS::Lambda::Permission"].values()
    }
    made = {}
    for id_, route in by_type["AWS::ApiGatewayV2::Route"].items():
        if not id_.startswith(api):
            continue
        integration = by_type["AWS::ApiGatewayV2::Integration"][route["Target"]["Fn::Join"][1][1]["Ref"]]
        assert integration["IntegrationType"] == "AWS_PROXY"
        function = named(integration["IntegrationUri"]["Fn::Join"][1][-2])
        assert (function, f"/*{route['RouteKey']}") in lets
        assert (route.get("RouteResponseSelectionExpression") == "$default") is (id_ in answered)
        made[route["RouteKey"]] = (route["AuthorizationType"], function[:-8], id_ in answered)
    return made


def named(value: Any) -> str:  # noqa: ANN401
    """Give the logical id that a template's value refers to."""
    return str(value["Fn::GetAtt"][0] if "Fn::GetAtt" in value else value["Ref"]) if isinstance(value, dict) else value


def may(stack: cdk.Stack, role: str) -> set[tuple[tuple[str, ...], str]]:
    """Give (actions, resource) of each statement of a role about connections; a resource is its id and what follows."""
    made = set()
    for actions, resource in statements(stack, role):
        if actions in {LOGS, XRAY[0]}:
            continue
        for each in resource if isinstance(resource, list) else [resource]:
            parts = each["Fn::Join"][1] if "Fn::Join" in each else [each]
            names = [part["Fn::GetAtt"][0] for part in parts if "Fn::GetAtt" in part]
            names += [part["Ref"] for part in parts if "Ref" in part and "::" not in part["Ref"]]
            after = parts[-1] if isinstance(parts[-1], str) else ""
            made.add((actions, "".join(name[:-8] for name in names) + after.replace("/prod", ":prod")))
    return made


def test_only_connect_is_authorized_and_only_messages_are_answered(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """API Gateway asks nobody later; the authorizer is asked for each connection, with the whole request."""
    WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    assert routes(stack) == {
        "$connect": ("CUSTOM", "ChatConnectionHandler", False),
        "$disconnect": ("NONE", "ChatConnectionHandler", False),
        "$default": ("NONE", "ChatConnectionHandler", True),
        "ping": ("NONE", "ChatConnectionHandler", True),
        "chat": ("NONE", "ChatMessageHandler", True),
        "resume": ("NONE", "ChatMessageHandler", True),
    }
    authorizer = found(stack, "AWS::ApiGatewayV2::Authorizer", "Chat")
    assert (authorizer["AuthorizerType"], authorizer["IdentitySource"]) == ("REQUEST", [])
    assert "Asked" in str(authorizer["AuthorizerUri"])
    assert found(stack, "AWS::ApiGatewayV2::Route", "ChatWebSocketApiconnectRoute")["AuthorizerId"]
    api = found(stack, "AWS::ApiGatewayV2::Api", "Chat")
    assert (api["ProtocolType"], api["RouteSelectionExpression"]) == ("WEBSOCKET", "$request.body.route")


def test_the_stage_is_throttled_and_its_log_says_who_and_what_but_no_token(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """Which may be in the query string or a header."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    stage = found(stack, "AWS::ApiGatewayV2::Stage", "Chat")
    assert (stage["StageName"], stage["AutoDeploy"]) == ("prod", True)
    assert stage["DefaultRouteSettings"] == {"ThrottlingRateLimit": 100, "ThrottlingBurstLimit": 200}
    assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": [id_of(stack, api.access_logs), "Arn"]}
    logged = set(json.loads(stage["AccessLogSettings"]["Format"]).values())
    asked_for = {"requestId", "connectionId", "routeKey", "eventType", "status", "authorizer.principalId"}
    assert {f"$context.{name}" for name in asked_for} <= logged
    assert all(each.startswith("$context.") for each in logged)
    assert not [each for each in logged if "query" in each.lower() or "header" in each.lower()]
    assert len(stage["AccessLogSettings"]["Format"]) < 3000, "API Gateway takes 3 KB"


def test_the_rate_is_what_is_said(stack: cdk.Stack, agent: AgentFunction, people: Authorization) -> None:
    """And twice as many at once."""
    WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people, rate_limit=7)
    settings = found(stack, "AWS::ApiGatewayV2::Stage", "Chat")["DefaultRouteSettings"]
    assert settings == {"ThrottlingRateLimit": 7, "ThrottlingBurstLimit": 14}


def test_connections_are_found_by_their_user_and_by_themselves(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """In Agent Kernel's names; rows expire, and the table outlives the stack."""
    WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    table = found(stack, "AWS::DynamoDB::GlobalTable", "ChatConnections")
    by = [{"AttributeName": "user_id", "KeyType": "HASH"}, {"AttributeName": "connection_id", "KeyType": "RANGE"}]
    assert table["KeySchema"] == by
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "connection_id-index"
    assert [each["AttributeName"] for each in index["KeySchema"]] == ["connection_id", "user_id"]
    assert index["Projection"] == {"ProjectionType": "ALL"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiry_time", "Enabled": True}


def test_the_handlers_are_told_where_they_are_and_who_is_who(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """The message handler also what a request handler is told."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people, chat_route="talk")
    common = {
        "AK_CONSTRUCTS_CALLBACK_URL": stack.resolve(api.callback_url),
        "AK_CONSTRUCTS_CHAT_ROUTE": "talk",
        "AK_CONSTRUCTS_CONNECTIONS_TABLE": {"Ref": id_of(stack, api.connections_table)},
        "AK_CONSTRUCTS_IDENTITY": "lambda:person",
    }
    assert variables(stack, "ChatConnectionHandler") == common
    told = variables(stack, "ChatMessageHandler")
    assert common.items() <= told.items()
    assert {name for name in told if name not in common} == {
        "AK_CONSTRUCTS_HISTORY_TURNS",
        "AK_CONSTRUCTS_PAYLOADS_BUCKET",
        "AK_CONSTRUCTS_REQUESTS_TABLE",
        "AK_CONSTRUCTS_REQUEST_QUEUE_URL",
        "AK_CONSTRUCTS_RETENTION_SECONDS",
        "AK_CONSTRUCTS_SESSIONS_TABLE",
        "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS",
        "AK_CONSTRUCTS_TAKES_LARGE",
    }
    assert "talk" in routes(stack)
    assert "chat" not in routes(stack)
    for name in ("ConnectionHandler", "MessageHandler"):
        function = found(stack, "AWS::Lambda::Function", f"Chat{name}")
        assert (function["Timeout"], function["MemorySize"]) == (30, 256)
    domain = stack.resolve(api.callback_url)["Fn::Join"][1]
    assert (domain[0], domain[1], domain[-1]) == ("https://", {"Ref": id_of(stack, api.api)}, "/prod")


def test_each_function_may_do_what_it_does(stack: cdk.Stack, agent: AgentFunction, people: Authorization) -> None:
    """And nothing else: no other stage's connections, no row that it need not touch."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    table, posts = "ChatConnections", f"ChatWebSocketApi{POST}"
    assert may(stack, "ChatConnectionHandlerRole") == {((*PUT, *DELETE), table)}
    of_requests = {
        (("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"), "ChatQueueRequests"),
        (("sqs:SendMessage",), "ChatQueueRequestQueue"),
        (("s3:GetObject",), "ChatQueuePayloads/answers/*"),
        (("dynamodb:GetItem", "dynamodb:PutItem"), "ChatQueueSessions"),
    }
    sessions = id_of(stack, api.queue.session_store.table)[:-8] if api.queue else ""
    of_requests = {(what, sessions if who == "ChatQueueSessions" else who) for what, who in of_requests}
    assert may(stack, "ChatMessageHandlerRole") == {*of_requests, (DELETE, table), (MANAGE, posts)}
    for role in ("ChatQueueResponseHandlerRole", "AgentRole"):
        pushing = {(what, who) for what, who in may(stack, role) if who in {table, posts}}
        assert pushing == {(QUERY, table), (DELETE, table), (MANAGE, posts)}
    assert (("s3:GetObject",), "ChatQueuePayloads/answers/*") in may(stack, "ChatQueueResponseHandlerRole")
    for name in ("ChatQueueResponseHandler", "Agent255"):
        assert variables(stack, name)["AK_CONSTRUCTS_CONNECTIONS_TABLE"] == {"Ref": id_of(stack, api.connections_table)}
        assert "AK_CONSTRUCTS_IDENTITY" not in variables(stack, name)
    assert "AK_CONSTRUCTS_STREAMS" not in variables(stack, "ChatQueueResponseHandler")


def test_with_iam_messages_say_not_who_sends_them(stack: cdk.Stack, agent: AgentFunction) -> None:
    """So that the handlers look it up; a caller is let in to `$connect`, which is all that is asked for."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=Authorization.iam())
    api.grant_connect(iam.Role(stack, "Backend", assumed_by=iam.AccountRootPrincipal()))
    assert routes(stack)["$connect"] == ("AWS_IAM", "ChatConnectionHandler", False)
    assert api.authorizer_function is None
    for name in ("ConnectionHandler", "MessageHandler"):
        assert variables(stack, f"Chat{name}")["AK_CONSTRUCTS_IDENTITY"] == "iam"
        assert (QUERY, f"ChatConnections{INDEX}") in may(stack, f"Chat{name}Role")
    assert (QUERY, f"ChatConnections{INDEX}") not in may(stack, "AgentRole")
    assert may(stack, "Backend") == {(("execute-api:Invoke",), "ChatWebSocketApi:prod/$connect")}


def test_tokens_are_verified_by_the_function_that_rest_apis_have(stack: cdk.Stack, agent: AgentFunction) -> None:
    """With the key that is given."""
    tokens = Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"])
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=tokens)
    assert api.authorizer_function is not None
    assert api.authorizer_function.node.path == "Stack/Chat/AuthorizerFunction"
    assert variables(stack, "ChatConnectionHandler")["AK_CONSTRUCTS_IDENTITY"] == "lambda:user_id"


def test_without_a_queue_the_agent_answers_messages_itself(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """It is told what a message handler would be, and may push."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people, buffered=False)
    assert (api.queue, api.message_handler) == (None, None)
    assert routes(stack)["chat"] == routes(stack)["resume"] == ("NONE", "Agent", True)
    assert routes(stack)["ping"] == ("NONE", "ChatConnectionHandler", True)
    Template.from_stack(stack).resource_count_is("AWS::SQS::Queue", 0)
    told = {name: value for name, value in variables(stack, "Agent255").items() if name != "AK_CONSTRUCTS_AGENT"}
    assert told == {
        "AK_CONSTRUCTS_CALLBACK_URL": stack.resolve(api.callback_url),
        "AK_CONSTRUCTS_CONNECTIONS_TABLE": {"Ref": id_of(stack, api.connections_table)},
        "AK_CONSTRUCTS_IDENTITY": "lambda:person",
    }
    pushing = {(QUERY, "ChatConnections"), (DELETE, "ChatConnections"), (MANAGE, f"ChatWebSocketApi{POST}")}
    assert may(stack, "AgentRole") == pushing


def test_without_a_queue_an_agent_looks_up_who_was_let_in_by_iam(stack: cdk.Stack, agent: AgentFunction) -> None:
    """As a message handler does."""
    WebSocketAgentApi(stack, "Chat", agent=agent, authorization=Authorization.iam(), buffered=False)
    assert (QUERY, f"ChatConnections{INDEX}") in may(stack, "AgentRole")


def test_without_a_queue_the_route_leads_to_the_alias_that_was_given(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """And its settings go to the function."""
    live = agent.add_alias("live")
    WebSocketAgentApi(stack, "Chat", agent=live, authorization=people, buffered=False)
    integrations = Template.from_stack(stack).find_resources("AWS::ApiGatewayV2::Integration")
    assert [id_ for id_, each in integrations.items() if id_of(stack, live) in str(each)]
    assert variables(stack, "Agent255")["AK_CONSTRUCTS_IDENTITY"] == "lambda:person"


KERNEL = ("AK_EXECUTION__MODE", "AK_WEBSOCKET_API__CONNECTION_TABLE__TABLE_NAME", "AK_WEBSOCKET_API__CHAT_ROUTE")


@pytest.mark.parametrize("mode", ["async", "stream"])
def test_a_handler_of_agent_kernels_is_told_in_its_names(
    stack: cdk.Stack, own_handler: AgentFunction, people: Authorization, mode: str
) -> None:
    """It replies by the queue and touches no connection; of a stream the response handler is told."""
    api = WebSocketAgentApi(stack, "Chat", agent=own_handler, authorization=people, mode=mode, chat_route="talk")
    told = variables(stack, "Agent255")
    assert [told[name] for name in KERNEL] == [mode, {"Ref": id_of(stack, api.connections_table)}, "talk"]
    assert not [name for name in told if name.startswith("AK_CONSTRUCTS_CONN")]
    assert not [who for _, who in may(stack, "AgentRole") if "Connections" in who or "@connections" in who]
    streams = mode == "stream"
    assert variables(stack, "ChatQueueResponseHandler").get("AK_CONSTRUCTS_STREAMS") == ("true" if streams else None)
    pieces = (("dynamodb:BatchGetItem",), "ChatQueueRequests")
    assert (pieces in may(stack, "ChatQueueResponseHandlerRole")) is streams


def test_a_rest_api_beside_it_does_not_change_the_mode(
    stack: cdk.Stack, own_handler: AgentFunction, people: Authorization
) -> None:
    """Or Agent Kernel would not say of its replies who waits for them."""
    queue = AgentQueue(stack, "Queue", agent=own_handler)
    WebSocketAgentApi(stack, "Chat", agent=queue, authorization=people)
    QueuedAgentPipeline(stack, "Pipeline", agent=queue)
    assert variables(stack, "Agent255")["AK_EXECUTION__MODE"] == "async"


def test_without_a_queue_agent_kernel_posts_by_itself(
    stack: cdk.Stack, own_handler: AgentFunction, people: Authorization
) -> None:
    """What it returns says nothing to a client, so it goes nowhere; it knows no `resume`."""
    api = WebSocketAgentApi(stack, "Chat", agent=own_handler, authorization=people, buffered=False, mode="stream")
    assert routes(stack)["chat"] == ("NONE", "Agent", False)
    assert "resume" not in routes(stack)
    told = variables(stack, "Agent255")
    assert [told[name] for name in KERNEL] == ["stream", {"Ref": id_of(stack, api.connections_table)}, "chat"]
    assert not [name for name in told if name.startswith("AK_CONSTRUCTS_")]
    assert may(stack, "AgentRole") == {
        (QUERY, f"ChatConnections{INDEX}"),
        (QUERY, "ChatConnections"),
        (DELETE, "ChatConnections"),
        (MANAGE, f"ChatWebSocketApi{POST}"),
    }


def test_a_route_of_the_users_leads_to_their_function(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization, asked: lambda_.Function
) -> None:
    """Which answers as it likes, and is given nothing that it did not ask for."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    route = api.add_route("app-1_B", asked)
    assert route.route_key == "app-1_B"
    api.add_route("silent", asked, answers=False)
    assert routes(stack)["app-1_B"] == ("NONE", "Asked", True)
    assert routes(stack)["silent"] == ("NONE", "Asked", False)
    assert statements(stack, "AskedServiceRole") == []


def test_an_imported_function_may_answer_a_route(stack: cdk.Stack, agent: AgentFunction, people: Authorization) -> None:
    """Whose timeout nobody knows."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    arn = stack.format_arn(service="lambda", resource="function", resource_name="theirs")
    api.add_route("theirs", lambda_.Function.from_function_arn(stack, "Theirs", arn))
    assert found(stack, "AWS::ApiGatewayV2::Route", "theirsRoute")["RouteKey"] == "theirs"


def test_a_route_to_agent_kernel_gives_it_what_it_needs(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization, entry: Path
) -> None:
    """It posts to all connections of the user; what it returns goes nowhere."""
    app = AgentFunction(stack, "App", entry=entry, handler="agent.respond")
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    api.add_route("app", app)
    assert routes(stack)["app"] == ("NONE", "App", False)
    told = variables(stack, "App")
    assert [told[name] for name in KERNEL] == ["async", {"Ref": id_of(stack, api.connections_table)}, "chat"]
    assert (QUERY, f"ChatConnections{INDEX}") in may(stack, "AppRole")
    assert (MANAGE, f"ChatWebSocketApi{POST}") in may(stack, "AppRole")


def test_posting_may_be_granted_and_looking_and_disconnecting_where_said(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """On this stage only."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    one, all_, none = (iam.Role(stack, id_, assumed_by=iam.AccountRootPrincipal()) for id_ in ("One", "All", "None"))
    api.grant_manage_connections(one)
    api.grant_manage_connections(all_, methods=["POST", "GET", "DELETE"])
    with pytest.raises(ValueError, match=r"^methods must be POST, GET or DELETE, got 'PUT'$"):
        api.grant_manage_connections(none, methods=["POST", "PUT"])
    with pytest.raises(ValueError, match=r"^the number of methods must be at least 1, got 0; leave methods out"):
        api.grant_manage_connections(none, methods=[])
    for name, methods in (("One", ["POST"]), ("All", ["POST", "GET", "DELETE"]), ("None", [])):
        assert may(stack, name) == {(MANAGE, f"ChatWebSocketApi:prod/{each}/@connections/*") for each in methods}


def test_metrics_are_of_the_stage(stack: cdk.Stack, agent: AgentFunction, people: Authorization) -> None:
    """By the names that API Gateway gives them."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    made = {
        metric.metric_name: metric.statistic
        for metric in (
            api.metric_connects(),
            api.metric_messages(),
            api.metric_client_errors(),
            api.metric_integration_errors(),
            api.metric_execution_errors(),
            api.metric_integration_latency(),
        )
    }
    assert made == {
        "ConnectCount": "Sum",
        "MessageCount": "Sum",
        "ClientError": "Sum",
        "IntegrationError": "Sum",
        "ExecutionError": "Sum",
        "IntegrationLatency": "Average",
    }
    dimensions = stack.resolve(api.metric_connects().dimensions)
    assert dimensions == {"ApiId": {"Ref": id_of(stack, api.api)}, "Stage": "prod"}


def test_alarms_say_that_a_function_failed_or_could_not_be_called(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """From the first time on, of this stage."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    for alarm, metric in zip(api.alarms, ("IntegrationError", "ExecutionError"), strict=True):
        made = found(stack, "AWS::CloudWatch::Alarm", f"Chat{metric}sAlarm")
        assert id_of(stack, alarm).startswith(f"Chat{metric}sAlarm")
        assert (made["MetricName"], made["Statistic"], made["Period"]) == (metric, "Sum", 60)
        assert (made["Threshold"], made["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
        assert made["TreatMissingData"] == "notBreaching"
        assert {"Name": "ApiId", "Value": {"Ref": id_of(stack, api.api)}} in made["Dimensions"]


def domain(stack: cdk.Stack) -> apigatewayv2.DomainName:
    """Make a domain with a certificate."""
    arn = stack.format_arn(service="acm", resource="certificate", resource_name="one")
    certificate = acm.Certificate.from_certificate_arn(stack, "Certificate", arn)
    return apigatewayv2.DomainName(stack, "Domain", domain_name="chat.example.com", certificate=certificate)


@pytest.mark.parametrize(("key", "path"), [(None, ""), ("v1", "/v1")], ids=["all", "below a key"])
def test_people_connect_at_a_domain_of_the_users(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization, key: str | None, path: str
) -> None:
    """And our functions post to API Gateway's own, which is there all the same."""
    mapping = apigatewayv2.DomainMappingOptions(domain_name=domain(stack), mapping_key=key)
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people, domain_mapping=mapping)
    made = found(stack, "AWS::ApiGatewayV2::ApiMapping", "Chat")
    assert made["ApiId"] == {"Ref": id_of(stack, api.api)}
    assert stack.resolve(api.url)["Fn::Join"][1] == ["wss://", made["DomainName"], *([path] if path else [])]
    assert "execute-api" in str(stack.resolve(api.callback_url))


def test_without_one_people_connect_to_the_stage(stack: cdk.Stack, agent: AgentFunction, people: Authorization) -> None:
    """At API Gateway's address."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    parts = stack.resolve(api.url)["Fn::Join"][1]
    assert (parts[0], parts[1], parts[-1]) == ("wss://", {"Ref": id_of(stack, api.api)}, "/prod")


def test_two_apis_in_front_of_one_queue_share_the_connections(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """The answers go to both; each posts to what is its own."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    one = WebSocketAgentApi(stack, "One", agent=queue, authorization=people)
    two = WebSocketAgentApi(
        stack, "Two", agent=queue, authorization=Authorization.iam(), connections=one.connections_table
    )
    assert two.connections_table is one.connections_table
    assert one.queue is two.queue is queue
    for role in ("QueueResponseHandlerRole", "AgentRole"):
        posts = {who for what, who in may(stack, role) if what == MANAGE}
        assert posts == {f"OneWebSocketApi{POST}", f"TwoWebSocketApi{POST}"}
    assert {who for what, who in may(stack, "TwoMessageHandlerRole") if what == MANAGE} == {f"TwoWebSocketApi{POST}"}
    assert (QUERY, f"OneConnections{INDEX}") in may(stack, "TwoMessageHandlerRole")


def test_an_agent_may_answer_one_api_itself_and_another_by_a_queue(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """If they share the connections."""
    one = WebSocketAgentApi(stack, "One", agent=agent, authorization=people)
    WebSocketAgentApi(
        stack, "Two", agent=agent, authorization=people, buffered=False, connections=one.connections_table
    )
    assert (routes(stack, "One")["chat"][1], routes(stack, "Two")["chat"][1]) == ("OneMessageHandler", "Agent")
    told = variables(stack, "Agent255")
    assert told["AK_CONSTRUCTS_CONNECTIONS_TABLE"] == {"Ref": id_of(stack, one.connections_table)}


def test_fails_when_two_apis_in_front_of_one_queue_have_two_tables(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """Whoever pushes reads one."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    WebSocketAgentApi(stack, "One", agent=queue, authorization=people)
    remedy = r"give connections= the first API's connections_table$"
    with pytest.raises(ValueError, match=rf"^connections must be .*, got a new one after Stack/One/Conn\w+; {remedy}"):
        WebSocketAgentApi(stack, "Two", agent=queue, authorization=people)
    assert not stack.node.find_child("Two").node.children
    other = dynamodb.TableV2(
        stack, "Other", partition_key=dynamodb.Attribute(name="user_id", type=dynamodb.AttributeType.STRING)
    )
    with pytest.raises(ValueError, match=rf"^connections must be .*, got Stack/Other after Stack/One/\w+; {remedy}"):
        WebSocketAgentApi(stack, "Three", agent=queue, authorization=people, connections=other)


def test_fails_when_two_agents_have_one_table(stack: cdk.Stack, entry: Path, people: Authorization) -> None:
    """Each would push to people of the other, whom it may not post to, and who may be others of the same name."""
    one, two = [AgentFunction(stack, name, entry=entry) for name in ("First", "Second")]
    table = WebSocketAgentApi(stack, "One", agent=one, authorization=people).connections_table
    with pytest.raises(
        ValueError, match=r"^connections must be of .* agent, got Stack/One/\w+ of \S+/First for \S+/Second;"
    ):
        WebSocketAgentApi(stack, "Two", agent=two, authorization=people, connections=table)
    assert not stack.node.find_child("Two").node.children


def test_fails_when_the_connections_are_a_table_of_something_else(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """Or nobody could connect, and only the log would say why; what is imported cannot be seen."""
    key = dynamodb.Attribute(name="session_id", type=dynamodb.AttributeType.STRING)
    remedy = "give another API's connections_table, or leave connections out$"
    for other in (dynamodb.TableV2(stack, "New", partition_key=key), dynamodb.Table(stack, "Old", partition_key=key)):
        expected = rf"^connections must be .* user_id and connection_id, got {other.node.path} with session_id; "
        with pytest.raises(ValueError, match=expected + remedy):
            WebSocketAgentApi(
                stack,
                f"{other.node.id}Chat",
                agent=agent,
                authorization=people,
                connections=other,  # type: ignore[arg-type]
            )
    imported = dynamodb.TableV2.from_table_name(stack, "Imported", "connections")
    chat = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people, connections=imported)
    assert chat.connections_table is imported


def test_fails_when_two_apis_in_front_of_one_queue_have_two_modes(
    stack: cdk.Stack, own_handler: AgentFunction, people: Authorization
) -> None:
    """The handler knows one."""
    queue = AgentQueue(stack, "Queue", agent=own_handler)
    one = WebSocketAgentApi(stack, "One", agent=queue, authorization=people)
    with pytest.raises(ValueError, match=r"^mode must be the same for .*, got 'stream' after 'async'; make a second"):
        WebSocketAgentApi(
            stack, "Two", agent=queue, authorization=people, mode="stream", connections=one.connections_table
        )


def test_fails_when_an_agent_answers_two_apis_itself(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """It is told of one who is asking."""
    one = WebSocketAgentApi(stack, "One", agent=agent, authorization=people, buffered=False)
    with pytest.raises(
        ValueError, match=r"^agent must belong to one WebSocketAgentApi with buffered=False, got Stack/Agent, which"
    ):
        WebSocketAgentApi(
            stack, "Two", agent=agent, authorization=people, buffered=False, connections=one.connections_table
        )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"mode": "sync"}, "mode must be async or stream, got 'sync'"),
        ({"mode": "stream"}, "mode must be left out for an agent without a handler of its own, got 'stream'; what a"),
        ({"mode": "stream", "buffered": False}, "mode must be left out for an agent without a handler of its own, got"),
        ({"chat_route": "a b"}, "chat_route must be letters, digits, underscores and hyphens, such as chat, got 'a b'"),
        ({"chat_route": "$default"}, "chat_route must be letters, digits, underscores and hyphens, such as chat, got"),
        ({"chat_route": "ping"}, "chat_route must be free, got 'ping', which is a route already; take another name"),
        ({"chat_route": "resume"}, "chat_route must be free, got 'resume', which is a route already; take another"),
        ({"rate_limit": 0}, "rate_limit must be at least 1, got 0; to close the API, remove it"),
    ],
)
def test_fails_when_an_argument_is_malformed(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization, arguments: dict[str, Any], error: str
) -> None:
    """Before anything is defined."""
    with pytest.raises(ValueError, match=f"^{error.replace('$', '[$]')}"):
        WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people, **arguments)
    assert not stack.node.find_child("Chat").node.children


def test_fails_when_a_streaming_mode_means_nothing_to_a_queues_agent(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization
) -> None:
    """Before anything is defined."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    with pytest.raises(ValueError, match=r"^mode must be left out for an agent without a handler of its own"):
        WebSocketAgentApi(stack, "Chat", agent=queue, authorization=people, mode="stream")
    with pytest.raises(
        ValueError, match=r"^buffered must be left out for an AgentQueue, got False for Stack/Queue; or give its agent$"
    ):
        WebSocketAgentApi(stack, "Two", agent=queue, authorization=people, buffered=False)


@pytest.mark.parametrize("buffered", [True, False])
def test_fails_when_the_agent_is_imported_or_elsewhere(
    stack: cdk.Stack, entry: Path, people: Authorization, *, buffered: bool
) -> None:
    """It is given settings and permissions that name the API."""
    arn = stack.format_arn(service="lambda", resource="function", resource_name="theirs")
    theirs = lambda_.Function.from_function_arn(stack, "Theirs", arn)
    with pytest.raises(ValueError, match=r"^agent must be a function of this app.* since the API gives it settings"):
        WebSocketAgentApi(stack, "Chat", agent=theirs, authorization=people, buffered=buffered)
    there = AgentFunction(cdk.Stack(cdk.App(), "There"), "Agent", entry=entry)
    with pytest.raises(ValueError, match=r"^agent must be in the API's stack Stack, got one in There; define the API"):
        WebSocketAgentApi(stack, "Two", agent=there, authorization=people, buffered=buffered)


def test_fails_when_nobody_would_hear_the_answer(stack: cdk.Stack, entry: Path, people: Authorization) -> None:
    """After 29 s; with a queue a run may take as long as it takes."""
    slow = AgentFunction(stack, "Slow", entry=entry, timeout=cdk.Duration.seconds(30))
    form = "the timeout of Stack/Slow must be at most 29 s, got 30 s; lower it"
    with pytest.raises(ValueError, match=f"^{form}, or leave buffered out: behind a queue a run may take longer; API"):
        WebSocketAgentApi(stack, "Chat", agent=slow, authorization=people, buffered=False)
    api = WebSocketAgentApi(stack, "Two", agent=slow, authorization=people)
    late = AgentFunction(stack, "Late", entry=entry, handler="agent.respond", timeout=cdk.Duration.seconds(31))
    with pytest.raises(ValueError, match=r"^the timeout of Stack/Late must be at most 29 s, got 31 s; lower it; API"):
        api.add_route("late", late)


def test_fails_when_a_routes_name_is_malformed_or_taken(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization, asked: lambda_.Function
) -> None:
    """By a route of ours or of the user's."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    api.add_route("app", asked)
    for name in ("", "a/b", "$connect"):
        with pytest.raises(ValueError, match=rf"^name must be letters, .* such as feedback, got '{re.escape(name)}'$"):
            api.add_route(name, asked)
    for name in ("chat", "ping", "resume", "app"):
        with pytest.raises(ValueError, match=f"^name must be free, got '{name}', which is a route already; take"):
            api.add_route(name, asked)


def test_fails_when_there_are_too_many_routes(
    stack: cdk.Stack,
    agent: AgentFunction,
    people: Authorization,
    asked: lambda_.Function,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of ours count too."""
    monkeypatch.setattr("ak_constructs.websocket_agent_api.API_GATEWAY_WEBSOCKET_ROUTES", 7)
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    api.add_route("last", asked)
    with pytest.raises(ValueError, match=r"^the number of routes must be at most 7, got 8; let one function tell"):
        api.add_route("more", asked)


def test_fails_when_a_route_leads_to_an_agent_with_our_runner_or_elsewhere(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization, entry: Path
) -> None:
    """Our runner knows requests, not messages of any kind; a function elsewhere cannot be told of this API."""
    api = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    with pytest.raises(ValueError, match=r"^handler must be a function with a handler of its own, got the agent Sta"):
        api.add_route("app", agent)
    there = AgentFunction(cdk.Stack(cdk.App(), "There"), "Agent", entry=entry, handler="agent.respond")
    with pytest.raises(ValueError, match=r"^agent must be in the API's stack Stack, got one in There"):
        api.add_route("app", there)
    assert "app" not in routes(stack)


def test_fails_when_the_authorization_is_not_made_by_a_factory(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Before anything is defined; None is no default here."""
    for id_, given in (("Chat", "public"), ("Nobodys", None)):
        with pytest.raises(TypeError, match=rf"^authorization must be made by a factory, .*, got {given!r}$"):
            WebSocketAgentApi(stack, id_, agent=agent, authorization=given)  # type: ignore[arg-type]
    assert not stack.node.find_child("Chat").node.children


def test_with_sessions_in_redis_the_message_handler_is_in_the_agents_network(
    stack: cdk.Stack, entry: Path, people: Authorization
) -> None:
    """Who submits must look there whose a session is; who notes connections need not."""
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    agent = AgentFunction(stack, "Agent", entry=entry, vpc=vpc)
    sessions = SessionStore.from_redis(stack, "Sessions", host="redis.example.com")
    queue = AgentQueue(stack, "Queue", agent=agent, session_store=sessions)
    WebSocketAgentApi(stack, "Chat", agent=queue, authorization=people)
    assert "VpcConfig" in found(stack, "AWS::Lambda::Function", "ChatMessageHandler")
    assert "VpcConfig" not in found(stack, "AWS::Lambda::Function", "ChatConnectionHandler")


def test_snapshot_of_the_defaults(
    stack: cdk.Stack, agent: AgentFunction, people: Authorization, snapshot: SnapshotAssertion
) -> None:
    """Ids and surprises."""
    WebSocketAgentApi(stack, "Chat", agent=agent, authorization=people)
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)


def test_snapshot_of_everything_set(
    stack: cdk.Stack, own_handler: AgentFunction, asked: lambda_.Function, snapshot: SnapshotAssertion
) -> None:
    """Ids and surprises."""
    queue = AgentQueue(stack, "Queue", agent=own_handler)
    first = WebSocketAgentApi(
        stack,
        "First",
        agent=queue,
        authorization=Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"]),
        chat_route="talk",
        mode="stream",
        rate_limit=10,
        domain_mapping=apigatewayv2.DomainMappingOptions(domain_name=domain(stack)),
    )
    first.add_route("app", asked)
    WebSocketAgentApi(
        stack,
        "Chat",
        agent=queue,
        authorization=Authorization.iam(),
        mode="stream",
        connections=first.connections_table,
    )
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
