"""Measures the queued pipeline beside Agent Kernel's, and writes its part of docs/benchmarks.md.

    uv run python -m benchmarks.queued_pipeline

What a wait adds to an answer, cold starts and sizes of the handlers, and AWS's bill by the calls that each side makes.
DynamoDB and SQS are the local emulator's; the handlers run as they are, in processes of their own.
"""

import datetime as dt
import json
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3

from ak_constructs.agent_function import DEFAULT_MEMORY_MIB
from ak_constructs.agent_queue import HANDLER_MEMORY_MIB
from ak_constructs.local.emulator import Emulator, emulator
from ak_constructs.queued_agent_pipeline import REQUEST_HANDLER_MEMORY_MIB
from benchmarks.agent_function import EVENT
from benchmarks.bench import AGENT_KERNEL, ROOT, Bench, beside_agent_kernel, zipped
from benchmarks.document import write
from benchmarks.prices import PRICES
from benchmarks.processes import Side, Spread, at_least, at_most, compare, figure, ratio

SIDES = ("ours", "agentkernel")
MODES = ("rest_sync", "rest_async")
READY_SECONDS = (0.2, 1.0, 3.0, 7.0, 15.0, 21.0)
AGENT_SECONDS = (1.0, 10.0)
APART_SECONDS = 0.5
PROCESS_SECONDS = 120
TABLES = {
    "requests": ("request_id",),
    "sessions": ("session_id", "key"),
    "their-answers": ("request_id",),
    "their-sessions": ("session_id", "key"),
}
QUEUES = ("requests.fifo", "replies.fifo", "dead.fifo", "parked", "their-input.fifo", "their-output.fifo")
# MiB and architecture by role: ours as the constructs define them, theirs as its Terraform does.
FUNCTIONS = {
    "ours": {
        "request_handler": (REQUEST_HANDLER_MEMORY_MIB, "arm64"),
        "agent_runner": (DEFAULT_MEMORY_MIB, "arm64"),
        "response_handler": (HANDLER_MEMORY_MIB, "arm64"),
    },
    "agentkernel": {
        "request_handler": (128, "x86_64"),
        "agent_runner": (512, "x86_64"),
        "response_handler": (256, "x86_64"),
    },
}
AGENT = '''"""Takes the seconds that the request asks for."""

import time


def respond(turn):
    time.sleep(turn.extra.get("seconds", 0))
    return "hello"
'''
CALL = """
import json
import uuid

class Context:
    aws_request_id = "r"
    def get_remaining_time_in_millis(self):
        return 29000

"""
REQUEST = f"""{CALL}
event = {EVENT!r}
event["body"] = json.dumps({{**json.loads(event["body"]), "request_id": str(uuid.uuid4())}})
event["stageVariables"] = {{"akConstructsIdentity": "public"}}
response = handler(event, Context())
assert response["statusCode"] in (200, 202), response
"""
REPLY = f"""{CALL}
name = str(uuid.uuid4())
texts = {{"request_id": name, "status_code": "200"}}
record = {{
    "eventSource": "aws:sqs",
    "messageId": name,
    "receiptHandle": name,
    "body": json.dumps({{"result": "hello", "session_id": "s-1"}}),
    "attributes": {{"ApproximateReceiveCount": "1", "MessageGroupId": "s-1", "MessageDeduplicationId": name}},
    "messageAttributes": {{each: {{"stringValue": text, "dataType": "String"}} for each, text in texts.items()}},
}}
response = handler({{"Records": [record]}}, Context())
assert response == {{"batchItemFailures": []}}, response
"""

OWN_COLD_STARTS = {
    "request handler": f"from ak_lambda.request_handler.handler import handler\n{REQUEST}",
    "response handler": f"from ak_lambda.response_handler.handler import handler\n{REPLY}",
    "dead letter handler": f"from ak_lambda.dead_letter_handler.handler import handler\n{REPLY}",
}


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What AWS asks for a million requests, in dollars.

    Attributes:
        parts: By what it is for, without the agent's own time.
        runner_seconds: How long the agent runner took for one.
        runner_dollars: What that costs.
        calls: How many calls of AWS the roles made for one.
    """

    parts: dict[str, float]
    runner_seconds: float
    runner_dollars: float
    calls: dict[str, int]

    @property
    def total(self) -> float:
        """Everything but the agent's own time."""
        return sum(self.parts.values())


