"""What becomes of each version: tables first, then worlds that nobody would think of."""

import json
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from ak_lambda.version_pruner import core
from ak_lambda.version_pruner.core import Observed, Policy, Route, Version, plan

HOUR = 3600
DAY = 24 * HOUR
POLICY = Policy(keep_latest=2, min_age_seconds=DAY, keep_active=False)
quickly = settings(derandomize=True, max_examples=200, deadline=None, database=None)
searching = settings(quickly, max_examples=20_000, phases=[Phase.generate])  # the smallest world is of no interest


def versions(*names: str, **more: Any) -> list[Version]:  # noqa: ANN401 - whatever a version has
    """Make old versions of no importance."""
    return [Version(**{"version": name, "age_seconds": 30.0 * DAY, "code_bytes": 10, **more}) for name in names]


def observed(*names: str, aliases: dict[str, Route] | None = None, **more: Any) -> Observed:  # noqa: ANN401
    """Make a function with such versions."""
    return Observed(versions=versions(*names), aliases=aliases or {}, **more)


def test_the_newest_are_kept_by_number_and_not_by_spelling() -> None:
    """A peer that compared texts deleted 10 and kept 9."""
    made = plan(observed("10", "100", "9", "$LATEST", "1"), POLICY)
    assert made.delete == ("1", "9")
    assert made.kept == {"10": ("newest",), "100": ("newest",)}


@pytest.mark.parametrize(("keep_latest", "gone"), [(2, ("1", "2", "3")), (4, ("1",)), (5, ()), (6, ())])
def test_so_many_of_the_newest_are_kept_as_the_policy_says(keep_latest: int, gone: tuple[str, ...]) -> None:
    """No more, no fewer, and all if there are not so many."""
    policy = Policy(keep_latest=keep_latest, min_age_seconds=DAY, keep_active=False)
    assert plan(observed("1", "2", "3", "4", "5"), policy).delete == gone


@pytest.mark.parametrize("name", ["$LATEST", "$LATEST.PUBLISHED", "live", "", "1a", "-1", "1\n", "\u0663"])
def test_what_is_no_number_is_never_looked_at(name: str) -> None:
    """Neither deleted, nor counted as one of the newest."""
    made = plan(observed("1", "2", "3", name), POLICY)
    assert made.delete == ("1",)
    assert set(made.kept) == {"2", "3"}


@pytest.mark.parametrize(
    ("world", "reasons"),
    [
        (observed("1", "2", "3", aliases={"live": Route(target="1")}), ("alias live",)),
        (
            observed("1", "2", "3", aliases={"live": Route(target="3", weighted=frozenset({"1"}))}),
            ("alias live (weighted)",),
        ),
        (
            observed("1", "2", "3", aliases={"b": Route(target="1"), "a": Route(target="1")}),
            ("alias a", "alias b"),
        ),
        (observed("1", "2", "3", provisioned=frozenset({"1"})), ("provisioned concurrency",)),
        (observed("1", "2", "3", pinned=frozenset({"1"})), ("event source mapping",)),
        (observed("1", "2", "3", running=frozenset({"1"})), ("durable execution",)),
        (observed("1", "2", "3", in_scope=frozenset({"2", "3"})), ("not on the capacity provider",)),
        (observed("1", "2", "3", in_scope=frozenset()), ("not on the capacity provider",)),
        (observed("1", "2", in_scope=frozenset({"2", "3"})), ("newest", "not on the capacity provider")),
        (
            observed("1", "2", "3", aliases={"live": Route(target="1")}, pinned=frozenset({"1"})),
            ("alias live", "event source mapping"),
        ),
    ],
)
def test_what_uses_a_version_keeps_it(world: Observed, reasons: tuple[str, ...]) -> None:
    """With every reason, not the first alone."""
    made = plan(world, POLICY)
    assert made.kept["1"] == reasons
    assert made.delete == ()


