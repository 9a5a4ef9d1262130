"""Runs an app without an AWS account: a local emulator, the real `cdk` command line, and a chat with its agent.

    python -m ak_constructs.local app.py --chat

Only `deployed` and `Deployed` are for your own code; docs/local.md has all of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ak_constructs.local.needs import missing

if TYPE_CHECKING:
    from ak_constructs.local.application import Deployed as Deployed
    from ak_constructs.local.application import deployed as deployed

__all__ = ["Deployed", "deployed"]


def __getattr__(name: str) -> object:
    """Import what needs the extra when it is used, and say how to get that."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if what := missing():
        raise ImportError(what)
    return getattr(import_module("ak_constructs.local.application"), name)
