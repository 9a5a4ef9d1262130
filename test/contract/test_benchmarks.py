"""What the benchmarks compare is comparable."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from benchmarks import by_constructs, by_hand, jwt_authorizer, streaming, version_pruner, websocket_handlers
from benchmarks.document import write_part
from benchmarks.processes import Side
from benchmarks.queued_pipeline import bill
from test.issuer import Issuers
from test.signing import rsa_key

ROOT = Path(__file__).parents[2]


def types(stack: cdk.Stack) -> Counter[str]:
    """Count a template's resources by type."""
    return Counter(resource["Type"] for resource in Template.from_stack(stack).to_json()["Resources"].values())


def test_both_sides_of_the_synthesis_define_the_same_resources(app: cdk.App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Type by type."""
    monkeypatch.chdir(ROOT)
    ours, theirs = cdk.Stack(app, "Ours"), cdk.Stack(app, "Theirs")
    by_constructs.define(ours)
    by_hand.define(theirs, str(ROOT / "lambda_assets"))
    assert types(ours) == types(theirs)


def test_the_benchmarks_were_run_and_say_how() -> None:
    """Date, versions and command stand beside the figures, and a goal missed says so."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    programs = (
        "agent_function",
        "jwt_authorizer",
        "queued_pipeline",
        "streaming",
        "version_pruner",
        "websocket_handlers",
    )
    for program in programs:
        assert f"`uv run python -m benchmarks.{program}` on 20" in text
    for name in ("Python 3.1", "aws-cdk-lib 2.", "agentkernel 0.9.5", "boto3 1."):
        assert name in text
    assert text.count(": met |") + text.count("**missed**") == 4 + 6 + 2 + 2 * 12 + 7


def test_each_benchmark_rewrites_its_own_part(tmp_path: Path) -> None:
    """And leaves the others as they are."""
    document = tmp_path / "benchmarks.md"
    for text in ("# First\n\n1\n", "## Second\n\n1\n", "# First\n\n2\n"):
        write_part(text, document)
    assert document.read_text(encoding="utf-8") == "# First\n\n2\n\n## Second\n\n1\n"


def test_a_bill_is_time_by_memory_and_calls_by_their_units() -> None:
    """One second with 1 GiB, a message, and a consistent read of up to 4 kB, a million times each."""
    measured: dict[str, Any] = {
        "calls": [("request_handler", "sqs.SendMessage", 1.0), ("request_handler", "dynamodb.GetItem", 1.0)],
        "seconds": {"request_handler": [1.0], "agent_runner": [2.0], "response_handler": []},
    }
    functions = dict.fromkeys(measured["seconds"], (1024, "arm64"))
    priced = bill(measured, functions)
    assert {name: round(dollars, 4) for name, dollars in priced.parts.items()} == {
        "API": 3.5,
        "request handler's time": 13.3334,
        "response handler's time": 0.0,
        "invocations": 0.4,
        "queues": 0.5,
        "reads": 0.125,
        "writes": 0.0,
    }
    assert (round(priced.runner_dollars, 4), priced.calls["request_handler"]) == (26.6668, 2)


def test_a_scope_by_capacity_provider_asks_about_its_functions_alone() -> None:
    """Each is asked about three times; the benchmark counts what a scan would ask beside it."""
    asked = version_pruner.calls({"capacity_provider": "pool"})
    assert asked["ListFunctions"] == 0
    assert asked["ListFunctionVersionsByCapacityProvider"] == 2
    lists = {asked[name] for name in ("ListVersionsByFunction", "ListAliases", "ListProvisionedConcurrencyConfigs")}
    assert lists == {version_pruner.ON_PROVIDER}


def test_what_the_authorizer_benchmark_times_is_a_token_that_is_let_in(tmp_path: Path) -> None:
    """With keys of a real issuer; our side, since Agent Kernel's needs an environment of its own."""
    with Issuers(tmp_path).running() as issuers:
        issuer = issuers.issuer("bench", rsa_key("rsa-1"))
        told = jwt_authorizer.variables(issuer, issuers, times=2)
        environment = {**os.environ, **told, "PYTHONPATH": str(ROOT / "lambda_assets")}
        command = [sys.executable, "-c", jwt_authorizer.OURS + jwt_authorizer.MANY]
        assert 0 < jwt_authorizer.measured(Side(command=command, environment=environment, cwd=tmp_path)) < 1
        assert issuer.fetched.total() == 2


def test_what_the_streaming_benchmark_times_is_the_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """On both sides, by real HTTP; ours with fewer posts."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(streaming, "PIECES", 20)
    with streaming.callback_api(0) as port:
        ours = streaming.measured(streaming.coalesced, port, 2, 1000)
        theirs = streaming.measured(streaming.one_by_one, port, 2, 1000)
    assert theirs.posts == 40
    assert 2 <= ours.posts < 40


def test_what_the_websocket_benchmark_times_is_a_connection_and_an_answer(tmp_path: Path) -> None:
    """Kept, and pushed; our side, since Agent Kernel's needs an environment of its own."""
    with websocket_handlers.clouds(tmp_path) as (cloud, authority):
        told = websocket_handlers.variables(cloud, authority)
        environment = {**os.environ, **told, "PYTHONPATH": str(ROOT / "lambda_assets")}
        for role in websocket_handlers.ROLES:
            code = websocket_handlers.IMPORTS["ours", role] + websocket_handlers.EVENTS[role]
            subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    assert cloud.asked == {"PutItem": 1, "UpdateItem": 1, "Query": 1, "PostToConnection": 1}
