"""What tests of pools of managed instances make."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_

from ak_constructs import SharedCapacityProvider


def vpc_of(stack: cdk.Stack, zones: int = 3) -> ec2.Vpc:
    """Make a VPC with private and public subnets."""
    return ec2.Vpc(stack, "Vpc", max_azs=zones)


def imported_vpc(stack: cdk.Stack, *zones: str, id: str = "Imported") -> ec2.IVpc:
    """Import a VPC that has one private subnet for each zone that is named."""
    return ec2.Vpc.from_vpc_attributes(
        stack,
        id,
        vpc_id="vpc-0123456789abcdef0",
        availability_zones=list(zones),
        private_subnet_ids=[f"subnet-0123456789abcdef{n}" for n, _ in enumerate(zones)],
    )


def pool_of(stack: cdk.Stack, **arguments: Any) -> SharedCapacityProvider:  # noqa: ANN401 - the construct's own
    """Make a pool, in three zones unless a VPC is given."""
    if "vpc" not in arguments:
        arguments["vpc"] = imported_vpc(stack, "us-east-1a", "us-east-1b", "us-east-1c")
    return SharedCapacityProvider(stack, "Pool", **arguments)


def define_function(stack: cdk.Stack, id: str = "Function", **arguments: Any) -> lambda_.Function:  # noqa: ANN401 - CDK's own
    """Make a function that a pool takes, but for what is said."""
    settings: dict[str, Any] = {
        "architecture": lambda_.Architecture.ARM_64,
        "code": lambda_.Code.from_inline("def handler(event, context): pass"),
        "handler": "index.handler",
        "memory_size": 4096,
        "runtime": lambda_.Runtime.PYTHON_3_13,
        **arguments,
    }
    return lambda_.Function(stack, id, **settings)
