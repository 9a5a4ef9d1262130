"""What a queue, or an API, asks of the agent that it is given."""

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._function import function_behind
from ak_constructs.agent_function import AgentFunction

_MARK = "ak-constructs:queue"
_ANSWERING = "ak-constructs:websocket"


def has_own_handler(function: lambda_.Function) -> bool:
    """Say whether Lambda calls a handler of the user's in it, instead of our runner."""
    return not isinstance(function, AgentFunction) or function.has_own_handler


def agent_function_of(agent: lambda_.IFunction, front: Construct, *, called: str = "queue") -> lambda_.Function:
    """Find the function whose settings a queue must make, or an API; raise where it cannot make them."""
    function = function_behind(agent)
    if function is None:
        raise ValueError(
            "agent must be a function of this app, or a version or alias of one, got an imported one; "
            f"define it here, since the {called} gives it settings and permissions"
        )
    if cdk.Stack.of(function) is not cdk.Stack.of(front):
        raise ValueError(
            f"agent must be in the {called}'s stack {cdk.Stack.of(front).node.path}, got one in "
            f"{cdk.Stack.of(function).node.path}; define the {called} beside its agent"
        )
    return function


def mark_as_queued(function: lambda_.Function, queue: Construct) -> None:
    """Raise when the function answers another queue already: its settings name one."""
    _mark(function, queue, _MARK, "one queue")


def mark_as_answering(function: lambda_.Function, api: Construct) -> None:
    """Raise when the function answers another WebSocket API itself already: its settings say who is asking there."""
    _mark(function, api, _ANSWERING, "one WebSocketAgentApi with buffered=False")


def _mark(function: lambda_.Function, front: Construct, mark: str, one: str) -> None:
    for entry in function.node.metadata:
        if entry.type == mark:
            raise ValueError(
                f"agent must belong to {one}, got {function.node.path}, which belongs to {entry.data}; "
                "make a second AgentFunction of the same entry, the asset is shared"
            )
    function.node.add_metadata(mark, front.node.path)
