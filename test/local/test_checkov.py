"""Checkov finds nothing that is not explained: in the examples, and in docs/findings.md."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.local


def test_the_findings_in_the_document_and_in_the_examples_are_those_of_all_three_tools(tmp_path: Path) -> None:
    """Exactly; in a process of its own, since CDK's own validation of every template would take longest."""
    command = [sys.executable, "-m", "scripts.findings_md", "--check"]
    environment = {**os.environ, "CDK_VALIDATION": "false", "TMPDIR": str(tmp_path)}
    checked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr
