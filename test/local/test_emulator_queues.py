"""What we add to the emulator's queues: each fails when a private name of the pinned version moves."""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client, log_lines
from test.local.processes import kill
from test.local.stacks import create, new_stack

pytestmark = pytest.mark.local

CODE = """
import json, os, time
import boto3
from botocore.config import Config

sqs = boto3.client("sqs", config=Config(retries={"total_max_attempts": 1}))

def handler(event, context):
    started = time.time()
    [record] = event["Records"]
    receive = int(record["attributes"]["ApproximateReceiveCount"])
    steps = json.loads(record["body"])
    step = steps[min(receive, len(steps)) - 1]
    if "pids" in step:
        sqs.send_message(QueueUrl=step["pids"], MessageBody=str(os.getpid()))
    if "visibility" in step:
        url = os.environ["QUEUE_URL"]
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=step["visibility"]
        )
    time.sleep(step.get("sleep", 0))
    group = record["attributes"].get("MessageGroupId")
    print(json.dumps({"group": group, "receive": receive, "sent": step.get("sent"), "started": started,
                      "ended": time.time()}))
    if "error" in step:
        raise ValueError(step["error"])
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}] if step.get("refuse") else []}
"""


class Pipe:
    """A FIFO queue whose messages say what the function does at each receive, and what the function logged."""

    def __init__(self, aws: Emulator, outputs: dict[str, str]) -> None:
        self.aws = aws
        self.outputs = outputs
        self.queues = client("sqs", aws)

    def send(self, group: str, *steps: dict[str, Any]) -> None:
        """Send a message to a group."""
        identity = {"MessageGroupId": group, "MessageDeduplicationId": f"{time.monotonic_ns()}"}
        self.queues.send_message(QueueUrl=self.outputs["FifoUrl"], MessageBody=json.dumps(steps), **identity)

    def runs(self, count: int, group: str) -> list[dict[str, Any]]:
        """Wait for what the runs of the groups with a prefix logged, in the order of their starts."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            lines = log_lines(self.aws, self.outputs["LogGroupName"])
            runs = [line for line in lines if str(line.get("group")).startswith(group)]
            if len(runs) >= count:
                break
            time.sleep(0.05)
        assert len(runs) == count
        return sorted(runs, key=lambda run: run["started"])


@pytest.fixture(scope="module")
def pipe(aws: Emulator) -> Iterator[Pipe]:
    """Deploy the queue and the function."""
    stack = new_stack("Queues")
    queue = sqs.Queue(
        stack,
        "Fifo",
        fifo=True,
        deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP,
        fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
        visibility_timeout=cdk.Duration.seconds(30),
    )
    log_group = logs.LogGroup(stack, "LogGroup")
    function = lambda_.Function(
        stack,
        "Function",
        code=lambda_.Code.from_inline(CODE),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_12,
        timeout=cdk.Duration.seconds(30),
        log_group=log_group,
        environment={"QUEUE_URL": queue.queue_url},
    )
    function.add_event_source(sources.SqsEventSource(queue, batch_size=1, report_batch_item_failures=True))
    other = sqs.Queue(stack, "Other")
    for name, value in {
        "FifoUrl": queue.queue_url,
        "OtherUrl": other.queue_url,
        "LogGroupName": log_group.log_group_name,
    }.items():
        cdk.CfnOutput(stack, name, value=value)
    outputs = create(aws, stack)
    yield Pipe(aws, outputs)
    client("cloudformation", aws).delete_stack(StackName=stack.stack_name)


def overlap(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Tell whether two runs went on at the same time."""
    started: float = max(first["started"], second["started"])
    ended: float = min(first["ended"], second["ended"])
    return started < ended


ATTEMPTS = 20


def once_below(seconds: float, measure: Callable[[], float]) -> bool:
    """Measure again what a busy machine makes longer, until it is short enough."""
    return any(measure() < seconds for _ in range(ATTEMPTS))


def test_message_groups_run_in_parallel_and_each_in_order(pipe: Pipe) -> None:
    """One after the other took as long as all together, and no claim about parallel sessions could be tested."""
    for number in range(2):
        for group in range(6):
            pipe.send(
                f"parallel-{group}", {"sleep": 1 if number else 8, "sent": number}
            )  # 8: processes start meanwhile
    runs = pipe.runs(12, "parallel-")
    assert sum(overlap(runs[0], run) for run in runs[1:]) >= 5, "more than a standard queue's five at a time"
    for group in range(6):
        first, second = [run for run in runs if run["group"] == f"parallel-{group}"]
        assert (first["sent"], second["sent"]) == (0, 1)
        assert not overlap(first, second)


def test_a_failure_of_one_group_does_not_delay_another(pipe: Pipe) -> None:
    """It paused the whole mapping for a second."""
    attempts = iter(range(ATTEMPTS))

    def seconds_after_a_failure() -> float:
        attempt = next(attempts)
        pipe.send(f"failing-{attempt}", {"visibility": 30, "error": "on purpose"})
        pipe.runs(1, f"failing-{attempt}")
        sent = time.time()
        pipe.send(f"after-{attempt}", {})
        started: float = pipe.runs(1, f"after-{attempt}")[0]["started"]
        return started - sent

    assert once_below(0.7, seconds_after_a_failure)


def test_a_late_run_does_not_delete_what_the_next_run_received(pipe: Pipe) -> None:
    """The first outlives its visibility timeout and succeeds; the second refuses, and so there is a third."""
    pipe.send("late", {"visibility": 1, "sleep": 6}, {"visibility": 8, "sleep": 6, "refuse": True}, {})
    first, second, third = pipe.runs(3, "late")
    assert [run["receive"] for run in (first, second, third)] == [1, 2, 3]
    assert overlap(first, second)
    assert first["ended"] < second["ended"] < third["started"]


def test_a_message_is_delivered_at_once_also_after_looking_in_vain(pipe: Pipe) -> None:
    """A message to a queue that nothing reads made the next wait for 50 ms."""
    pipe.send("at-once-0", {})
    pipe.runs(1, "at-once-0")
    attempts = iter(range(1, ATTEMPTS + 1))

    def seconds_to_start() -> float:
        attempt = next(attempts)
        pipe.queues.send_message(QueueUrl=pipe.outputs["OtherUrl"], MessageBody="nothing to do")
        sent = time.time()
        pipe.send(f"at-once-{attempt}", {})
        started: float = pipe.runs(1, f"at-once-{attempt}")[0]["started"]
        return started - sent

    assert once_below(0.03, seconds_to_start)


def test_a_killed_function_loses_no_message(pipe: Pipe) -> None:
    """It returns after the visibility timeout that its run had set, to a new process."""
    pids = pipe.outputs["OtherUrl"]
    pipe.queues.purge_queue(QueueUrl=pids)
    pipe.send("killed", {"visibility": 2, "pids": pids, "sleep": 20}, {"pids": pids})
    sent = time.time()
    (first,) = pipe.queues.receive_message(QueueUrl=pids, WaitTimeSeconds=10)["Messages"]
    kill(int(first["Body"]), pipe.aws)
    (run,) = pipe.runs(1, "killed")
    assert run["receive"] == 2
    assert 2 <= run["started"] - sent < 25, "its own, and not the queue's 30 s"
    with pytest.raises(ProcessLookupError):
        kill(int(first["Body"]), pipe.aws)


def test_only_a_worker_of_the_emulator_is_killed(aws: Emulator) -> None:
    """Not this process for one, nor one that is gone."""
    with pytest.raises(ProcessLookupError, match="no worker of this emulator"):
        kill(os.getpid(), aws)
