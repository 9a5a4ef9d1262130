"""The pruner before a whole control plane: what is gone afterwards, and whether the report explains the rest."""

import ast
import inspect
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from ak_lambda.shared import calls, clients, functions_api
from ak_lambda.shared.calls import CallError
from ak_lambda.shared.functions_api import FunctionsApi
from ak_lambda.shared.parameter import Parameter
from ak_lambda.shared.tagged_functions import tagged_functions
from ak_lambda.version_pruner import core, handler, pruning, scope
from ak_lambda.version_pruner.pruning import Pruner
from test.lambda_assets.fake_lambda import (
    ACCOUNT,
    OLD,
    PROVIDER,
    REGION,
    FakeLambda,
    FaultError,
    VirtualTime,
    arn,
    session_without_files,
)

NOW = 1_790_000_000.0  # September 2026
DAY = 86_400
MANAGED = {"LambdaManagedInstancesCapacityProviderConfig": {"CapacityProviderArn": PROVIDER}}


@pytest.fixture(autouse=True)
def virtual(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    """Wait in no time."""
    return VirtualTime(monkeypatch)


@pytest.fixture
def fake() -> FakeLambda:
    """Make an account with nothing in it."""
    return FakeLambda()


def pruner(fake: FakeLambda, named: dict[str, Any] | None = None, **more: Any) -> Pruner:  # noqa: ANN401
    """Make a pruner of all functions, or of those in a scope."""
    functions = FunctionsApi(fake.client("lambda"))
    tagging = fake.client("resourcegroupstaggingapi")

    def targets() -> pruning.Targets:
        found = named if named is not None else {"functions": list(fake.functions)}
        return scope.targets(found, functions, lambda tags: tagged_functions(tagging, tags))

    usual: dict[str, Any] = {
        "functions": functions,
        "targets": targets,
        "policy": core.Policy(keep_latest=2, min_age_seconds=DAY, keep_active=False),
        "dry_run": False,
        "max_deletions": 500,
        "cursor": Parameter(fake.client("ssm"), "/cursor"),
        "now": lambda: NOW,
        "has_time": lambda: True,
    }
    return Pruner(**{**usual, **more})


def prune(fake: FakeLambda, named: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run once and give the report."""
    return core.report(pruner(fake, named, **more).run())


def weighted(name: str, target: str, **shares: float) -> dict[str, Any]:
    """Make an alias, with further versions by weight: v3=0.1."""
    routing = {"AdditionalVersionWeights": {version.removeprefix("v"): share for version, share in shares.items()}}
    return {"Name": name, "FunctionVersion": target, **({"RoutingConfig": routing} if shares else {})}


def throttling(every: int) -> Callable[[str, str], None]:
    """Refuse every so many calls."""
    count = iter(range(1, 10**9))

    def fault(_operation: str, _function: str) -> None:
        if next(count) % every == 0:
            raise FaultError(429, "TooManyRequestsException")

    return fault


def always(operation: str, function: str, fault: FaultError) -> Callable[[str, str], None]:
    """Refuse one operation on one function."""

    def faults(asked: str, named: str) -> None:
        if (asked, named) == (operation, function):
            raise fault

    return faults


DENIED = FaultError(403, "AccessDeniedException")
THROTTLED = FaultError(429, "TooManyRequestsException")


@pytest.fixture
def account(fake: FakeLambda) -> FakeLambda:
    """Make 40 functions with 150 numbered versions, one of which has them in an order that texts would get wrong."""
    fake.add("f00", 100, 9, 1, 10)
    sizes = [4] * 30 + [3] * 8 + [2]
    for number, size in enumerate(sizes, 1):
        fake.add(f"f{number:02}", *range(1, size + 1))
    f = fake.functions
    f["f01"].aliases["live"] = weighted("live", "1")
    f["f02"].aliases["live"] = weighted("live", "4", v1=0.1)
    f["f03"].aliases = {name: weighted(name, "4") for name in "abcde"} | {"zz": weighted("zz", "4", v2=0.2)}
    f["f04"].provisioned = ["1", "live"]
    fake.mappings = [arn("f06"), arn("f05", "live"), arn("f05", "2"), arn("f05", "2")]
    f["f07"].running = {"1": "RUNNING", "2": "PAUSED", "3": "SUCCEEDED"}
    for version in f["f07"].versions.values():
        version["DurableConfig"] = {"ExecutionTimeout": 100, "RetentionPeriodInDays": 1}
    f["f08"].versions["1"]["MasterArn"] = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f08:7"
    f["f08"].versions["2"]["MasterArn"] = arn("f08")
    f["f09"].versions["1"]["LastModified"] = "2026-09-21T13:00:00.000+0000"
    f["f09"].versions["2"]["LastModified"] = "yesterday"
    f["f10"].versions["1"]["State"] = "Deleting"
    f["f11"].versions["$LATEST.PUBLISHED"] = {**f["f11"].versions["1"], "Version": "$LATEST.PUBLISHED"}
    fake.refused["f12", "1"] = FaultError(
        400, "InvalidParameterValueException", "unable to delete because it is a replicated function."
    )
    fake.refused["f13", "2"] = FaultError(409, "ResourceConflictException")
    assert (len(fake.functions), len(fake.numbered())) == (40, 150)
    return fake


KEPT = {
    ("f01", "1"): ["alias live"],
    ("f02", "1"): ["alias live (weighted)"],
    ("f03", "2"): ["alias zz (weighted)"],
    ("f04", "1"): ["provisioned concurrency"],
    ("f05", "2"): ["event source mapping"],
    ("f07", "1"): ["durable execution"],
    ("f07", "2"): ["durable execution"],
    ("f08", "1"): ["edge replica"],
    ("f09", "1"): ["young"],
    ("f09", "2"): ["age unknown"],
    ("f10", "1"): ["deleting"],
    ("f12", "1"): ["edge replica", "refused: InvalidParameterValueException"],
    ("f13", "2"): ["refused: ResourceConflictException"],
}


def explained(report: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """Give every kept version with its reasons."""
    return {(name, version): why for name, versions in report["kept"].items() for version, why in versions.items()}


def listed(versions: dict[str, list[str]]) -> set[tuple[str, str]]:
    """Give every version of a part of the report."""
    return {(name, version) for name, each in versions.items() for version in each}


def expected_gone(fake: FakeLambda) -> set[tuple[str, str]]:
    """Work out from the world itself what should go: neither of the two newest, nor what has a reason to stay."""
    gone = set()
    for name in fake.functions:
        numbers = sorted(int(version) for each, version in fake.numbered() if each == name)
        gone |= {(name, str(number)) for number in numbers[:-2] if (name, str(number)) not in KEPT}
    return gone


@pytest.mark.parametrize("throttle", [None, 7])
def test_exactly_the_planned_versions_are_gone(account: FakeLambda, throttle: int | None) -> None:
    """Throttled or not; every kept one is explained, and a second run deletes nothing."""
    before, gone = account.numbered(), expected_gone(account)
    assert ("f00", "1") in gone
    assert ("f00", "9") in gone
    if throttle:
        account.faults = throttling(throttle)
    report = prune(account)
    assert listed(report["deleted"]) == gone == before - account.numbered()
    assert report["bytes_freed"] == 1000 * len(gone)
    assert report["failures"] == []
    why = explained(report)
    assert set(why) == account.numbered()
    assert {version: reasons for version, reasons in why.items() if "newest" not in reasons} == KEPT
    assert account.whole == []
    assert all("$LATEST" in function.versions for function in account.functions.values())
    assert "$LATEST.PUBLISHED" in account.functions["f11"].versions
    assert (report["functions_seen"], report["left_for_next_run"], report["stopped"]) == (40, 0, None)
    used = 1000 * sum(len(function.versions) for function in account.functions.values())
    assert report["code_storage"] == {"used_bytes": used, "limit_bytes": 10**6, "used_percent": used / 10**4}
    second = prune(account)
    assert (second["deleted"], second["bytes_freed"], explained(second)) == ({}, 0, why)


def test_a_dry_run_tells_the_same_and_deletes_nothing(account: FakeLambda) -> None:
    """But what only a deletion can find out."""
    before, gone = account.numbered(), expected_gone(account)
    report = prune(account, dry_run=True)
    assert listed(report["would_delete"]) == gone | {("f12", "1"), ("f13", "2")}
    assert (account.numbered(), report["deleted"], report["bytes_freed"]) == (before, {}, 0)
    assert account.calls["DeleteFunction"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_two_pruners_at_once_delete_what_one_would(account: FakeLambda, seed: int) -> None:
    """Whichever is first; the other does not call it a failure."""
    before, gone = account.numbered(), expected_gone(account)
    chance = random.Random(seed)  # noqa: S311 - no secret
    reports = []
    other: list[Callable[[], object]] = []

    def interleave(_operation: str, _function: str) -> None:
        if other and chance.random() < 0.02:  # the second runs whole between two calls of the first
            other.pop()()

    other.append(lambda: reports.append(prune(account)))
    account.faults = interleave
    reports.append(prune(account))
    assert len(reports) == 2
    assert before - account.numbered() == gone
    assert set.union(*(listed(report["deleted"]) for report in reports)) == gone
    assert [report["failures"] for report in reports] == [[], []]
    assert account.whole == []


def test_two_pruners_call_by_call_delete_what_one_would(account: FakeLambda) -> None:
    """One deletes just what the other is about to."""
    gone, before = expected_gone(account), account.numbered()
    second = pruner(account)

    def at_once(operation: str, function: str) -> None:
        if operation == "DeleteFunction" and function == "f20":
            account.faults = lambda _operation, _function: None
            second.run()

    account.faults = at_once
    report = prune(account)
    assert before - account.numbered() == gone
    assert report["failures"] == []


def test_a_function_that_is_gone_meanwhile_is_no_failure(fake: FakeLambda) -> None:
    """Somebody else deleted it, with all its versions."""
    fake.add("a", 1, 2, 3, 4)
    fake.add("b", 1, 2, 3)

    def remove(operation: str, function: str) -> None:
        if (operation, function) == ("DeleteFunction", "a"):
            fake.functions.pop("a", None)

    fake.faults = remove
    report = prune(fake)
    assert report["already_gone"] == {"a": ["1", "2"]}
    assert (report["deleted"], report["bytes_freed"], report["failures"]) == ({"b": ["1"]}, 1000, [])


def test_aliases_are_read_again_right_before_each_deletion(fake: FakeLambda) -> None:
    """A deployment that rolled back in between keeps its version, by weight too."""
    fake.add("a", 1, 2, 3, 4, 5)
    moves = {1: weighted("live", "1"), 2: weighted("live", "5", v2=0.5)}
    order: list[str] = []

    def move(operation: str, function: str) -> None:
        order.append(operation)
        if operation == "ListAliases" and function == "a":
            read = order.count("ListAliases") - 1
            if read in moves:
                fake.functions["a"].aliases["live"] = moves[read]

    fake.faults = move
    report = prune(fake)
    assert report["kept"]["a"] == {
        "4": ["newest"],
        "5": ["newest"],
        "1": ["alias live"],
        "2": ["alias live (weighted)"],
    }
    assert report["deleted"] == {"a": ["3"]}
    assert order[order.index("DeleteFunction") - 1] == "ListAliases"


def test_many_aliases_are_read_to_the_last_page(fake: FakeLambda) -> None:
    """The one that matters is on it."""
    fake.add("a", *range(1, 30))
    fake.functions["a"].aliases = {f"a{number:02}": weighted(f"a{number:02}", "29") for number in range(25)}
    fake.functions["a"].aliases["b"] = {**weighted("b", "29"), "RoutingConfig": {}}
    fake.functions["a"].aliases["c"] = {**weighted("c", "29"), "RoutingConfig": None}
    fake.functions["a"].aliases["z"] = weighted("z", "28", v7=0.01)
    report = prune(fake)
    assert report["kept"]["a"]["7"] == ["alias z (weighted)"]
    assert "7" in fake.functions["a"].versions


def test_a_botocore_that_does_not_know_durable_executions_reads_no_versions() -> None:
    """It would leave out that they may have any, and they would be deleted."""
    with pytest.raises(CallError, match=r"^ListVersionsByFunction: BotocoreTooOld$"):
        FunctionsApi(object()).versions("a")


@pytest.mark.parametrize(
    "operation", ["ListAliases", "ListProvisionedConcurrencyConfigs", "ListEventSourceMappings", "GetResources"]
)
def test_an_answer_without_its_list_is_none(fake: FakeLambda, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    """As of a proxy in between: it does not say that nothing uses a version."""
    fake.add("a", 1, 2, 3).tags["team"] = "x"
    monkeypatch.setattr(fake, f"_{operation}", lambda *_asked: (200, {}))
    report = prune(fake, {"tags": {"team": "x"}})
    assert [failure["what"] for failure in report["failures"]] == [f"{operation}: IncompleteAnswer"]
    assert len(fake.numbered()) == 3


@pytest.mark.parametrize(
    ("operation", "extra"),
    [
        ("ListVersionsByFunction", {}),
        ("ListAliases", {}),
        ("ListProvisionedConcurrencyConfigs", {}),
        ("ListDurableExecutionsByFunction", {"DurableConfig": {"ExecutionTimeout": 1}}),
    ],
)
def test_what_cannot_be_read_keeps_one_function_and_stops_no_other(
    fake: FakeLambda, operation: str, extra: dict[str, Any]
) -> None:
    """Silence is no answer."""
    for name in "abc":
        fake.add(name, 1, 2, 3, **extra)
    fake.faults = always(operation, "b", DENIED)
    report = prune(fake)
    assert report["deleted"] == {"a": ["1"], "c": ["1"]}
    assert report["failures"] == [{"function": "b", "what": f"{operation}: AccessDeniedException"}]
    assert "b" not in report["kept"]
    assert (report["functions_seen"], report["left_for_next_run"]) == (3, 0)


@pytest.mark.parametrize("operation", ["ListEventSourceMappings", "ListFunctionVersionsByCapacityProvider"])
def test_what_cannot_be_read_of_the_account_keeps_everything(fake: FakeLambda, operation: str) -> None:
    """A pinned version could be anywhere."""
    fake.add("a", 1, 2, 3, CapacityProviderConfig=MANAGED)
    fake.faults = always(operation, "", DENIED)
    report = prune(fake, {"capacity_provider": "pool"})
    assert (report["deleted"], len(fake.numbered())) == ({}, 3)
    assert report["failures"] == [{"function": "(scope)", "what": f"{operation}: AccessDeniedException"}]


def test_an_unreadable_quota_is_told_and_harms_nothing(fake: FakeLambda) -> None:
    """It is only told."""
    fake.add("a", 1, 2, 3)
    fake.faults = always("GetAccountSettings", "", DENIED)
    report = prune(fake)
    assert (report["deleted"], report["code_storage"]) == ({"a": ["1"]}, None)
    assert report["failures"] == [{"function": "(account)", "what": "GetAccountSettings: AccessDeniedException"}]


def test_a_deletion_that_is_not_allowed_ends_its_function_only(fake: FakeLambda) -> None:
    """It is a failure, and its versions are kept; their reasons quote no words of AWS."""
    for name in "ab":
        fake.add(name, 1, 2, 3, 4)
    fake.refused["a", "1"] = DENIED
    report = prune(fake)
    assert report["deleted"] == {"b": ["1", "2"]}
    assert (report["kept"]["a"]["1"], report["kept"]["a"]["2"]) == (
        ["refused: AccessDeniedException"],
        ["left: failed"],
    )
    assert report["failures"] == [{"function": "a", "what": "DeleteFunction: AccessDeniedException"}]
    assert "words of AWS" not in json.dumps(report)
    assert report["left_for_next_run"] == 0


def test_aliases_that_cannot_be_read_again_are_a_failure(fake: FakeLambda) -> None:
    """Whatever the code, it is not the version that Lambda refused to delete."""
    for name in "ab":
        fake.add(name, 1, 2, 3)
    looks = iter([False])

    def faults(operation: str, function: str) -> None:
        if (operation, function) == ("ListAliases", "a") and next(looks, True):
            raise FaultError(400, "InvalidParameterValueException")

    fake.faults = faults
    report = prune(fake)
    assert (report["deleted"], report["kept"]["a"]["1"]) == ({"b": ["1"]}, ["refused: InvalidParameterValueException"])
    assert report["failures"] == [{"function": "a", "what": "ListAliases: InvalidParameterValueException"}]


def test_a_mistake_of_ours_ends_its_function_only(fake: FakeLambda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised, wherever."""
    for name in "ab":
        fake.add(name, 1, 2, 3, 4)
    made = pruner(fake)
    delete = made.functions.delete_version

    def mistaken(function: str, version: str) -> None:
        if function == "a":
            raise KeyError(version)
        delete(function, version)

    monkeypatch.setattr(made.functions, "delete_version", mistaken)
    report = core.report(made.run())
    assert (report["deleted"], report["failures"]) == ({"b": ["1", "2"]}, [{"function": "a", "what": "KeyError"}])
    assert (report["kept"]["a"]["1"], report["kept"]["a"]["2"]) == (["left: failed"], ["left: failed"])


def test_the_budget_ends_a_run_and_the_next_goes_on(fake: FakeLambda) -> None:
    """Where the last one ended, until all is done; then from the beginning."""
    for name in "abcd":
        fake.add(name, *range(1, 7))
    cursors, reports = [], []
    for _ in range(5):
        reports.append(prune(fake, max_deletions=5))
        cursors.append(fake.parameters["/cursor"])
    assert [sum(map(len, report["deleted"].values())) for report in reports] == [5, 5, 5, 1, 0]
    assert cursors == ["b", "c", "d", "-", "-"]
    assert [report["left_for_next_run"] for report in reports] == [3, 3, 3, 0, 0]
    assert [report["stopped"] for report in reports] == ["budget", "budget", "budget", None, None]
    assert reports[0]["kept"]["b"]["2"] == ["left: budget"]
    assert list(reports[1]["kept"]) == ["b", "c"]
    assert {version for _, version in fake.numbered()} == {"5", "6"}


def test_a_run_wraps_round_to_what_lies_before_its_beginning(fake: FakeLambda) -> None:
    """And goes on with the next function if the one it ended at is gone."""
    for name in "abd":
        fake.add(name, 1, 2, 3)
    fake.parameters["/cursor"] = "c"
    report = prune(fake)
    assert list(report["deleted"]) == ["d", "a", "b"]
    assert fake.parameters["/cursor"] == "-"


def test_refusals_use_up_no_budget(fake: FakeLambda) -> None:
    """Or a function with many would end every run at the same place."""
    fake.add("a", *range(1, 9))
    for version in range(1, 5):
        fake.refused["a", str(version)] = FaultError(409, "ResourceConflictException")
    report = prune(fake, max_deletions=2)
    assert report["deleted"] == {"a": ["5", "6"]}
    assert report["stopped"] is None


def test_time_ends_a_run_and_the_next_goes_on(fake: FakeLambda) -> None:
    """Between two deletions, between two looks at executions, and between two functions."""
    for name in "abc":
        fake.add(name, 1, 2, 3, 4, DurableConfig={"ExecutionTimeout": 1})
    runs = 0
    for looks in [1, 2, 3, 4, 5, 6] * 5:
        left = iter([True] * looks)
        report = prune(fake, has_time=lambda left=left: next(left, False))
        runs += 1
        if not report["left_for_next_run"]:
            break
        assert report["stopped"] == "time"
    assert runs > 1
    assert {version for _, version in fake.numbered()} == {"3", "4"}
    assert fake.parameters["/cursor"] == "-"


def test_only_durable_versions_are_asked_about_executions(fake: FakeLambda) -> None:
    """The others have none, and a call each would be many."""
    fake.add("a", 1, 2, 3, 4)
    fake.functions["a"].versions["2"]["DurableConfig"] = {"ExecutionTimeout": 1}
    assert prune(fake)["deleted"] == {"a": ["1", "2"]}
    assert fake.calls["ListDurableExecutionsByFunction"] == 2, "two pages of one version"


STATUSES = {"RUNNING", "PAUSING", "PAUSED", "SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED", "DELETING"}


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_an_execution_that_is_not_over_keeps_its_version(fake: FakeLambda, status: str) -> None:
    """By each status that there is; one that is being deleted is over."""
    known = fake.client("lambda").meta.service_model.shape_for("ExecutionStatus").enum
    assert set(known) <= STATUSES, "a status that AWS added must be looked at"
    fake.add("a", 1, 2, 3, DurableConfig={"ExecutionTimeout": 1}).running["1"] = status
    is_over = status not in {"RUNNING", "PAUSING", "PAUSED"}
    assert prune(fake)["deleted"] == ({"a": ["1"]} if is_over else {})


def test_no_execution_is_looked_for_when_time_is_up(fake: FakeLambda) -> None:
    """A function may have many versions, and each is asked about."""
    fake.add("a", *range(1, 10), DurableConfig={"ExecutionTimeout": 1})
    left = iter([True, True, True])
    report = prune(fake, has_time=lambda: next(left, False))
    assert fake.calls["ListDurableExecutionsByFunction"] == 2 * 2, "two versions, two pages each"
    assert (report["stopped"], report["left_for_next_run"], report["kept"]) == ("time", 1, {})


@pytest.mark.parametrize("operation", ["ListAliases", "DeleteFunction"])
def test_throttling_that_does_not_end_ends_the_run(fake: FakeLambda, operation: str, virtual: VirtualTime) -> None:
    """After all retries; the next run goes on there."""
    for name in "abc":
        fake.add(name, 1, 2, 3, 4)
    fake.faults = always(operation, "b", THROTTLED)
    began = virtual.now
    report = prune(fake)
    assert fake.calls[operation] >= 6, "tried again"
    assert virtual.now - began > 1, "and waited"
    assert (report["deleted"], report["stopped"], report["left_for_next_run"]) == ({"a": ["1", "2"]}, "throttled", 2)
    assert report["failures"] == [{"function": "b", "what": f"{operation}: TooManyRequestsException"}]
    assert fake.parameters["/cursor"] == "b"
    fake.faults = lambda _operation, _function: None
    assert listed(prune(fake)["deleted"]) == {("b", "1"), ("b", "2"), ("c", "1"), ("c", "2")}


def test_a_cursor_that_cannot_be_read_or_written_is_told(fake: FakeLambda) -> None:
    """Then the run goes over everything."""
    fake.add("a", 1, 2, 3)
    denied = {"GetParameter", "PutParameter"}

    def faults(operation: str, _function: str) -> None:
        if operation in denied:
            raise DENIED

    fake.faults = faults
    report = prune(fake)
    assert report["deleted"] == {"a": ["1"]}
    assert [failure["what"] for failure in report["failures"]] == [f"{name}: {DENIED.code}" for name in sorted(denied)]


def test_without_a_cursor_none_is_written(fake: FakeLambda) -> None:
    """A command for people goes through everything."""
    fake.add("a", 1, 2, 3)
    assert prune(fake, cursor=None)["deleted"] == {"a": ["1"]}
    assert (fake.parameters, fake.calls["GetParameter"]) == ({}, 0)


def test_the_scope_of_a_capacity_provider_takes_its_versions_alone(fake: FakeLambda) -> None:
    """But all numbered ones count for what is newest, and only its functions are looked at."""
    fake.add("a", 1, 2, 3, 4, 5, 6, State="Active", CapacityProviderConfig=MANAGED)
    for version in ("1", "2", "6"):
        del fake.functions["a"].versions[version]["CapacityProviderConfig"]
    fake.add("b", 1, 2, 3)
    fake.add("c", State="Active", CapacityProviderConfig=MANAGED)
    published = {"Version": "$LATEST.PUBLISHED", "FunctionArn": arn("c", "$LATEST.PUBLISHED")}
    fake.functions["c"].versions["$LATEST.PUBLISHED"] = {**fake.functions["c"].versions["$LATEST"], **published}
    for provider in ("pool", PROVIDER):
        report = prune(fake, {"capacity_provider": provider}, dry_run=True)
        assert report["would_delete"] == {"a": ["3", "4"]}
        assert report["kept"]["a"]["1"] == ["not on the capacity provider"]
        assert report["kept"]["a"]["6"] == ["newest", "not on the capacity provider"]
        assert report["functions_seen"] == 1
    policy = core.Policy(keep_latest=2, min_age_seconds=DAY, keep_active=True)
    report = prune(fake, {"capacity_provider": "pool"}, policy=policy)
    assert (report["deleted"], report["kept"]["a"]["3"]) == ({}, ["active"])


def test_an_active_version_without_managed_instances_is_not_kept_for_that(fake: FakeLambda) -> None:
    """Nearly all are active."""
    fake.add("a", 1, 2, 3, State="Active")
    policy = core.Policy(keep_latest=2, min_age_seconds=DAY, keep_active=True)
    assert prune(fake, policy=policy)["deleted"] == {"a": ["1"]}


def test_the_scope_of_tags_takes_functions_that_bear_them_all(fake: FakeLambda) -> None:
    """Page by page."""
    for number in range(7):
        fake.add(f"f{number}", 1, 2, 3).tags.update(team="agents", stage="dev" if number % 3 else "prod")
    report = prune(fake, {"tags": {"team": "agents", "stage": "prod"}})
    assert listed(report["deleted"]) == {("f0", "1"), ("f3", "1"), ("f6", "1")}


def test_an_empty_scope_asks_for_nothing_more(fake: FakeLambda) -> None:
    """No function bears the tag."""
    report = prune(fake, {"tags": {"team": "nobody"}})
    assert (report["functions_seen"], fake.calls["ListEventSourceMappings"]) == (0, 0)


def test_functions_may_be_named_by_arn_and_one_that_is_gone_is_a_failure(fake: FakeLambda) -> None:
    """A qualifier on it is of no consequence; another Region's function of the same name is not touched."""
    for name in "abc":
        fake.add(name, 1, 2, 3)
    named = [arn("a"), arn("b", "live"), "gone", arn("c").replace(REGION, "us-west-2")]
    report = prune(fake, {"functions": named})
    assert report["deleted"] == {"a": ["1"], "b": ["1"]}
    what = "ListVersionsByFunction: ResourceNotFoundException"
    assert sorted(report["failures"], key=str) == [
        {"function": "c", "what": what},
        {"function": "gone", "what": what},
    ]


@pytest.mark.parametrize(
    "text", ["{}", '{"all": true}', "[]", '{"functions": ["a"], "tags": {"b": "c"}}', '{"tags": {}}']
)
def test_fails_when_a_scope_names_not_exactly_one_thing(text: str) -> None:
    """Everything is no scope."""
    with pytest.raises(ValueError, match="a scope must be an object with exactly one of functions, capacity_provider"):
        scope.parsed(text)


@pytest.mark.parametrize(
    ("function", "whole", "name", "version"),
    [
        ("agent", "agent", "agent", ""),
        ("agent:live", "agent", "agent", "live"),
        ("function:live", "function", "function", "live"),
        (f"{ACCOUNT}:function:agent", f"{ACCOUNT}:function:agent", "agent", ""),
        (f"{ACCOUNT}:function:agent:3", f"{ACCOUNT}:function:agent", "agent", "3"),
        (arn("agent"), arn("agent"), "agent", ""),
        (arn("agent", "$LATEST.PUBLISHED"), arn("agent"), "agent", "$LATEST.PUBLISHED"),
        (arn("agent", "3"), arn("agent"), "agent", "3"),
    ],
)
def test_names_of_functions(function: str, whole: str, name: str, version: str) -> None:
    """In all forms that Lambda takes."""
    found = (
        functions_api.unqualified(function),
        functions_api.function_name(function),
        functions_api.qualifier(function),
    )
    assert found == (whole, name, version)


NOT_NUMBERED = ["$LATEST", "$LATEST.PUBLISHED", "live", None, "", "1 ", "1\n", "\u0663", 3, "-1", "*"]


def cannot_delete(delete: Callable[[Any, Any], None], fake: FakeLambda) -> None:
    """Show that no call of DeleteFunction is made with such qualifiers."""
    fake.add("a", 1, 2, 3)
    for version in NOT_NUMBERED:
        with pytest.raises(ValueError, match="only a numbered version is ever deleted"):
            delete("a", version)
    assert fake.calls["DeleteFunction"] == 0
    assert set(fake.functions["a"].versions) == {"$LATEST", "1", "2", "3"}


def test_only_a_numbered_version_reaches_lambda(fake: FakeLambda) -> None:
    """So the function itself cannot be deleted."""
    api = FunctionsApi(fake.client("lambda"))
    cannot_delete(api.delete_version, fake)
    api.delete_version("a", "1")
    assert fake.numbered() == {("a", "2"), ("a", "3")}


def test_without_the_assertion_other_qualifiers_reach_lambda(fake: FakeLambda) -> None:
    """The test above fails as soon as the line is gone: it is what stands between a mistake and a function."""
    tree = ast.parse(inspect.getsource(functions_api))
    (method,) = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == "delete_version")
    kept = [each for each in method.body if ast.unparse(each) != "numeric(version)"]
    assert len(kept) == len(method.body) - 1
    method.body = kept
    mutated: dict[str, Any] = {"__name__": functions_api.__name__}
    exec(compile(tree, "<mutated>", "exec"), mutated)  # noqa: S102 - our own source, less one line
    with pytest.raises((AssertionError, CallError, pytest.fail.Exception)):
        cannot_delete(mutated["FunctionsApi"](fake.client("lambda")).delete_version, fake)
    assert fake.calls["DeleteFunction"] > 0


def test_a_plan_with_another_qualifier_reaches_nothing(fake: FakeLambda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if what decides were wrong, what deletes refuses."""
    fake.add("a", 1, 2, 3)
    monkeypatch.setattr(core, "plan", lambda *_: core.Plan(delete=("$LATEST",), kept={}))
    report = prune(fake)
    assert report["failures"] == [{"function": "a", "what": "ValueError"}]
    assert (fake.calls["DeleteFunction"], len(fake.functions["a"].versions)) == (0, 4)


def test_a_marker_that_comes_back_ends_the_reading(fake: FakeLambda, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless list is an error, not an endless run."""
    fake.add("a", 1, 2, 3)
    monkeypatch.setattr(fake, "_page", lambda items, member, _asked: (200, {member: items[:1], "NextMarker": "same"}))
    with pytest.raises(CallError, match=r"^ListVersionsByFunction: PaginationError$"):
        FunctionsApi(fake.client("lambda")).versions("a")


def test_pages_without_end_are_an_error(fake: FakeLambda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the markers."""
    fake.add("a", *range(1, 20))
    monkeypatch.setattr(calls, "MAX_PAGES", 3)
    with pytest.raises(CallError, match=r"^ListVersionsByFunction: TooManyPages$"):
        FunctionsApi(fake.client("lambda")).versions("a")


def test_a_call_that_reaches_nobody_is_told_by_its_kind() -> None:
    """Without the address."""

    def call() -> None:
        raise EndpointConnectionError(endpoint_url="https://lambda.example")

    with pytest.raises(CallError, match=r"^ListAliases: EndpointConnectionError$") as raised:
        calls.calling("ListAliases", call)
    assert not raised.value.throttled


@pytest.mark.parametrize(
    ("status", "code", "throttled"),
    [
        (429, "TooManyRequestsException", True),
        (429, "SomeNewException", True),
        (400, "ThrottlingException", True),
        (400, "InvalidParameterValueException", False),
        (404, "ResourceNotFoundException", False),
    ],
)
def test_throttling_is_known_by_its_code_or_its_status(
    fake: FakeLambda, status: int, code: str, *, throttled: bool
) -> None:
    """Services name it differently."""
    fake.faults = always("ListAliases", "a", FaultError(status, code))
    with pytest.raises(CallError) as raised:
        FunctionsApi(fake.client("lambda")).aliases("a")
    assert (raised.value.throttled, raised.value.code) == (throttled, code)


def test_times_are_read_or_unknown(fake: FakeLambda) -> None:
    """Without an offset nobody knows which hour it was."""
    times = {"1": OLD, "2": "2026-01-01T00:00:00Z", "3": "2026-01-01T00:00:00", "4": "", "5": "x"}
    fake.add("a", *times)
    for version, moment in times.items():
        fake.functions["a"].versions[version]["LastModified"] = moment
    del fake.functions["a"].versions["$LATEST"]["LastModified"]
    found = {each.version: each.modified for each in FunctionsApi(fake.client("lambda")).versions("a")}
    assert found == {"$LATEST": None, "1": 1767225600.0, "2": 1767225600.0, "3": None, "4": None, "5": None}


# The handler


class Context:
    """What Lambda tells of an invocation."""

    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        """Give all of it."""
        return 900_000


ENVIRONMENT = {
    "AK_CONSTRUCTS_PRUNE_SCOPE": json.dumps({"functions": [arn("a"), arn("b")]}),
    "AK_CONSTRUCTS_KEEP_LATEST": "2",
    "AK_CONSTRUCTS_MIN_AGE_SECONDS": "3600",
    "AK_CONSTRUCTS_KEEP_ACTIVE": "false",
    "AK_CONSTRUCTS_DRY_RUN": "false",
    "AK_CONSTRUCTS_MAX_DELETIONS": "500",
    "AK_CONSTRUCTS_CURSOR_PARAMETER": "/cursor",
    "AWS_LAMBDA_FUNCTION_NAME": "pruner",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_DEFAULT_REGION": REGION,
}


@pytest.fixture
def deployed(fake: FakeLambda, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLambda]:
    """Set what the construct sets; boto3's clients are real, and are answered by the fake."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", fake.heard(session_without_files()))
    for name in "ab":
        fake.add(name, 1, 2, 3)
    yield fake
    clients.client.cache_clear()
    clients.patient_client.cache_clear()


def test_the_handler_prunes_and_tells(
    deployed: FakeLambda, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The caller, the log and CloudWatch; the next run begins anew."""
    caplog.set_level("INFO")
    report = handler.handler({}, Context())
    assert report["deleted"] == {"a": ["1"], "b": ["1"]}
    (record,) = (record for record in caplog.records if record.message == "pruned")
    assert record.__dict__["report"] == report
    told = json.loads(capsys.readouterr().out)
    assert (told["FunctionName"], told["Deleted"], told["Kept"], told["BytesFreed"]) == ("pruner", 2, 4, 2000)
    assert told["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["FunctionName"]]
    assert told["_aws"]["Timestamp"] == pytest.approx(time.time() * 1000, abs=300_000)
    assert told["CodeStorageUsed"] == report["code_storage"]["used_percent"]
    assert (deployed.parameters, deployed.objects) == ({"/cursor": "-"}, {})


@pytest.mark.parametrize(
    ("name", "value", "deleted"),
    [
        ("KEEP_LATEST", "3", {}),
        ("MIN_AGE_SECONDS", str(10**10), {}),
        ("KEEP_ACTIVE", "true", {}),
        ("MAX_DELETIONS", "1", {"a": ["1"]}),
    ],
)
def test_the_handler_does_as_it_is_set(
    deployed: FakeLambda, monkeypatch: pytest.MonkeyPatch, name: str, value: str, deleted: dict[str, list[str]]
) -> None:
    """Each setting for itself; without any of these both functions lose a version."""
    for function in "ab":
        deployed.add(function, 1, 2, 3, State="Active", CapacityProviderConfig=MANAGED)
    monkeypatch.setenv(f"AK_CONSTRUCTS_{name}", value)
    assert handler.handler({}, Context())["deleted"] == deleted


@pytest.mark.parametrize("event", [{"dry_run": True}, {"dry_run": "true"}])
def test_an_event_makes_a_run_a_dry_one(deployed: FakeLambda, event: dict[str, Any]) -> None:
    """And leaves the cursor to the deleting runs."""
    deployed.parameters["/cursor"] = "b"
    report = handler.handler(event, Context())
    assert (report["dry_run"], report["would_delete"], report["deleted"]) == (True, {"a": ["1"], "b": ["1"]}, {})
    assert deployed.parameters == {"/cursor": "b"}


@pytest.mark.parametrize(("dry_run", "event"), [("true", {"dry_run": False}), ("yes", {}), ("true", {"dry_run": True})])
def test_no_event_makes_a_dry_pruner_delete(
    deployed: FakeLambda, monkeypatch: pytest.MonkeyPatch, dry_run: str, event: dict[str, Any]
) -> None:
    """Only the word false does; a dry pruner has a cursor of its own to go on by."""
    monkeypatch.setenv("AK_CONSTRUCTS_DRY_RUN", dry_run)
    assert handler.handler(event, Context())["deleted"] == {}
    assert len(deployed.numbered()) == 6
    assert deployed.parameters == {"/cursor": "-"}


def test_the_report_goes_to_a_bucket(deployed: FakeLambda, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, under a name that sorts by time."""
    monkeypatch.setenv("AK_CONSTRUCTS_REPORT_BUCKET", "reports")
    monkeypatch.setenv("AK_CONSTRUCTS_REPORT_PREFIX", "prune/")
    report = handler.handler({}, Context())
    ((name, body),) = deployed.objects.items()
    assert json.loads(body) == report
    assert name.endswith("-request.json")
    assert "/prune/20" in name


def test_a_bucket_that_refuses_is_a_failure_that_the_others_tell(
    deployed: FakeLambda, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The versions are gone all the same."""
    monkeypatch.setenv("AK_CONSTRUCTS_REPORT_BUCKET", "reports")
    deployed.faults = always("PutObject", "", DENIED)
    report = handler.handler({}, Context())
    assert report["failures"][0]["function"] == "(report)"
    assert report["failures"][0]["what"].startswith("PutObject: ")
    assert json.loads(capsys.readouterr().out)["Failures"] == 1


@pytest.mark.usefixtures("deployed")
def test_a_large_report_says_where_its_details_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A log event has a limit of its own."""
    caplog.set_level("INFO")
    monkeypatch.setattr(handler, "MAX_LOGGED_BYTES", 300)
    report = handler.handler({}, Context())
    (record,) = (record for record in caplog.records if record.message == "pruned")
    assert record.__dict__["report"]["details"] == "the answer"
    assert record.__dict__["report"]["deleted"] == 2
    assert report["deleted"] == {"a": ["1"], "b": ["1"]}
    monkeypatch.setattr(handler, "MAX_ANSWER_BYTES", 300)
    assert handler.handler({}, Context())["details"] == "nowhere: add a report bucket"
    monkeypatch.setenv("AK_CONSTRUCTS_REPORT_BUCKET", "reports")
    assert handler.handler({}, Context())["details"].startswith("s3://reports/20")


def test_the_handler_finds_functions_by_tags_and_stops_in_time(
    deployed: FakeLambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a minute to spare for a call that is throttled to the end."""
    deployed.functions["b"].tags["team"] = "agents"
    monkeypatch.setenv("AK_CONSTRUCTS_PRUNE_SCOPE", json.dumps({"tags": {"team": "agents"}}))
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _context: 60_000)
    report = handler.handler({}, Context())
    assert (report["deleted"], report["stopped"], report["left_for_next_run"]) == ({}, "time", 1)
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _context: 60_001)
    assert handler.handler({}, Context())["deleted"] == {"b": ["1"]}


def test_clients_for_many_calls_slow_down_and_others_stay_as_they_are(deployed: FakeLambda) -> None:
    """A user's function is called once, and never again by itself."""
    assert deployed.calls.total() == 0
    patient = clients.patient_client("lambda").meta.config
    assert (patient.retries["mode"], patient.retries["total_max_attempts"]) == ("adaptive", 6)
    assert patient.read_timeout == 10
    calling = clients.client("lambda").meta.config
    assert (calling.retries["total_max_attempts"], calling.read_timeout) == (1, 25)
