"""The same resources with our constructs, and no acknowledgements, which the other side has not either."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam

from ak_constructs import AgentApi, AgentFunction


def define(stack: cdk.Stack) -> None:
    """Define everything."""
    agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent", environment={"MODEL_ID": "m"})
    model = stack.format_arn(service="bedrock", account="", resource="foundation-model", resource_name="m")
    agent.add_to_role_policy(iam.PolicyStatement(actions=["bedrock:InvokeModel"], resources=[model]))
    AgentApi(stack, "Api", agent=agent)


if __name__ == "__main__":
    app = cdk.App()
    define(cdk.Stack(app, "ByConstructs"))
    app.synth()
