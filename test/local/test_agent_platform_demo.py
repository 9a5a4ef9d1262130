"""The demo of the platform tools."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from test.local.processes import left_of

pytestmark = pytest.mark.local


def test_warms_an_agent_and_tells_why_each_version_stays(tmp_path: Path) -> None:
    """What was cold in the first round is warm in the second, and the callers' share of an old version keeps it."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-u", "-m", "examples.agent_platform.demo"]
    demo = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "Support: You said Hello" in demo.stdout
    assert "Research: Thought about Hello" in demo.stdout
    assert re.findall(r"^(\d) +\S+:live +(\d) +(\d) +(\d)$", demo.stdout, re.MULTILINE) == [
        ("1", "3", "3", "0"),
        ("2", "3", "0", "3"),
    ]
    decisions = re.findall(r"^\S+-Support\S+ +(\d+) +(stays|would go) +(.+)$", demo.stdout, re.MULTILINE)
    assert decisions == [
        ("1", "stays", "young"),
        ("2", "would go", "nobody needs it"),
        ("3", "would go", "nobody needs it"),
        ("4", "stays", "alias live (weighted)"),
        ("5", "stays", "newest"),
        ("6", "stays", "newest"),
        ("7", "stays", "alias live; newest"),
    ]
    assert left_of(str(tmp_path)) == []
    assert list(tmp_path.glob("ak-constructs-*")) == []
