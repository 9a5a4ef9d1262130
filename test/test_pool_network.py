"""Where a pool's instances are, and which they are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Annotations, Match, Template

from ak_constructs import SharedCapacityProvider
from ak_constructs._pool_network import unsupported_names
from test.pools import imported_vpc, pool_of, vpc_of

FEW_ZONES = (
    "subnets should lie in 3 availability zones or more, got {}; Lambda starts 3 instances so that a zone may fail, "
    "so choose more by vpc_subnets; in a stack without account and region a Vpc has two whatever its max_azs, so give "
    "the stack env, or the Vpc availability_zones "
    "[ack: ak-constructs:shared_capacity_provider.few_zones]"
)


def zones(pool: SharedCapacityProvider) -> list[str]:
    """Give the zones of the chosen subnets."""
    return [subnet.availability_zone for subnet in pool.subnets]


def warns(stack: cdk.Stack, text: str) -> None:
    """Expect a warning of the pool's."""
    Annotations.from_stack(stack).has_warning("/Stack/Pool", text)


def warns_of_nothing(stack: cdk.Stack) -> None:
    """Expect none."""
    Annotations.from_stack(stack).has_no_warning("/Stack/Pool", Match.any_value())


def test_private_subnets_are_taken_first(stack: cdk.Stack) -> None:
    """Of the VPC that is given."""
    pool = SharedCapacityProvider(stack, "Pool", vpc=vpc_of(stack))
    assert {subnet.node.id for subnet in pool.subnets} == {f"PrivateSubnet{n}" for n in (1, 2)}
    (found,) = Template.from_stack(stack).find_resources("AWS::Lambda::CapacityProvider").values()
    assert len(found["Properties"]["VpcConfig"]["SubnetIds"]) == 2


def test_other_subnets_can_be_chosen(stack: cdk.Stack) -> None:
    """As for anything in a VPC."""
    public = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
    pool = SharedCapacityProvider(stack, "Pool", vpc=vpc_of(stack), vpc_subnets=public)
    assert {subnet.node.id for subnet in pool.subnets} == {f"PublicSubnet{n}" for n in (1, 2)}


ISOLATED = ec2.SubnetType.PRIVATE_ISOLATED
SELECTIONS: dict[str, tuple[Callable[[list[str]], ec2.SubnetSelection], set[str]]] = {
    "a group": (lambda _: ec2.SubnetSelection(subnet_group_name="Second"), {"SecondSubnet1", "SecondSubnet2"}),
    "a zone": (
        lambda zones: ec2.SubnetSelection(subnet_type=ISOLATED, availability_zones=zones[1:2]),
        {"FirstSubnet2", "SecondSubnet2"},
    ),
    "one of each zone": (
        lambda _: ec2.SubnetSelection(subnet_type=ISOLATED, one_per_az=True),
        {"FirstSubnet1", "FirstSubnet2"},
    ),
    "a filter": (
        lambda zones: ec2.SubnetSelection(
            subnet_type=ISOLATED, subnet_filters=[ec2.SubnetFilter.availability_zones(zones[:1])]
        ),
        {"FirstSubnet1", "SecondSubnet1"},
    ),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_whatever_a_selection_says_counts(stack: cdk.Stack, name: str) -> None:
    """Each of its parts."""
    selection, expected = SELECTIONS[name]
    groups = [ec2.SubnetConfiguration(name=group, subnet_type=ISOLATED) for group in ("First", "Second")]
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, subnet_configuration=groups)
    pool = SharedCapacityProvider(stack, "Pool", vpc=vpc, vpc_subnets=selection(vpc.availability_zones))
    assert {subnet.node.id for subnet in pool.subnets} == expected


def test_the_default_vpc_is_looked_up(tmp_path: Path) -> None:
    """In the account and region of the stack; what CDK puts there meanwhile breaks CloudFormation's rules."""
    app = cdk.App(analytics_reporting=False, outdir=str(tmp_path), context={"aws:cdk:bundling-stacks": []})
    stack = cdk.Stack(app, "Stack", env=cdk.Environment(account="123456789012", region="us-east-1"))
    pool = SharedCapacityProvider(stack, "Pool")
    assert pool.vpc.node.path == "Stack/Pool/DefaultVpc"
    app.synth()
    (asked,) = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["missing"]
    assert (asked["provider"], asked["props"]["filter"]) == ("vpc-provider", {"isDefault": "true"})


