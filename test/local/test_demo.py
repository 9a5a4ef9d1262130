"""The demo's ends other than success."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from test.local.processes import left_of, running_for

pytestmark = pytest.mark.local
DEMO = [sys.executable, "-u", "-m", "examples.chat_api.demo"]


def environment(tmp_path: Path) -> dict[str, str]:
    """Mark every process of the demo by its folder."""
    return {**os.environ, "TMPDIR": str(tmp_path)}


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        ((signal.SIGINT,), {130}),
        ((signal.SIGTERM,), {143}),
        ((signal.SIGINT, signal.SIGINT, signal.SIGTERM), {130, 143}),
    ],
)
@pytest.mark.parametrize("moment", ["3/4 cdk bootstrap", "4/4 cdk deploy"])
def test_leaves_nothing_when_it_is_stopped(
    tmp_path: Path, sent: tuple[signal.Signals, ...], statuses: set[int], moment: str
) -> None:
    """By Ctrl-C or SIGTERM, once or impatiently, while the command line works."""
    with subprocess.Popen(
        [*DEMO, "Hello"], env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        seen = ""
        while moment not in seen:
            letter = demo.stdout.read(1)
            assert letter, seen
            seen += letter
        time.sleep(0.5)
        assert running_for(str(tmp_path)), "the test would see nothing"
        for number in sent:
            demo.send_signal(number)
            time.sleep(0.2)
        rest = demo.communicate(timeout=60)[0]
    assert demo.returncode in statuses, seen + rest  # of several, the one that a busy machine heard last
    assert left_of(str(tmp_path)) == []
    assert list(tmp_path.glob("ak-constructs-*")) == []


def test_leaves_nothing_when_it_is_killed(tmp_path: Path) -> None:
    """Even SIGKILL, which nobody can handle: the emulator ends with whoever started it."""
    with subprocess.Popen([*DEMO], env=environment(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as demo:
        assert demo.stdout is not None
        assert any(b"Type a message" in line for line in demo.stdout)
        assert running_for(str(tmp_path))
        demo.kill()
    assert left_of(str(tmp_path)) == []


def test_leaves_nothing_when_a_step_fails(tmp_path: Path) -> None:
    """The message says what went wrong, and the exit status that something did."""
    broken = {**environment(tmp_path), "PYTHONWARNINGS": "error", "JSII_RUNTIME": "no-such-runtime"}
    demo = subprocess.run([*DEMO, "Hello"], env=broken, capture_output=True, text=True, timeout=120, check=False)
    assert demo.returncode == 1
    assert "4/4 cdk deploy ... failed" in demo.stdout
    assert "the app was not deployed:" in demo.stderr
    assert left_of(str(tmp_path)) == []


def test_holds_a_conversation(tmp_path: Path) -> None:
    """Without a prompt on the command line it reads them; an error ends nothing and shows the agent's log."""
    said = "Hello\n\n" + "x" * 5_000_000 + "\nHello\nexit\n"
    demo = subprocess.run(
        DEMO, env=environment(tmp_path), input=said, capture_output=True, text=True, timeout=120, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    answers = re.findall(r"Agent: (\[ministack mock .*prompt#\w+)", demo.stdout)
    assert len(set(answers)) == 2, "the mock's answer hangs on what was said before too"
    assert "Error: the API answered 413: " in demo.stderr
    assert "  log: {" in demo.stderr
    assert left_of(str(tmp_path)) == []
