"""The same requests to Agent Kernel's own pipeline and to ours: every difference is intended, and written down."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import httpx
import pytest

from ak_constructs.local.deployment import bootstrap, deploy, install_cdk
from ak_constructs.local.emulator import Emulator, emulator
from ak_constructs.local.logs import client
from test.local.agentkernel_cases import AT_ONCE, CASES, Case, Step, outcome, post
from test.local.agentkernel_differences import BOTH, DIFFERENCES, DOCUMENT, document
from test.pythons import require_python

SIDES = ("Theirs", "Ours")
WARM = '200 {"result": "echo heard hi", "session_id": "warm"}'
WARM_UP_ROUNDS = 10
RETRY_SECONDS = "3"
NEVER = {(each.case, mode) for each in DIFFERENCES for mode in each.modes if "NOT_FOUND" in each.theirs}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, dict[str, str]]]:
    """Run both sides on an emulator with a Python that Agent Kernel runs on."""
    python = require_python("3.13", "3.12")
    code = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    work = tmp_path_factory.mktemp("agentkernel-differences")
    install_cdk()
    with emulator(work / "emulator.log", base=python) as aws:
        bootstrap(aws, work)
        app = f"{sys.executable} -m test.local.agentkernel_differences_app {version}"
        yield aws, deploy(aws, work, app=app)["AgentKernelDifferences"]


def caller(url: str) -> Callable[[Step], httpx.Response]:
    """Give what sends a request to one API."""

    def call(step: Step) -> httpx.Response:
        return httpx.request(
            step.method,
            f"{url}?{urlencode(step.query)}" if step.query else url,
            content=step.body if step.body is None or isinstance(step.body, str) else json.dumps(step.body),
            headers={"Authorization": f"Bearer {step.user}", "Content-Type": "application/json"},
            timeout=40,
        )

    return call


def warm_up(call: Callable[[Step], httpx.Response]) -> None:
    """Start as many environments of each function as there will be callers, so that no cold start looks slow."""

    def ask(number: int) -> str:
        return outcome(Case(name="warm", steps=[post(session_id=f"warm-{number}", do="sleep", seconds=1)]), call)

    with ThreadPoolExecutor(AT_ONCE) as callers:
        for _ in range(WARM_UP_ROUNDS):
            answers = [re.sub(r"warm-\d", "warm", answer) for answer in callers.map(ask, range(AT_ONCE))]
            if answers == [WARM] * AT_ONCE:
                return
    raise AssertionError(answers)


@pytest.mark.local
@pytest.mark.timeout(600)  # of waits, most of them Agent Kernel's
def test_every_difference_is_in_the_table_and_nothing_else_is(deployed: tuple[Emulator, dict[str, str]]) -> None:
    """Status and body of each case, in each mode."""
    aws, outputs = deployed
    names = {mode: mode.title().replace("_", "") for mode in BOTH}
    for name in names.values():  # so that what their response handler cannot store is given up in seconds
        client("sqs", aws).set_queue_attributes(
            QueueUrl=outputs[f"Theirs{name}Replies"], Attributes={"VisibilityTimeout": RETRY_SECONDS}
        )
    calls = {
        (side, mode): caller(aws.reachable(outputs[f"{side}{name}Url"]))
        for side in SIDES
        for mode, name in names.items()
    }
    for call in calls.values():
        warm_up(call)
    with ThreadPoolExecutor(AT_ONCE) as callers:
        seen = {
            (case.name, mode): [
                callers.submit(outcome, case, calls["Theirs", mode], ends=(case.name, mode) not in NEVER),
                callers.submit(outcome, case, calls["Ours", mode]),
            ]
            for case in CASES
            for mode in case.modes
        }
    differences = {
        key: (theirs.result(), ours.result())
        for key, (theirs, ours) in seen.items()
        if theirs.result() != ours.result()
    }
    assert differences == {(each.case, mode): (each.theirs, each.ours) for each in DIFFERENCES for mode in each.modes}


def test_the_document_is_the_table() -> None:
    """Written by `uv run python -m test.local.agentkernel_differences`."""
    assert DOCUMENT.read_text(encoding="utf-8") == document()
