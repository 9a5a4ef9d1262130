"""Which instances a pool may use: architecture, family and size, read from the names of their types."""

import re
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_

# The article's choice, and the same of the other architecture.
DEFAULT_INSTANCE_TYPES = {
    "arm64": ("m6g.large", "m6g.xlarge", "m7g.large", "m7g.xlarge"),
    "x86_64": ("m6i.large", "m6i.xlarge", "m7i.large", "m7i.xlarge"),
}
LEAST_GENERATION = 5
REPLACEMENT_INSTANCES = 4  # one in each of three zones, and the one that takes the place of a failed one
# C, M and R of generation 5 and later, large and larger; the list itself is on the pricing page of each region. A guide
# of AWS's begins C at xlarge; as it stands alone with that, C.large passes.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances.html, read 2026-11-21
_SUPPORTED = re.compile(
    rf"(?P<letter>[cmr])(?:[{LEAST_GENERATION}-9]|[1-9][0-9])[a-z0-9-]*"
    r"\.(?:large|(?P<times>(?:[1-9][0-9]*)?)xlarge)"
)
_LARGE_VCPUS = 2
_XLARGE_VCPUS = 4
_MOST_GIB_PER_VCPU = {"c": 2.625, "m": 4, "r": 8}  # c5n has the most of its letter
_ARCHITECTURES = {"arm64": ec2.InstanceArchitecture.ARM_64, "x86_64": ec2.InstanceArchitecture.X86_64}


def default_instance_types(architecture: lambda_.Architecture) -> list[ec2.InstanceType]:
    """Give the types for an architecture."""
    return [ec2.InstanceType(name) for name in DEFAULT_INSTANCE_TYPES[architecture.name]]


def check_instance_types(instance_types: Sequence[ec2.InstanceType], architecture: lambda_.Architecture) -> None:
    """Raise for a type that managed instances have not, or that is of the other architecture."""
    for each in instance_types:
        name = each.to_string()
        if cdk.Token.is_unresolved(name):
            continue
        if not _SUPPORTED.fullmatch(name):
            raise ValueError(
                f"instance_types must be of a C, M or R family of generation {LEAST_GENERATION} or later, large or "
                f"larger, got {name!r}; take one such as {DEFAULT_INSTANCE_TYPES[architecture.name][0]!r}"
            )
        if each.architecture != _ARCHITECTURES[architecture.name]:
            raise ValueError(
                f"instance_types must be of the pool's architecture, {architecture.name}, got {name!r}; "
                f"take one such as {DEFAULT_INSTANCE_TYPES[architecture.name][0]!r}, or give the pool its architecture"
            )


def vcpus_of(instance_type: ec2.InstanceType) -> int:
    """Give the vCPUs of a type; 0 for one that is only known at deployment."""
    found = _SUPPORTED.fullmatch(instance_type.to_string())
    if found is None:
        return 0
    return _LARGE_VCPUS if found["times"] is None else _XLARGE_VCPUS * int(found["times"] or 1)


def check_headroom(max_vcpu_count: float, instance_types: Sequence[ec2.InstanceType]) -> None:
    """Raise when an instance that fails could not be replaced: the version that waits for it would fail as well.

    https://github.com/aws-powertools/powertools-lambda-typescript/issues/5735, read 2026-11-21
    """
    largest = max(instance_types, key=vcpus_of)
    least = REPLACEMENT_INSTANCES * vcpus_of(largest)
    if not cdk.Token.is_unresolved(max_vcpu_count) and max_vcpu_count < least:
        raise ValueError(
            f"max_vcpu_count must be at least {least}, got {max_vcpu_count:g}; one {largest.to_string()} in each of "
            "three zones and one to replace a failed one must fit, so raise it or take smaller instance_types"
        )


def fits(instance_types: Sequence[ec2.InstanceType], *, vcpus: float, memory_gib: float) -> bool:
    """Whether an execution environment can fit into an instance of some type."""
    for each in instance_types:
        name = each.to_string()
        found = _SUPPORTED.fullmatch(name)
        if found is None:
            return True
        own = vcpus_of(each)
        if vcpus <= own and memory_gib <= own * _MOST_GIB_PER_VCPU[found["letter"]]:
            return True
    return False
