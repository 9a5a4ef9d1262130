"""AWS CDK constructs that put a Python agent on AWS Lambda."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ak_constructs.agent_api import AgentApi as AgentApi
    from ak_constructs.agent_function import AgentFunction as AgentFunction
    from ak_constructs.authorization import Authorization as Authorization

__all__ = ["AgentApi", "AgentFunction", "Authorization"]

_MODULES = {
    "AgentApi": "ak_constructs.agent_api",
    "AgentFunction": "ak_constructs.agent_function",
    "Authorization": "ak_constructs.authorization",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that one construct does not cost the imports of all."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
