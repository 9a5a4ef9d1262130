"""What a queue asks of the agent that it is given."""

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._function import function_behind

_MARK = "ak-constructs:queue"


def agent_function_of(agent: lambda_.IFunction, queue: Construct) -> lambda_.Function:
    """Find the function whose settings a queue must make; raise where it cannot make them."""
    function = function_behind(agent)
    if function is None:
        raise ValueError(
            "agent must be a function of this app, or a version or alias of one, got an imported one; "
            "define it here, since the queue gives it settings and permissions"
        )
    if cdk.Stack.of(function) is not cdk.Stack.of(queue):
        raise ValueError(
            f"agent must be in the queue's stack {cdk.Stack.of(queue).node.path}, got one in "
            f"{cdk.Stack.of(function).node.path}; define the queue beside its agent"
        )
    return function


def mark_as_queued(function: lambda_.Function, queue: Construct) -> None:
    """Raise when the function answers another queue already: its settings name one."""
    for entry in function.node.metadata:
        if entry.type == _MARK:
            raise ValueError(
                f"agent must belong to one queue, got {function.node.path}, which belongs to {entry.data}; "
                "make a second AgentFunction of the same entry, the asset is shared"
            )
    function.node.add_metadata(_MARK, queue.node.path)
