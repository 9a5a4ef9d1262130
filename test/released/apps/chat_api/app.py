# mypy: ignore-errors
"""A CDK app: an agent that asks a model on Amazon Bedrock, behind a REST API."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from ak_constructs import AgentApi, AgentFunction, Authorization

MODEL_ID = "amazon.nova-lite-v1:0"


class ChatApiStack(cdk.Stack):
    """Defines the agent, its API, and the address to call as an output."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        agent = AgentFunction(self, "Agent", entry=Path(__file__).parent / "agent", environment={"MODEL_ID": MODEL_ID})
        model = self.format_arn(service="bedrock", account="", resource="foundation-model", resource_name=MODEL_ID)
        agent.add_to_role_policy(iam.PolicyStatement(actions=["bedrock:InvokeModel"], resources=[model]))

        api = AgentApi(self, "Api", agent=agent, authorization=Authorization.iam())
        cdk.CfnOutput(self, "ChatUrl", value=api.chat_url)
        cdk.CfnOutput(self, "LogGroup", value=agent.log_group.log_group_name)


if __name__ == "__main__":
    app = cdk.App()
    ChatApiStack(app, "ChatApi")
    app.synth()
