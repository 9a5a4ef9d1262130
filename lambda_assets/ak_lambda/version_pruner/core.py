"""Decides which published versions may go. Plain values in, plain values out.

Only what is named by digits alone can be deleted at all: `$LATEST` and `$LATEST.PUBLISHED` are never looked at.
"""

import collections
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MIN_KEEP_LATEST = 2  # whoever reads an alias just before it moves still calls the version before
MIN_AGE_SECONDS = 3600

NEWEST = "newest"
ALIAS = "alias"  # and its name
WEIGHTED = "(weighted)"
PROVISIONED = "provisioned concurrency"
PINNED = "event source mapping"
RUNNING = "durable execution"
EDGE = "edge replica"
YOUNG = "young"
AGE_UNKNOWN = "age unknown"
ACTIVE = "active"
ELSEWHERE = "not on the capacity provider"
REFUSED = "refused:"  # and the error's code
LEFT = "left:"  # and what ended the run

# Already on its way, or not there yet: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
BUSY_STATES = {"Pending": "pending", "Deactivating": "deactivating", "Deleting": "deleting"}

# No instances run for a version in these; a state that is not told or not known is none of them.
AT_REST = frozenset({"Inactive", "Failed", "Deactivated"})

DELETED = "deleted"
WOULD_DELETE = "would delete"
ALREADY_GONE = "already gone"
KEPT = "kept"

