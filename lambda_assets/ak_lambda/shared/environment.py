"""Reads what a construct tells a function."""

import os


def setting(name: str) -> str:
    """Give a variable that must be set."""
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} must be set; the construct that defines this function does so")
    return value
