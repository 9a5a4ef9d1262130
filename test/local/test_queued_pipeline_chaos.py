"""A thousand requests while their runners are killed: each gets its one right answer, in order.

Printed as a table with `-s`; docs/chaos.md has a copy of one with twice as many, by CHAOS_SESSIONS=200.
"""

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from ak_constructs.local.deployment import deploy
from ak_constructs.local.emulator import Emulator
from test.local.queued_pipeline import Pipeline

pytestmark = [pytest.mark.local, pytest.mark.chaos]
API = "ShortSync"  # its queue tells no reply handler: the emulator has too few threads for so many nested invokes
SESSIONS = int(os.environ.get("CHAOS_SESSIONS", "100"))
REQUESTS_EACH = 10
SUBMISSIONS = 5
CALLS_AT_ONCE = 20
SESSIONS_AT_ONCE = 40
KILLED_ONCE = 20
KILLED_TWICE = 2
LOOK_SECONDS = 0.5
GIVE_UP_SECONDS = 400


@dataclass
class Victim:
    """A request whose first runs are killed, and when they were, in nanoseconds."""

    request_id: str
    times: int
    killed: list[int] = field(default_factory=list)


@dataclass
class Answered:
    """What a caller got, and how long after its submission it saw it."""

    response: httpx.Response
    seconds: float


@pytest.fixture(scope="module")
def pipeline(aws: Emulator, work: Path) -> Iterator[Pipeline]:
    """Deploy the agent and its queues, and let so many calls be under way at once."""
    outputs = deploy(aws, work, app=f"{sys.executable} -m test.local.queued_pipeline_app")["Queued"]
    with httpx.Client(timeout=httpx.Timeout(60, pool=None), limits=httpx.Limits(max_connections=CALLS_AT_ONCE)) as http:
        yield Pipeline(aws, outputs, http)


def request_ids(session: int) -> list[str]:
    """Name the requests of a session in the order of their submission."""
    return [f"chaos-{session}-{number}" for number in range(REQUESTS_EACH)]


