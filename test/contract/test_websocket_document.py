"""docs/websocket.md and docs/websocket-operations.md are compared with the code."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk.assertions import Match, Template

from ak_constructs import _limits
from ak_lambda.agent_runner import delta_rules
from ak_lambda.shared import fields
from test.contract.test_docs import ROOT, python_blocks
from test.lambda_assets.fake_connections import ENDPOINT, FakeGateway

CLIENTS = (ROOT / "docs" / "websocket.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "websocket-operations.md").read_text(encoding="utf-8")
SIGN_IN, SIGN_OUT = python_blocks(OPERATIONS)


def test_the_ids_that_clients_may_choose_are_those_that_are_taken() -> None:
    """To the letter."""
    for name, pattern in (("request_id", fields.REQUEST_ID), ("session_id", fields.SESSION_ID)):
        assert re.search(rf"`{name}`(?: is)?\s+`{re.escape(pattern.pattern)}`", CLIENTS)


def test_a_handshake_is_signed_for_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the credentials at hand, whatever they are."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "example")
    (block,) = python_blocks(CLIENTS)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own documentation
    headers = names["signed"]("wss://abc.execute-api.eu-west-1.amazonaws.com/prod", "eu-west-1")
    assert "/eu-west-1/execute-api/aws4_request, SignedHeaders=host;" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "example"


def test_the_stack_that_signs_in_by_cognito_synthesizes(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tokens are of the pool's address, for the page."""
    (entry.parent / "agents").mkdir()
    entry.rename(entry.parent / "agents" / "support")
    monkeypatch.chdir(entry.parent)
    names: dict[str, Any] = {}
    text = SIGN_IN.replace("cdk.App()", 'cdk.App(context={"aws:cdk:bundling-stacks": []})')
    exec(text, names)  # noqa: S102 - our own documentation
    stack = names["stack"]
    assert isinstance(stack, cdk.Stack)
    template = Template.from_stack(stack)
    variables = Match.object_like({"AK_CONSTRUCTS_ISSUER": stack.resolve(names["pool"].user_pool_provider_url)})
    template.has_resource_properties("AWS::Lambda::Function", {"Environment": {"Variables": variables}})


def test_who_signs_somebody_out_ends_all_that_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a row of a connection that is gone."""
    gateway = FakeGateway()
    living = gateway.connect("living")
    rows = [{"endpoint": ENDPOINT, "connection_id": connection_id} for connection_id in ("gone", "living")]
    table = SimpleNamespace(query=lambda **_conditions: {"Items": rows})
    monkeypatch.setattr(boto3, "resource", lambda _service: SimpleNamespace(Table=lambda _name: table))
    monkeypatch.setattr(boto3, "client", lambda _service, endpoint_url: gateway.client_for(endpoint_url))
    names: dict[str, Any] = {}
    exec(SIGN_OUT, names)  # noqa: S102 - our own documentation
    names["end_connections"]("connections", "alice")
    assert living.closed == 1000


def test_what_operators_read_is_what_the_code_says() -> None:
    """Lines of logs, metrics, children, and numbers."""
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("src", "lambda_assets/ak_lambda")
        for path in (ROOT / folder).rglob("*.py")
    )
    table = OPERATIONS.partition("## What went wrong")[2].partition("## ")[0]
    for said in re.findall(r"`([\w ]+)`", table):
        assert said.removesuffix("Logs") in sources, said
    hours = _limits.API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS / 3600
    for number in (
        f"every {delta_rules.CUT_SECONDS * 1000:g} ms",
        f"for {hours:g} hours at most",
        f"more than {_limits.API_GATEWAY_WEBSOCKET_FRAME_BYTES // 1024} KiB",
        f"some\n{round(10 / delta_rules.CUT_SECONDS, -1):g} messages",
    ):
        assert number in OPERATIONS
