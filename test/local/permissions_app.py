"""Every example, and what no example has, in one app with the caller's credentials.

The emulator's IAM stops the roles with which CDK deploys otherwise.
"""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentFunction, AgentQueue
from examples.local.environment import ROOT
from test.local import version_pruner_app
from test.local.version_pruner_cases import IAM_NAMES


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
        local: dict[str, Any] = {"local": True} if "local" in inspect.signature(stack.__init__).parameters else {}
        stacks[name] = stack(app, name, **local)
    return stacks


def define_reply_handler(stack: cdk.Stack) -> None:
    """Add a function that is told the answers, which no example has."""
    code = lambda_.Code.from_inline("def handler(event, context):\n    print(event['request_id'])")
    tell = AgentFunction(stack, "Tell", code=code, handler="index.handler")
    cast(AgentQueue, stack.node.find_child("Queue")).add_reply_handler(tell)


if __name__ == "__main__":
    app = cdk.App(default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer())
    define_reply_handler(define_examples(app)["QueuedPipeline"])
    version_pruner_app.define(app, IAM_NAMES)
    app.synth()
