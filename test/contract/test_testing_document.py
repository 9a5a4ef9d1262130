"""docs/testing.md: a user's tests, as it shows them, pass, and survive what it says they do."""

import os
import subprocess
import sys
from pathlib import Path

from test.documents import write_files


def passed(folder: Path, *arguments: str) -> str:
    """Run the tests of a folder of somebody else's, and give the last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "CDK_VALIDATION": "false"}  # seconds, for warnings that nobody would see
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()[-1]


def test_what_is_shown_passes_and_a_snapshot_survives_an_edit_of_the_agent(tmp_path: Path) -> None:
    """In a folder with nothing else; the second run compares with what the first has written."""
    write_files("testing.md", tmp_path)
    assert "6 passed" in passed(tmp_path, "--snapshot-update")
    with (tmp_path / "agents" / "support" / "agent.py").open("a", encoding="utf-8") as agent:
        agent.write("\n\ndef more():\n    pass\n")
    assert "1 passed" in passed(tmp_path, "-k", "snapshot", "test_stack.py")
