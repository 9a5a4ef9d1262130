"""AWS CDK constructs that put a Python agent on AWS Lambda."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ak_constructs.agent_api import AgentApi as AgentApi
    from ak_constructs.agent_function import AgentFunction as AgentFunction
    from ak_constructs.agent_queue import AgentQueue as AgentQueue
    from ak_constructs.authorization import Authorization as Authorization
    from ak_constructs.keep_warm import KeepWarm as KeepWarm
    from ak_constructs.queued_agent_pipeline import QueuedAgentPipeline as QueuedAgentPipeline
    from ak_constructs.session_store import SessionStore as SessionStore
    from ak_constructs.shared_capacity_provider import SharedCapacityProvider as SharedCapacityProvider
    from ak_constructs.version_pruner import VersionPruner as VersionPruner
    from ak_constructs.websocket_agent_api import WebSocketAgentApi as WebSocketAgentApi
else:  # or a type checker would believe that every name exists

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used, so that one construct does not cost the imports of all."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)


__all__ = [
    "AgentApi",
    "AgentFunction",
    "AgentQueue",
    "Authorization",
    "KeepWarm",
    "QueuedAgentPipeline",
    "SessionStore",
    "SharedCapacityProvider",
    "VersionPruner",
    "WebSocketAgentApi",
]

_MODULES = {
    "AgentApi": "ak_constructs.agent_api",
    "AgentFunction": "ak_constructs.agent_function",
    "AgentQueue": "ak_constructs.agent_queue",
    "Authorization": "ak_constructs.authorization",
    "KeepWarm": "ak_constructs.keep_warm",
    "QueuedAgentPipeline": "ak_constructs.queued_agent_pipeline",
    "SessionStore": "ak_constructs.session_store",
    "SharedCapacityProvider": "ak_constructs.shared_capacity_provider",
    "VersionPruner": "ak_constructs.version_pruner",
    "WebSocketAgentApi": "ak_constructs.websocket_agent_api",
}


def __dir__() -> list[str]:
    return sorted(__all__)
