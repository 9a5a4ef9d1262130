"""Fixtures for tests of constructs."""

from pathlib import Path

import aws_cdk as cdk
import pytest

from ak_constructs import AgentFunction


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
