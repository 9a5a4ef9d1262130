# mypy: ignore-errors
"""A CDK app: an agent on shared managed instances, an agent that is kept warm, and no stale versions of either.

With the context `local=true` the managed instances are left out, which the emulator does not have.
"""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from ak_constructs import AgentApi, AgentFunction, KeepWarm, SharedCapacityProvider, VersionPruner

AGENTS = Path(__file__).parent / "agents"
KEPT = lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.RETAIN)  # so that an alias can go back to it
OFFICE_HOURS = scheduler.ScheduleExpression.cron(
    minute="*/5", hour="8-17", week_day="MON-FRI", time_zone=cdk.TimeZone.EUROPE_BERLIN
)


class AgentPlatformStack(cdk.Stack):
    """Defines the agents, what runs them, and the addresses to call as outputs.

    With `local` the second agent runs without managed instances, which no emulator has.
    """

    def __init__(self, scope: Construct, id: str, *, local: bool = False) -> None:
        super().__init__(scope, id)
        support = AgentFunction(self, "Support", entry=AGENTS / "support", current_version_options=KEPT)
        research = AgentFunction(
            self, "Research", entry=AGENTS / "research", current_version_options=KEPT, memory_size=4096
        )
        support_live = support.add_alias("live")
        research_live = research.add_alias("live") if local else self._define_pool(research)
        support_api = AgentApi(self, "SupportApi", agent=support_live)
        research_api = AgentApi(self, "ResearchApi", agent=research_live)
        warm = KeepWarm(self, "Warm", targets=[support_live], concurrency=3, schedule=OFFICE_HOURS)
        pruner = VersionPruner(self, "Pruner", functions=[support, research])
        cdk.CfnOutput(self, "SupportUrl", value=support_api.chat_url)
        cdk.CfnOutput(self, "ResearchUrl", value=research_api.chat_url)
        cdk.CfnOutput(self, "Warmer", value=warm.warmer.function_name)
        cdk.CfnOutput(self, "SupportFunction", value=support.function_name)
        cdk.CfnOutput(self, "PrunerName", value=pruner.function.function_name)

    def _define_pool(self, agent: AgentFunction) -> lambda_.Alias:
        zones = [cdk.Fn.select(number, cdk.Fn.get_azs()) for number in range(3)]
        network = ec2.Vpc(self, "Network", availability_zones=zones, nat_gateways=1)
        network.add_flow_log("FlowLog")
        pool = SharedCapacityProvider(self, "Pool", vpc=network)
        live = pool.add_function(
            agent, memory_gib_per_vcpu=4, max_concurrency=4, min_execution_environments=3, max_execution_environments=16
        )
        pool.add_environments_schedule(
            "Morning",
            alias=live,
            schedule=scheduler.ScheduleExpression.cron(hour="8", minute="0", time_zone=cdk.TimeZone.EUROPE_BERLIN),
            min_execution_environments=6,
            max_execution_environments=16,
        )
        return live


if __name__ == "__main__":
    app = cdk.App()
    AgentPlatformStack(app, "AgentPlatform", local=app.node.try_get_context("local") == "true")
    app.synth()
