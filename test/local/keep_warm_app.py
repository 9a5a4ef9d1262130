"""An app with an agent of which five environments are kept warm, and a foreign function that knows no pings."""

from datetime import UTC, datetime
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler

from ak_constructs import AgentFunction, KeepWarm

app = cdk.App(default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer())  # as in iam_app
stack = cdk.Stack(app, "Warm")
agent = AgentFunction(stack, "Agent", entry=str(Path(__file__).parent / "warm"))
live = agent.add_alias("live")
foreign = lambda_.Function(
    stack,
    "Foreign",
    code=lambda_.Code.from_inline("def handler(event, context):\n    return 'done'"),
    handler="index.handler",
    runtime=lambda_.Runtime.PYTHON_3_13,
)
warm = KeepWarm(stack, "Five", targets=[live, foreign], concurrency=5, after_deployment=True)
now = scheduler.ScheduleExpression.at(datetime.now(UTC))  # the emulator runs it at its next look, within 10 s
soon = KeepWarm(stack, "Soon", targets=[live], schedule=now)
for name, value in {
    "LiveArn": live.function_arn,
    "ForeignArn": foreign.function_arn,
    "LogsOfAgent": agent.log_group.log_group_name,
    "Warmer": warm.warmer.function_name,
    "Logs": warm.warmer.log_group.log_group_name,
    "ScheduleName": warm.schedule.schedule_name,
    "SoonLogs": soon.warmer.log_group.log_group_name,
    "StackId": stack.stack_id,
}.items():
    cdk.CfnOutput(stack, name, value=value)
app.synth()
