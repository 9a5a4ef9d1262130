"""VersionPruner deployed: 150 versions of forty functions, of which just the right ones go."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from ak_constructs.local.deployment import deploy
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client, log_lines
from test.local import version_pruner_cases as cases

pytestmark = pytest.mark.local


class Pruned(NamedTuple):
    """What was, what each run said, and what is left."""

    outputs: dict[str, str]
    made: dict[str, cases.Versions]
    dry: list[dict[str, Any]]
    after_dry: dict[str, set[str]]
    at_once: list[dict[str, Any]]
    after: dict[str, set[str]]
    again: dict[str, Any]

    @property
    def before(self) -> dict[str, set[str]]:
        """Give all versions there were."""
        return {name: {str(number) for number in [*made.old, *made.young]} for name, made in self.made.items()}

    @property
    def to_go(self) -> dict[str, set[str]]:
        """Give those that should go."""
        return {name: made.to_go() for name, made in self.made.items() if made.to_go()}


@pytest.fixture(scope="module")
def pruned(aws: Emulator, work: Any) -> Pruned:  # noqa: ANN401
    """Publish, deploy, run dry, run twice at once, and once more."""
    made = cases.publish(aws)
    outputs = deploy(aws, work, app=f"{sys.executable} -m test.local.version_pruner_app")["Pruning"]
    dry = [
        cases.invoke(aws, outputs["ByNameFunction"], {"dry_run": True}),
        cases.invoke(aws, outputs["ByTagFunction"], {}),
        cases.invoke(aws, outputs["ByTagFunction"], {"dry_run": False}),
    ]
    after_dry = cases.all_numbered(aws)
    with ThreadPoolExecutor(2) as threads:
        at_once = list(threads.map(lambda _: cases.invoke(aws, outputs["ByNameFunction"], {}), range(2)))
    after = cases.all_numbered(aws)
    again = cases.invoke(aws, outputs["ByNameFunction"], {})
    return Pruned(outputs, made, dry, after_dry, at_once, after, again)


def test_there_is_something_to_do(pruned: Pruned) -> None:
    """Or the other tests would say little."""
    assert len(pruned.made) == 40
    assert sum(map(len, pruned.before.values())) == 150
    assert sum(map(len, pruned.to_go.values())) == 63
    assert pruned.to_go["worker-00"] == {"1", "2", "3", "4", "5", "6", "7", "8"}


def test_a_dry_run_says_what_would_go_and_deletes_nothing(pruned: Pruned) -> None:
    """By name or by tag, by default or when asked; and nobody can ask a dry pruner to delete."""
    assert pruned.after_dry == pruned.before
    for report in pruned.dry:
        assert report["dry_run"] is True
        assert (cases.listed(report["deleted"]), report["failures"]) == ({}, [])
        assert cases.listed(report["would_delete"]) == pruned.to_go


def test_exactly_the_planned_versions_are_gone(pruned: Pruned) -> None:
    """Though two pruners ran at once; between them they told of each."""
    assert pruned.after == {name: versions - pruned.to_go.get(name, set()) for name, versions in pruned.before.items()}
    told: dict[str, set[str]] = {}
    for report in pruned.at_once:
        assert (report["dry_run"], report["failures"], report["left_for_next_run"]) == (False, [], 0)
        for name, versions in report["deleted"].items():
            told.setdefault(name, set()).update(versions)
    assert told == pruned.to_go


def test_the_report_explains_every_version_kept(pruned: Pruned) -> None:
    """With what keeps it."""
    report = pruned.again
    assert cases.listed(report["kept"]) == pruned.after
    for name, made in pruned.made.items():
        kept = report["kept"][name]
        assert all(kept.values())
        newest = sorted([*made.old, *made.young])[-cases.KEEP_LATEST :]
        assert {int(number) for number, reasons in kept.items() if "newest" in reasons} == set(newest)
        assert {int(number) for number, reasons in kept.items() if "young" in reasons} == set(made.young)
        for number, reason in made.used.items():
            assert reason in kept[str(number)]
    assert report["functions_seen"] == 40
    assert 0 < report["code_storage"]["used_bytes"] < report["code_storage"]["limit_bytes"]


def test_a_second_run_deletes_nothing(pruned: Pruned) -> None:
    """And begins at the beginning again."""
    assert (cases.listed(pruned.again["deleted"]), pruned.again["failures"]) == ({}, [])


def test_the_whole_report_is_in_the_bucket_and_a_record_in_the_log(pruned: Pruned, aws: Emulator) -> None:
    """With the metrics beside it, under the function's name."""
    objects = client("s3", aws)
    keys = [each["Key"] for each in objects.list_objects_v2(Bucket=pruned.outputs["Bucket"])["Contents"]]
    assert all(key.startswith("version-pruner/") for key in keys)
    stored = [json.load(objects.get_object(Bucket=pruned.outputs["Bucket"], Key=key)["Body"]) for key in keys]
    assert len(stored) == 4
    assert pruned.again in stored
    lines = log_lines(aws, pruned.outputs["ByNameLogs"])
    assert [line for line in lines if line.get("message") == "pruned"][-1]["report"] == pruned.again
    metrics = [line for line in lines if "_aws" in line]
    assert len(metrics) == 4
    assert metrics[0]["WouldDelete"] == 63
    assert sum(line["Deleted"] for line in metrics) >= 63
    assert {line["FunctionName"] for line in metrics} == {pruned.outputs["ByNameFunction"]}
    assert (metrics[-1]["Kept"], metrics[-1]["Failures"], metrics[-1]["Unfinished"]) == (87, 0, 0)


def test_the_cursor_is_at_the_beginning(pruned: Pruned, aws: Emulator) -> None:
    """Every run came to its end."""
    value = client("ssm", aws).get_parameter(Name=pruned.outputs["ByNameCursor"])["Parameter"]["Value"]
    assert value == "-"


def test_the_schedule_runs_it(pruned: Pruned, aws: Emulator) -> None:
    """Once a day, without a retry."""
    schedule = client("scheduler", aws).get_schedule(Name=pruned.outputs["ByNameSchedule"])
    assert schedule["ScheduleExpression"] == "rate(1 day)"
    assert schedule["Target"]["Arn"].endswith(f":function:{pruned.outputs['ByNameFunction']}")
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 0