@pytest.mark.parametrize(
    ("own", "reasons"),
    [
        ({"age_seconds": DAY - 1.0}, ("young",)),
        ({"age_seconds": -5.0}, ("young",)),
        ({"age_seconds": None}, ("age unknown",)),
        ({"edge_replica": True}, ("edge replica",)),
        ({"state": "Pending"}, ("pending",)),
        ({"state": "Deactivating"}, ("deactivating",)),
        ({"state": "Deleting"}, ("deleting",)),
        ({"state": "Active", "managed": True}, ("active",)),
        ({"state": "ActiveNonInvocable", "managed": True}, ("active",)),
        ({"state": "", "managed": True}, ("active",)),
        ({"state": "Pending", "managed": True}, ("pending",)),
        ({"state": "Active", "managed": True, "age_seconds": 5.0}, ("young", "active")),
    ],
)
def test_what_a_version_is_keeps_it(own: dict[str, Any], reasons: tuple[str, ...]) -> None:
    """Whatever cannot be read counts as a reason."""
    world = Observed(versions=[*versions("1", **own), *versions("2", "3")], aliases={})
    made = plan(world, Policy(keep_latest=2, min_age_seconds=DAY, keep_active=True))
    assert (made.kept["1"], made.delete) == (reasons, ())


@pytest.mark.parametrize(
    "own",
    [
        {"age_seconds": float(DAY)},
        {"state": "Active"},
        {"state": ""},
        {"state": "Inactive", "managed": True},
        {"state": "Deactivated", "managed": True},
        {"state": "Failed", "managed": True},
        {"durable": True},
    ],
)
def test_what_is_no_reason(own: dict[str, Any]) -> None:
    """Just old enough, active but no managed instance, a durable function at rest."""
    world = Observed(versions=[*versions("1", **own), *versions("2", "3")], aliases={})
    assert plan(world, Policy(keep_latest=2, min_age_seconds=DAY, keep_active=True)).delete == ("1",)


def test_active_managed_instances_are_deleted_unless_asked_for() -> None:
    """They are what costs."""
    world = Observed(versions=[*versions("1", state="Active", managed=True), *versions("2", "3")], aliases={})
    assert plan(world, POLICY).delete == ("1",)


def test_a_version_that_is_being_deleted_is_none_of_the_newest() -> None:
    """Or too few would stay."""
    world = Observed(versions=[*versions("1", "2", "3"), *versions("4", "5", state="Deleting")], aliases={})
    made = plan(world, POLICY)
    assert made.delete == ("1",)
    assert made.kept == {"2": ("newest",), "3": ("newest",), "4": ("deleting",), "5": ("deleting",)}


@pytest.mark.parametrize(
    ("keep_latest", "min_age", "error"),
    [
        (1, DAY, "keep_latest must be at least 2, got 1"),
        (2, HOUR - 1, "the least age must be at least 3600 s, got 3599 s"),
    ],
)
def test_fails_when_a_policy_would_delete_what_was_used_just_now(keep_latest: int, min_age: int, error: str) -> None:
    """A caller may have read an alias just before it moved."""
    with pytest.raises(ValueError, match=error):
        Policy(keep_latest=keep_latest, min_age_seconds=min_age, keep_active=False)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (None, ["a", "b", "c"]),
        ("-", ["a", "b", "c"]),
        ("b", ["b", "c", "a"]),
        ("bb", ["c", "a", "b"]),
        ("z", ["a", "b", "c"]),
    ],
)
def test_a_run_begins_where_the_last_one_ended(first: str | None, expected: list[str]) -> None:
    """And goes on with the next if that function is gone."""
    assert core.turned(["c", "a", "b"], first) == expected


def run(*outcomes: core.Outcome, **more: Any) -> core.Run:  # noqa: ANN401 - whatever a run has
    """Make a run."""
    given = {"failures": (), "functions_seen": 1, "left": 0, "stopped": None, "code_storage": (75, 300), **more}
    return core.Run(dry_run=False, outcomes=outcomes, **given)


def outcome(version: str, decision: str, *reasons: str) -> core.Outcome:
    """Make what became of one version."""
    (made,) = versions(version)
    return core.Outcome(function="agent", version=made, decision=decision, reasons=reasons)


