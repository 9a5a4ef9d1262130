"""What cdk-nag and Checkov find of each public construct as users define it."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import cast
from unittest import mock

import aws_cdk as cdk
import cdk_nag
from constructs import IConstruct

from ak_constructs import AgentQueue, WebSocketAgentApi
from examples.agent_platform import acknowledgements as agent_platform
from examples.agent_platform.app import AgentPlatformStack
from examples.chat_api import acknowledgements as chat_api
from examples.chat_api.app import ChatApiStack
from examples.local.nag import Acknowledgement
from examples.local.reasons import REASONS
from examples.queued_pipeline import acknowledgements as queued_pipeline
from examples.queued_pipeline.app import QueuedPipelineStack
from examples.websocket_chat import acknowledgements as websocket_chat
from examples.websocket_chat.app import WebSocketChatStack
from scripts.cases import CASES, DEFAULTS, Define, Names
from scripts.checkov import checkov

PACKS: list[Callable[[], cdk_nag.NagPack]] = [
    cdk_nag.AwsSolutionsChecks,
    cdk_nag.HIPAASecurityChecks,
    cdk_nag.NIST80053R4Checks,
    cdk_nag.NIST80053R5Checks,
    cdk_nag.PCIDSS321Checks,
    cdk_nag.ServerlessChecks,
]
# Where the resources of a construct lie in the stacks below, the most exact first, and how a user gets there.
PLACES = {
    "Agent/Aliaslive/": ("AgentFunction", "live"),
    "Agent/": ("AgentFunction", "agent"),
    "AgentRole/": ("AgentFunction", "agent.role"),
    "AgentLogs/": ("AgentFunction", "agent.log_group"),
    "Api/": ("AgentApi", "api"),
    "Pipeline/Queue/Sessions/": ("SessionStore", "sessions"),
    "Pipeline/Queue/": ("AgentQueue", "queue"),
    "Pipeline/": ("QueuedAgentPipeline", "pipeline"),
    "Chat/Queue/Sessions/": ("SessionStore", "sessions"),
    "Chat/Queue/": ("AgentQueue", "queue"),
    "Chat/": ("WebSocketAgentApi", "chat"),
    "Sessions/": ("SessionStore", "sessions"),
    "Warm/": ("KeepWarm", "warm"),
    "Pruner/": ("VersionPruner", "pruner"),
    "Pool/": ("SharedCapacityProvider", "pool"),
}
EXAMPLES: dict[str, tuple[Callable[[cdk.App, str], cdk.Stack], ModuleType]] = {
    "agent_platform": (AgentPlatformStack, agent_platform),
    "chat_api": (ChatApiStack, chat_api),
    "queued_pipeline": (QueuedPipelineStack, queued_pipeline),
    "websocket_chat": (WebSocketChatStack, websocket_chat),
}
CONTEXT = {"aws:cdk:bundling-stacks": [], "aws:cdk:enable-path-metadata": True}


@dataclass(frozen=True, order=True)
class Finding:
    """What a rule says of a resource.

    Attributes:
        construct: The public construct that has the resource.
        scope: How a user gets near the resource.
        path: The path from there.
        id: The rule, and what its names in the template stand for in braces.
    """

    construct: str
    scope: str
    path: str
    id: str


@dataclass(frozen=True)
class Examined:
    """One definition and what is found of it."""

    stack: cdk.Stack
    names: Names
    findings: set[Finding]

    def of(self, construct: str) -> set[Finding]:
        """Give what is found of one construct."""
        return {finding for finding in self.findings if finding.construct == construct}


def examine(folder: Path, *, thoroughly: bool) -> dict[Define, Examined]:
    """Define every case, in a stack of its own, and give what cdk-nag and, if thoroughly, Checkov find.

    Thoroughly also raises what cfn-lint finds of the defaults.
    """
    app = cdk.App(analytics_reporting=False, context=CONTEXT, outdir=str(folder))
    defines = list({define: None for cases in CASES.values() for define in cases.values()})
    stacks = [cdk.Stack(app, f"Stack{number}") for number in range(len(defines))]
    names = [define(stack) for define, stack in zip(defines, stacks, strict=True)]
    found = [violations(stack) for stack in stacks]
    if thoroughly:
        app.synth()
        templates = [folder / stack.template_file for stack in stacks]
        lint([template for define, template in zip(defines, templates, strict=True) if define in DEFAULTS])
        plain = [example(name, folder / name, []) for name in EXAMPLES]
        acknowledged = example("chat_api", folder / "acknowledged", chat_api.ACKNOWLEDGEMENTS)
        *by_checkov, not_accepted = checkov([*templates, *plain, acknowledged])
        _compare(dict(zip(EXAMPLES, by_checkov[len(templates) :], strict=True)))
        if not_accepted:
            raise ValueError(f"Checkov must accept what an example acknowledges, got {sorted(not_accepted)}")
        found = [ours | theirs for ours, theirs in zip(found, by_checkov, strict=False)]
    return {
        define: Examined(stack, named, placed(each, names_in_ids(named)))
        for define, stack, named, each in zip(defines, stacks, names, found, strict=True)
    }


def example(name: str, folder: Path, acknowledgements: Sequence[Acknowledgement]) -> Path:
    """Synthesize an example that acknowledges these."""
    stack_class, module = EXAMPLES[name]
    app = cdk.App(analytics_reporting=False, context=CONTEXT, outdir=str(folder))
    with mock.patch.object(module, "ACKNOWLEDGEMENTS", acknowledgements):
        stack = stack_class(app, "Example")
    app.synth()
    return folder / stack.template_file


def _compare(found: Mapping[str, set[tuple[str, str]]]) -> None:
    """Raise what an example does not acknowledge, or acknowledges in vain."""
    for name, by_checkov in found.items():
        _, module = EXAMPLES[name]
        every = {(path, id_) for paths, ids, _ in module.ACKNOWLEDGEMENTS for path in paths for id_ in ids}
        if wrong := by_checkov ^ {(path, id_) for path, id_ in every if id_.startswith("CKV")}:
            raise ValueError(f"{name} must acknowledge exactly what Checkov finds, differs by {sorted(wrong)}")


def lint(templates: Sequence[Path]) -> None:
    """Raise what cfn-lint finds, but the dependencies that CDK writes down twice."""
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "--ignore-checks", "W3005", "--", *map(str, templates)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise ValueError(f"cfn-lint must find nothing, got {ran.stdout}{ran.stderr}")


def violations(stack: cdk.Stack) -> set[tuple[str, str]]:
    """Give path and id of everything that any pack finds."""
    return {
        (str(resource.construct_path).removeprefix(f"{stack.node.path}/"), violation.rule_name)
        for pack in PACKS
        for violation in pack().validate_scope(stack).violations
        for resource in violation.violating_resources
    }


def names_in_ids(names: Names) -> dict[str, str]:
    """Give what stands in ids for what the template calls some resources."""
    resources: dict[str, IConstruct] = {}
    if "agent" in names:
        resources["function"] = names["agent"]
    if isinstance(queue := names.get("queue"), AgentQueue):
        resources["payloads"] = queue.payloads
    if isinstance(api := names.get("chat"), WebSocketAgentApi):
        resources["socket_api"] = api.api
    return {
        cdk.Stack.of(resource).get_logical_id(cast(cdk.CfnElement, resource.node.default_child)): name
        for name, resource in resources.items()
    }


def placed(found: set[tuple[str, str]], stands: dict[str, str]) -> set[Finding]:
    """Say of which construct each finding is."""
    findings = set()
    for path, id_ in found:
        beginning = next(beginning for beginning in PLACES if path.startswith(beginning))
        general = id_
        for logical_id, name in stands.items():
            general = re.sub(rf"<{logical_id}(?=[.>])", f"<{{{name}}}", general)
        findings.add(Finding(*PLACES[beginning], path.removeprefix(beginning), general))
    return findings


def reason_of(finding: Finding) -> str:
    """Give the name of the one reason for which a finding is accepted."""
    place = f"{finding.construct}/{finding.path}"
    names = [
        name
        for name, reason in REASONS.items()
        if finding.id in reason.ids and any(fnmatchcase(place, pattern) for pattern in reason.at)
    ]
    if len(names) != 1:
        raise LookupError(f"{finding.id} at {place} must have one reason in examples/local/reasons.py, got {names}")
    return names[0]
