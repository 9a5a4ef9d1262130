"""docs/migrating-from-terraform.md has a verdict on every variable and output, and what it says of us is true."""

import contextlib
import inspect
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk.assertions import Match, Template

import ak_constructs
from test.contract.test_docs import ROOT, python_blocks

TEXT = (ROOT / "docs" / "migrating-from-terraform.md").read_text(encoding="utf-8")
THEIRS = tomllib.loads((ROOT / "test" / "contract" / "terraform_variables.toml").read_text(encoding="utf-8"))
HANDLERS = ("request_handler", "agent_runner", "response_handler", "ws_connection_handler")
VERDICT = re.compile(r"\*\*(ours|CDK|refused|not needed)\*\*")
NAME = re.compile(r"`([\w-]+)`")


def rows(title: str) -> list[list[str]]:
    """Give the rows of the tables below a title, each as its cells, without heads."""
    _, found, section = TEXT.partition(f"\n{title}\n")
    assert found, title
    section = re.split(r"\n#{2,3} ", section)[0]
    lines = re.findall(r"(?m)(?:^\|.*\n){2}((?:^\|.*\n)*)", section)
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for part in lines for line in part.splitlines()]


def defaults(*modules: str) -> dict[str, set[str]]:
    """Give each variable's defaults in these objects, as the document writes them."""
    found: dict[str, set[str]] = {}
    for module in modules:
        for name, default in THEIRS[module].items():
            sentence = name == "function_description"
            found.setdefault(name, set()).add("a sentence each" if sentence else default or "required")
    return found


@pytest.mark.parametrize(
    ("title", "modules"),
    [
        ("## Variables of the module", ("serverless",)),
        ("## Functions", HANDLERS),
        ("## The authorizer", ("authorizer",)),
        ("## Queues", ("queue_config",)),
    ],
    ids=["module", "functions", "authorizer", "queues"],
)
def test_every_variable_has_its_default_and_a_verdict(title: str, modules: tuple[str, ...]) -> None:
    """And no variable is in the document that the module has not."""
    said = {}
    for name, default, _did, verdict in rows(title):
        assert VERDICT.match(verdict), name
        listed = re.findall(r"`(\[.*?\]|[^`]*)`", default) or [default]
        said[name.strip("`")] = set(listed)
    assert said == defaults(*modules)


def test_later_variables_modules_and_containers_are_all_there() -> None:
    """Each with a verdict."""
    later = {name.strip("`"): verdict for name, _did, verdict in rows("## Later variables")}
    assert set(later) == set(THEIRS["later"]["variables"])
    assert all(map(VERDICT.match, later.values()))
    below = rows("## Modules below, and containers")
    modules = {row[0].strip("`"): set(NAME.findall(row[1])) for row in below if len(row) == 3}
    assert modules == {name: set(variables) for name, variables in THEIRS["common"].items()}
    grouped = [name for row in below if len(row) == 2 for name in NAME.findall(row[0])]
    assert sorted(grouped) == sorted(THEIRS["containerized"]["variables"])


def test_every_output_is_there_once() -> None:
    """Also those of later versions."""
    said = [name for row in rows("## Outputs") for name in NAME.findall(row[0])]
    assert sorted(said) == sorted([*THEIRS["outputs"]["serverless"], *THEIRS["later"]["outputs"]])


def test_the_document_says_what_was_read() -> None:
    """So that who reads it later knows what to compare with."""
    for said in (THEIRS["commit"], THEIRS["version"], THEIRS["folder"], THEIRS["later"]["version"], THEIRS["read"]):
        assert said in TEXT


