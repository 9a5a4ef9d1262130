"""Uses that both type checkers must refuse: a comment that nothing needs is an error itself."""

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs

import ak_constructs
from ak_constructs import (
    AgentApi,
    AgentFunction,
    AgentQueue,
    Authorization,
    KeepWarm,
    QueuedAgentPipeline,
    SessionStore,
    SharedCapacityProvider,
    VersionPruner,
    WebSocketAgentApi,
)


def refused(stack: cdk.Stack, agent: AgentFunction, pool: SharedCapacityProvider, queue: sqs.Queue) -> None:
    """Another type, another name, nothing at all, and by position."""
    AgentFunction(stack, "A", entry=1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    AgentFunction(stack, "B", "agent")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    AgentFunction(stack, "C", entry="a", secrets={"A": "value"})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
    AgentApi(stack, "D")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    AgentApi(stack, "E", agent="arn:aws:lambda:…")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    AgentApi(stack, "F", agent=agent, authorization=Authorization.iam)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    AgentQueue(stack, "G", agent=agent, retention=60)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    AgentQueue(stack, "H", agent=agent, retries=3)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    KeepWarm(stack, "I", targets=agent)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    QueuedAgentPipeline(stack, "J", agent=queue)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    SessionStore(stack, "K", ttl="7 days")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    SessionStore.redis(stack, "L")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    VersionPruner(stack, "M", functions=["name"])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    VersionPruner(stack, "N", capacity_provider=pool)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    WebSocketAgentApi(stack, "O", agent=agent)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    pool.add_function(agent)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    assert ak_constructs.Nothing  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
