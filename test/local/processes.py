"""Looks for processes that should be gone, and ends one that should not be."""

import os
import signal
import subprocess
import time

from ak_constructs.local.emulator import Emulator

END_SECONDS = 10


def left_of(mark: str) -> list[str]:
    """Give what still runs for it, but what is just ending: a killed process is listed until somebody has waited."""
    deadline = time.monotonic() + END_SECONDS
    while (found := running_for(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def running_for(mark: str) -> list[str]:
    """Give the command line of each process that mentions a text, a folder's path for one."""
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if mark in line and not line.startswith("ps ")]


def kill(pid: int, aws: Emulator) -> None:
    """End the process that runs a function, as a crash would; refuse any other process."""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    arguments = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    if f"{aws.log.parent}/ministack-lambda-" not in arguments:
        raise ProcessLookupError(f"{pid} is no worker of this emulator")
    os.kill(pid, signal.SIGKILL)
