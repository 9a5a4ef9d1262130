"""A user with nothing of ours but the wheel deploys and asks."""

import hashlib
import json
from pathlib import Path

import httpx
import pytest

from examples.local.deployment import deploy
from examples.local.emulator import Emulator
from test.contract.stranger import Stranger

pytestmark = pytest.mark.local


def test_a_strangers_stack_deploys_and_answers(aws: Emulator, work: Path, tmp_path: Path) -> None:
    """From the wheel, in an own environment, with the real command line."""
    stranger = Stranger.install(tmp_path)
    outputs = deploy(aws, work, app=f"{stranger.python} app.py", cwd=stranger.folder)
    response = httpx.post(aws.reachable(outputs["Stranger"]["ChatUrl"]), content=json.dumps({"prompt": "hi"}))
    assert response.status_code == 200
    assert response.json()["result"] == hashlib.sha256(b"hi").hexdigest()
