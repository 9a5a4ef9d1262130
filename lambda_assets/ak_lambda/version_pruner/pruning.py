"""Goes through functions one by one: looks, plans, and deletes what the plan says, as far as budget and time allow.

A run that ends anywhere, or runs beside another, does no harm: what is gone is not planned again, Lambda answers a
second delete like the first, and what is left is planned anew by the next run. Event source mappings are read once at
the beginning of a run, a function's other facts when its turn comes, and its aliases again before each deletion.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ak_lambda.shared.calls import CallError
from ak_lambda.shared.functions_api import FunctionsApi, function_name
from ak_lambda.shared.parameter import Parameter
from ak_lambda.version_pruner import core

BUDGET, TIME, THROTTLED, FAILED = "budget", "time", "throttled", "failed"
SCOPE = "(scope)"  # as which a report names what has no function yet
BEGINNING = "-"  # an SSM parameter cannot be empty
DELETION = "DeleteFunction"
# What Lambda says of a version that is in use: by an alias, or by the replicas of a Lambda@Edge function.
IN_USE = frozenset({"ResourceConflictException", "InvalidParameterValueException"})

Targets = Mapping[str, frozenset[str] | None]

_log = logging.getLogger("ak_constructs.version_pruner")


@dataclass(slots=True)
class _Tally:
    """What has happened so far in a run."""

    outcomes: list[core.Outcome] = field(default_factory=list)
    failures: list[core.Failure] = field(default_factory=list)
    deletions: int = 0

    def fail(self, function: str, error: Exception) -> None:
        """Record what could not be done: the words of AWS may quote names, so only their code is told."""
        what = str(error) if isinstance(error, CallError) else type(error).__name__
        self.failures.append(core.Failure(function=function, what=what))
        _log.warning("could not be done", extra={"function": function, "what": what})


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruner:
    """What versions are pruned with.

    Attributes:
        functions: Lambda's own API.
        targets: Gives the functions to prune, each with the only versions in question or None for all.
        policy: What to keep.
        dry_run: Whether to plan only.
        max_deletions: How many versions one run deletes at most.
        cursor: Where it is written at which function the next run goes on; None begins anew and writes nothing.
        now: The clock, in seconds.
        has_time: Whether there is time for more.
    """

    functions: FunctionsApi
    targets: Callable[[], Targets]
    policy: core.Policy
    dry_run: bool
    max_deletions: int
    cursor: Parameter | None
    now: Callable[[], float]
    has_time: Callable[[], bool]

    def run(self) -> core.Run:
        """Prune, and say what became of every version."""
        tally = _Tally()
        seen, left, stopped = self._walk(tally)
        storage = None
        try:
            storage = self.functions.code_storage()
        except Exception as error:  # noqa: BLE001 - it is only told
            tally.fail("(account)", error)
        return core.Run(
            dry_run=self.dry_run,
            outcomes=tally.outcomes,
            failures=tally.failures,
            functions_seen=seen,
            left=left,
            stopped=stopped,
            code_storage=storage,
        )

    def _walk(self, tally: _Tally) -> tuple[int, int, str | None]:
        """Go through all functions from where the last run ended; give how many were, how many are left, and why."""
        try:
            targets = self.targets()
            pinned = self.functions.pinned() if targets else {}
        except Exception as error:  # noqa: BLE001 - whatever is unknown, nothing is deleted
            tally.fail(SCOPE, error)
            return 0, 0, None
        ordered = core.turned(list(targets), self._first(tally))
        stopped = None
        done = 0
        for function in ordered:
            stopped = self._ended(tally) or self._function(function, targets[function], pinned, tally)
            if stopped is not None:
                break
            done += 1
        self._remember(ordered[done] if stopped else BEGINNING, tally)
        return done, len(ordered) - done, stopped

    def _ended(self, tally: _Tally) -> str | None:
        """Say why nothing more may be done."""
        if tally.deletions >= self.max_deletions:
            return BUDGET
        return None if self.has_time() else TIME

    def _first(self, tally: _Tally) -> str | None:
        try:
            return self.cursor.read() if self.cursor else None
        except Exception as error:  # noqa: BLE001 - then from the beginning
            tally.fail("(cursor)", error)
            return None

    def _remember(self, function: str, tally: _Tally) -> None:
        try:
            if self.cursor:
                self.cursor.write(function)
        except Exception as error:  # noqa: BLE001 - then the next run goes over what is done already
            tally.fail("(cursor)", error)

    def _function(
        self, function: str, in_scope: frozenset[str] | None, pinned: Mapping[str, frozenset[str]], tally: _Tally
    ) -> str | None:
        """Prune one function; give what ended the run in the middle of it."""
        name = function_name(function)
        try:
            observed = self._observed(function, in_scope, pinned.get(name, frozenset()))
            plan = core.plan(observed, self.policy)
            durable = {version.version for version in observed.versions if version.durable}
            running = set()
            for version in plan.delete:
                if version in durable:
                    if not self.has_time():
                        return TIME
                    if self.functions.has_running(function, version):
                        running.add(version)
            plan = core.plan(replace(observed, running=frozenset(running)), self.policy)
        except Exception as error:  # noqa: BLE001 - one function's trouble is not another's
            tally.fail(name, error)
            return THROTTLED if _throttled(error) else None
        versions = {version.version: version for version in observed.versions}
        for version, reasons in plan.kept.items():
            kept = core.Outcome(function=name, version=versions[version], decision=core.KEPT, reasons=reasons)
            tally.outcomes.append(kept)
        return self._deleted(function, [versions[version] for version in plan.delete], tally)

    def _observed(self, function: str, in_scope: frozenset[str] | None, pinned: frozenset[str]) -> core.Observed:
        """Read all that is known of a function; whatever cannot be read ends it here."""
        now = self.now()
        versions = [
            core.Version(
                version=version.version,
                age_seconds=None if version.modified is None else now - version.modified,
                code_bytes=version.code_bytes,
                state=version.state,
                managed=version.managed,
                durable=version.durable,
                edge_replica=version.edge_replica,
            )
            for version in self.functions.versions(function)
        ]
        return core.Observed(
            versions=versions,
            aliases=self._aliases(function),
            provisioned=self.functions.provisioned(function),
            pinned=pinned,
            in_scope=in_scope,
        )

    def _aliases(self, function: str) -> dict[str, core.Route]:
        return {
            name: core.Route(target=target, weighted=weighted)
            for name, (target, weighted) in self.functions.aliases(function).items()
        }

    def _deleted(self, function: str, versions: Sequence[core.Version], tally: _Tally) -> str | None:
        """Delete what the plan says, one by one, as long as nothing speaks against it."""
        name = function_name(function)
        ended: str | None = None
        for version in versions:
            became = _Became(core.WOULD_DELETE)
            if not self.dry_run:
                ended = ended or self._ended(tally)
                became = _left(ended) if ended else self._one(function, version.version, tally)
                ended = became.ended
            tally.outcomes.append(
                core.Outcome(function=name, version=version, decision=became.decision, reasons=became.reasons)
            )
        return None if ended == FAILED else ended

    def _one(self, function: str, version: str, tally: _Tally) -> "_Became":
        """Look at the aliases once more, and delete a version."""
        try:
            routed = core.routed(version, self._aliases(function))
            if routed:
                return _Became(core.KEPT, routed)
            self.functions.delete_version(function, version)
        except CallError as error:
            if error.gone:
                return _Became(core.ALREADY_GONE)
            refused = f"{core.REFUSED} {error.code}"
            if error.operation == DELETION and error.code in IN_USE:
                return _Became(core.KEPT, (core.EDGE, refused) if error.edge_replica else (refused,))
            tally.fail(function_name(function), error)
            return _Became(core.KEPT, (refused,), THROTTLED if error.throttled else FAILED)
        except Exception as error:  # noqa: BLE001 - one function's trouble is not another's
            tally.fail(function_name(function), error)
            return _left(FAILED)
        tally.deletions += 1
        return _Became(core.DELETED)


class _Became(NamedTuple):
    """What became of a version that was to be deleted, and what that ends."""

    decision: str
    reasons: tuple[str, ...] = ()
    ended: str | None = None


def _left(ended: str) -> _Became:
    return _Became(core.KEPT, (f"{core.LEFT} {ended}",), ended)


def _throttled(error: Exception) -> bool:
    return isinstance(error, CallError) and error.throttled