class Scene:
    """Both sides' handlers on disk, and the tables and queues that they use."""

    def __init__(self, bench: Bench, aws: Emulator) -> None:
        self.bench = bench
        self.aws = aws
        self.folders = {name: bench.work / name for name in SIDES}
        shutil.copytree(ROOT / "lambda_assets", self.folders["ours"], ignore=shutil.ignore_patterns("__pycache__"))
        self.agent = bench.work / "agent"
        self.agent.mkdir()
        (self.agent / "bench_agent.py").write_text(AGENT, encoding="utf-8")
        ignored = shutil.ignore_patterns("__pycache__", "requirements*")
        shutil.copytree(ROOT / "test/local/agentkernel_queue", self.folders["agentkernel"], ignore=ignored)
        self.shipped = {name: bench.work / f"{name}-shipped" for name in SIDES}
        for name in SIDES:
            shutil.copytree(self.folders[name], self.shipped[name])
        bench.install(self.shipped["agentkernel"], AGENT_KERNEL)
        for folder in self.folders.values():
            subprocess.run([bench.python, "-m", "compileall", "-q", str(folder)], check=True)
        self.urls = define(aws)

    def environment(self, side: str, *, mode: str, shipped: bool = False) -> dict[str, str]:
        """Give the variables that the functions of a side are told, and what finds their modules."""
        folder = (self.shipped if shipped else self.folders)[side]
        own = own_variables(self.urls, mode) if side == "ours" else self._theirs(mode)
        found = self.bench.environment(path=folder, bytecode=not shipped, **self.aws.environment, **own)
        found["PYTHONPATH"] = os.pathsep.join([str(folder), str(self.agent)])
        return found

    def _theirs(self, mode: str) -> dict[str, str]:
        return {
            "AGENT_ENDPOINT": "chat",
            "AK_EXECUTION__MODE": mode,
            "AK_EXECUTION__QUEUES__INPUT__URL": self.urls["their-input.fifo"],
            "AK_EXECUTION__QUEUES__OUTPUT__URL": self.urls["their-output.fifo"],
            "AK_EXECUTION__QUEUES__TYPE": "sqs",
            "AK_EXECUTION__RESPONSE_STORE__DYNAMODB__TABLE_NAME": "their-answers",
            "AK_EXECUTION__RESPONSE_STORE__TYPE": "dynamodb",
            "AK_SESSION__DYNAMODB__TABLE_NAME": "their-sessions",
            "AK_SESSION__TYPE": "dynamodb",
            "API_BASE_PATH": "api",
            "API_VERSION": "v1",
            "REQUESTS_URL": self.urls["their-input.fifo"],
            "REPLIES_URL": self.urls["their-output.fifo"],
        }

    def start(self, side: str, mode: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a process that measures one side."""
        return subprocess.Popen(
            [self.bench.python, str(ROOT / "benchmarks" / "queued_sides.py"), side, *arguments],
            env=self.environment(side, mode=mode),
            cwd=self.folders[side],  # where Agent Kernel finds its configuration file
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def own_variables(urls: Mapping[str, str], mode: str) -> dict[str, str]:
    """Give what our constructs tell our functions."""
    return {
        "AK_CONSTRUCTS_AGENT": "bench_agent:respond",
        "AK_CONSTRUCTS_DEAD_LETTER_QUEUE_URL": urls["dead.fifo"],
        "AK_CONSTRUCTS_HISTORY_TURNS": "5",
        "AK_CONSTRUCTS_MAX_RECEIVE_COUNT": "5",
        "AK_CONSTRUCTS_MODE": mode,
        "AK_CONSTRUCTS_PARKED_QUEUE_URL": urls["parked"],
        "AK_CONSTRUCTS_PAYLOADS_BUCKET": "payloads",
        "AK_CONSTRUCTS_REPLY_QUEUE_URL": urls["replies.fifo"],
        "AK_CONSTRUCTS_REQUESTS_TABLE": "requests",
        "AK_CONSTRUCTS_REQUEST_QUEUE_URL": urls["requests.fifo"],
        "AK_CONSTRUCTS_RETENTION_SECONDS": "345600",
        "AK_CONSTRUCTS_SESSIONS_TABLE": "sessions",
        "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS": "2592000",
        "AK_CONSTRUCTS_TAKES_LARGE": "true",
        "REQUESTS_URL": urls["requests.fifo"],
        "REPLIES_URL": urls["replies.fifo"],
    }


def define(aws: Emulator) -> dict[str, str]:
    """Define tables and queues, and give the queues' addresses."""

    def client(service: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        own = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=aws.endpoint, region_name="us-east-1", **own)  # type: ignore[call-overload]

    for table, keys in TABLES.items():
        client("dynamodb").create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
        )
    return {
        name: client("sqs").create_queue(
            QueueName=name, Attributes={"FifoQueue": "true"} if name.endswith(".fifo") else {}
        )["QueueUrl"]
        for name in QUEUES
    }


