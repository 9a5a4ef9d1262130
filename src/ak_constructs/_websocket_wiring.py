"""What functions behind a WebSocket API are told, and what they may do; and what it asks of them."""

from dataclasses import dataclass

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._agent import agent_function_of, has_own_handler
from ak_constructs._connections import Connections
from ak_constructs._function import function_behind
from ak_constructs._limits import API_GATEWAY_WEBSOCKET_INTEGRATION_TIMEOUT_SECONDS
from ak_constructs._validation import check_matches, check_timeout_at_most
from ak_constructs.agent_queue import AgentQueue, wiring_of


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSocketWiring:
    """Who is connected to an API, and how a function learns who is asking.

    Attributes:
        connections: The connections, and who may use them.
        callback_url: Where frames are posted to.
        identity: How API Gateway says who is asking.
        chat_route: The route of messages to the agent.
        mode: How Agent Kernel's handlers answer.
    """

    connections: Connections
    callback_url: str
    identity: str
    chat_route: str
    mode: str

    def let_know_users(self, function: lambda_.Function) -> None:
        """Say how a function of ours knows who is asking: by IAM `$connect` alone does, so that the row must say it."""
        self.connections.name_table(function)
        function.add_environment("AK_CONSTRUCTS_CALLBACK_URL", self.callback_url)
        function.add_environment("AK_CONSTRUCTS_IDENTITY", self.identity)
        if self.identity == "iam":
            self.connections.let_look_up(function)

    def connect_agent(self, agent: lambda_.Function, queue: AgentQueue | None) -> None:
        """Have answers pushed, and what comes before them: by the queue's functions, or by an agent without a queue."""
        own_handler = has_own_handler(agent)
        if queue:
            wiring_of(queue).connect_websocket(queue.response_handler, self.connections, mode=self.mode)
        elif not own_handler:
            self.connections.let_push(agent)
            self.let_know_users(agent)
        if own_handler:
            self.connect_agent_kernel(agent, answers=queue is None)

    def connect_agent_kernel(self, function: lambda_.Function, *, answers: bool = True) -> None:
        """Tell `agentkernel` in a function where it is; one that answers asks whose a connection is, and posts."""
        if answers:
            self.connections.let_look_up(function)
            self.connections.let_push(function)
        self.connections.name_for_agent_kernel(function, mode=self.mode, chat_route=self.chat_route)


def check_agent(
    agent: lambda_.IFunction | AgentQueue, api: Construct, *, buffered: bool, mode: str
) -> lambda_.Function:
    """Give the agent's function, whose settings and permissions name this API."""
    check_matches("mode", mode, "async|stream", "async or stream")
    if isinstance(agent, AgentQueue):
        if not buffered:
            raise ValueError(
                f"buffered must be left out for an AgentQueue, got False for {agent.node.path}; or give its agent"
            )
        wiring_of(agent).check_websocket(mode)
    answering = agent.agent if isinstance(agent, AgentQueue) else agent
    function = agent_function_of(answering, api, called="API")
    if mode == "stream" and not has_own_handler(function):
        raise ValueError(
            "mode must be left out for an agent without a handler of its own, got 'stream'; what a generator "
            "yields is pushed as it comes"
        )
    if not buffered:
        check_timeout(answering, "lower it, or leave buffered out: behind a queue a run may take longer")
    return function


def check_timeout(handler: lambda_.IFunction, remedy: str) -> None:
    """Nobody would hear what a function says later; an imported function's timeout is not known."""
    function = function_behind(handler)
    if function:
        check_timeout_at_most(
            f"the timeout of {function.node.path}",
            function.timeout,
            API_GATEWAY_WEBSOCKET_INTEGRATION_TIMEOUT_SECONDS,
            f"{remedy}; API Gateway waits no longer",
        )
