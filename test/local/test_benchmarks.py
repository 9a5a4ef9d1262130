"""What the benchmark of the queued pipeline runs still does what it measures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ak_constructs.local.emulator import Emulator
from benchmarks.queued_pipeline import AGENT, FUNCTIONS, OWN_COLD_STARTS, bill, define, own_variables

pytestmark = pytest.mark.local
ROOT = Path(__file__).parents[2]
SIDES = [sys.executable, str(ROOT / "benchmarks" / "queued_sides.py"), "ours"]


@pytest.fixture(scope="module")
def urls(aws: Emulator) -> dict[str, str]:
    """Define tables and queues."""
    return define(aws)


@pytest.fixture
def environment(aws: Emulator, urls: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Give what a handler is told, and an agent."""
    (tmp_path / "bench_agent.py").write_text(AGENT, encoding="utf-8")
    path = os.pathsep.join([str(ROOT / "lambda_assets"), str(tmp_path)])
    return {**os.environ, **aws.environment, **own_variables(urls, "rest_sync"), "PYTHONPATH": path}


@pytest.mark.parametrize("mode", ["rest_sync", "rest_async"])
def test_a_request_goes_through_all_handlers_and_is_billed(environment: dict[str, str], mode: str) -> None:
    """Our side; Agent Kernel's needs an environment of its own."""
    told = {**environment, "AK_CONSTRUCTS_MODE": mode}
    ran = subprocess.run([*SIDES, "calls", mode, "0.1"], env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    priced = bill(json.loads(ran.stdout.splitlines()[-1]), FUNCTIONS["ours"])
    assert set(priced.calls) == {"request_handler", "agent_runner", "response_handler"}


def test_an_answer_that_is_ready_later_is_waited_for(environment: dict[str, str]) -> None:
    """And it is said how much later it came."""
    ran = subprocess.run(
        [*SIDES, "wait", "0.2"], env=environment, input="\n", capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["added"] >= 0


@pytest.mark.parametrize("role", OWN_COLD_STARTS)
def test_a_cold_start_handles_an_event(environment: dict[str, str], role: str) -> None:
    """Or its time would be that of a refusal."""
    command = [sys.executable, "-c", OWN_COLD_STARTS[role]]
    told = {**environment, "AK_CONSTRUCTS_MODE": "rest_async"}
    ran = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