def test_fails_when_there_is_no_vpc_to_look_up(stack: cdk.Stack) -> None:
    """A stack for any account has no default VPC."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        SharedCapacityProvider(stack, "Pool")
    assert str(raised.value) == (
        "vpc must be given in a stack without account and region, got none; the default VPC is looked up in them, so "
        "give a vpc or the stack env=cdk.Environment(account=..., region=...)"
    )


def test_a_zone_without_instances_is_left_out_by_its_usual_name(stack: cdk.Stack) -> None:
    """When nothing is said of the account's zones."""
    pool = pool_of(stack, vpc=imported_vpc(stack, "us-east-1a", "us-east-1e", "us-east-1f", "us-east-1b"))
    assert zones(pool) == ["us-east-1a", "us-east-1f", "us-east-1b"]


def test_a_zone_without_instances_is_left_out_by_its_id(stack: cdk.Stack) -> None:
    """Whatever the account calls it."""
    ids = {"us-east-1a": "use1-az3", "us-east-1e": "use1-az6"}
    pool = pool_of(stack, vpc=imported_vpc(stack, "us-east-1a", "us-east-1e"), availability_zone_ids=ids)
    assert zones(pool) == ["us-east-1e"]


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ({}, {"us-east-1e"}),
        ({"us-east-1e": "use1-az3"}, {"us-east-1e"}),
        ({"us-east-1b": "use1-az3"}, {"us-east-1b"}),
        ({"us-east-1e": "use1-az6"}, set()),
        ({"us-east-1b": "use1-az6"}, {"us-east-1e"}),
    ],
)
def test_ids_say_more_than_names(ids: dict[str, str], names: set[str]) -> None:
    """The usual name counts where no id speaks for or against it."""
    assert unsupported_names(ids) == names


def test_fails_when_names_and_ids_are_mixed_up(stack: cdk.Stack) -> None:
    """Nothing would be left out."""
    message = (
        r"""^availability_zone_ids\['use1-az3'\] must be a zone id such as "use1-az3" for each zone name, """
        r"got 'us-east-1e'$"
    )
    with pytest.raises(ValueError, match=message):
        pool_of(stack, availability_zone_ids={"use1-az3": "us-east-1e"})


def test_fails_when_no_subnet_is_left(stack: cdk.Stack) -> None:
    """Where there are none that could have instances."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        pool_of(stack, vpc=imported_vpc(stack, "us-east-1e"))
    assert str(raised.value) == (
        "subnets must lie in a zone that has managed instances, got us-east-1e; choose others by vpc_subnets, "
        "or say by availability_zone_ids which zone is which in this account"
    )


def test_fails_when_a_vpc_was_imported_without_subnets(stack: cdk.Stack) -> None:
    """CDK would miss a public one, whatever was wanted."""
    vpc = ec2.Vpc.from_vpc_attributes(stack, "Bare", vpc_id="vpc-12345678", availability_zones=["us-east-1a"])
    message = (
        r"^vpc must have subnets, got none in \S+/Bare; import it with private_subnet_ids, or take ec2.Vpc.from_lo"
    )
    with pytest.raises(ValueError, match=message):
        pool_of(stack, vpc=vpc)


def test_fails_when_the_selection_is_empty(stack: cdk.Stack) -> None:
    """Before CDK counts subnets."""
    nowhere = ec2.SubnetSelection(subnet_filters=[ec2.SubnetFilter.by_ids(["subnet-1"])])
    with pytest.raises(ValueError, match=r"^subnets must lie in a zone that has managed instances, got none; choose"):
        pool_of(stack, vpc_subnets=nowhere)


def test_few_subnets_are_of_many_zones(stack: cdk.Stack) -> None:
    """One of each first."""
    vpc = imported_vpc(stack, "us-east-1a", "us-east-1b", "us-east-1c")
    doubled = [
        ec2.Subnet.from_subnet_attributes(stack, f"{zone}{n}", subnet_id=f"subnet-{n}{zone}", availability_zone=zone)
        for zone in ("us-east-1a", "us-east-1b", "us-east-1c")
        for n in (1, 2)
    ]
    pool = pool_of(stack, vpc=vpc, vpc_subnets=ec2.SubnetSelection(subnets=doubled), max_subnets=4)
    assert [subnet.node.id for subnet in pool.subnets] == ["us-east-1a1", "us-east-1b1", "us-east-1c1", "us-east-1a2"]


@pytest.mark.parametrize("most", [0, 17])
def test_fails_when_the_cap_on_subnets_is_out_of_range(stack: cdk.Stack, most: int) -> None:
    """A pool takes 16."""
    message = rf"^max_subnets must be 1 to 16, got {most}; leave it out or change it$"
    with pytest.raises(ValueError, match=message):
        pool_of(stack, max_subnets=most)


def test_three_zones_are_enough(stack: cdk.Stack) -> None:
    """No warning."""
    pool_of(stack)
    warns_of_nothing(stack)


def test_warns_of_fewer_than_three_zones(stack: cdk.Stack) -> None:
    """One that fails would take more than its third."""
    pool_of(stack, vpc=imported_vpc(stack, "us-east-1a", "us-east-1b", "us-east-1b"))
    warns(stack, FEW_ZONES.format(2))


def test_a_subnet_without_a_zone_is_taken_to_have_its_own(stack: cdk.Stack) -> None:
    """CDK raises when it is asked."""
    subnets = [ec2.Subnet.from_subnet_id(stack, name, f"subnet-{name}") for name in "abc"]
    pool = pool_of(stack, vpc_subnets=ec2.SubnetSelection(subnets=subnets))
    assert len(pool.subnets) == 3
    warns_of_nothing(stack)


def test_warns_of_subnets_without_a_way_out(stack: cdk.Stack) -> None:
    """Nothing would reach AWS, not even the logs."""
    isolated = ec2.SubnetConfiguration(name="Inside", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, subnet_configuration=[isolated])
    SharedCapacityProvider(stack, "Pool", vpc=vpc)
    warns(stack, FEW_ZONES.format(2))
    warns(
        stack,
        "subnets should have a way out, got isolated ones; logs, traces and whatever a function calls go through "
        "them, so add VPC endpoints for all of it or choose subnets with a NAT gateway by vpc_subnets "
        "[ack: ak-constructs:shared_capacity_provider.isolated_subnets]",
    )


FAMILY = (
    "instance_types must be of a C, M or R family of generation 5 or later, large or larger, got '{}'; "
    "take one such as 'm6g.large'"
)
REFUSED_TYPES: dict[str, str] = {
    **{
        name: FAMILY.format(name)
        for name in ("t4g.large", "m4.large", "m7g.medium", "c7g.metal", "m7g.*", "x2gd.large")
    },
    "m7i.large": (
        "instance_types must be of the pool's architecture, arm64, got 'm7i.large'; "
        "take one such as 'm6g.large', or give the pool its architecture"
    ),
}


@pytest.mark.parametrize("name", REFUSED_TYPES)
def test_fails_when_an_instance_type_is_not_for_the_pool(stack: cdk.Stack, name: str) -> None:
    """By family, generation, size and architecture."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        pool_of(stack, instance_types=[ec2.InstanceType("m7g.large"), ec2.InstanceType(name)])
    assert str(raised.value) == REFUSED_TYPES[name]


