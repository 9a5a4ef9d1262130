"""A CDK app for the tests: one agent behind WebSocket APIs of each kind."""

from pathlib import Path
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentFunction, AgentQueue, Authorization, SessionStore, WebSocketAgentApi
from test.token_world import AUDIENCE

AT_ONCE = 4  # runs, and as many answers: each takes a process, and two processors serve all of them
WHO = """
import json

def handler(event, context):
    asked = event["requestContext"]
    told = {"type": "WHO", "user": asked["authorizer"]["user_id"], "sent": json.loads(event["body"])}
    return {"statusCode": 200, "body": json.dumps(told)}
"""

app = cdk.App()
stack = cdk.Stack(app, "WebSocket")


def define_agent(name: str, timeout: cdk.Duration) -> AgentFunction:
    """Define the agent once more: a function is behind one queue, or behind none."""
    return AgentFunction(stack, name, entry=Path(__file__).parent / "talkative", timeout=timeout)


tokens = Authorization.jwt(
    issuer=app.node.get_context("issuer"), audience=AUDIENCE, architecture=lambda_.Architecture.X86_64
)
queue = AgentQueue(
    stack,
    "Queue",
    agent=define_agent("Agent", cdk.Duration.minutes(1)),
    max_concurrency=AT_ONCE,
    session_store=SessionStore(stack, "Sessions", history_turns=20),
)
responses = cast("lambda_.CfnEventSourceMapping", queue.node.find_child("ResponseMapping").node.default_child)
responses.scaling_config = lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=AT_ONCE)
chat = WebSocketAgentApi(stack, "Chat", agent=queue, authorization=tokens, rate_limit=5000)
signed = WebSocketAgentApi(
    stack, "Signed", agent=queue, authorization=Authorization.iam(), connections=chat.connections_table
)
direct_agent = define_agent("DirectAgent", cdk.Duration.seconds(20))
direct = WebSocketAgentApi(stack, "Direct", agent=direct_agent, authorization=tokens, buffered=False)
who = lambda_.Function(
    stack,
    "Who",
    runtime=lambda_.Runtime.PYTHON_3_13,
    handler="index.handler",
    code=lambda_.Code.from_inline(WHO),
    timeout=cdk.Duration.seconds(10),
)
chat.add_route("who", who)
for api in (chat, direct):
    assert api.authorizer_function is not None
    api.authorizer_function.add_environment("SSL_CERT_FILE", app.node.get_context("authority"))
outputs = {
    "ChatUrl": chat.url,
    "SignedUrl": signed.url,
    "DirectUrl": direct.url,
    "CallbackUrl": chat.callback_url,
    "ConnectionsTable": chat.connections_table.table_name,
    "RepliesUrl": queue.reply_queue.queue_url,
}
for name, value in outputs.items():
    cdk.CfnOutput(stack, name, value=value)
app.synth()
