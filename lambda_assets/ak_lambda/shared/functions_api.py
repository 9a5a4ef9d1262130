"""Lambda's own API: what versions of functions are there, what uses them, and how one is deleted.

Everything is read page by page to the end; whatever cannot be read raises, so that nobody takes silence for an answer.
"""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared.calls import CallError, calling, pages

NOT_OVER = ["RUNNING", "PAUSING", "PAUSED"]  # of a durable execution

_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionVersion:
    """What Lambda says of one version.

    Attributes:
        version: A number, `$LATEST` or `$LATEST.PUBLISHED`.
        modified: When it was published, in seconds since 1970; None if it cannot be read.
        code_bytes: The size of its package.
        state: Such as Active; empty where Lambda tells none.
        managed: Whether it runs on a capacity provider's managed instances.
        durable: Whether it may have durable executions.
        edge_replica: Whether it is a replica of a function elsewhere, for Lambda@Edge.
    """

    version: str
    modified: float | None
    code_bytes: int
    state: str
    managed: bool
    durable: bool
    edge_replica: bool


def unqualified(function: str) -> str:
    """Leave out the version or alias of a function's name or ARN."""
    parts = function.split(":")
    if parts[0] == "arn":
        return ":".join(parts[:7])
    return ":".join(parts[:3]) if parts[1:2] == ["function"] and len(parts) > 2 else parts[0]  # noqa: PLR2004


def function_name(function: str) -> str:
    """Give the name alone."""
    return unqualified(function).rpartition(":")[2]


def qualifier(function: str) -> str:
    """Give the version or alias in a function's ARN; empty if there is none."""
    return function.removeprefix(unqualified(function)).removeprefix(":")


def numeric(version: object) -> str:
    """Insist on a version's number: with any other qualifier, or none, more than one version could go."""
    if not isinstance(version, str) or not _NUMBER.fullmatch(version):
        raise ValueError(f"only a numbered version is ever deleted, got {version!r}")
    return version


class FunctionsApi:
    """Lambda's API, by a client that has patience."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - boto3 makes its classes at run time
        self._client = client

    def versions(self, function: str) -> list[FunctionVersion]:
        """Give all versions of a function.

        Botocore leaves out what it does not know, and one without durable executions would pass over them.
        """
        if not hasattr(self._client, "list_durable_executions_by_function"):
            raise CallError("ListVersionsByFunction", "BotocoreTooOld")
        found = pages(self._client, "list_versions_by_function", "Versions", FunctionName=function)
        return [_version(each) for each in found]

    def aliases(self, function: str) -> dict[str, tuple[str, frozenset[str]]]:
        """Give, of every alias, the version that it names and those to which it sends a share of the calls."""
        found = pages(self._client, "list_aliases", "Aliases", FunctionName=function)
        return {
            each["Name"]: (
                each["FunctionVersion"],
                frozenset(each.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})),
            )
            for each in found
        }

    def provisioned(self, function: str) -> frozenset[str]:
        """Give the versions, and aliases, that have provisioned concurrency."""
        found = pages(
            self._client, "list_provisioned_concurrency_configs", "ProvisionedConcurrencyConfigs", FunctionName=function
        )
        return frozenset(qualifier(each["FunctionArn"]) for each in found)

    def pinned(self) -> dict[str, frozenset[str]]:
        """Give, by function name, the versions and aliases that event source mappings call.

        All mappings of the account are read at once: whether a list for an unqualified name has the mappings of its
        versions is not documented (https://docs.aws.amazon.com/lambda/latest/api/API_ListEventSourceMappings.html,
        read 2026-11-21).
        """
        found: dict[str, set[str]] = {}
        for each in pages(self._client, "list_event_source_mappings", "EventSourceMappings"):
            called = each.get("FunctionArn", "")
            found.setdefault(function_name(called), set()).add(qualifier(called))
        return {name: frozenset(qualifiers) for name, qualifiers in found.items()}

    def has_running(self, function: str, version: str) -> bool:
        """Say whether a version has durable executions that are not over.

        It is asked by version: what a call without one answers is told in two ways, `$LATEST` alone in the older
        service model and all versions in botocore 1.44.5's.
        """
        found = pages(
            self._client,
            "list_durable_executions_by_function",
            "DurableExecutions",
            FunctionName=function,
            Qualifier=version,
            Statuses=NOT_OVER,
        )
        return next(found, None) is not None

    def on_capacity_provider(self, provider: str) -> dict[str, frozenset[str]]:
        """Give the numbered versions that use a capacity provider, by the function's ARN."""
        found: dict[str, set[str]] = {}
        listed = pages(
            self._client,
            "list_function_versions_by_capacity_provider",
            "FunctionVersions",
            CapacityProviderName=provider,
        )
        for each in listed:
            version = qualifier(each["FunctionArn"])
            if _NUMBER.fullmatch(version):
                found.setdefault(unqualified(each["FunctionArn"]), set()).add(version)
        return {function: frozenset(versions) for function, versions in found.items()}

    def code_storage(self) -> tuple[int, int]:
        """Give the bytes of code that the account's functions take in this Region, and how many they may."""
        settings = calling("GetAccountSettings", self._client.get_account_settings)
        return settings["AccountUsage"]["TotalCodeSize"], settings["AccountLimit"]["TotalCodeSize"]

    def delete_version(self, function: str, version: str) -> None:
        """Delete one version.

        Lambda answers alike whether the version was there or not, as was measured by others
        (https://github.com/floci-io/floci/pull/2824, read 2026-11-21); only a whole function's absence is told.
        """
        numeric(version)
        calling("DeleteFunction", lambda: self._client.delete_function(FunctionName=function, Qualifier=version))


def _version(listed: dict[str, Any]) -> FunctionVersion:
    managed = listed.get("CapacityProviderConfig", {}).get("LambdaManagedInstancesCapacityProviderConfig")
    master = listed.get("MasterArn")
    return FunctionVersion(
        version=listed["Version"],
        modified=_seconds(listed.get("LastModified")),
        code_bytes=listed.get("CodeSize", 0),
        state=listed.get("State", ""),
        managed=managed is not None,
        durable=listed.get("DurableConfig") is not None,
        edge_replica=master is not None and unqualified(master) != unqualified(listed.get("FunctionArn", "")),
    )


def _seconds(modified: str | None) -> float | None:
    try:
        moment = dt.datetime.fromisoformat(modified or "")
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
