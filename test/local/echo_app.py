"""A CDK app for the tests: one agent behind two APIs with different authorizations."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigwv2
from aws_cdk import aws_apigatewayv2_integrations as integrations

from ak_constructs import AgentApi, AgentFunction, Authorization

app = cdk.App()
stack = cdk.Stack(app, "Echo")
agent = AgentFunction(stack, "Agent", entry=str(Path(__file__).parent / "echo"))
iam_api = AgentApi(stack, "Iam", agent=agent)
public_api = AgentApi(
    stack,
    "Public",
    agent=agent,
    authorization=Authorization.public(),
    rate_limit=5000,
    cors=apigateway.CorsOptions(allow_origins=["http://127.0.0.1:8000"], expose_headers=["Retry-After"]),
)
http_api = apigwv2.HttpApi(stack, "Http")  # a user's own, in front of the same agent
http_api.add_routes(path="/ask", integration=integrations.HttpLambdaIntegration("Agent", agent))
for name, value in {
    "HttpUrl": f"{http_api.api_endpoint}/$default/ask",
    "IamUrl": iam_api.chat_url,
    "PublicUrl": public_api.chat_url,
    "Function": agent.function_name,
    "Logs": agent.log_group.log_group_name,
}.items():
    cdk.CfnOutput(stack, name, value=value)
app.synth()
