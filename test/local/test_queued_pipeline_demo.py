"""The demo of the queued pipeline, at its quick end."""

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
DEMO = [sys.executable, "-u", "-m", "examples.queued_pipeline.demo", "--quick"]


def environment(tmp_path: Path) -> dict[str, str]:
    """Mark every process of the demo by its folder."""
    return {**os.environ, "TMPDIR": str(tmp_path)}


def test_shows_every_mode_and_the_timeline_of_a_request(tmp_path: Path) -> None:
    """Each mode with each agent gets its answer, soon after the agent has it."""
    demo = subprocess.run(DEMO, env=environment(tmp_path), capture_output=True, text=True, timeout=180, check=False)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    row = re.compile(r"^(rest_\w+.*?) +([\d.]+) s  (200|202.*→ 200) +([\d,]+) ms +([\d,]+) ms$", re.MULTILINE)
    rows = row.findall(demo.stdout)
    assert len(rows) == 8
    for mode, seconds, statuses, after, added in rows:
        assert ("→" in statuses) == ("polls" in mode)
        assert int(after.replace(",", "")) >= float(seconds) * 1000 - 10
        assert int(added.replace(",", "")) < 5000, "an answer that nobody was told of is seen much later"
    timeline = demo.stdout.partition("One request")[2]
    places = [
        timeline.index(text)
        for text in ("sends the request", "submitted", "sees 202 ACCEPTED", "progress 'step 1 of 3'", "DONE: answered")
    ]
    assert places == sorted(places)
    assert re.search(r"agent runner +logs 'answered', status 200", timeline)
    assert re.search(r"caller +sees 202 PENDING, progress 'step \d of 3'", timeline)
    assert re.search(r"caller +sees 200: Thought for 3 s", timeline)
    assert left_of(str(tmp_path)) == []
    assert list(tmp_path.glob("ak-constructs-*")) == []


def test_leaves_nothing_when_it_is_stopped_while_callers_wait(tmp_path: Path) -> None:
    """By Ctrl-C, impatiently; the requests that are under way go with the emulator."""
    with subprocess.Popen(
        DEMO, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        seen = ""
        while "takes 2 s" not in seen:
            letter = demo.stdout.read(1)
            assert letter, seen
            seen += letter
        assert running_for(str(tmp_path)), "the test would see nothing"
        demo.send_signal(signal.SIGINT)
        time.sleep(0.2)
        demo.send_signal(signal.SIGINT)
        rest = demo.communicate(timeout=60)[0]
    assert demo.returncode == 130, seen + rest
    assert left_of(str(tmp_path)) == []
    assert list(tmp_path.glob("ak-constructs-*")) == []
