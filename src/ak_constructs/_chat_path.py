"""Where an API has its chat route, and how an agent with a handler of its own learns that."""

from aws_cdk import aws_lambda as lambda_

from ak_constructs._function import function_behind
from ak_constructs._validation import check_matches
from ak_constructs.agent_function import AgentFunction

DEFAULT_CHAT_PATH = "/api/v1/chat"
SEGMENT = r"/[A-Za-z0-9_][A-Za-z0-9_.:-]*"


def check_chat_path(agent: lambda_.IFunction, chat_path: str) -> None:
    """Raise when the path is malformed, or when another API gave the agent another one."""
    check_matches("chat_path", chat_path, f"({SEGMENT}){{3}}", f"three segments, such as {DEFAULT_CHAT_PATH}")
    function = _own_handler(agent)
    if function and function.chat_path not in {None, chat_path}:
        raise ValueError(
            f"chat_path must be the same for all APIs of an agent with a handler of its own, got {chat_path!r} after "
            f"{function.chat_path!r}; make a second AgentFunction of the same entry, the asset is shared"
        )


def name_routes(agent: lambda_.IFunction, chat_path: str) -> None:
    """Tell a handler that is not ours where its routes are, in Agent Kernel's words."""
    function = _own_handler(agent)
    if function is None:
        return
    function.chat_path = chat_path
    for name, value in zip(("API_BASE_PATH", "API_VERSION", "AGENT_ENDPOINT"), chat_path.split("/")[1:], strict=True):
        function.add_environment(name, value)


def _own_handler(agent: lambda_.IFunction) -> AgentFunction | None:
    """Find the agent's function if Lambda calls a handler of the user's in it."""
    function = function_behind(agent)
    return function if isinstance(function, AgentFunction) and function.has_own_handler else None
