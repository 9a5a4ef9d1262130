"""A user's app of the released example stacks, as it is synthesized with the released wheel and with this one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ak_constructs.local import deployment
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from scripts.project import ROOT, build, uv

RELEASED = ROOT / "test" / "released"
STACKS = ("AgentPlatform", "ChatApi", "QueuedPipeline", "WebSocketChat")
BUCKET = "cdk-hnb659fds-assets-000000000000-us-east-1"  # of a bootstrapped account
APP = """
import sys

import aws_cdk as cdk

from agent_platform.app import AgentPlatformStack
from chat_api.app import ChatApiStack
from queued_pipeline.app import QueuedPipelineStack
from websocket_chat.app import WebSocketChatStack

app = cdk.App()
AgentPlatformStack(app, "AgentPlatform", local=True)
ChatApiStack(app, "ChatApi")
QueuedPipelineStack(app, "QueuedPipeline")
WebSocketChatStack(app, "WebSocketChat", issuer=sys.argv[1], audience="chat", authority=sys.argv[2])
app.synth()
"""
AGENT = '''
"""Counts how often it is asked, says what was said before, and waits where it is told to."""

import time
from pathlib import Path


def respond(turn):
    book = Path(turn.extra["book"])
    with (book / "runs").open("a") as runs:
        runs.write(f"{turn.request_id}\\n")
    if turn.extra.get("broken") and (book / "broken").exists():
        raise RuntimeError("on purpose")
    turn.progress("looking back")
    yield "said before: "
    while turn.extra.get("held") and (book / "held").exists():
        time.sleep(0.2)
        yield "."
    yield ", ".join(each["prompt"] for each in turn.history)
'''


@dataclass(frozen=True)
class Assembly:
    """What a user deploys."""

    folder: Path

    def template(self, stack: str) -> dict[str, Any]:
        """Give the template of a stack."""
        found: dict[str, Any] = json.loads((self.folder / f"{stack}.template.json").read_text(encoding="utf-8"))
        return found

    def code_of(self, stack: str, name: str) -> dict[str, str]:
        """Give where the code of a function lies, once it is deployed."""
        code = self.template(stack)["Resources"][name]["Properties"]["Code"]
        return {"S3Bucket": BUCKET, "S3Key": code["S3Key"]}


def write_app(folder: Path) -> None:
    """Write the app; the agents behind queues are the test's, as they would be a user's own."""
    shutil.copytree(RELEASED / "apps", folder, dirs_exist_ok=True)
    (folder / "app.py").write_text(APP, encoding="utf-8")
    for name in ("queued_pipeline", "websocket_chat"):
        (folder / name / "agent" / "agent.py").write_text(AGENT, encoding="utf-8")


def released_wheel() -> Path:
    """Give the wheel that users have."""
    (wheel,) = RELEASED.glob("*.whl")
    return wheel


def synthesize(app: Path, work: Path, wheel: Path | None, *, arguments: Sequence[str]) -> Assembly:
    """Synthesize the app with a wheel, or with one that is built of what is here."""
    package, out = work / "package", work / "cdk.out"
    wheel = wheel or build(work / "dist")
    install = [uv(), "pip", "install", "-q", "-p", sys.executable, "--no-deps", "--target", str(package), str(wheel)]
    subprocess.run(install, check=True, cwd="/")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(package),  # before the checkout
        "CDK_OUTDIR": str(out),
        "CDK_VALIDATION": "false",
    }
    command = [sys.executable, "app.py", *arguments]
    subprocess.run(command, cwd=app, env=environment, check=True, capture_output=True)
    return Assembly(out)


def deploy(aws: Emulator, work: Path, assembly: Assembly) -> dict[str, str]:
    """Deploy all stacks and give all outputs, none of which have the same name."""
    at_once = {"CDK_CONCURRENCY": str(len(STACKS))}
    found = deployment.deploy(aws, work, app=str(assembly.folder), environment=at_once)
    return {name: value for outputs in found.values() for name, value in outputs.items()}


def destroy(aws: Emulator, work: Path, assembly: Assembly) -> None:
    """Run `cdk destroy`."""
    command = [str(deployment.install_cdk()), "destroy", "--all", "--force", "--app", str(assembly.folder)]
    environment = {**deployment._environment(aws, work), "CDK_CONCURRENCY": str(len(STACKS))}
    deployment.run([*command, "--no-notices"], cwd=work, seconds=deployment.DEPLOY_SECONDS, environment=environment)


def resources(aws: Emulator, stack: str) -> dict[str, tuple[str, str]]:
    """Give the type and the physical id of each resource of a stack."""
    pages = client("cloudformation", aws).get_paginator("list_stack_resources").paginate(StackName=stack)
    found = [each for page in pages for each in page["StackResourceSummaries"]]
    return {each["LogicalResourceId"]: (each["ResourceType"], each["PhysicalResourceId"]) for each in found}


def items(aws: Emulator, table: str) -> list[Mapping[str, Any]]:
    """Give all items of a table."""
    pages = client("dynamodb", aws).get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def everything(aws: Emulator) -> set[tuple[str, str]]:
    """Give what there is of the kinds that stacks here define, each by the type that CloudFormation calls it."""
    calls = {
        "AWS::ApiGateway::RestApi": ("apigateway", "get_rest_apis", "items", "id"),
        "AWS::ApiGatewayV2::Api": ("apigatewayv2", "get_apis", "Items", "ApiId"),
        "AWS::CloudWatch::Alarm": ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        "AWS::DynamoDB::GlobalTable": ("dynamodb", "list_tables", "TableNames", ""),
        "AWS::IAM::Role": ("iam", "list_roles", "Roles", "RoleName"),
        "AWS::Lambda::EventSourceMapping": ("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
        "AWS::Lambda::Function": ("lambda", "list_functions", "Functions", "FunctionName"),
        "AWS::Lambda::LayerVersion": ("lambda", "list_layers", "Layers", "LayerArn"),
        "AWS::Logs::LogGroup": ("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "AWS::S3::Bucket": ("s3", "list_buckets", "Buckets", "Name"),
        "AWS::SQS::Queue": ("sqs", "list_queues", "QueueUrls", ""),
        "AWS::SSM::Parameter": ("ssm", "describe_parameters", "Parameters", "Name"),
        "AWS::Scheduler::Schedule": ("scheduler", "list_schedules", "Schedules", "Name"),
    }
    found = set()
    for type_, (service, operation, field, name) in calls.items():
        of_service = client(service, aws)
        pages: Any = [getattr(of_service, operation)()]
        if of_service.can_paginate(operation):
            pages = of_service.get_paginator(operation).paginate()
        found |= {(type_, each[name] if name else each) for page in pages for each in page.get(field, [])}
    return found