OUTCOMES = [
    outcome("1", core.DELETED),
    outcome("2", core.DELETED),
    outcome("3", core.ALREADY_GONE),
    outcome("4", core.KEPT, "alias live", "newest"),
]


def test_the_report_tells_of_every_version() -> None:
    """And what it freed: not what somebody else had freed."""
    failure = core.Failure(function="other", what="ListAliases: AccessDeniedException")
    assert core.report(run(*OUTCOMES, failures=[failure], left=2, stopped="budget")) == {
        "dry_run": False,
        "deleted": {"agent": ["1", "2"]},
        "would_delete": {},
        "already_gone": {"agent": ["3"]},
        "kept": {"agent": {"4": ["alias live", "newest"]}},
        "failures": [{"function": "other", "what": "ListAliases: AccessDeniedException"}],
        "bytes_freed": 20,
        "code_storage": {"used_bytes": 75, "limit_bytes": 300, "used_percent": 25.0},
        "functions_seen": 1,
        "left_for_next_run": 2,
        "stopped": "budget",
    }
    assert core.report(run(outcome("1", core.WOULD_DELETE)))["would_delete"] == {"agent": ["1"]}
    assert core.report(run(code_storage=None))["code_storage"] is None


def test_metrics_have_units_and_leave_out_what_is_not_known() -> None:
    """A quota that could not be read is not nought."""
    assert core.metrics(run(*OUTCOMES, left=2)) == {
        "Deleted": (2, "Count"),
        "WouldDelete": (0, "Count"),
        "Kept": (1, "Count"),
        "Failures": (0, "Count"),
        "BytesFreed": (20, "Bytes"),
        "Unfinished": (2, "Count"),
        "CodeStorageUsed": (25.0, "Percent"),
    }
    assert "CodeStorageUsed" not in core.metrics(run(code_storage=None))
    assert core.percent(1, 0) == 0.0


def test_a_report_that_is_too_large_is_told_in_counts() -> None:
    """With the reasons, but not the names of a thousand aliases."""
    kept = [outcome(str(number), core.KEPT, f"alias a{number}", "young") for number in range(100)]
    failures = [core.Failure(function=f"f{number}", what="x" * 1000) for number in range(50)]
    whole = core.report(run(outcome("1000", core.DELETED), *kept, failures=failures))
    told = core.within(whole, 5000, details="s3://reports/1.json")
    assert len(json.dumps(told)) < 5000
    assert (told["deleted"], told["kept"], told["kept_by_reason"]) == (1, 100, {"alias": 100, "young": 100})
    assert (len(told["failures"]), told["failures_count"], told["details"]) == (10, 50, "s3://reports/1.json")
    assert (told["bytes_freed"], told["code_storage"]) == (10, whole["code_storage"])
    size = len(json.dumps(whole))
    assert core.within(whole, size, details="x") == whole
    assert core.within(whole, size - 1, details="x")["details"] == "x"


