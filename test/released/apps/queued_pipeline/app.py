# mypy: ignore-errors
"""A CDK app: one slow agent behind two APIs, of which one waits for answers and the other does not."""

from pathlib import Path

import aws_cdk as cdk
from constructs import Construct

from ak_constructs import AgentFunction, AgentQueue, Authorization, QueuedAgentPipeline, SessionStore


class QueuedPipelineStack(cdk.Stack):
    """Defines the agent, its queue, both APIs, and the addresses to call as outputs."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        agent = AgentFunction(
            self, "Agent", entry=Path(__file__).parent / "agent", timeout=cdk.Duration.minutes(5), memory_size=512
        )
        sessions = SessionStore(self, "Sessions", history_turns=5)
        queue = AgentQueue(self, "Queue", agent=agent, session_store=sessions)
        waits = QueuedAgentPipeline(self, "Waits", agent=queue, authorization=Authorization.iam())
        accepts = QueuedAgentPipeline(
            self, "Accepts", agent=queue, authorization=Authorization.iam(), mode="rest_async"
        )
        cdk.CfnOutput(self, "WaitUrl", value=waits.chat_url)
        cdk.CfnOutput(self, "AcceptUrl", value=accepts.chat_url)
        cdk.CfnOutput(self, "RequestsTable", value=queue.requests_table.table_name)
        cdk.CfnOutput(self, "Redrive", value=queue.redrive_function.function_name)
        cdk.CfnOutput(self, "AgentLogGroup", value=agent.log_group.log_group_name)
        cdk.CfnOutput(self, "AcceptLogGroup", value=accepts.request_handler.log_group.log_group_name)
        cdk.CfnOutput(self, "ResponseLogGroup", value=queue.response_handler.log_group.log_group_name)


if __name__ == "__main__":
    app = cdk.App()
    QueuedPipelineStack(app, "QueuedPipeline")
    app.synth()
