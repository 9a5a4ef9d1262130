"""CloudFormation's own model holds every example's template to be right."""

import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_certificatemanager as acm

from ak_constructs import AgentApi, AgentFunction, Authorization, WebSocketAgentApi
from scripts.findings import EXAMPLES
from test.contract import hardened

CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"


def lint(app: cdk.App, stack: str) -> tuple[int, str]:
    """Give cfn-lint's exit code and what it said, but of the dependencies that CDK writes down twice."""
    template = Path(app.synth().get_stack_by_name(stack).template_full_path)
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", "W3005", "--", str(template)]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    return linted.returncode, linted.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_cfn_lint_finds_nothing_in_an_example(app: cdk.App, name: str) -> None:
    """As it is in the repository."""
    stack_class, _ = EXAMPLES[name]
    stack_class(app, "Example")
    assert lint(app, "Example") == (0, "")


def test_cfn_lint_finds_nothing_where_tokens_are_verified(app: cdk.App, entry: Path) -> None:
    """Which no example does."""
    stack = cdk.Stack(app, "Tokens")
    authorization = Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"])
    agent = AgentFunction(stack, "Agent", entry=entry)
    AgentApi(stack, "Api", agent=agent, authorization=authorization)
    certificate = acm.Certificate.from_certificate_arn(stack, "Certificate", CERTIFICATE)
    domain = apigatewayv2.DomainName(stack, "Domain", domain_name="chat.example.com", certificate=certificate)
    at = apigatewayv2.DomainMappingOptions(domain_name=domain)
    WebSocketAgentApi(stack, "Chat", agent=agent, authorization=authorization, domain_mapping=at)
    assert lint(app, "Tokens") == (0, "")


def test_cfn_lint_finds_nothing_with_a_key_in_a_network_behind_an_endpoint(app: cdk.App) -> None:
    """Nor with a web ACL."""
    hardened.define(cdk.Stack(app, "Hardened"), hardened=True)
    assert lint(app, "Hardened") == (0, "")
