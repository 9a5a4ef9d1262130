"""The three kinds of API, and who may call them."""

from typing import assert_type

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2

from ak_constructs import (
    AgentApi,
    AgentFunction,
    AgentQueue,
    Authorization,
    QueuedAgentPipeline,
    WebSocketAgentApi,
)


def authorizations(function: lambda_.Function, user_pool: cognito.UserPool) -> None:
    """Each way gives the same type, so that a user's own code can choose."""
    assert_type(Authorization.iam(end_user_from_body=True), Authorization)
    assert_type(Authorization.jwt(issuer="https://issuer.example.com", audience=["chat"]), Authorization)
    assert_type(Authorization.cognito([user_pool], scopes=["chat/ask"]), Authorization)
    assert_type(Authorization.lambda_function(function, user_key="principalId"), Authorization)
    assert_type(Authorization.api_key(), Authorization)
    assert_type(Authorization.public(), Authorization)


def an_api(stack: cdk.Stack, agent: AgentFunction, endpoint: ec2.InterfaceVpcEndpoint, acl: wafv2.CfnWebACL) -> None:
    """In front of a function, an alias, or an imported function."""
    AgentApi(stack, "Private", agent=agent.add_alias("live"), vpc_endpoint=endpoint, key=kms.Key(stack, "Key"))
    AgentApi(stack, "Imported", agent=lambda_.Function.from_function_name(stack, "There", "there"))
    api = AgentApi(stack, "Api", agent=agent, authorization=Authorization.iam(), raised_timeout=cdk.Duration.minutes(2))
    assert_type(api.api, apigateway.RestApi)
    assert_type(api.access_logs, logs.LogGroup)
    assert_type(api.api_key, apigateway.IApiKey | None)
    assert_type(api.authorizer, apigateway.IAuthorizer | None)
    assert_type(api.authorizer_function, lambda_.Function | None)
    assert_type(api.health_function, lambda_.Function)
    assert_type(api.usage_plan, apigateway.UsagePlan | None)
    assert_type(api.chat_path, str)
    assert_type(api.chat_url, str)
    assert_type(api.url, str)
    assert_type(api.add_route("POST", "/other", agent, scopes=["chat/ask"]), apigateway.Method)
    assert_type(api.add_web_acl(acl), wafv2.CfnWebACLAssociation)
    assert_type(api.grant_invoke(agent), iam.Grant)
    assert_type(api.metric_latency(), cloudwatch.Metric)


def a_pipeline(stack: cdk.Stack, agent: AgentFunction, queue: AgentQueue) -> None:
    """In front of a queue, or of an agent, which then gets one."""
    QueuedAgentPipeline(stack, "Shared", agent=queue, mode="rest_async")
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, max_waiting=10)
    assert_type(pipeline.queue, AgentQueue)
    assert_type(pipeline.api, apigateway.RestApi)
    assert_type(pipeline.request_handler, lambda_.Function)
    assert_type(pipeline.health_function, lambda_.Function)
    assert_type(pipeline.throttled_alarm, cloudwatch.Alarm)
    assert_type(pipeline.chat_url, str)
    assert_type(pipeline.add_route("GET", "/other", agent), apigateway.Method)
    assert_type(pipeline.grant_invoke(agent), iam.Grant)


def a_websocket(stack: cdk.Stack, agent: AgentFunction, queue: AgentQueue, connections: dynamodb.TableV2) -> None:
    """In front of a queue, or of an agent."""
    WebSocketAgentApi(stack, "Shared", agent=queue, authorization=Authorization.public(), connections=connections)
    chat = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=Authorization.iam(), mode="stream")
    assert_type(chat.queue, AgentQueue | None)
    assert_type(chat.api, apigatewayv2.WebSocketApi)
    assert_type(chat.stage, apigatewayv2.WebSocketStage)
    assert_type(chat.access_logs, logs.LogGroup)
    assert_type(chat.connections_table, dynamodb.ITableV2)
    assert_type(chat.connection_handler, lambda_.Function)
    assert_type(chat.message_handler, lambda_.Function | None)
    assert_type(chat.authorizer_function, lambda_.Function | None)
    assert_type(chat.url, str)
    assert_type(chat.callback_url, str)
    assert_type(chat.chat_route, str)
    assert_type(chat.add_route("other", agent, answers=False), apigatewayv2.WebSocketRoute)
    assert_type(chat.grant_manage_connections(agent, methods=["POST", "DELETE"]), iam.Grant)
    assert_type(chat.metric_connects(), cloudwatch.Metric)
