"""Every example through cdk-nag's packs: nothing but what it acknowledges, and nothing acknowledged in vain."""

from pathlib import Path

import aws_cdk as cdk
import pytest

from examples.agent_platform.app import AgentPlatformStack
from scripts.findings import EXAMPLES, violations
from test.contract import hardened


def test_every_example_is_looked_at() -> None:
    """A new one too."""
    folders = {path.parent.name for path in (Path(__file__).parents[2] / "examples").glob("*/app.py")}
    assert folders == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_no_finding_that_it_does_not_acknowledge(app: cdk.App, name: str) -> None:
    """In any of six packs."""
    stack_class, _ = EXAMPLES[name]
    assert violations(stack_class(app, "Example")) == set()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_acknowledges_exactly_what_is_found(
    app: cdk.App, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acknowledgement whose finding is gone must go, and each has a reason."""
    stack_class, module = EXAMPLES[name]
    every = {(path, id_) for paths, ids, _ in module.ACKNOWLEDGEMENTS for path in paths for id_ in ids}
    acknowledged = {(path, id_) for path, id_ in every if not id_.startswith("CKV")}
    assert all(len(reason) > 20 for _, _, reason in module.ACKNOWLEDGEMENTS)
    monkeypatch.setattr(module, "ACKNOWLEDGEMENTS", [])
    assert violations(stack_class(app, "Example")) == acknowledged


def test_the_platform_without_instances_has_no_finding_either(app: cdk.App) -> None:
    """As the emulator gets it."""
    assert violations(AgentPlatformStack(app, "Example", local=True)) == set()


def test_a_key_a_network_and_a_web_acl_leave_fewer_findings_and_make_none(app: cdk.App) -> None:
    """Exactly those that are about them, of every function, log group, bucket and stage."""
    by_themselves, with_all = cdk.Stack(app, "Plain"), cdk.Stack(app, "Hardened")
    hardened.define(by_themselves, hardened=False)
    hardened.define(with_all, hardened=True)
    before, after = violations(by_themselves), violations(with_all)
    assert after < before
    gone = {id_ for _, id_ in before - after}
    assert not gone & {id_ for _, id_ in after}
    assert {id_.rpartition("-")[2] for id_ in gone} == {
        "APIG3",
        "APIGWAssociatedWithWAF",
        "CloudWatchLogGroupEncrypted",
        "LambdaInsideVPC",
        "S3DefaultEncryptionKMS",
    }