def test_every_argument_that_is_named_exists() -> None:
    """`Construct(argument=)`, `Construct.method(argument=)` and `Construct.method`."""
    named = re.findall(r"`([A-Z]\w+)((?:\.\w+)?)(?:\(((?:\w+=(?:, )?)*)\))?`", TEXT)
    ours = [(each, verb, arguments) for each, verb, arguments in named if each in ak_constructs.__all__]
    assert len(ours) > 60
    for construct, verb, arguments in ours:
        class_ = getattr(ak_constructs, construct)
        called = getattr(class_, verb[1:]) if verb else class_.__init__
        for argument in filter(None, re.split(r"=(?:, )?", arguments)):
            assert argument in inspect.signature(called).parameters, f"{construct}{verb}({argument}=)"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Run all blocks of the document, in order, where the folders that they name are."""
    folder = tmp_path_factory.mktemp("migrated")
    modules = ("routes/lambda_request_handler", "gate/lambda_auth", "runner/lambda_agent_runner")
    for module in modules:
        file = folder / f"{module}.py"
        file.parent.mkdir()
        file.write_text("handler = print\n", encoding="utf-8")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        for block in python_blocks(TEXT):
            text = block.replace("cdk.App()", 'cdk.App(context={"aws:cdk:bundling-stacks": []})')
            exec(text, names)  # noqa: S102 - our own documentation
        names["template"] = Template.from_stack(names["stack"])
    return names


def test_what_replaces_an_output_is_there(migrated: Mapping[str, Any]) -> None:
    """As an attribute of what the blocks define."""
    spans = [span for row in rows("## Outputs") for span in re.findall(r"`([a-z]+\.[^`]+)`", row[1])]
    assert len(spans) > 40
    for span in spans:
        eval(span, dict(migrated))  # noqa: S307 - our own documentation


def test_the_example_does_what_the_terraform_did(migrated: Mapping[str, Any]) -> None:
    """Runner, sessions, queue and routes; about as short as it is said to be."""
    template: Template = migrated["template"]
    stack: cdk.Stack = migrated["stack"]
    runner = {
        "PackageType": "Image",
        "MemorySize": 512,
        "Timeout": 45,
        "Environment": {
            "Variables": Match.object_like(
                {
                    "AK_EXECUTION__MODE": "rest_sync",
                    "AK_EXECUTION__QUEUES__TYPE": "sqs",
                    "AK_SESSION__TYPE": "dynamodb",
                    "AK_EXECUTION__QUEUES__OUTPUT__URL": stack.resolve(
                        migrated["pipeline"].queue.reply_queue.queue_url
                    ),
                }
            )
        },
    }
    template.has_resource_properties("AWS::Lambda::Function", runner)
    for part, method in (("app", "GET"), ("app_info", "POST")):
        path = {"PathPart": part}
        (route,) = template.find_resources("AWS::ApiGateway::Resource", {"Properties": path})
        method_of = {"HttpMethod": method, "AuthorizationType": "AWS_IAM", "ResourceId": {"Ref": route}}
        template.has_resource_properties("AWS::ApiGateway::Method", method_of)
    told = {"Variables": Match.object_like({"API_BASE_PATH": "api", "API_VERSION": "v1", "AGENT_ENDPOINT": "chat"})}
    template.has_resource_properties(
        "AWS::Lambda::Function", {"Handler": "lambda_request_handler.handler", "Environment": told}
    )
    example = python_blocks(TEXT)[0]
    template.has_output("ChatUrl", {})
    assert len([line for line in example.splitlines() if "import" not in line]) <= 30


def test_sessions_are_copied_page_by_page(migrated: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, as they are."""
    items = [{"session_id": str(number), "key": "nv_cache", "value": b"pickle"} for number in range(5)]
    copied: list[Any] = []

    def scan(ExclusiveStartKey: int = 0) -> dict[str, Any]:  # noqa: N803
        end = ExclusiveStartKey + 2
        more = {"LastEvaluatedKey": end} if end < len(items) else {}
        return {"Items": items[ExclusiveStartKey:end], **more}

    def put_item(Item: object) -> None:  # noqa: N803 - boto3's
        copied.append(Item)

    writer = SimpleNamespace(put_item=put_item)
    tables = {
        "old": SimpleNamespace(scan=scan),
        "new": SimpleNamespace(batch_writer=lambda: contextlib.nullcontext(writer)),
    }
    monkeypatch.setattr(boto3, "resource", lambda _service: SimpleNamespace(Table=tables.get))
    migrated["copy_sessions"]("old", "new")
    assert copied == items


def test_sessions_in_redis_become_items(migrated: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each field but the mark of a session; named without the prefix, forgotten at its time."""
    hashes = {b"mine:a": {b"__init__": b"", b"turns": b"1", b"nv_cache": b"2"}}
    hashes |= {b"mine:b": {b"turns": b"3"}, b"mine:c": {b"turns": b"4"}}
    redis = SimpleNamespace(
        scan_iter=lambda match, _type: (name for name in hashes if (match, _type) == ("mine:*", "hash")),
        ttl={b"mine:a": 60, b"mine:b": -1, b"mine:c": 0}.get,
        hgetall=hashes.get,
    )
    items: list[Any] = []

    def put_item(Item: object) -> None:  # noqa: N803 - boto3's
        items.append(Item)

    writer = SimpleNamespace(put_item=put_item)
    table = SimpleNamespace(batch_writer=lambda overwrite_by_pkeys: contextlib.nullcontext(writer))  # noqa: ARG005
    monkeypatch.setattr(boto3, "resource", lambda _service: SimpleNamespace(Table=lambda _name: table))
    monkeypatch.setattr(migrated["time"], "time", lambda: 1000.5)
    migrated["copy_redis"](redis, "new", prefix="mine:")
    assert items == [
        {"session_id": "a", "key": "turns", "value": b"1", "expiry_time": 1060},
        {"session_id": "a", "key": "nv_cache", "value": b"2", "expiry_time": 1060},
        {"session_id": "b", "key": "turns", "value": b"3"},
        {"session_id": "c", "key": "turns", "value": b"4", "expiry_time": 1000},
    ]


def test_a_validator_that_takes_a_token_alone_is_asked(migrated: Mapping[str, Any]) -> None:
    """As the function of ours asks."""
    migrated["validate"].__globals__["MyAuthValidator"] = lambda: SimpleNamespace(validate=lambda token: token)
    assert migrated["validate"](token="a token", context=None) == "a token"
    assert migrated["chat"].authorizer_function.runtime.name == "python3.13"


def test_where_items_are_moved_the_keys_are_the_same(migrated: Mapping[str, Any]) -> None:
    """Agent Kernel's `session_id` and `key`, and its attribute for the time to live."""
    table = migrated["template"].find_resources("AWS::DynamoDB::GlobalTable")
    keys = [
        [each["AttributeName"] for each in found["Properties"]["KeySchema"]]
        for found in table.values()
        if found["Properties"]["TimeToLiveSpecification"]["AttributeName"] == "expiry_time"
    ]
    assert ["session_id", "key"] in keys


def test_links_lead_somewhere() -> None:
    """Files, and titles of this page."""
    titles = {re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^#+ (.*)$", TEXT)}
    for file, anchor in re.findall(r"\]\((?!https:)([^)#]*)#?([^)]*)\)", TEXT):
        if file:
            assert (Path(ROOT, "docs") / file).exists(), file
        else:
            assert anchor in titles, anchor
