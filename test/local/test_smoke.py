"""The README's first command."""

import os
import subprocess
import sys
from pathlib import Path

from test.local.processes import left_of


def test_the_demo_ends_with_an_answer_and_leaves_nothing(tmp_path: Path) -> None:
    """From synthesis by the real command line to an answer over HTTP."""
    command = [sys.executable, "-m", "examples.chat_api.demo", "What's", "up?"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    demo = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "\nYou:   What's up?\nAgent: [ministack mock nova amazon.nova-lite-v1:0] reply" in demo.stdout
    for step in ("1/4", "2/4", "3/4", "4/4"):
        assert f"{step} " in demo.stdout
    assert left_of(str(tmp_path)) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("ak-constructs-")] == []
