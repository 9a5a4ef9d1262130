"""Looks for processes that should be gone."""

import subprocess


def running_for(mark: str) -> list[str]:
    """Give the command line of each process that mentions a text, a folder's path for one."""
    listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if mark in line and not line.startswith("ps ")]
