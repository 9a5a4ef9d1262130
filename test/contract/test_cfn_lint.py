"""CloudFormation's own model holds every example's template to be right."""

import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import pytest

from test.contract.test_nag import EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_cfn_lint_finds_nothing_in_an_example(app: cdk.App, name: str) -> None:
    """But the dependencies that CDK writes down twice."""
    stack_class, _ = EXAMPLES[name]
    stack_class(app, "Example")
    template = Path(app.synth().get_stack_by_name("Example").template_full_path)
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", "W3005", "--", str(template)]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")
