"""What a deployed stack promises, one line each, found by synthesizing it.

resource ID TYPE             replaces ID PROPERTY VALUE   a value whose change makes CloudFormation replace it
kept ID POLICY               keys ID PROPERTY VALUE       what items of a table are found and forgotten by
setting ID NAME              runs ID FOLDER               of a function
action ROLE ACTION           grant METHOD ACTION          what a grant method gives, and so what a caller needs
variable ID NAME             route ROUTE                  of a stage and of a WebSocket API
metric METHOD NAMESPACE/NAME by DIMENSIONS
"""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from scripts.cases import QUICK, Define
from scripts.promises.schemas import replacing

# Made anew by design, or without anybody's notice.
FLEETING = {
    "AWS::ApiGateway::Deployment",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
}
KEYS = ("GlobalSecondaryIndexes", "TimeToLiveSpecification")
_HASH = re.compile(r"[0-9a-f]{64}|(?<=[0-9A-F]{8})[0-9a-f]{32}")
_CALLER = "CallerOf"


def promised(define: Define, folder: Path) -> set[str]:
    """Define a stack and give what it promises; assets that lie in the folder already are not copied again."""
    app = cdk.App(outdir=str(folder), **QUICK)
    stack = cdk.Stack(app, "Stack")
    made = define(stack)
    measured = {line for each in made.values() for line in _metrics(each)}
    for each in made.values():
        _grant(stack, each)
    app.synth()
    text = (folder / stack.template_file).read_text(encoding="utf-8")
    resources = json.loads(_HASH.sub("*", text))["Resources"]
    return measured | {line for id_, resource in resources.items() for line in _of(id_, resource)}


def _of(id_: str, resource: Mapping[str, Any]) -> Iterator[str]:
    kind, properties = resource["Type"], resource.get("Properties", {})
    if kind == "AWS::IAM::Policy":
        yield from _actions(properties)
    if kind in FLEETING or id_.startswith(_CALLER):
        return
    yield f"resource {id_} {kind}"
    for name in sorted({pointer.split("/")[2] for pointer in replacing(kind)}):
        if name in properties and not _points(properties[name]):
            yield f"replaces {id_} {name} {_short(properties[name])}"
    if "DeletionPolicy" in resource:
        yield f"kept {id_} {resource['DeletionPolicy']}"
    yield from (f"keys {id_} {name} {_short(properties[name])}" for name in KEYS if name in properties)
    if kind == "AWS::Lambda::Function":
        variables = properties.get("Environment", {}).get("Variables", {})
        yield from (f"setting {id_} {name}" for name in variables if name.startswith("AK_CONSTRUCTS_"))
        if str(properties.get("Handler")).startswith("ak_lambda."):
            yield f"runs {id_} {properties['Handler'].split('.')[1]}"
    if kind == "AWS::ApiGatewayV2::Route":
        yield f"route {_short(properties['RouteKey'])}"
    variables = properties.get("StageVariables") or properties.get("Variables") or {}
    yield from (f"variable {id_} {name}" for name in (variables if kind.endswith("::Stage") else ()))


def _actions(properties: Mapping[str, Any]) -> Iterator[str]:
    for role in properties.get("Roles", ()):
        name = str(role.get("Ref"))
        caller = re.fullmatch(rf"{_CALLER}(\w+?)[0-9A-F]{{8}}", name)
        subject = f"grant {caller[1]}" if caller else f"action {name}"
        for statement in properties["PolicyDocument"]["Statement"]:
            actions = statement.get("Action", ())
            if statement["Effect"] == "Allow":
                yield from (f"{subject} {action}" for action in ([actions] if isinstance(actions, str) else actions))


def _grant(stack: cdk.Stack, made: IConstruct) -> None:
    """Have a caller by each method that grants something."""
    for name in _own(made, "grant_"):
        id_ = f"{_CALLER}{type(made).__name__}{name.title().replace('_', '')}"
        if not stack.node.try_find_child(id_):
            getattr(made, name)(iam.Role(stack, id_, assumed_by=iam.AccountRootPrincipal()))


def _metrics(made: IConstruct) -> Iterator[str]:
    for name in _own(made, "metric_"):
        method = getattr(made, name)
        targets = getattr(made, "targets", None) if inspect.signature(method).parameters else None
        metric = method(*targets[:1]) if targets else method()
        by = ",".join(sorted(metric.dimensions or {}))
        yield f"metric {type(made).__name__}.{name} {metric.namespace}/{metric.metric_name} by {by}"


def _own(made: IConstruct, beginning: str) -> Iterable[str]:
    """Give the names of methods that this library's own classes have."""
    ours = [cls for cls in type(made).__mro__ if cls.__module__.startswith("ak_constructs")]
    return sorted({name for cls in ours for name in vars(cls) if name.startswith(beginning)})


def _points(value: object) -> bool:
    """Whether a value is another resource, whose id is a promise of its own."""
    return isinstance(value, dict) and set(value) <= {"Ref", "Fn::GetAtt"}


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
