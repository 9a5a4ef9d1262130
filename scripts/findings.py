"""Each public construct as users define it, and what cdk-nag finds of it."""

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
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import IConstruct

from ak_constructs import (
    AgentApi,
    AgentFunction,
    AgentQueue,
    Authorization,
    KeepWarm,
    QueuedAgentPipeline,
    SessionStore,
    SharedCapacityProvider,
    VersionPruner,
    WebSocketAgentApi,
)
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
from scripts.checkov import checkov

ENTRY = Path(__file__).parents[1] / "examples" / "chat_api" / "agent"
AUTHORIZATIONS = ("iam", "jwt", "public", "cognito", "lambda_function", "api_key")
ALIKE = "lambda_function"  # of a pipeline it gives what iam gives, as of an API
MORNING = scheduler.ScheduleExpression.cron(hour="8", minute="0")
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
Names = dict[str, IConstruct]  # by the names that users give their variables
Define = Callable[[cdk.Stack], Names]


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


def agent(stack: cdk.Stack) -> Names:
    """Define an agent."""
    return {"agent": AgentFunction(stack, "Agent", entry=ENTRY)}


def authorization(stack: cdk.Stack, name: str) -> Authorization:
    """Let callers in this way."""
    if name == "cognito":
        return Authorization.cognito([cognito.UserPool.from_user_pool_id(stack, "Users", "eu-west-1_Users")])
    if name == "jwt":
        return Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"])
    if name == "lambda_function":
        arn = stack.format_arn(service="lambda", resource="function", resource_name="asks")
        asked = lambda_.Function.from_function_attributes(stack, "Asks", function_arn=arn, same_environment=True)
        return Authorization.lambda_function(asked, user_key="user")
    return {"iam": Authorization.iam, "public": Authorization.public, "api_key": Authorization.api_key}[name]()


def api(how: str) -> Define:
    """Define an API in front of an agent."""

    def define(stack: cdk.Stack) -> Names:
        given = authorization(stack, how)
        function = AgentFunction(stack, "Agent", entry=ENTRY)
        return {"agent": function, "api": AgentApi(stack, "Api", agent=function, authorization=given)}

    return define


def pipeline(how: str) -> Define:
    """Define a pipeline in front of an agent, with the queue that it makes."""

    def define(stack: cdk.Stack) -> Names:
        given = authorization(stack, how)
        function = AgentFunction(stack, "Agent", entry=ENTRY)
        made = QueuedAgentPipeline(stack, "Pipeline", agent=function, authorization=given)
        return {"agent": function, "pipeline": made, "queue": made.queue}

    return define


def chat(how: str, *, buffered: bool = True) -> Define:
    """Define a WebSocket API in front of an agent, with a route of the user's."""

    def define(stack: cdk.Stack) -> Names:
        given = authorization(stack, how)
        function = AgentFunction(stack, "Agent", entry=ENTRY)
        made = WebSocketAgentApi(stack, "Chat", agent=function, authorization=given, buffered=buffered)
        return {"agent": function, "chat": made, **({"queue": made.queue} if made.queue else {})}

    return define


def dynamodb_sessions(stack: cdk.Stack) -> Names:
    """Define sessions in DynamoDB."""
    return {"sessions": SessionStore(stack, "Sessions")}


def redis_sessions(stack: cdk.Stack) -> Names:
    """Define sessions in Redis."""
    return {"sessions": SessionStore.redis(stack, "Sessions", vpc=network(stack))}


def keep_warm(stack: cdk.Stack) -> Names:
    """Define an agent that is kept warm."""
    function = AgentFunction(stack, "Agent", entry=ENTRY)
    return {"agent": function, "warm": KeepWarm(stack, "Warm", targets=[function.add_alias("live")])}


def keep_warm_after_deployment(stack: cdk.Stack) -> Names:
    """Define an agent that is warm again after a deployment."""
    function = AgentFunction(stack, "Agent", entry=ENTRY)
    warm = KeepWarm(stack, "Warm", targets=[function.add_alias("live")], after_deployment=True)
    return {"agent": function, "warm": warm}


def pruner_of_functions(stack: cdk.Stack) -> Names:
    """Define a pruner of given functions."""
    function = AgentFunction(stack, "Agent", entry=ENTRY)
    return {"agent": function, "pruner": VersionPruner(stack, "Pruner", functions=[function], dry_run=False)}


def pruner_of_tags(stack: cdk.Stack) -> Names:
    """Define a pruner of functions that it finds."""
    return {"pruner": VersionPruner(stack, "Pruner", tags={"team": "agents"}, dry_run=False)}


def pool(stack: cdk.Stack) -> Names:
    """Define a pool of managed instances with an agent on it, and what prunes their versions."""
    made = SharedCapacityProvider(stack, "Pool", vpc=network(stack))
    function = AgentFunction(stack, "Agent", entry=ENTRY, memory_size=4096)
    live = made.add_function(function, memory_gib_per_vcpu=4, max_concurrency=4)
    made.add_environments_schedule(
        "Morning", alias=live, schedule=MORNING, min_execution_environments=6, max_execution_environments=16
    )
    pruner = VersionPruner(stack, "Pruner", capacity_provider=made.capacity_provider)
    return {"agent": function, "live": live, "pool": made, "pruner": pruner}


def network(stack: cdk.Stack) -> ec2.IVpc:
    """Give a network that is there, so that its own findings are nobody's here."""
    zones = ["a", "b", "c"]
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Network",
        vpc_id="vpc-0123456789abcdef0",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=zones,
        private_subnet_ids=[f"subnet-{zone}" for zone in zones],
        private_subnet_route_table_ids=[f"table-{zone}" for zone in zones],
    )


CHAT = chat("iam")
# Of each construct, how it is used, and what defines it so.
CASES: dict[str, dict[str, Define]] = {
    "AgentFunction": {
        "": agent,
        "Behind an `AgentQueue`": pipeline("iam"),
        "Behind a `WebSocketAgentApi`": CHAT,
        "On a `SharedCapacityProvider`": pool,
    },
    "AgentApi": {f"With `Authorization.{how}()`": api(how) for how in AUTHORIZATIONS},
    "QueuedAgentPipeline": {f"With `Authorization.{how}()`": pipeline(how) for how in AUTHORIZATIONS if how != ALIKE},
    "WebSocketAgentApi": {
        "With `Authorization.iam()`": CHAT,
        "With `Authorization.jwt()`": chat("jwt"),
        "With `buffered=False`": chat("iam", buffered=False),
    },
    "AgentQueue": {"": pipeline("iam"), "Behind a `WebSocketAgentApi`": CHAT},
    "SessionStore": {"": dynamodb_sessions, "`SessionStore.redis`": redis_sessions},
    "KeepWarm": {"": keep_warm, "With `after_deployment=True`": keep_warm_after_deployment},
    "VersionPruner": {
        "With `functions=` and `dry_run=False`": pruner_of_functions,
        "With `tags=` and `dry_run=False`": pruner_of_tags,
        "With `capacity_provider=`": pool,
    },
    "SharedCapacityProvider": {"": pool},
}


DEFAULTS = {next(iter(cases.values())) for cases in CASES.values()}  # each construct with nothing but what it needs


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