def waits(scene: Scene, rounds: int) -> dict[str, dict[float, list[float | None]]]:
    """Have answers ready after some seconds, all at once in processes of their own; None is an answer that was lost."""
    added: dict[str, dict[float, list[float | None]]] = {side: {each: [] for each in READY_SECONDS} for side in SIDES}
    for _ in range(rounds):
        running = {
            (side, ready): scene.start(side, "rest_sync", "wait", str(ready))
            for side in SIDES
            for ready in READY_SECONDS
        }
        for process in running.values():
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{process.args!r} did not get ready")
        for process in running.values():
            time.sleep(APART_SECONDS)  # so that what one does at its start delays no other
            if process.stdin is not None:
                process.stdin.write("\n")
                process.stdin.flush()
        for (side, ready), process in running.items():
            added[side][ready].append(json.loads(process.communicate(timeout=PROCESS_SECONDS)[0])["added"])
    return added


def cold_starts(scene: Scene, runs: int) -> dict[str, Spread]:
    """Start a fresh interpreter, import a handler, handle one event."""
    codes = {
        "ours": OWN_COLD_STARTS,
        "agentkernel": {
            "request handler": f"from lambda_request_handler import handler\n{REQUEST}",
            "response handler": f"from lambda_response_handler import handler\n{REPLY}",
        },
    }
    sides = {
        f"{side} {role}{' as it ships' if shipped else ''}": Side(
            command=[scene.bench.python, "-c", code],
            environment=scene.environment(side, mode="rest_async", shipped=shipped),
            cwd=scene.folders[side],
        )
        for shipped in (False, True)
        for side, roles in codes.items()
        for role, code in roles.items()
    }
    return compare(sides, runs)


def bills(scene: Scene) -> dict[tuple[str, str, float], Bill]:
    """Count the calls of one warm request, by side, mode and the agent's seconds, and price them."""
    found = {}
    for side in SIDES:
        for mode in MODES:
            for seconds in AGENT_SECONDS:
                process = scene.start(side, mode, "calls", mode, str(seconds))
                printed = process.communicate(timeout=PROCESS_SECONDS)[0]
                if process.returncode:
                    raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
                found[side, mode, seconds] = bill(json.loads(printed.splitlines()[-1]), FUNCTIONS[side])
    return found


def bill(measured: Mapping[str, Any], functions: Mapping[str, tuple[int, str]]) -> Bill:
    """Price what one request took."""
    million = 1_000_000

    def run(role: str) -> float:
        memory, architecture = functions[role]
        seconds = float(sum(measured["seconds"][role]))
        return million * seconds * memory / 1024 * PRICES[architecture].dollars

    def units(service: str, *operations: str) -> float:
        named = {f"{service}.{operation}" for operation in operations}
        return million * float(sum(each for _, operation, each in measured["calls"] if operation in named))

    invocations = sum(len(each) for each in measured["seconds"].values())
    roles = [role for role, _, _ in measured["calls"]]
    return Bill(
        parts={
            "API": million * len(measured["seconds"]["request_handler"]) * PRICES["api"].dollars,
            "request handler's time": run("request_handler"),
            "response handler's time": run("response_handler"),
            "invocations": million * invocations * PRICES["invocation"].dollars,
            "queues": units("sqs", "SendMessage", "ChangeMessageVisibility") * PRICES["sqs"].dollars,
            "reads": units("dynamodb", "GetItem", "Query") * PRICES["read"].dollars,
            "writes": units("dynamodb", "PutItem", "UpdateItem", "DeleteItem") * PRICES["write"].dollars,
        },
        runner_seconds=sum(measured["seconds"]["agent_runner"]),
        runner_dollars=run("agent_runner"),
        calls={role: roles.count(role) for role in measured["seconds"]},
    )