def choose_victims() -> dict[str, Victim]:
    """Choose one request in each of so many sessions, the early ones among them."""
    dice = random.Random(1)  # noqa: S311 - the same ones each time
    sessions = dice.sample(range(SESSIONS // 2), KILLED_ONCE + KILLED_TWICE)
    ids = [dice.choice(request_ids(session)) for session in sorted(sessions)]
    return {id_: Victim(id_, 2 if number < KILLED_TWICE else 1) for number, id_ in enumerate(ids)}


def converse(pipeline: Pipeline, session: int, victims: dict[str, Victim]) -> dict[str, Answered]:
    """Submit all requests of a session, and then look for each answer."""
    submitted = {}
    for id_ in request_ids(session):
        runs = [{"sleep": 12}] * victims[id_].times if id_ in victims else []
        submitted[id_] = time.monotonic()
        for _try in range(SUBMISSIONS):
            response = pipeline.post(
                API,
                *runs,
                {"sleep": 0.05},
                headers={"Prefer": "respond-async"},
                prompt=f"prompt of {id_}",
                request_id=id_,
                session_id=f"chaos-{session}",
            )
            if response.status_code != 503:  # "not now; send the same request again": a busy emulator
                break
        assert response.status_code == 202, response.text
    answers = {}
    for id_, began in submitted.items():
        while (response := pipeline.poll(API, id_)).status_code == 202:
            assert time.monotonic() < began + GIVE_UP_SECONDS, f"{id_} has no answer"
            time.sleep(LOOK_SECONDS)
        answers[id_] = Answered(response, time.monotonic() - began)
    return answers


def haunt(pipeline: Pipeline, victim: Victim, over: threading.Event) -> None:
    """Kill the first runs of a request, each at some moment after it began."""
    dice = random.Random(victim.request_id)  # noqa: S311
    while len(victim.killed) < victim.times and not over.is_set():
        if len(pipeline.runs(victim.request_id)) > len(victim.killed):
            over.wait(dice.uniform(0, 2))
            pipeline.kill_run(victim.request_id, len(victim.killed) + 1)
            victim.killed.append(time.time_ns())
        over.wait(LOOK_SECONDS)


def all_runs(pipeline: Pipeline) -> dict[str, list[dict[str, Any]]]:
    """Give all runs by session, each with its request and, if it was not killed, its end."""
    table = pipeline.tables.Table(pipeline.outputs["RunsTable"])
    found: dict[str, list[dict[str, Any]]] = {}
    page: dict[str, Any] = {"LastEvaluatedKey": None}
    while "LastEvaluatedKey" in page:
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if page["LastEvaluatedKey"] else {}
        page = table.scan(ConsistentRead=True, **start)
        for run in page["Items"]:
            found.setdefault(run["session_id"], []).append(run)
    return {session: sorted(runs, key=lambda run: run["began"]) for session, runs in found.items()}


@pytest.mark.timeout(600)  # on a quiet machine it takes 160 s
def test_killed_runners_lose_no_request(pipeline: Pipeline) -> None:
    """Nor repeat, mix up or reorder one."""
    victims = choose_victims()
    over = threading.Event()
    began = time.monotonic()
    with ThreadPoolExecutor(len(victims)) as killers, ThreadPoolExecutor(SESSIONS_AT_ONCE) as callers:
        haunted = [killers.submit(haunt, pipeline, victim, over) for victim in victims.values()]
        try:
            talks = list(callers.map(lambda session: converse(pipeline, session, victims), range(SESSIONS)))
        finally:
            over.set()
        for each in haunted:
            each.result()
    took = time.monotonic() - began
    answers = {id_: answered for talk in talks for id_, answered in talk.items()}
    runs = {session: each for session, each in all_runs(pipeline).items() if session.startswith("chaos-")}
    print(table(victims, answers, runs, took))  # noqa: T201 - shown with -s

    assert len(answers) == SESSIONS * REQUESTS_EACH
    wrong = {id_: answered.response.text for id_, answered in answers.items() if not is_right(id_, answered)}
    assert not wrong
    for session in range(SESSIONS):
        mine = runs[f"chaos-{session}"]
        expected = [
            id_ for id_ in request_ids(session) for _ in range(1 + (victims[id_].times if id_ in victims else 0))
        ]
        assert [run["request_id"] for run in mine] == expected, "runs are in order, and none that was not killed again"
        ends = [end_of(run, victims) for run in mine]
        begins = [int(run["began"]) for run in mine]
        assert all(end <= begin for end, begin in zip(ends, begins[1:], strict=False)), "one at a time"
    assert not any(victim.killed for victim in victims.values()), "each kill hit a run that had begun and not ended"


def is_right(request_id: str, answered: Answered) -> bool:
    """Tell whether an answer is the one to its request."""
    if answered.response.status_code != 200:
        return False
    body = answered.response.json()
    return (body["request_id"], body["result"]) == (request_id, f"SECRET answer to prompt of {request_id}")


def end_of(run: dict[str, Any], victims: dict[str, Victim]) -> int:
    """Give when a run ended: by itself, or by its next kill."""
    return int(run["ended"]) if "ended" in run else victims[run["request_id"]].killed.pop(0)


def table(
    victims: dict[str, Victim],
    answers: dict[str, Answered],
    runs: dict[str, list[dict[str, Any]]],
    took: float,
) -> str:
    """Write what happened as a table of Markdown."""
    seconds = sorted(answered.seconds for answered in answers.values())
    right = sum(is_right(id_, answered) for id_, answered in answers.items())
    killed = sum(len(victim.killed) for victim in victims.values())
    unfinished = sum("ended" not in run for each in runs.values() for run in each)
    rows = {
        "requests": f"{len(answers):,}",
        "sessions": len(runs),
        "right answers": f"{right:,}",
        "kills": killed,
        "kills that hit a run": unfinished,
        "runs": f"{sum(map(len, runs.values())):,}",
        "redelivered runs": sum(map(len, runs.values())) - len(answers),
        "median time to the answer": f"{seconds[len(seconds) // 2]:.1f} s",
        "99th percentile": f"{seconds[len(seconds) * 99 // 100]:.1f} s",
        "longest": f"{seconds[-1]:.1f} s",
        "whole run": f"{took:.0f} s",
    }
    lines = ["", "| what | number |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items()), ""]
    return "\n".join(lines)
