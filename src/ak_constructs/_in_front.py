"""What an API in front of an agent's queue needs of it: the queue itself, and a network for whoever submits."""

from dataclasses import replace

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._function import Surroundings, function_behind
from ak_constructs.agent_function import AgentFunction
from ak_constructs.agent_queue import AgentQueue, wiring_of


def queue_of(scope: Construct, agent: lambda_.IFunction | AgentQueue, around: Surroundings) -> AgentQueue:
    """Give the queue as it was given, or define one."""
    if isinstance(agent, AgentQueue):
        return agent
    return AgentQueue(
        scope,
        "Queue",
        agent=agent,
        key=around.key,
        vpc=around.vpc,
        vpc_subnets=around.vpc_subnets,
        security_groups=around.security_groups,
    )


def around_submitter(queue: AgentQueue, around: Surroundings) -> Surroundings:
    """Give the agent's network where that holds the sessions: who submits must look there whose a session is."""
    function = function_behind(queue.agent)
    in_redis = queue.session_store.memory_backend == "redis"
    if around.vpc or not in_redis or not isinstance(function, AgentFunction):
        return around
    return replace(around, vpc=function.vpc, vpc_subnets=function.vpc_subnets)


def connect_submitter(queue: AgentQueue, function: lambda_.Function, *, large: bool = True) -> None:
    """Let a function of an API's submit requests, look up their answers, and look whose a session is."""
    wiring_of(queue).connect_request_handler(function, large=large)
    queue.session_store.attach(function)
