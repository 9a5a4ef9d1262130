"""Where a pool's instances are: subnets in zones that have them, and a security group that only lets HTTPS out."""

import itertools
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ak_constructs._limits import CAPACITY_PROVIDER_SUBNETS, LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS
from ak_constructs._validation import check_between, check_matches

# Zones without the instances, by their id, which is the same in every account, with the name that most accounts have
# for it. AWS has no list for managed instances: the article filters the name; the zone has few types of generation 5
# and later (https://wolfman.dev/posts/exclude-use1-az3/, read 2026-11-21). To ask AWS: `aws ec2
# describe-instance-type-offerings --location-type availability-zone-id --filters Name=instance-type,Values=m7g.large`.
UNSUPPORTED_ZONES = {"use1-az3": "us-east-1e"}
WANTED_ZONES = LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS
HTTPS = 443


def network_of(scope: Construct, vpc: ec2.IVpc | None) -> ec2.IVpc:
    """Give the VPC, or else the account's default one."""
    if vpc is not None:
        return vpc
    stack = cdk.Stack.of(scope)
    if cdk.Token.is_unresolved(stack.account) or cdk.Token.is_unresolved(stack.region):
        raise ValueError(
            "vpc must be given in a stack without account and region, got none; the default VPC is looked up in them, "
            "so give a vpc or the stack env=cdk.Environment(account=..., region=...)"
        )
    return ec2.Vpc.from_lookup(scope, "DefaultVpc", is_default=True)


def check_zone_ids(zone_ids: Mapping[str, str]) -> None:
    """Raise unless it leads from names to ids."""
    for name, zone_id in zone_ids.items():
        form = 'a zone id such as "use1-az3" for each zone name'
        check_matches(f"availability_zone_ids[{name!r}]", zone_id, r"[a-z0-9-]+-az[0-9]+", form)


def choose_subnets(
    vpc: ec2.IVpc,
    *,
    selection: ec2.SubnetSelection | None,
    zone_ids: Mapping[str, str],
    max_subnets: int | None,
) -> list[ec2.ISubnet]:
    """Give the subnets in zones that have instances: one of each zone first, when there may not be more."""
    check_between("max_subnets", max_subnets, CAPACITY_PROVIDER_SUBNETS)
    unsupported = unsupported_names(zone_ids)
    zones = [(zone_of(subnet), subnet) for subnet in _selected(vpc, selection)]
    supported = [(zone, subnet) for zone, subnet in zones if zone not in unsupported]
    if not supported:
        found = ", ".join(sorted({zone for zone, _ in zones})) or "none"
        raise ValueError(
            f"subnets must lie in a zone that has managed instances, got {found}; choose others by vpc_subnets, "
            "or say by availability_zone_ids which zone is which in this account"
        )
    return [subnet for _, subnet in _spread(supported)][:max_subnets]


def unsupported_names(zone_ids: Mapping[str, str]) -> set[str]:
    """Give the names of zones without instances: by id where the account's are known, else by the usual name."""
    by_id = {name for name, zone_id in zone_ids.items() if zone_id in UNSUPPORTED_ZONES}
    unknown = {name for zone_id, name in UNSUPPORTED_ZONES.items() if zone_id not in zone_ids.values()}
    return by_id | unknown - zone_ids.keys()


def zone_of(subnet: ec2.ISubnet) -> str:
    """Give the name of a subnet's zone; for one that was imported without, something that only it has."""
    try:
        return subnet.availability_zone
    except RuntimeError:
        return f"the zone of {subnet.node.path}"


def _selected(vpc: ec2.IVpc, selection: ec2.SubnetSelection | None) -> Sequence[ec2.ISubnet]:
    if selection is None:
        if not (vpc.private_subnets or vpc.isolated_subnets or vpc.public_subnets):
            raise ValueError(
                f"vpc must have subnets, got none in {vpc.node.path}; import it with private_subnet_ids, or take "
                "ec2.Vpc.from_lookup"
            )
        return vpc.select_subnets().subnets
    if selection.subnets and not (selection.availability_zones or selection.one_per_az or selection.subnet_filters):
        return selection.subnets  # CDK would ask each for its zone
    return vpc.select_subnets(
        availability_zones=selection.availability_zones,
        one_per_az=selection.one_per_az,
        subnet_filters=selection.subnet_filters,
        subnet_group_name=selection.subnet_group_name,
        subnets=selection.subnets,
        subnet_type=selection.subnet_type,
    ).subnets


def _spread(zones: Sequence[tuple[str, ec2.ISubnet]]) -> list[tuple[str, ec2.ISubnet]]:
    counts: dict[str, itertools.count[int]] = {}
    ranks = [next(counts.setdefault(zone, itertools.count())) for zone, _ in zones]
    return [pair for _, pair in sorted(zip(ranks, zones, strict=True), key=lambda ranked: ranked[0])]


def warn_of_network(scope: Construct, vpc: ec2.IVpc, subnets: Sequence[ec2.ISubnet]) -> None:
    """Warn when a zone that fails takes the pool with it, and when the functions cannot reach AWS."""
    zones = len({zone_of(subnet) for subnet in subnets})
    if zones < WANTED_ZONES:
        cdk.Annotations.of(scope).add_warning_v2(
            "ak-constructs:shared_capacity_provider.few_zones",
            f"subnets should lie in {WANTED_ZONES} availability zones or more, got {zones}; Lambda starts "
            f"{WANTED_ZONES} instances so that a zone may fail, so choose more by vpc_subnets; in a stack without "
            "account and region a Vpc has two whatever its max_azs, so give the stack env, or the Vpc "
            "availability_zones",
        )
    isolated = {subnet.subnet_id for subnet in vpc.isolated_subnets}
    if any(subnet.subnet_id in isolated for subnet in subnets):
        cdk.Annotations.of(scope).add_warning_v2(
            "ak-constructs:shared_capacity_provider.isolated_subnets",
            "subnets should have a way out, got isolated ones; logs, traces and whatever a function calls go through "
            "them, so add VPC endpoints for all of it or choose subnets with a NAT gateway by vpc_subnets",
        )


def define_security_group(scope: Construct, vpc: ec2.IVpc) -> ec2.SecurityGroup:
    """Define a group that lets nothing in, and HTTPS out."""
    group = ec2.SecurityGroup(
        scope,
        "SecurityGroup",
        vpc=vpc,
        allow_all_outbound=False,
        description="Managed instances: nothing in, HTTPS out",
    )
    group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "HTTPS")
    return group
