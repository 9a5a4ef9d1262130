"""What the settings of a function say about keeping its environments warm by pings."""

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct

from ak_constructs._function import function_behind
from ak_constructs._limits import LAMBDA_DEFAULT_TIMEOUT_SECONDS
from ak_constructs._provisioned import provisions


def refusals(targets: Sequence[lambda_.IFunction], concurrency: int) -> list[str]:
    """Say why targets must not be pinged, and what to use; of imported ones nothing is known."""
    paths = [_function_path(target) for target in targets]
    pings = [concurrency * paths.count(path) for path in paths]
    return [refusal for target, at_once in zip(targets, pings, strict=True) for refusal in _refusals(target, at_once)]


def _function_path(target: lambda_.IFunction) -> str:
    """Name the function behind a target: what it reserves is shared by its versions and aliases."""
    return (function_behind(target) or target).node.path


def _refusals(target: lambda_.IFunction, pings: int) -> list[str]:
    function = function_behind(target)
    resource = function.node.default_child if function else None
    if not isinstance(resource, lambda_.CfnFunction):
        return []
    path = target.node.path
    found = []
    if _setting(resource, "capacity_provider_config"):
        found.append(
            f"targets must not run on managed instances, got {path}; they have no cold starts: use "
            "SharedCapacityProvider.add_environments_schedule for a scheduled minimum"
        )
    if "PublishedVersions" in _setting(resource, "snap_start").values():
        found.append(
            f"targets must not have SnapStart, got {path}; it makes each start short without pings: leave KeepWarm "
            "out, or SnapStart"
        )
    if _setting(resource, "tenancy_config"):
        found.append(
            f"targets must not isolate tenants, got {path}; a ping is no tenant's and warms nobody's environment: "
            "make the start shorter instead"
        )
    if _has_provisioned_concurrency(target):
        found.append(
            f"targets must not have provisioned concurrency, got {path}; Lambda keeps its environments warm: leave "
            "KeepWarm out, or the provisioned concurrency"
        )
    reserved = resource.reserved_concurrent_executions
    if reserved is not None and not cdk.Token.is_unresolved(reserved) and reserved < 2 * pings:
        found.append(
            f"reserved_concurrent_executions must be at least twice KeepWarm's pings at once ({2 * pings}), got "
            f"{reserved:g} of {path}; pings take {pings} while they last, and callers would be throttled: "
            "raise it, or lower concurrency"
        )
    return found


def aliases_of(target: lambda_.IFunction, root: IConstruct) -> list[lambda_.Alias]:
    """Find the aliases of a function that is itself a target; none for a target that is a version or an alias."""
    if not isinstance(target, lambda_.Function):
        return []
    aliases = [each for each in root.node.find_all() if isinstance(each, lambda_.Alias)]
    return [alias for alias in aliases if getattr(function_behind(alias), "node", root.node).path == target.node.path]


def shortest_and_longest_timeout(targets: Sequence[lambda_.IFunction], *, unknown: int) -> tuple[int, int]:
    """Give the shortest and the longest timeout of the targets in seconds, one that is not known being so long."""
    seconds = [_timeout_seconds(function_behind(target), unknown) for target in targets]
    return min(seconds), max(seconds)


def _timeout_seconds(function: lambda_.Function | None, unknown: int) -> int:
    if function is None or (function.timeout and function.timeout.is_unresolved()):
        return unknown
    return int(function.timeout.to_seconds()) if function.timeout else LAMBDA_DEFAULT_TIMEOUT_SECONDS


def _has_provisioned_concurrency(target: lambda_.IFunction) -> bool:
    """Whether the alias or the version has it, or the version of the alias, or autoscaling gives it to the alias."""
    if isinstance(target, lambda_.Alias):
        return any(map(provisions, target.node.find_all())) or provisions(target.version.node.default_child)
    return provisions(target.node.default_child)


def _setting(resource: cdk.CfnResource, name: str) -> dict[str, Any]:
    """Give a setting of a resource with its tokens resolved, empty where it is left out."""
    found = cdk.Stack.of(resource).resolve(getattr(resource, name))
    return found if isinstance(found, dict) else {}
