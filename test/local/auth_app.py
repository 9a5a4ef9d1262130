"""A CDK app for the tests: one agent behind an API for each authorization."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentApi, AgentFunction, Authorization

DECIDE = """
def handler(event, context):
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    token = event.get("authorizationToken") or headers.get("authorization")
    allowed = token in ("right", "nameless")
    return {
        "principalId": "user",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Action": "execute-api:Invoke",
                "Effect": "Allow" if allowed else "Deny",
                "Resource": event["methodArn"],
            }],
        },
        "context": {"userId": "u-1"} if token == "right" else {},
    }
"""

app = cdk.App()
stack = cdk.Stack(app, "Auth")
agent = AgentFunction(stack, "Agent", entry=Path(__file__).parent / "echo")
decide = lambda_.Function(
    stack,
    "Decide",
    runtime=lambda_.Runtime.PYTHON_3_13,
    handler="index.handler",
    code=lambda_.Code.from_inline(DECIDE),
)
pool = cognito.UserPool(stack, "Pool")
client = pool.add_client("Client", auth_flows=cognito.AuthFlow(admin_user_password=True))
authorizations = {
    "Request": Authorization.lambda_function(decide, user_key="userId"),
    "Token": Authorization.lambda_function(decide, user_key="userId", token_header="Authorization"),
    "Cognito": Authorization.cognito([pool]),
    "ApiKey": Authorization.api_key(),
    "Backend": Authorization.iam(end_user_from_body=True),
}
for name, authorization in authorizations.items():
    api = AgentApi(stack, name, agent=agent, authorization=authorization)
    api.add_route("GET", "/app", agent)
    cdk.CfnOutput(stack, f"{name}Url", value=api.chat_url)
    if api.api_key:
        cdk.CfnOutput(stack, "KeyId", value=api.api_key.key_id)
cdk.CfnOutput(stack, "PoolId", value=pool.user_pool_id)
cdk.CfnOutput(stack, "ClientId", value=client.user_pool_client_id)
app.synth()
