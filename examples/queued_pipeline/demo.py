"""Deploys this example to a local AWS emulator and asks its agent in every way that there is.

    uv run python -m examples.queued_pipeline.demo
    uv run python -m examples.queued_pipeline.demo --quick

It prints a table of all modes and, of one request, what happened when. `--quick` leaves out the agent that takes
20 s, and with it most of the time. A machine that is busy adds milliseconds; none of them is AWS's.
"""

import argparse
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

import httpx

from ak_constructs.local import deployed
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client, log_lines
from ak_constructs.local.progress import step
from ak_constructs.local.signing import CREDENTIALS, signed_headers
from ak_constructs.local.stopping import run
from examples.local.client import TIMEOUT_SECONDS, RefusedError
from examples.local.table import table

SECONDS = (0.1, 2.0, 20.0)
TIMELINE_SECONDS = 3.0
GIVE_UP_SECONDS = 60.0
LOOK_SECONDS = 0.02
LOG_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A way to ask."""

    name: str
    api: str
    prefer: str | None = None


MODES = (
    Mode(name="rest_sync: the POST waits", api="WaitUrl"),
    Mode(name="rest_sync, Prefer: respond-async, then polls", api="WaitUrl", prefer="respond-async"),
    Mode(name="rest_async: accepted at once, then polls", api="AcceptUrl"),
    Mode(name="rest_async, Prefer: wait=25: the POST waits", api="AcceptUrl", prefer="wait=25"),
)


@dataclass(kw_only=True)
class Asked:
    """One request as its caller saw it: each response with its milliseconds from the start."""

    request_id: str
    started: float
    seen: list[tuple[float, httpx.Response]] = field(default_factory=list)

    @property
    def answer_ms(self) -> float:
        """When the answer was there."""
        return self.seen[-1][0]

    @property
    def statuses(self) -> str:
        """The statuses in their order, those of polls counted."""
        *before, (_, last) = self.seen
        polls = f" {len(before)} times" if len(before) > 1 else ""
        return f"{before[0][1].status_code}{polls} → {last.status_code}" if before else str(last.status_code)


def main(*, quick: bool) -> int:
    """Run the whole example; nothing of it is left when this returns or raises."""
    with deployed(["-m", "examples.queued_pipeline.app"]) as running:
        aws, outputs = running.emulator, running.outputs["QueuedPipeline"]
        print(f"POST {outputs['WaitUrl']}\nPOST {outputs['AcceptUrl']}\n")
        with step("Warming up, so that nobody below waits for a process to start"):
            _ask_side_by_side(outputs, 0.5)
        times = [seconds for seconds in SECONDS if not quick or seconds <= 2]  # noqa: PLR2004
        rows = [row for seconds in times for row in _rows(outputs, seconds)]
        print()
        print(table(("mode", "agent", "statuses", "answer after", "added"), rows))
        print("\nadded: what the answer took besides the agent. A poll comes each second, as Retry-After says, and so")
        print(
            "an answer waits up to a second for the next one; `Prefer: wait=N` with a poll would wait for it instead.\n"
        )
        _print_timeline(aws, outputs)
    return 0


def _rows(outputs: Mapping[str, str], seconds: float) -> list[tuple[str, ...]]:
    with step(f"Asking an agent that takes {seconds:g} s, in {len(MODES)} ways side by side"):
        asked = _ask_side_by_side(outputs, seconds)
    return [
        (
            mode.name,
            f"{seconds:g} s",
            each.statuses,
            f"{each.answer_ms:,.0f} ms",
            f"{each.answer_ms - seconds * 1000:,.0f} ms",
        )
        for mode, each in zip(MODES, asked, strict=True)
    ]


def _ask_side_by_side(outputs: Mapping[str, str], seconds: float) -> list[Asked]:
    with ThreadPoolExecutor(len(MODES)) as callers:
        return list(callers.map(lambda mode: _ask(outputs[mode.api], seconds, mode.prefer), MODES))


def _ask(url: str, seconds: float, prefer: str | None = None) -> Asked:
    """Submit a request and follow its `Location` until its answer is there, as any caller would."""
    with httpx.Client(timeout=TIMEOUT_SECONDS) as http:
        asked = Asked(request_id=str(uuid.uuid4()), started=time.time())
        body = json.dumps({"prompt": "What is a queue?", "seconds": seconds, "request_id": asked.request_id}).encode()
        response = _call(http, "POST", url, asked, body=body, headers={"Prefer": prefer} if prefer else {})
        while response.status_code == httpx.codes.ACCEPTED:
            if asked.answer_ms > (seconds + GIVE_UP_SECONDS) * 1000:
                raise RefusedError(f"no answer after {asked.answer_ms / 1000:.0f} s")
            time.sleep(float(response.headers["Retry-After"]))
            response = _call(http, "GET", urljoin(str(response.url), response.headers["Location"]), asked)
    if response.status_code != httpx.codes.OK:
        raise RefusedError(f"the API answered {response.status_code}: {response.text[:500]}")
    return asked


def _call(
    http: httpx.Client,
    method: str,
    url: str,
    asked: Asked,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    signed = signed_headers(method, url, body, credentials=CREDENTIALS, region="us-east-1")
    response = http.request(method, url, content=body, headers={**signed, **(headers or {})})
    asked.seen.append(((time.time() - asked.started) * 1000, response))
    return response


def _print_timeline(aws: Emulator, outputs: Mapping[str, str]) -> None:
    """Follow one request everywhere at once: at the caller's, in the table, and in the logs."""
    with ThreadPoolExecutor(1) as callers:
        print(f"One request, accepted and then polled, to an agent that takes {TIMELINE_SECONDS:g} s:\n")
        asking = callers.submit(_ask, outputs["AcceptUrl"], TIMELINE_SECONDS)
        items = _items_until(aws, outputs["RequestsTable"], asking.done)
        asked = asking.result()
    events = _of_caller(asked) + _of_item(asked, items) + _of_logs(aws, outputs, asked)
    rows = [(f"{ms:,.0f} ms", where, what) for ms, where, what in sorted(events)]
    print(table(("after", "where", "what"), rows))