_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version of a function.

    Attributes:
        version: Its name; a number for those that were published as such.
        age_seconds: Since when it is there; None if that cannot be read.
        code_bytes: What its code takes of the account's code storage.
        state: As Lambda names it.
        managed: Whether it runs on managed instances.
        durable: Whether it may have durable executions.
        edge_replica: Whether it is a Lambda@Edge replica of a function elsewhere.
    """

    version: str
    age_seconds: float | None
    code_bytes: int = 0
    state: str = ""
    managed: bool = False
    durable: bool = False
    edge_replica: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Where an alias sends calls: to its version, and by weight to others."""

    target: str
    weighted: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """All that is known of a function before anything of it is deleted.

    Attributes:
        versions: All of them.
        aliases: Where each sends calls.
        provisioned: Versions with provisioned concurrency.
        pinned: Versions that an event source mapping calls.
        running: Versions with durable executions that are not over.
        in_scope: The only versions that may be deleted; None for any.
    """

    versions: Sequence[Version]
    aliases: Mapping[str, Route]
    provisioned: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    in_scope: frozenset[str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What to keep whatever else is known.

    Attributes:
        keep_latest: How many of the newest.
        min_age_seconds: Younger ones.
        keep_active: Active ones on managed instances.
    """

    keep_latest: int
    min_age_seconds: int
    keep_active: bool

    def __post_init__(self) -> None:
        """Refuse what would delete a version that a deployment has only just left."""
        if self.keep_latest < MIN_KEEP_LATEST:
            raise ValueError(f"keep_latest must be at least {MIN_KEEP_LATEST}, got {self.keep_latest}")
        if self.min_age_seconds < MIN_AGE_SECONDS:
            raise ValueError(f"the least age must be at least {MIN_AGE_SECONDS} s, got {self.min_age_seconds} s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What becomes of each numbered version: the ones to delete, oldest first, and why each other one is kept."""

    delete: tuple[str, ...]
    kept: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one version."""

    function: str
    version: Version
    decision: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What could not be done, in words that quote nobody."""

    function: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one run did.

    Attributes:
        dry_run: Whether it deleted nothing on purpose.
        outcomes: What became of each version.
        failures: What could not be done.
        functions_seen: How many functions were gone through to the end.
        left: How many are left for the next run, with the one at which it ended.
        stopped: What ended it early: budget, time or throttled.
        code_storage: Bytes used and allowed in the account, if that could be read.
    """

    dry_run: bool
    outcomes: Sequence[Outcome]
    failures: Sequence[Failure]
    functions_seen: int
    left: int
    stopped: str | None
    code_storage: tuple[int, int] | None


def plan(observed: Observed, policy: Policy) -> Plan:
    """Decide on every numbered version of a function."""
    numbered = sorted(
        (version for version in observed.versions if _NUMBER.fullmatch(version.version)),
        key=lambda version: int(version.version),
    )
    staying = [version.version for version in numbered if version.state != "Deleting"]
    newest = frozenset(staying[-policy.keep_latest :])
    reasons = {version.version: _reasons(version, observed, policy, newest) for version in numbered}
    return Plan(
        delete=tuple(name for name, why in reasons.items() if not why),
        kept={name: why for name, why in reasons.items() if why},
    )


def _reasons(version: Version, observed: Observed, policy: Policy, newest: frozenset[str]) -> tuple[str, ...]:
    name = version.version
    age = version.age_seconds
    true = {
        NEWEST: name in newest,
        PROVISIONED: name in observed.provisioned,
        PINNED: name in observed.pinned,
        RUNNING: name in observed.running,
        EDGE: version.edge_replica,
        AGE_UNKNOWN: age is None,
        YOUNG: age is not None and age < policy.min_age_seconds,
        ACTIVE: policy.keep_active and version.managed and version.state not in {*AT_REST, *BUSY_STATES},
        BUSY_STATES.get(version.state, ""): version.state in BUSY_STATES,
        ELSEWHERE: observed.in_scope is not None and name not in observed.in_scope,
    }
    return (*routed(name, observed.aliases), *(reason for reason, holds in true.items() if holds))


def routed(version: str, aliases: Mapping[str, Route]) -> tuple[str, ...]:
    """Name every alias that sends calls to a version."""
    return tuple(
        f"{ALIAS} {name}" if route.target == version else f"{ALIAS} {name} {WEIGHTED}"
        for name, route in sorted(aliases.items())
        if version == route.target or version in route.weighted
    )


def turned(functions: Sequence[str], first: str | None) -> list[str]:
    """Order functions so that one comes first, or the next if that is gone; the others follow and wrap round."""
    ordered = sorted(functions)
    later = [function for function in ordered if first is not None and function >= first]
    return later + ordered[: len(ordered) - len(later)]


def report(run: Run) -> dict[str, Any]:
    """Put a run into the form in which it is told."""
    versions: dict[str, dict[str, list[str]]] = {DELETED: {}, WOULD_DELETE: {}, ALREADY_GONE: {}}
    kept: dict[str, dict[str, list[str]]] = {}
    for outcome in run.outcomes:
        if outcome.decision == KEPT:
            kept.setdefault(outcome.function, {})[outcome.version.version] = list(outcome.reasons)
        else:
            versions[outcome.decision].setdefault(outcome.function, []).append(outcome.version.version)
    return {
        "dry_run": run.dry_run,
        "deleted": versions[DELETED],
        "would_delete": versions[WOULD_DELETE],
        "already_gone": versions[ALREADY_GONE],
        "kept": kept,
        "failures": [{"function": failure.function, "what": failure.what} for failure in run.failures],
        "bytes_freed": bytes_of(run, DELETED),
        "code_storage": _storage(run.code_storage),
        "functions_seen": run.functions_seen,
        "left_for_next_run": run.left,
        "stopped": run.stopped,
    }


def _storage(code_storage: tuple[int, int] | None) -> dict[str, float] | None:
    if code_storage is None:
        return None
    used, limit = code_storage
    return {"used_bytes": used, "limit_bytes": limit, "used_percent": percent(used, limit)}


def percent(used: int, limit: int) -> float:
    """Say how much of the limit is used."""
    return round(100 * used / limit, 2) if limit else 0.0


def bytes_of(run: Run, decision: str) -> int:
    """Add up the code of the versions of which something was decided."""
    return sum(outcome.version.code_bytes for outcome in run.outcomes if outcome.decision == decision)


def count_of(run: Run, decision: str) -> int:
    """Count them."""
    return sum(outcome.decision == decision for outcome in run.outcomes)


def metrics(run: Run) -> dict[str, tuple[float, str]]:
    """Give what CloudWatch is told, each with its unit."""
    known: dict[str, tuple[float, str]] = {
        "Deleted": (count_of(run, DELETED), "Count"),
        "WouldDelete": (count_of(run, WOULD_DELETE), "Count"),
        "Kept": (count_of(run, KEPT), "Count"),
        "Failures": (len(run.failures), "Count"),
        "BytesFreed": (bytes_of(run, DELETED), "Bytes"),
        "Unfinished": (run.left, "Count"),
    }
    if run.code_storage is not None:
        known["CodeStorageUsed"] = (percent(*run.code_storage), "Percent")
    return known


def within(told: Mapping[str, Any], most_bytes: int, *, details: str) -> dict[str, Any]:
    """Give a report as it is, or if it is too large its counts and where the details are."""
    if len(json.dumps(told).encode()) <= most_bytes:
        return dict(told)
    by_reason = collections.Counter(
        reason for versions in told["kept"].values() for reasons in versions.values() for reason in map(_kind, reasons)
    )
    counted = {name: sum(map(len, told[name].values())) for name in ("deleted", "would_delete", "already_gone", "kept")}
    first = [{**failure, "what": failure["what"][:100]} for failure in told["failures"][:10]]
    return {
        **told,
        **counted,
        "kept_by_reason": dict(by_reason),
        "failures": first,
        "failures_count": len(told["failures"]),
        "details": details,
    }


def _kind(reason: str) -> str:
    """Leave out an alias's name: there may be thousands."""
    return ALIAS if reason.startswith(f"{ALIAS} ") else reason
