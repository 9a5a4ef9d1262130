"""CloudFormation's own model holds every example's template to be right."""

import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest

from ak_constructs import AgentApi, AgentFunction, Authorization
from scripts.findings import EXAMPLES
from test.contract import hardened


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
    AgentApi(stack, "Api", agent=AgentFunction(stack, "Agent", entry=entry), authorization=authorization)
    assert lint(app, "Tokens") == (0, "")


def test_cfn_lint_finds_nothing_with_a_key_in_a_network_behind_an_endpoint(app: cdk.App) -> None:
    """Nor with a web ACL."""
    hardened.define(cdk.Stack(app, "Hardened"), hardened=True)
    assert lint(app, "Hardened") == (0, "")
