"""Every example, and what no example has, in one app with the caller's credentials.

The emulator's IAM stops the roles with which CDK deploys otherwise.
"""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentFunction, AgentQueue, Authorization, WebSocketAgentApi
from test.local import version_pruner_app
from test.local.version_pruner_cases import IAM_NAMES

ROOT = Path(__file__).parents[2]
CONTEXT = ("issuer", "authority")


def example_stacks() -> Iterator[type[cdk.Stack]]:
    """Give the stack of each example: of what is in the folder, so that a new one is here by itself."""
    for path in sorted((ROOT / "examples").glob("*/app.py")):
        module = importlib.import_module(f"examples.{path.parent.name}.app")
        for each in vars(module).values():
            if inspect.isclass(each) and issubclass(each, cdk.Stack) and each.__module__ == module.__name__:
                yield each


def define_examples(app: cdk.App) -> dict[str, cdk.Stack]:
    """Define them all, without what no emulator has where they can do without; give them by their names."""
    stacks = {}
    for stack in example_stacks():
        name = stack.__name__.removesuffix("Stack")
        given: dict[str, Any] = {"local": True, **{each: app.node.try_get_context(each) for each in CONTEXT}}
        takes = inspect.signature(stack.__init__).parameters
        stacks[name] = stack(app, name, **{each: value for each, value in given.items() if each in takes and value})
    return stacks


def define_reply_handler(stack: cdk.Stack) -> None:
    """Add a function that is told the answers, which no example has."""
    code = lambda_.Code.from_inline("def handler(event, context):\n    print(event['request_id'])")
    tell = AgentFunction(stack, "Tell", code=code, handler="index.handler")
    cast(AgentQueue, stack.node.find_child("Queue")).add_reply_handler(tell)


def define_direct_api(stack: cdk.Stack) -> None:
    """Add an API without a queue, for those who sign, whose messages do not say who sends them."""
    agent = AgentFunction(
        stack, "Direct", entry=ROOT / "examples/websocket_chat/agent", timeout=cdk.Duration.seconds(20)
    )
    api = WebSocketAgentApi(stack, "Signed", agent=agent, authorization=Authorization.iam(), buffered=False)
    cdk.CfnOutput(stack, "SignedUrl", value=api.url)


if __name__ == "__main__":
    app = cdk.App(default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer())
    examples = define_examples(app)
    define_reply_handler(examples["QueuedPipeline"])
    define_direct_api(examples["WebSocketChat"])
    version_pruner_app.define(app, IAM_NAMES)
    app.synth()
