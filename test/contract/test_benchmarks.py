"""What the benchmarks compare is comparable."""

from collections import Counter
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from benchmarks import by_constructs, by_hand

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
    assert "`uv run python -m benchmarks.agent_function` on 20" in text
    for name in ("Python 3.1", "aws-cdk-lib 2.", "agentkernel 0.9.5", "boto3 1."):
        assert name in text
    assert text.count(": met |") + text.count("**missed**") == 4
