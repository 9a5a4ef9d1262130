"""A CDK app for the tests: an agent that does as it is told, behind queues of each kind."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentFunction, AgentQueue, Authorization, QueuedAgentPipeline

TELL = """
import os
import boto3

told = boto3.resource("dynamodb").Table(os.environ["TOLD_TABLE"])

def handler(event, context):
    item = told.update_item(
        Key={"request_id": event["request_id"]},
        UpdateExpression="SET answer = :answer, outcome = :outcome ADD times :one",
        ExpressionAttributeValues={":answer": event["answer"], ":outcome": event["status"], ":one": 1},
        ReturnValues="ALL_NEW",
    )["Attributes"]
    if "raise at first" in event["answer"] and item["times"] == 1:
        raise ValueError("on purpose")
"""

app = cdk.App()
stack = cdk.Stack(app, "Queued")


def define_table(name: str, sort_key: dynamodb.Attribute | None = None) -> dynamodb.TableV2:
    """Define a table by request."""
    key = dynamodb.Attribute(name="request_id", type=dynamodb.AttributeType.STRING)
    return dynamodb.TableV2(stack, name, partition_key=key, sort_key=sort_key)


runs = define_table("Runs", dynamodb.Attribute(name="began", type=dynamodb.AttributeType.NUMBER))
told = define_table("Told")


def define_agent(name: str, timeout: cdk.Duration) -> AgentFunction:
    """Define the agent once more: a function has one queue."""
    entry = Path(__file__).parent / "obedient"
    agent = AgentFunction(stack, name, entry=entry, timeout=timeout, environment={"RUNS_TABLE": runs.table_name})
    runs.grant_read_write_data(agent)
    return agent


tell = lambda_.Function(
    stack,
    "Tell",
    runtime=lambda_.Runtime.PYTHON_3_13,
    handler="index.handler",
    code=lambda_.Code.from_inline(TELL),
    environment={"TOLD_TABLE": told.table_name},
)
told.grant_read_write_data(tell)

queue = AgentQueue(stack, "Queue", agent=define_agent("Agent", cdk.Duration.minutes(2)))
queue.add_reply_handler(tell)
short = AgentQueue(stack, "Short", agent=define_agent("ShortAgent", cdk.Duration.seconds(15)))
standard = AgentQueue(stack, "Standard", agent=define_agent("StandardAgent", cdk.Duration.minutes(1)), fifo=False)
public = Authorization.public()
pipelines = {
    "Sync": QueuedAgentPipeline(stack, "Sync", agent=queue, authorization=public, rate_limit=5000),
    "Async": QueuedAgentPipeline(stack, "Async", agent=queue, authorization=public, rate_limit=5000, mode="rest_async"),
    "Backend": QueuedAgentPipeline(
        stack, "Backend", agent=queue, authorization=Authorization.iam(end_user_from_body=True)
    ),
    "ShortSync": QueuedAgentPipeline(stack, "ShortSync", agent=short, authorization=public),
    "StandardSync": QueuedAgentPipeline(stack, "StandardSync", agent=standard, authorization=public),
}
outputs = {f"{name}Url": pipeline.chat_url for name, pipeline in pipelines.items()} | {
    "RunsTable": runs.table_name,
    "ToldTable": told.table_name,
    "RequestsTable": queue.requests_table.table_name,
    "StandardRequestsTable": standard.requests_table.table_name,
    "RequestsUrl": queue.request_queue.queue_url,
    "RepliesUrl": queue.reply_queue.queue_url,
    "ParkedUrl": queue.parked_queue.queue_url,
    "RedriveName": queue.redrive_function.function_name,
    "StandardRequestsUrl": standard.request_queue.queue_url,
    "ShortResponseHandlerName": short.response_handler.function_name,
    "SessionsTable": queue.session_store.table.table_name if queue.session_store.table else "",
}
for name, value in outputs.items():
    cdk.CfnOutput(stack, name, value=value)
app.synth()
