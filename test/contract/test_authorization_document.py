"""docs/authorization.md is compared with the code."""

import re
import types
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cognito as cognito
from aws_cdk.assertions import Template

import ak_constructs
from ak_constructs import _limits, authorization
from ak_constructs.authorization import proof_of
from ak_lambda.jwt_authorizer import core, keys, tokens
from test.contract.test_docs import ROOT, python_blocks

DOCUMENT = (ROOT / "docs" / "authorization.md").read_text(encoding="utf-8")
ASSETS = ROOT / "lambda_assets" / "ak_lambda" / "jwt_authorizer"


def test_the_examples_run(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with the agent that they name, and the validator that one of them is."""
    blocks = python_blocks(DOCUMENT)
    (validator,) = (block for block in blocks if block.startswith("def validate"))
    (entry.parent / "agents").mkdir()
    entry.rename(entry.parent / "agents" / "support")
    folder = entry.parent / "validators" / "staff"
    folder.mkdir(parents=True)
    (folder / "validator.py").write_text(validator, encoding="utf-8")
    monkeypatch.chdir(entry.parent)
    names: dict[str, object] = {}
    for block in blocks:
        text = block.replace("cdk.App()", 'cdk.App(context={"aws:cdk:bundling-stacks": []})')
        exec(text, names)  # noqa: S102 - our own documentation
    stack = names["stack"]
    assert isinstance(stack, cdk.Stack)
    variables = [
        each["Properties"]["Environment"]["Variables"]
        for id_, each in Template.from_stack(stack).find_resources("AWS::Lambda::Function").items()
        if "AuthorizerFunction" in id_
    ]
    assert [each["AK_CONSTRUCTS_SCOPES"] for each in variables] == [
        "{}",
        '{"GET /api/v1/reports/{id}":["agents/reports"]}',
    ]
    asked = names["validate"]
    assert callable(asked)
    for groups, allowed in ((["staff"], True), (["guests"], False)):
        said = asked(token="", context=types.SimpleNamespace(claims={"groups": groups}))
        assert core.opinion(said).allowed is allowed


def test_every_authorization_is_in_the_table() -> None:
    """So that a reader chooses among all."""
    factories = {
        name
        for name in vars(ak_constructs.Authorization)
        if isinstance(vars(ak_constructs.Authorization)[name], staticmethod)
    }
    assert factories == set(re.findall(r"`Authorization\.(\w+)\(", DOCUMENT.partition("## Five")[0]))


def test_the_table_says_what_a_websocket_takes(stack: cdk.Stack, agent: ak_constructs.AgentFunction) -> None:
    """Each authorization with each argument that changes it."""
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", DOCUMENT.partition("at `$connect` |")[2], flags=re.MULTILINE)
    written = {
        call: not said.startswith("refused") for calls, said in rows for call in re.findall(r"`(\w+\([^`]*\))`", calls)
    }
    names = {name: getattr(ak_constructs.Authorization, name) for name in vars(ak_constructs.Authorization)}
    names |= {"fn": agent, "pool": cognito.UserPool(stack, "Pool")}
    taken = {}
    for number, call in enumerate(written):
        text = call.replace("jwt(...)", "jwt(issuer='https://issuer.example.com', audience=['agents'])")
        made = eval(text.replace("=...", "='key'"), names)  # noqa: S307 - our own documentation
        try:
            proof_of(made).define_for_websocket(cdk.Stack(stack, f"Api{number}"))
        except ValueError:
            taken[call] = False
        else:
            taken[call] = True
    assert written == taken
    assert {call.partition("(")[0] for call in written} == {
        name for name, each in vars(ak_constructs.Authorization).items() if isinstance(each, staticmethod)
    }


def test_the_numbers_are_those_of_the_code() -> None:
    """Each as it is written."""
    text = " ".join(DOCUMENT.split())
    for said in (
        f"over {core.MAX_CLAIMS_BYTES // 1024} KiB",
        f"remembers a result for {authorization.DEFAULT_JWT_CACHE.to_seconds():g} s",
        f"good for {tokens.LEEWAY_SECONDS} s for clocks",
        f"after {keys.FRESH_SECONDS // 60} minutes",
        f"up to {keys.KEPT_SECONDS // 3600} hours",
        f"lives for {_limits.API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS // 3600} hours at most",
    ):
        assert said in text, said


def test_the_reasons_are_those_of_the_log() -> None:
    """Who searches for one finds it."""
    code = "".join(path.read_text(encoding="utf-8") for path in ASSETS.glob("*.py"))
    rows = re.findall(r"^\| (`(?:token refused|request denied|keys not read).*?) \|", DOCUMENT, flags=re.MULTILINE)
    for row in rows:
        kind, _, first = re.findall(r"`([^`]+)`", row)[0].partition(": ")
        assert f'"{kind}: %s"' in code
        reasons = [first, *re.findall(r"`([^`]+)`", row)[1:]]
        error = {"token refused": "RefusedTokenError", "request denied": "DeniedError"}.get(kind)
        assert all(error is None or f'{error}("{reason}")' in code for reason in reasons), row
    assert len(rows) > 5
    assert '"the validator failed"' in code
