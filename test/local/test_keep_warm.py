"""Environments that are kept warm on the emulator, where each is a process, with IAM enforced."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ak_constructs.local.deployment import bootstrap, deploy, install_cdk
from ak_constructs.local.emulator import Emulator, emulator
from ak_constructs.local.logs import client, log_lines
from test.local.queued_pipeline import until

pytestmark = pytest.mark.local
NOTHING = {"wanted": 5, "warm": 0, "cold": 0, "distinct": 0, "throttled": 0, "failed": 0, "unanswered": 0}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator that checks what the roles may do."""
    install_cdk()
    with emulator(tmp_path_factory.mktemp("warm") / "emulator.log", enforce_iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def outputs(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Deploy an agent and its warmers by the real command line."""
    work = tmp_path_factory.mktemp("work")
    bootstrap(aws, work)
    return deploy(aws, work, app=f"{sys.executable} -m test.local.keep_warm_app")["Warm"]


@pytest.fixture(scope="module")
def rounds(aws: Emulator, outputs: dict[str, str]) -> list[dict[str, Any]]:
    """Warm twice, once nothing else does, and give what was met."""
    until(lambda: metric_lines(aws, outputs["SoonLogs"]))
    return [invoke(aws, outputs["Warmer"], {})["targets"] for _ in range(2)]


def invoke(aws: Emulator, function: str, event: object) -> Any:  # noqa: ANN401
    """Invoke a function and read its answer."""
    answer = client("lambda", aws).invoke(FunctionName=function, Payload=json.dumps(event).encode())
    text = answer["Payload"].read()
    assert "FunctionError" not in answer, text
    return json.loads(text)


def metric_lines(aws: Emulator, group: str) -> list[dict[str, Any]]:
    """Give the lines from which CloudWatch would take metrics."""
    return [line for line in log_lines(aws, group) if "_aws" in line]


def test_the_schedule_runs_the_warmer(aws: Emulator, outputs: dict[str, str]) -> None:
    """One that is due now does, and the usual one is on."""
    (line,) = until(lambda: metric_lines(aws, outputs["SoonLogs"]))
    assert (line["Target"], line["WarmEnvironments"], line["ColdStarts"]) == (outputs["LiveArn"], 1, 1)
    schedule = client("scheduler", aws).get_schedule(Name=outputs["ScheduleName"])
    assert (schedule["State"], schedule["ScheduleExpression"]) == ("ENABLED", "rate(5 minutes)")
    assert schedule["Target"]["Arn"].endswith(f":function:{outputs['Warmer']}")


def test_five_distinct_environments_are_started_and_then_kept(
    outputs: dict[str, str], rounds: list[dict[str, Any]]
) -> None:
    """The schedule's one is warm already; the second time all are."""
    first, second = (each[outputs["LiveArn"]] for each in rounds)
    assert first == {**NOTHING, "warm": 1, "cold": 4, "distinct": 5}
    assert second == {**NOTHING, "warm": 5, "cold": 0, "distinct": 5}


@pytest.mark.usefixtures("rounds")
def test_the_metric_says_five(aws: Emulator, outputs: dict[str, str]) -> None:
    """By the name of the alias."""

    def both() -> list[dict[str, Any]] | None:
        lines = [line for line in metric_lines(aws, outputs["Logs"]) if line["Target"] == outputs["LiveArn"]]
        return lines if len(lines) == 2 else None

    lines = until(both)
    assert [(line["WarmEnvironments"], line["ColdStarts"], line["PingFailures"]) for line in lines] == [
        (5, 4, 0),
        (5, 0, 0),
    ]
    names = [metric["Name"] for metric in lines[0]["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert names == ["WarmEnvironments", "ColdStarts", "PingFailures"]


def test_a_foreign_function_is_said_not_to_answer(
    aws: Emulator, outputs: dict[str, str], rounds: list[dict[str, Any]]
) -> None:
    """It ran as on any event, once a ping, and does not stop the other."""
    assert [each[outputs["ForeignArn"]] for each in rounds] == [{**NOTHING, "unanswered": 5}] * 2
    said = [line for line in log_lines(aws, outputs["Logs"]) if line.get("message") == "a target is not warmed"]
    assert {(line["target"], line["reason"]) for line in said} == {
        (outputs["ForeignArn"], "the target does not answer pings")
    }


@pytest.mark.usefixtures("rounds")
def test_a_request_meets_one_of_the_warm_environments(aws: Emulator, outputs: dict[str, str]) -> None:
    """Through the alias that was pinged."""
    ping = {"ak_constructs_ping": {"hold_ms": 500}}
    with ThreadPoolExecutor(5) as callers:
        met = list(callers.map(lambda _number: invoke(aws, outputs["LiveArn"], ping), range(5)))
    assert [each["cold"] for each in met] == [False] * 5
    answer = invoke(aws, outputs["LiveArn"], {"prompt": "where are you?"})
    assert answer["result"] in {each["environment_id"] for each in met}
    answered = [line for line in log_lines(aws, outputs["LogsOfAgent"]) if line.get("message") == "answered"]
    assert len(answered) == 1, "no ping reached the agent"


def test_the_rule_hears_of_this_stacks_deployments_only(aws: Emulator, outputs: dict[str, str]) -> None:
    """By the events as AWS documents them."""
    events = client("events", aws)
    (rule,) = events.list_rules()["Rules"]
    documented = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "CloudFormation Stack Status Change",
        "source": "aws.cloudformation",
        "account": "111122223333",
        "time": "2017-12-22T18:43:48Z",
        "region": "us-west-1",
        "resources": [outputs["StackId"]],
        "detail": {
            "stack-id": outputs["StackId"],
            "status-details": {"status": "CREATE_COMPLETE", "status-reason": ""},
            "client-request-token": "",
        },
    }
    detail = documented["detail"]

    def heard(event: object) -> bool:
        tested = events.test_event_pattern(EventPattern=rule["EventPattern"], Event=json.dumps(event))
        return bool(tested["Result"])

    assert heard(documented)
    assert not heard({**documented, "detail": {**detail, "stack-id": f"{outputs['StackId']}0"}})  # type: ignore[dict-item]
    began = {**detail, "status-details": {"status": "UPDATE_IN_PROGRESS"}}  # type: ignore[dict-item]
    assert not heard({**documented, "detail": began})
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"].endswith(f":function:{outputs['Warmer']}")
