"""What a function must be to run on managed instances; CDK lets the rest through, and AWS refuses it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._limits import (
    LAMBDA_MANAGED_CONCURRENCY,
    LAMBDA_MANAGED_CONCURRENCY_PER_VCPU,
    LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS,
    LAMBDA_MANAGED_ENVIRONMENTS,
    LAMBDA_MANAGED_GIB_PER_VCPU,
    LAMBDA_MANAGED_MEMORY_MIB,
    LAMBDA_MANAGED_TIMEOUT_SECONDS,
    LAMBDA_MEMORY_MIB,
)
from ak_constructs._provisioned import provisions
from ak_constructs._validation import check_at_least, check_at_most

# https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-runtimes.html, read 2026-11-21
RUNTIME_FLOORS = {"python3.": 13, "nodejs": 22, "java": 21, "dotnet": 8, "provided.al": 2023}
MIB_PER_GIB = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one function may take of a pool.

    Attributes:
        path: Whose it is.
        vcpus: The vCPUs of one of its environments.
        environments: How many it may have; as many as it keeps, when that is not bounded.
    """

    path: str
    vcpus: float
    environments: float

    @property
    def total(self) -> float:
        """Give all the vCPUs."""
        return self.vcpus * self.environments

    def __str__(self) -> str:
        return f"{self.path} {self.environments:g} x {self.vcpus:g} = {self.total:g}"


def resource_of(function: lambda_.Function) -> lambda_.CfnFunction:
    """Give the resource, which knows what was set on it afterwards too."""
    return cast(lambda_.CfnFunction, function.node.default_child)


def function_of(function: lambda_.IFunction, pool: Construct) -> lambda_.Function:
    """Give the function itself, or raise when it cannot be put on a pool."""
    if not isinstance(function, lambda_.Function):
        raise ValueError(  # noqa: TRY004 - the type is right, its origin is not
            f"function must be a function of this app, got {function.node.path}, which is imported, a version or an "
            "alias; give the function itself, where it is defined"
        )
    here, there = cdk.Stack.of(pool).environment, cdk.Stack.of(function).environment
    if here != there:
        raise ValueError(
            f"{function.node.path} must be in the pool's account and region, {here}, got {there}; "
            "define a pool for each of them"
        )
    if resource_of(function).capacity_provider_config is not None:
        raise ValueError(
            f"{function.node.path} must be on one capacity provider, got a second; add a function to one pool, once, "
            "and take the alias that it gives"
        )
    return function


def refusals(function: lambda_.Function, architecture: lambda_.Architecture) -> Iterator[str]:
    """Give what AWS would refuse, as it stands now."""
    resource, path = resource_of(function), function.node.path
    own = (resource.architectures or [lambda_.Architecture.X86_64.name])[0]
    if own != architecture.name:
        yield (
            f"architecture of {path} must be the pool's, {architecture.name}, got {own}; "
            f"build the function for {architecture.name} or give the pool the other architecture"
        )
    if resource.runtime is not None and not _has_floor(resource.runtime):
        yield (
            f"runtime of {path} must be Python 3.13, Node.js 22, Java 21, .NET 8, provided.al2023 or a later one, "
            f"got {resource.runtime}; managed instances have no older one"
        )
    yield from _refused_sizes(resource, path)
    for name, value, remedy in (
        ("snap_start", resource.snap_start, "there are no cold starts on managed instances"),
        (
            "reserved_concurrent_executions",
            resource.reserved_concurrent_executions,
            "max_execution_environments bounds how much it runs",
        ),
        ("tenancy_config", resource.tenancy_config, "tenants share an environment, and a pool is one trust boundary"),
        ("vpc", resource.vpc_config, "a function on managed instances is in the pool's VPC"),
    ):
        if value is not None:
            yield f"{name} of {path} must be left out, got one; {remedy}"
    if any(map(provisions, function.node.find_all())):
        yield (
            f"provisioned concurrency of {path} must be left out of its versions and aliases, got one; "
            "min_execution_environments keeps environments ready"
        )


def _refused_sizes(resource: lambda_.CfnFunction, path: str) -> Iterator[str]:
    memory = LAMBDA_MEMORY_MIB[0] if resource.memory_size is None else resource.memory_size
    least, most = LAMBDA_MANAGED_MEMORY_MIB
    if not cdk.Token.is_unresolved(memory) and not least <= memory <= most:
        yield f"memory_size of {path} must be {least} to {most} MB on managed instances, got {memory:g}; set that"
    timeout = resource.timeout
    if timeout is not None and not cdk.Token.is_unresolved(timeout) and timeout > LAMBDA_MANAGED_TIMEOUT_SECONDS:
        yield (
            f"timeout of {path} must be at most {LAMBDA_MANAGED_TIMEOUT_SECONDS} s on managed instances, "
            f"got {timeout:g} s; shorten it"
        )


