"""One emulator for all tests that need one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ak_constructs.local.deployment import bootstrap, install_cdk
from ak_constructs.local.emulator import Emulator, emulator, prepare
from test.local.leaks import leaks


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for what the tools write."""
    return tmp_path_factory.mktemp("local")


@pytest.fixture(scope="session")
def aws(work: Path) -> Iterator[Emulator]:
    """Run an emulator with a bootstrapped account; no test leaves a secret or a stack trace in any of its logs."""
    os.environ["NOT_FOR_HANDLERS"] = "1"
    install_cdk()
    prepare()
    with emulator(work / "emulator.log") as running:
        bootstrap(running, work)
        yield running
        assert leaks(running) == []
