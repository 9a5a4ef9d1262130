"""What an API in front of an agent's queue needs of it: the queue itself, and a network for whoever submits."""

from dataclasses import replace

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._function import Surroundings, function_behind
from ak_constructs.agent_function import AgentFunction
from ak_constructs.agent_queue import AgentQueue


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
