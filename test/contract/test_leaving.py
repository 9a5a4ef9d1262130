"""What docs/leaving.md and docs/upgrading.md promise: what stays, and what would be lost."""

import copy
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jmespath  # type: ignore[import-untyped]
import pytest
from aws_cdk import assertions, cloudformation_include
from constructs import Construct, IConstruct

import ak_constructs
from ak_constructs._tables import define_table
from scripts.cases import CASES, QUICK
from scripts.project import ROOT
from scripts.promises.schemas import replacing
from test.contract import leaving
from test.contract.replacements import MADE_ANEW, complaints

LANDSCAPE = {define for cases in CASES.values() for define in cases.values()}
CLASSES = tuple(each for name in ak_constructs.__all__ if isinstance(each := getattr(ak_constructs, name), type))


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthesize a chat with a queue."""
    return synthesized(tmp_path_factory.mktemp("chat"))


def synthesized(out: Path) -> Path:
    """Synthesize the chat and give the template's file."""
    app = cdk.App(outdir=str(out), **QUICK)
    CASES["WebSocketAgentApi"]["With `Authorization.iam()`"](cdk.Stack(app, "Chat"))
    app.synth()
    return out / "Chat.template.json"


def template(path: Path) -> dict[str, Any]:
    """Read a template."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_what_is_retained_is_what_the_page_lists(tmp_path: Path) -> None:
    """Of every construct, in every way to use it; each has a command that deletes it."""
    app = cdk.App(outdir=str(tmp_path), **QUICK)
    stacks = [cdk.Stack(app, f"Stack{number}") for number in range(len(LANDSCAPE))]
    for define, stack in zip(LANDSCAPE, stacks, strict=True):
        define(stack)
    app.synth()
    found = set()
    for stack in stacks:  # of the templates: to ask each construct takes jsii seconds
        for each in template(tmp_path / stack.template_file)["Resources"].values():
            if each.get("DeletionPolicy", "").startswith("Retain"):
                found.add((*place(stack, each["Metadata"]["aws:cdk:path"]), each["Type"]))
    assert found == leaving.kept()
    assert {type_ for _, _, type_ in found} | {"AWS::Lambda::Version"} == set(leaving.commands())


def place(stack: cdk.Stack, path: str) -> tuple[str, str]:
    """Name the public construct that has a resource, and the resource's id there; an agent's lie beside it."""
    resource: IConstruct = stack
    for id_ in path.split("/")[1:]:
        resource = resource.node.find_child(id_)
    owners = [each for each in resource.node.scopes if isinstance(each, CLASSES)]
    owner = owners[-1] if owners else stack.node.find_child("Agent")
    below = path.removeprefix(f"{owner.node.path}/" if owners else owner.node.path)
    name = next(each.__name__ for each in type(owner).__mro__ if each in CLASSES)
    return name, below.removesuffix("/Resource")


def test_each_command_is_one_that_the_command_line_has() -> None:
    """By the models that it is made of."""
    for type_, words in leaving.commands().items():
        if words[:2] != ["s3", "rb"] and words:
            _service, _operation, arguments = leaving.call(words, type_)
            assert list(arguments.values()) == [type_]


def test_a_stack_of_a_test_can_leave_nothing(tmp_path: Path) -> None:
    """By the lines of the page, whatever the constructs say."""
    (code,) = re.findall(r"```python\n(from aws_cdk import RemovalPolicies.*?)```", page("leaving"), re.DOTALL)
    app = cdk.App(
        context={"aws:cdk:bundling-stacks": []}, outdir=str(tmp_path), builtin_cloud_formation_validation=False
    )
    stack = cdk.Stack(app, "Stack")
    CASES["WebSocketAgentApi"]["With `Authorization.iam()`"](stack)
    exec(code, {"stack": stack})  # noqa: S102 - the page's own code
    found = assertions.Template.from_stack(stack).to_json()["Resources"].values()
    assert {each["DeletionPolicy"] for each in found if each["Type"] in leaving.commands()} == {"Delete"}


def test_queries_ask_for_what_is_meant() -> None:
    """Of what CloudFormation answers."""
    skipped = {"ResourceType": "AWS::S3::Bucket", "PhysicalResourceId": "b", "ResourceStatus": "DELETE_SKIPPED"}
    events = [skipped, {**skipped, "ResourceStatus": "DELETE_COMPLETE"}]
    assert jmespath.search(leaving.query(), {"StackEvents": events}) == [["AWS::S3::Bucket", "b"]]
    replaced = [{"LogicalResourceId": each, "Replacement": each} for each in ("True", "False", "Conditional")]
    changes = [{"ResourceChange": each} for each in [*replaced, {"LogicalResourceId": "new"}]]
    assert jmespath.search(leaving.query("upgrading"), {"Changes": changes}) == ["True", "Conditional"]


def test_what_is_made_anew_is_called_normal() -> None:
    """And nothing else that the checker lets pass."""
    rows = [row for row in page("upgrading").splitlines() if "normal" in row and row.startswith("|")]
    named = {type_ for row in rows for type_ in re.findall(r"AWS::\w+::\w+", row)}
    assert named == {*MADE_ANEW, "AWS::Lambda::Function", "AWS::Lambda::Alias"}


def test_a_template_without_the_library_is_the_same(chat: Path, tmp_path: Path) -> None:
    """As the page includes it."""
    code = re.search(r"```python\n(import aws_cdk as cdk\nfrom aws_cdk import cloud.*?)```", page("leaving"), re.DOTALL)
    assert code
    names: dict[str, Any] = {"QUICK": QUICK}
    text = code[1].replace("cdk.App()", f"cdk.App(outdir={str(tmp_path / 'cdk.out')!r}, **QUICK)")
    text = text.replace('"MyStack.template.json"', repr(str(chat)))
    exec(compile(text, "leaving.md", "exec"), names)  # noqa: S102 - the page's own code
    assert cloudformation_include is names["cloudformation_include"]
    included = template(tmp_path / "cdk.out" / "MyStack.template.json")
    assert in_order(included) == in_order(template(chat))


def in_order(found: dict[str, Any]) -> dict[str, Any]:
    """Sort what has no order."""
    for each in found["Resources"].values():
        if "DependsOn" in each:
            each["DependsOn"] = (
                sorted(each["DependsOn"]) if isinstance(each["DependsOn"], list) else [each["DependsOn"]]
            )
    return found


def page(name: str) -> str:
    """Read a page."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_fails_when_a_construct_has_another_id(chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of requests would be another one, and empty."""

    def renamed(scope: Construct, id: str, **settings: Any) -> object:  # noqa: ANN401
        return define_table(scope, "RequestItems" if id == "Requests" else id, **settings)

    monkeypatch.setattr("ak_constructs.agent_queue.define_table", renamed)
    (told,) = complaints(template(chat), template(synthesized(tmp_path)))
    assert re.fullmatch(r"ChatQueueRequests\w{8} \(AWS::DynamoDB::GlobalTable\) is gone", told)


CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "another key": (
        "AWS::DynamoDB::GlobalTable",
        lambda each: each["Properties"]["KeySchema"][0].update(AttributeName="id"),
        "would be replaced: KeySchema",
    ),
    "a name": ("AWS::S3::Bucket", lambda each: each["Properties"].update(BucketName="mine"), "BucketName"),
    "another kind of queue": ("AWS::SQS::Queue", lambda each: each["Properties"].pop("FifoQueue", None), "FifoQueue"),
    "not retained": (
        "AWS::Logs::LogGroup",
        lambda each: each.update(DeletionPolicy="Delete"),
        "DeletionPolicy Delete, had Retain",
    ),
    "another type": ("AWS::IAM::Role", lambda each: each.update(Type="AWS::IAM::User"), "is AWS::IAM::User"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_fails_when_a_resource_would_be_lost(chat: Path, change: str) -> None:
    """And says which and why."""
    type_, make, said = CHANGES[change]
    old = template(chat)
    new = copy.deepcopy(old)
    name, each = next((name, each) for name, each in new["Resources"].items() if each["Type"] == type_ and fits(each))
    make(each)
    assert complaints(old, old) == []
    (told,) = complaints(old, new)
    assert told.startswith(name)
    assert said in told


def fits(resource: Mapping[str, Any]) -> bool:
    """Tell whether a queue is one that has an order; any other resource will do."""
    return resource["Type"] != "AWS::SQS::Queue" or "FifoQueue" in resource["Properties"]


def test_new_code_and_a_new_deployment_are_no_loss(chat: Path) -> None:
    """Nor is what is there only since the upgrade."""
    old = template(chat)
    new = json.loads(json.dumps(old).replace(".zip", "0.zip"))
    new["Resources"]["More"] = {"Type": "AWS::SQS::Queue"}
    deployment = {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": "a"}}
    old["Resources"]["Deployed" + "0" * 32] = deployment
    new["Resources"]["Deployed" + "1" * 32] = deployment
    assert complaints(old, new) == []
    del new["Resources"]["Deployed" + "1" * 32]
    assert complaints(old, new) == [f"Deployed{'0' * 32} (AWS::ApiGateway::Deployment) is gone"]


def test_each_type_says_what_replaces_it(chat: Path) -> None:
    """Or the checker would not know; what keeps data has something."""
    types = {each["Type"] for each in template(chat)["Resources"].values()}
    assert {type_ for type_ in types if not replacing(type_)} <= {"AWS::IAM::Policy", "AWS::SQS::QueuePolicy"}