def test_fails_when_an_arm_type_is_given_to_an_x86_pool(stack: cdk.Stack) -> None:
    """The other way round."""
    types = [ec2.InstanceType("m7g.large")]
    message = (
        r"^instance_types must be of the pool's architecture, x86_64, got 'm7g.large'; take one such as 'm6i.large'"
    )
    with pytest.raises(ValueError, match=message):
        pool_of(stack, architecture=lambda_.Architecture.X86_64, instance_types=types)


@pytest.mark.parametrize(
    ("name", "least"), [("c8g.large", 12), ("m9g.xlarge", 16), ("r7gd.2xlarge", 32), ("c6gn.16xlarge", 256)]
)
def test_fails_when_the_ceiling_leaves_no_room_for_a_replacement(stack: cdk.Stack, name: str, least: int) -> None:
    """Three instances, and one more of the largest; CDK itself wants 12."""
    types = [ec2.InstanceType("m6g.large"), ec2.InstanceType(name)]
    arguments: dict[str, Any] = {"instance_types": types, "vpc": imported_vpc(stack, "us-east-1a")}
    pool_of(stack, max_vcpu_count=least, **arguments)
    if least == 12:
        return
    other = cdk.Stack(stack, "Other")
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - compared below
        pool_of(other, max_vcpu_count=least - 1, **arguments)
    assert str(raised.value) == (
        f"max_vcpu_count must be at least {least}, got {least - 1}; one {name} in each of three zones and one to "
        "replace a failed one must fit, so raise it or take smaller instance_types"
    )


def test_a_type_may_be_known_at_deployment_only(stack: cdk.Stack) -> None:
    """A token passes, and whatever fits into it."""
    name = cdk.CfnParameter(stack, "Type").value_as_string
    pool = pool_of(stack, instance_types=[ec2.InstanceType(name)])
    function = lambda_.Function(
        stack,
        "Function",
        architecture=lambda_.Architecture.ARM_64,
        code=lambda_.Code.from_inline("x"),
        handler="index.handler",
        memory_size=32_768,
        runtime=lambda_.Runtime.PYTHON_3_13,
    )
    pool.add_function(function, memory_gib_per_vcpu=8, max_concurrency=4)
    (found,) = Template.from_stack(stack).find_resources("AWS::Lambda::CapacityProvider").values()
    assert found["Properties"]["InstanceRequirements"]["AllowedInstanceTypes"] == [{"Ref": "Type"}]