def report(bench: Bench, runs: int) -> str:
    """Measure everything and write it down."""
    rounds = max(1, runs // 5)
    with emulator(bench.work / "emulator.log") as aws:
        scene = Scene(bench, aws)
        priced = bills(scene)  # first: the others leave messages that nobody receives
        added, starts = waits(scene, rounds), cold_starts(scene, runs)
        sizes = {name: zipped(scene.shipped[name], bench.work / f"{name}-queue.zip") for name in SIDES}
    return TEXT.format(
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        machine=f"{platform.system()} on {os.cpu_count()} cores of {platform.machine()}",
        versions=bench.versions(),
        runs=runs,
        rounds=rounds,
        wait_rows=_table(wait_rows(added)),
        start_rows=_table(start_rows(starts, sizes)),
        bill_rows=_table(bill_rows(priced)),
        part_rows=_table(part_rows(priced)),
        alternatives=_table(alternative_rows(priced)),
        prices="; ".join(f"{1e6 * each.dollars:,.3f} for 1M {each.unit} ({each.source})" for each in PRICES.values()),
        memory=REQUEST_HANDLER_MEMORY_MIB,
    )


def _table(rows: Iterator[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def wait_rows(added: dict[str, dict[float, list[float | None]]]) -> Iterator[Sequence[str]]:
    """Put what each side adds beside the other's, and both goals."""

    def cell(values: Sequence[float | None]) -> str:
        there = [each for each in values if each is not None]
        return figure(there, "ms", 1000) if len(there) == len(values) else "**lost**"

    for ready in READY_SECONDS:
        yield f"answer ready after {ready:g} s", *(cell(added[side][ready]) for side in SIDES), "", ""
    medians = {side: [each for values in added[side].values() for each in values if each is not None] for side in SIDES}
    times = ratio(medians["agentkernel"], medians["ours"])
    cells = [f"{1000 * statistics.median(medians[side]):,.0f} ms" for side in SIDES]
    yield "added, median of all that came", *cells, f"{times:.0f} x less", at_least(times, 20)
    lost = {side: sum(each is None for values in added[side].values() for each in values) for side in SIDES}
    yield "answers lost", *(str(lost[side]) for side in SIDES), "", at_most(lost["ours"], 0)


def start_rows(starts: dict[str, Spread], sizes: dict[str, int]) -> Iterator[Sequence[str]]:
    """Put cold starts and sizes side by side."""
    for role in ("request handler", "response handler", "dead letter handler"):
        for how in ("", " as it ships"):
            ours, theirs = (starts.get(f"{side} {role}{how}") for side in SIDES)
            if ours is None:
                continue
            cells = [figure(each.cpu, "ms", 1000) if each else "has none" for each in (ours, theirs)]
            times = f"{ratio(theirs.cpu, ours.cpu):.2f} x less" if theirs else ""
            yield f"{role}, cold start {how or ' like for like'}".replace("  ", " "), *cells, times
    small, large = f"{sizes['ours'] / 1e3:.1f} kB for all", f"{sizes['agentkernel'] / 1e6:.1f} MB each"
    yield "zip of the handlers", small, large, f"{sizes['agentkernel'] / sizes['ours']:,.0f} x smaller"


def bill_rows(priced: dict[tuple[str, str, float], Bill]) -> Iterator[Sequence[str]]:
    """Put the bills side by side, with the goal."""
    for mode in MODES:
        for seconds in AGENT_SECONDS:
            ours, theirs = (priced[side, mode, seconds] for side in SIDES)
            share = ours.total / theirs.total
            calls = [" + ".join(str(count) for count in each.calls.values()) for each in (ours, theirs)]
            runner = [f"{each.runner_seconds:.2f} s, ${each.runner_dollars:,.0f}" for each in (ours, theirs)]
            yield (
                f"{mode}, agent takes {seconds:g} s",
                *calls,
                f"${ours.total:,.2f}",
                f"${theirs.total:,.2f}",
                *runner,
                f"{share:.2f} x",
                at_most(share, 0.5),
            )


def part_rows(priced: dict[tuple[str, str, float], Bill]) -> Iterator[Sequence[str]]:
    """Say what the bills are made of."""
    for (side, mode, seconds), each in priced.items():
        yield f"{side}, {mode}, {seconds:g} s", *(f"{part:,.2f}" for part in each.parts.values())


def alternative_rows(priced: dict[tuple[str, str, float], Bill]) -> Iterator[Sequence[str]]:
    """Say what less memory and cheaper looks would save, and what no pipeline behind this API can save."""
    for mode, seconds in ((mode, seconds) for mode in MODES for seconds in AGENT_SECONDS):
        ours, theirs = (priced[side, mode, seconds] for side in SIDES)
        waiting = ours.parts["request handler's time"]
        small = waiting * 128 / REQUEST_HANDLER_MEMORY_MIB
        variants = {
            "as it is": ours.total,
            "request handler with 128 MiB": ours.total - waiting + small,
            "that, and all reads at half price": ours.total - waiting + small - ours.parts["reads"] / 2,
            "API, invocations and wait at 128 MiB alone": ours.parts["API"] + ours.parts["invocations"] + small,
        }
        for name, dollars in variants.items():
            yield f"{mode}, {seconds:g} s: {name}", f"${dollars:,.2f}", f"{dollars / theirs.total:.2f} x"


TEXT = """## The queued pipeline

Written by `uv run python -m benchmarks.queued_pipeline` on {date}: {versions}; {machine}.
Agent Kernel's side is its own `Lambda.handler`, `ServerlessAgentRunner.handle` and `ResponseHandler.handle`; DynamoDB
and SQS are the local emulator's for both. The machine is shared and is not Lambda: trust the ratios.

What waiting adds: from the answer's arrival in the store to the response, `rest_sync` with each side's defaults,
{rounds} rounds, all waits of a round at once; medians with minimum and maximum.

| what | ours | Agent Kernel | ratio | goal |
|---|---|---|---|---|
{wait_rows}

CPU time of a fresh interpreter that imports a handler and handles one event; {runs} runs each after one uncounted.
Like for like: both with bytecode and the same boto3. As they ship: without bytecode, Agent Kernel with its own boto3.

| what | ours | Agent Kernel | ratio |
|---|---|---|---|
{start_rows}

A million requests in dollars, by the calls that the handlers make for one warm request in a session with one earlier
turn, and by how long they run; calls are those of request handler + agent runner + response handler. The agent's own
time is not in the sums and stands beside them, at the memory that each side gives it by default. `rest_async` is a
submission and one poll when the answer is there. Both sides' event source mappings receive and delete alike and are
not counted; a write to Agent Kernel's response table counts twice, for the index that its Terraform defines.

| what | our calls | their calls | ours | Agent Kernel | our runner | their runner | ratio | goal |
|---|---|---|---|---|---|---|---|---|
{bill_rows}

| side, mode, agent | API | request handler's time | response handler's time | invocations | queues | reads | writes |
|---|---|---|---|---|---|---|---|
{part_rows}

Why half of Agent Kernel's bill is not reached: in `rest_sync` both sides pay for a function that waits, ours with
{memory} MiB and theirs with 128; in `rest_async` most is API Gateway's, which is the same for both. The last line of
each is what a pipeline that kept nothing and sent nothing would cost: no setting of ours goes below it.

| mode, agent: our pipeline | a million | of Agent Kernel's |
|---|---|---|
{alternatives}

Prices in dollars, us-east-1, read 2026-11-21: {prices}.
"""


if __name__ == "__main__":
    write(lambda runs: beside_agent_kernel(report, runs), __doc__)
