"""Every example through cdk-nag's packs: nothing but what it acknowledges, and nothing acknowledged in vain."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import aws_cdk as cdk
import cdk_nag
import pytest

from examples.agent_platform import acknowledgements as agent_platform
from examples.agent_platform.app import AgentPlatformStack
from examples.chat_api import acknowledgements as chat_api
from examples.chat_api.app import ChatApiStack
from examples.queued_pipeline import acknowledgements as queued_pipeline
from examples.queued_pipeline.app import QueuedPipelineStack

EXAMPLES: dict[str, tuple[Callable[[cdk.App, str], cdk.Stack], ModuleType]] = {
    "agent_platform": (AgentPlatformStack, agent_platform),
    "chat_api": (ChatApiStack, chat_api),
    "queued_pipeline": (QueuedPipelineStack, queued_pipeline),
}
PACKS: list[Callable[[], cdk_nag.NagPack]] = [
    cdk_nag.AwsSolutionsChecks,
    cdk_nag.HIPAASecurityChecks,
    cdk_nag.NIST80053R5Checks,
    cdk_nag.PCIDSS321Checks,
    cdk_nag.ServerlessChecks,
]


def findings(stack: cdk.Stack) -> set[tuple[str, str]]:
    """Give path and id of everything that any pack finds."""
    found = set()
    for pack in PACKS:
        for violation in pack().validate_scope(stack).violations:
            for resource in violation.violating_resources:
                path = str(resource.construct_path).removeprefix(f"{stack.node.path}/")
                found.add((path, violation.rule_name))
    return found


def test_every_example_is_looked_at() -> None:
    """A new one too."""
    folders = {path.parent.name for path in (Path(__file__).parents[2] / "examples").glob("*/app.py")}
    assert folders == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_no_finding_that_it_does_not_acknowledge(app: cdk.App, name: str) -> None:
    """In any of five packs."""
    stack_class, _ = EXAMPLES[name]
    assert findings(stack_class(app, "Example")) == set()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_acknowledges_exactly_what_is_found(
    app: cdk.App, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acknowledgement whose finding is gone must go, and each has a reason."""
    stack_class, module = EXAMPLES[name]
    acknowledged = {(path, id_) for paths, ids, _ in module.ACKNOWLEDGEMENTS for path in paths for id_ in ids}
    assert all(len(reason) > 20 for _, _, reason in module.ACKNOWLEDGEMENTS)
    monkeypatch.setattr(module, "ACKNOWLEDGEMENTS", [])
    assert findings(stack_class(app, "Example")) == acknowledged


def test_the_platform_without_instances_has_no_finding_either(app: cdk.App) -> None:
    """As the emulator gets it."""
    assert findings(AgentPlatformStack(app, "Example", local=True)) == set()