Event = tuple[float, str, str]


def _of_caller(asked: Asked) -> list[Event]:
    events = [(0.0, "caller", "sends the request")]
    for ms, response in asked.seen:
        told = response.json()
        what = f"sees {response.status_code} {told.get('status', '')}".rstrip()
        if "progress" in told:
            what += f", progress {told['progress']!r}"
        if response.status_code == httpx.codes.OK:
            what += f": {told['result']}"
        events.append((ms, "caller", what))
    return events


def _items_until(aws: Emulator, table: str, done: Any) -> list[tuple[float, dict[str, str]]]:  # noqa: ANN401
    """Look at all items until something is done; give each change with the time at which it was seen."""
    tables = client("dynamodb", aws)
    last: dict[str, dict[str, str]] = {}
    changes: list[tuple[float, dict[str, str]]] = []
    while not done():
        for typed in tables.scan(TableName=table, ConsistentRead=True)["Items"]:
            item = {name: str(next(iter(value.values()))) for name, value in typed.items()}
            if last.get(item["request_id"]) != item:
                last[item["request_id"]] = item
                changes.append((time.time(), item))
        time.sleep(LOOK_SECONDS)
    return changes


def _of_item(asked: Asked, changes: Sequence[tuple[float, dict[str, str]]]) -> list[Event]:
    """Tell what changed in the request's item: submitted, leased, answered."""
    events = []
    before: dict[str, str] = {}
    for seen, item in changes:
        if item["request_id"] != asked.request_id:
            continue
        ms = (seen - asked.started) * 1000
        if not before:
            submitted = float(item["created_at"]) - asked.started * 1000
            events.append((submitted, "item", f"{item['status']}: submitted"))
        if item["attempt"] != before.get("attempt", "0"):
            events.append((ms, "item", f"leased: run {item['attempt']} has begun"))
        if item.get("progress") != before.get("progress"):
            events.append((ms, "item", f"progress {item['progress']!r}"))
        if item["status"] != before.get("status", "PENDING"):
            events.append((ms, "item", f"{item['status']}: answered"))
        before = item
    return events


def _of_logs(aws: Emulator, outputs: Mapping[str, str], asked: Asked) -> list[Event]:
    """Tell what the functions logged of the request; the emulator has a run's lines when it has ended."""
    groups = {"request handler": outputs["AcceptLogGroup"], "agent runner": outputs["AgentLogGroup"]}
    events: list[Event] = []
    until = time.monotonic() + LOG_SECONDS
    while not {"request handler", "agent runner"} <= {where for _, where, _ in events} and time.monotonic() < until:
        events = [
            event
            for where, group in groups.items()
            for line in log_lines(aws, group)
            if line.get("request_id") == asked.request_id
            for event in _of_line(where, line, asked)
        ]
    return events


def _of_line(where: str, line: Mapping[str, Any], asked: Asked) -> list[Event]:
    ended = (datetime.fromisoformat(line["timestamp"]).timestamp() - asked.started) * 1000
    took = int(line["duration_ms"])
    if where == "request handler" and line["method"] == "GET":
        return []  # each poll's; the caller's lines say it all
    ends = f"logs {line['message']!r}, status {line['status']}, after {took:,} ms of its own"
    return [(ended - took, where, "begins"), (ended, where, ends)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the agent that takes 20 s")
    arguments = parser.parse_args()
    run(lambda: main(quick=arguments.quick))