def _has_floor(runtime: str) -> bool:
    if cdk.Token.is_unresolved(runtime):
        return True
    for prefix, floor in RUNTIME_FLOORS.items():
        found = re.match(re.escape(prefix) + r"(\d+)", runtime)
        if found:
            return int(found[1]) >= floor
    return False


def vcpus_for(function: lambda_.Function, memory_gib_per_vcpu: float) -> float | None:
    """Give the vCPUs of an environment, or raise when they are too few; None when they are only known later."""
    remedy = "give 4 or 8, as AWS advises for Python"
    check_at_least("memory_gib_per_vcpu", memory_gib_per_vcpu, LAMBDA_MANAGED_GIB_PER_VCPU[0], remedy)
    check_at_most("memory_gib_per_vcpu", memory_gib_per_vcpu, LAMBDA_MANAGED_GIB_PER_VCPU[1], remedy)
    memory = resource_of(function).memory_size or LAMBDA_MEMORY_MIB[0]
    if cdk.Token.is_unresolved(memory) or cdk.Token.is_unresolved(memory_gib_per_vcpu):
        return None
    vcpus = memory / MIB_PER_GIB / memory_gib_per_vcpu
    if vcpus < 1:
        raise ValueError(
            f"memory_gib_per_vcpu must leave an environment of {function.node.path} 1 vCPU or more, got {vcpus:g} "
            f"({memory:g} MB at {memory_gib_per_vcpu:g} GiB each); raise memory_size or lower it"
        )
    return vcpus


def warn_of_parts(pool: Construct, function: lambda_.Function, vcpus: float | None) -> None:
    """Warn of a part of a vCPU: a guide of AWS's asks for whole ones, the service's own pages do not say.

    https://github.com/awslabs/agent-plugins, aws-lambda-managed-instances, configuration-guide.md, read 2026-11-21
    """
    if vcpus is not None and vcpus % 1:
        cdk.Annotations.of(pool).add_warning_v2(
            "ak-constructs:shared_capacity_provider.part_of_a_vcpu",
            f"memory_size of {function.node.path} should be a multiple of memory_gib_per_vcpu, got {vcpus:g} vCPUs; "
            "change one of the two if Lambda refuses it",
        )


def check_concurrency(max_concurrency: float, vcpus: float | None) -> None:
    """Raise when an environment could not have so many runs at once."""
    least, most = LAMBDA_MANAGED_CONCURRENCY  # which is more than an environment's memory has vCPUs for
    check_at_least("max_concurrency", max_concurrency, least, "an environment has one run or more")
    if vcpus is not None:
        most = int(LAMBDA_MANAGED_CONCURRENCY_PER_VCPU * vcpus)
    remedy = f"a vCPU takes {LAMBDA_MANAGED_CONCURRENCY_PER_VCPU}, so lower it or give the environment more vCPUs"
    check_at_most("max_concurrency", max_concurrency, most, remedy)


def check_environments(minimum: int | None, maximum: int | None) -> None:
    """Raise unless both are given, in order, or neither."""
    if minimum is None and maximum is None:
        return
    if minimum is None or maximum is None:
        name, other = "min_execution_environments", "max_execution_environments"
        if maximum is None:
            name, other = other, name
        raise ValueError(f"{name} must be given with {other}, got None; give both or neither")
    least, most = LAMBDA_MANAGED_ENVIRONMENTS
    remedy = "0 deactivates a version until somebody activates it again"
    check_at_least("min_execution_environments", minimum, least, remedy)
    check_at_most("max_execution_environments", maximum, most, "lower it: the service takes no more")
    if cdk.Token.is_unresolved(maximum):
        return
    check_at_most("min_execution_environments", minimum, maximum, "lower it or raise max_execution_environments")


def check_version(version: lambda_.CfnVersion, function: lambda_.Function) -> None:
    """Raise when the version was told elsewhere how many environments it has: nobody would count them."""
    if version.function_scaling_config is not None:
        raise ValueError(
            f"current_version_options of {function.node.path} must leave out how many environments there are, got "
            "them; give min_execution_environments and max_execution_environments to add_function"
        )


def share_of(
    function: lambda_.Function, vcpus: float | None, minimum: float | None, maximum: float | None
) -> Share | None:
    """Give what a function may take; None when it is only known at deployment."""
    environments = maximum if maximum is not None else minimum or LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS
    if vcpus is None or cdk.Token.is_unresolved(environments):
        return None
    return Share(path=function.node.path, vcpus=vcpus, environments=environments)


def check_budget(shares: Iterable[Share], max_vcpu_count: float) -> None:
    """Raise when the functions together may take more than there is: then one of them would starve another."""
    known = list(shares)
    total = sum(share.total for share in known)
    if not cdk.Token.is_unresolved(max_vcpu_count) and total > max_vcpu_count:
        raise ValueError(
            f"the environments of a pool must need at most its max_vcpu_count, {max_vcpu_count:g}, got {total:g} vCPUs "
            f"({', '.join(map(str, known))}); lower max_execution_environments or raise max_vcpu_count"
        )
