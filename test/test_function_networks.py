"""This library's own functions in a network, where the user says so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Template

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
from ak_constructs._function import NETWORK_ACTIONS
from test.support import statements

NETWORK = (tuple(NETWORK_ACTIONS), "*")


@pytest.fixture
def vpc(stack: cdk.Stack) -> ec2.Vpc:
    """Make a network with two kinds of private subnets."""
    kinds = {"Egress": ec2.SubnetType.PRIVATE_WITH_EGRESS, "Isolated": ec2.SubnetType.PRIVATE_ISOLATED}
    public = ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC)
    private = [ec2.SubnetConfiguration(name=name, subnet_type=kind) for name, kind in kinds.items()]
    return ec2.Vpc(stack, "Vpc", max_azs=1, subnet_configuration=[public, *private])


def networks(stack: cdk.Stack) -> Mapping[str, Any]:
    """Give the VpcConfig of each function by its logical id without the hash, None for one without."""
    functions = Template.from_stack(stack).find_resources("AWS::Lambda::Function")
    return {name[:-8]: function["Properties"].get("VpcConfig") for name, function in functions.items()}


def test_every_function_of_ours_runs_where_it_is_told_to(
    stack: cdk.Stack, agent: AgentFunction, vpc: ec2.Vpc, entry: Path
) -> None:
    """In those subnets, with that security group, and with the permission for it; the agent stays where it was."""
    group = ec2.SecurityGroup(stack, "Group", vpc=vpc)
    subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    AgentApi(stack, "Api", agent=agent, vpc=vpc, vpc_subnets=subnets, security_groups=[group])
    QueuedAgentPipeline(stack, "Pipeline", agent=agent, vpc=vpc, vpc_subnets=subnets, security_groups=[group])
    KeepWarm(stack, "Warm", targets=[agent], vpc=vpc, vpc_subnets=subnets, security_groups=[group])
    VersionPruner(stack, "Pruner", functions=[agent], vpc=vpc, vpc_subnets=subnets, security_groups=[group])
    other = AgentFunction(stack, "Other", entry=entry)
    inside: dict[str, Any] = {"vpc": vpc, "vpc_subnets": subnets, "security_groups": [group]}
    WebSocketAgentApi(stack, "Chat", agent=other, authorization=Authorization.iam(), **inside)
    (subnet,) = vpc.isolated_subnets
    there = {
        "SecurityGroupIds": [stack.resolve(group.security_group_id)],
        "SubnetIds": [stack.resolve(subnet.subnet_id)],
    }
    ours = [
        "ApiHealth",
        "PipelineHealth",
        "PipelineRequestHandler",
        "PipelineQueueResponseHandler",
        "PipelineQueueDeadLetterHandler",
        "PipelineQueueRedrive",
        "WarmWarmer",
        "PrunerFunction",
        "ChatConnectionHandler",
        "ChatMessageHandler",
        "ChatQueueResponseHandler",
        "ChatQueueDeadLetterHandler",
        "ChatQueueRedrive",
    ]
    assert networks(stack) == {"Agent": None, "Other": None, **dict.fromkeys(ours, there)}
    for name in ours:
        assert statements(stack, f"{name}Role").count(NETWORK) == 1
        assert statements(stack, f"{name}Role", effect="Deny") == [NETWORK], "to its own code"
    assert NETWORK not in statements(stack, "AgentRole")


def test_a_queue_of_its_own_runs_its_functions_there_too(stack: cdk.Stack, agent: AgentFunction, vpc: ec2.Vpc) -> None:
    """With a security group for each, which may call everybody."""
    AgentQueue(stack, "Queue", agent=agent, vpc=vpc)
    found = {name: place for name, place in networks(stack).items() if name != "Agent"}
    (subnet,) = vpc.private_subnets
    assert [place["SubnetIds"] for place in found.values()] == 3 * [[stack.resolve(subnet.subnet_id)]]
    groups = {str(place["SecurityGroupIds"]) for place in found.values()}
    assert len(groups) == 3


def test_a_queue_that_is_given_stays_where_it_is(stack: cdk.Stack, agent: AgentFunction, vpc: ec2.Vpc) -> None:
    """The pipeline's network is that of the pipeline's own functions."""
    QueuedAgentPipeline(stack, "Pipeline", agent=AgentQueue(stack, "Queue", agent=agent), vpc=vpc)
    inside = {name for name, place in networks(stack).items() if place}
    assert inside == {"PipelineHealth", "PipelineRequestHandler"}


def test_a_network_that_is_named_comes_before_the_agents(stack: cdk.Stack, entry: Path, vpc: ec2.Vpc) -> None:
    """With sessions in Redis the request handler needs one; both may be the same network's different subnets."""
    agent = AgentFunction(stack, "Agent", entry=str(entry), vpc=vpc)
    SessionStore.redis(stack, "Sessions", vpc=vpc).attach(agent)
    isolated = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    QueuedAgentPipeline(stack, "Named", agent=AgentQueue(stack, "Queue", agent=agent), vpc=vpc, vpc_subnets=isolated)
    (egress,), (other,) = vpc.private_subnets, vpc.isolated_subnets
    found = networks(stack)
    assert found["Agent"]["SubnetIds"] == [stack.resolve(egress.subnet_id)]
    assert found["NamedRequestHandler"]["SubnetIds"] == [stack.resolve(other.subnet_id)]


@pytest.mark.parametrize("in_vpc", [False, True])
def test_a_pools_counter_runs_in_its_network_if_wanted(stack: cdk.Stack, vpc: ec2.Vpc, *, in_vpc: bool) -> None:
    """In the pool's subnets, with its security group, which lets HTTPS out."""
    pool = SharedCapacityProvider(stack, "Pool", vpc=vpc, counter_in_vpc=in_vpc)
    there = {
        "SecurityGroupIds": [stack.resolve(pool.security_group.security_group_id)],
        "SubnetIds": [stack.resolve(subnet.subnet_id) for subnet in pool.subnets],
    }
    assert networks(stack) == {"PoolVersionCounter": there if in_vpc else None}
    assert (NETWORK in statements(stack, "PoolVersionCounterRole")) is in_vpc