NAMES = ["$LATEST", "$LATEST.PUBLISHED", "1", "2", "3", "8", "9", "10", "11", "99", "100", "101"]
AGES = [None, -60.0, 0.0, HOUR - 1.0, float(HOUR), DAY - 1.0, float(DAY), 400.0 * DAY]
STATES = [
    "",
    "Active",
    "ActiveNonInvocable",
    "Inactive",
    "Pending",
    "Failed",
    "Deactivating",
    "Deactivated",
    "Deleting",
]
some = st.frozensets(st.sampled_from(NAMES), max_size=3)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Observed, Policy]:
    """Make a function, its versions in any order, and a policy."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=draw(st.sampled_from([0, 1, 6]))))
    made = [
        Version(
            version=name,
            age_seconds=draw(st.sampled_from(AGES)),
            state=draw(st.sampled_from(STATES)),
            managed=draw(st.booleans()),
            edge_replica=draw(st.integers(0, 9)) == 9,
        )
        for name in names
    ]
    target = st.sampled_from(names or NAMES)
    routes = st.none() | st.builds(Route, target=target, weighted=st.frozensets(target, max_size=2))
    aliases = {name: draw(routes) for name in ("live", "next")}
    world = Observed(
        versions=made,
        aliases={name: route for name, route in aliases.items() if route},
        provisioned=draw(some),
        pinned=draw(some),
        running=draw(some),
        in_scope=draw(st.none() | st.frozensets(st.sampled_from(NAMES))),
    )
    policy = Policy(
        keep_latest=draw(st.integers(2, 4)),
        min_age_seconds=draw(st.sampled_from([HOUR, DAY])),
        keep_active=draw(st.booleans()),
    )
    return world, policy


@pytest.mark.no_cover
@quickly
@given(worlds())
def test_no_plan_deletes_what_is_used_or_newest_or_no_number(made: tuple[Observed, Policy]) -> None:
    """And every numbered version is either deleted or kept with a reason."""
    world, policy = made
    decided = plan(world, policy)
    gone = set(decided.delete)
    numbered = {version.version for version in world.versions if version.version.isdigit()}
    assert gone | set(decided.kept) == numbered
    assert not gone & set(decided.kept)
    assert all(decided.kept.values())
    assert list(decided.delete) == sorted(decided.delete, key=int)
    assert not gone & {"$LATEST", "$LATEST.PUBLISHED"}
    for route in world.aliases.values():
        assert not gone & {route.target, *route.weighted}
    assert not gone & (world.provisioned | world.pinned | world.running)
    assert world.in_scope is None or gone <= world.in_scope
    for version in world.versions:
        if version.version in gone:
            assert version.age_seconds is not None
            assert version.age_seconds >= policy.min_age_seconds
            assert not version.edge_replica
            assert version.state not in {"Pending", "Deactivating", "Deleting"}
            assert not (policy.keep_active and version.managed and version.state == "Active")
    there = {each.version for each in world.versions if each.version in numbered and each.state != "Deleting"}
    assert not gone & set(sorted(there, key=int)[-policy.keep_latest :])


@pytest.mark.no_cover
@quickly
@given(worlds())
def test_a_second_plan_deletes_nothing(made: tuple[Observed, Policy]) -> None:
    """What is left after the first is what it kept."""
    world, policy = made
    gone = set(plan(world, policy).delete)
    left = Observed(
        versions=[version for version in world.versions if version.version not in gone],
        aliases=world.aliases,
        provisioned=world.provisioned,
        pinned=world.pinned,
        running=world.running,
        in_scope=world.in_scope,
    )
    assert plan(left, policy).delete == ()


REASONS = [
    "newest",
    "alias live",
    "alias live (weighted)",
    "provisioned concurrency",
    "event source mapping",
    "durable execution",
    "edge replica",
    "age unknown",
    "young",
    "active",
    "pending",
    "deactivating",
    "deleting",
    "not on the capacity provider",
]


@pytest.mark.no_cover
@pytest.mark.parametrize("reason", REASONS)
def test_the_worlds_reach_every_reason(reason: str) -> None:
    """Alone: then it is this reason that keeps the version."""
    world, policy = find(
        worlds(),
        lambda made: (reason,) in plan(*made).kept.values(),
        settings=searching,
    )
    assert (reason,) in plan(world, policy).kept.values()


@pytest.mark.no_cover
def test_the_worlds_reach_deletions() -> None:
    """Of several versions, beside `$LATEST` and an alias."""

    def rich(made: tuple[Observed, Policy]) -> bool:
        world, policy = made
        there = {version.version for version in world.versions}
        return len(plan(world, policy).delete) > 1 and "$LATEST" in there and bool(world.aliases)

    assert rich(find(worlds(), rich, settings=searching))


def test_every_reason_of_the_code_is_in_the_list() -> None:
    """A reason that is added must be reached as well."""
    constants = {
        core.NEWEST,
        core.PROVISIONED,
        core.PINNED,
        core.RUNNING,
        core.EDGE,
        core.YOUNG,
        core.AGE_UNKNOWN,
        core.ACTIVE,
        core.ELSEWHERE,
        *core.BUSY_STATES.values(),
    }
    assert constants | {"alias live", "alias live (weighted)"} == set(REASONS)
