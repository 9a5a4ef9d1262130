"""A CDK app for the tests: an agent behind an API that takes the tokens of one issuer, and a WebSocket that does."""

from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs import AgentApi, AgentFunction, Authorization
from ak_constructs.authorization import proof_of
from test.token_world import AUDIENCE, ITEM, PUT_ITEM, SCOPES, TOOLS

CONNECT = """
def handler(event, context):
    return {"statusCode": 200 if event["requestContext"]["authorizer"]["user_id"] == "alice" else 500}
"""

app = cdk.App()
stack = cdk.Stack(app, "Jwt")
agent = AgentFunction(stack, "Agent", entry=Path(__file__).parent / "echo")
authorization = Authorization.jwt(
    issuer=app.node.get_context("issuer"), audience=AUDIENCE, architecture=lambda_.Architecture.X86_64
)
api = AgentApi(stack, "Api", agent=agent, authorization=authorization)
for route in (TOOLS, ITEM, PUT_ITEM):
    path = route.resource or route.path
    scopes = SCOPES.get((route.method, path))
    api.add_route(route.method, path.removeprefix("/api/v1"), agent, scopes=scopes)
sockets = Construct(stack, "Sockets")
connect = lambda_.Function(
    sockets,
    "Connect",
    runtime=lambda_.Runtime.PYTHON_3_13,
    handler="index.handler",
    code=lambda_.Code.from_inline(CONNECT),
)
socket_api = apigatewayv2.WebSocketApi(
    sockets,
    "Api",
    connect_route_options=apigatewayv2.WebSocketRouteOptions(
        integration=integrations.WebSocketLambdaIntegration("Integration", connect),
        authorizer=proof_of(authorization).define_for_websocket(sockets),
    ),
)
stage = apigatewayv2.WebSocketStage(sockets, "Stage", web_socket_api=socket_api, stage_name="prod", auto_deploy=True)
functions = [cast("lambda_.Function", each.node.find_child("AuthorizerFunction")) for each in (api, sockets)]
for function in functions:
    function.add_environment("SSL_CERT_FILE", app.node.get_context("authority"))
cdk.CfnOutput(stack, "Url", value=api.url)
cdk.CfnOutput(stack, "Function", value=functions[0].function_name)
cdk.CfnOutput(stack, "SocketUrl", value=stage.url)
app.synth()
