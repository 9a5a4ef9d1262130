"""Fixtures for tests of constructs."""

from pathlib import Path

import aws_cdk as cdk
import pytest

from ak_constructs import AgentFunction

FIRST = (  # the modules that take longest, so that at the end nobody waits for one worker
    *("test_queued_pipeline_chaos", "test_agentkernel_differences", "test_queued_pipeline", "test_agentkernel_queue"),
    *("test_upgrade", "test_tutorial", "test_local"),
    *("test_protocol_mutations", "test_demo", "test_permissions", "test_queued_pipeline_demo", "test_checkov"),
    *(
        "test_wheel",
        "test_request_protocol_machine",
        "test_site",
        "test_smoke",
        "test_compare",
        "test_findings",
        "test_cfn_lint",
    ),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with them, in this order; the others stay in theirs."""
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


@pytest.fixture
def app(tmp_path: Path) -> cdk.App:
    """Make an app that fails on what CloudFormation would refuse, and bundles nothing."""
    return cdk.App(
        analytics_reporting=False,
        outdir=str(tmp_path / "cdk.out"),
        context={"@aws-cdk/core:validateAgainstDefaultRules": True, "aws:cdk:bundling-stacks": []},
    )


@pytest.fixture
def stack(app: cdk.App) -> cdk.Stack:
    """Make a stack to define things in."""
    return cdk.Stack(app, "Stack")


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """Make an agent's folder."""
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "agent.py").write_text("def respond(turn):\n    return turn.prompt\n", encoding="utf-8")
    return folder


@pytest.fixture
def agent(stack: cdk.Stack, entry: Path) -> AgentFunction:
    """Make an agent in the stack."""
    return AgentFunction(stack, "Agent", entry=str(entry))
