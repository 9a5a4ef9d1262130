"""Uses of the constructs that differ from `scripts.cases` in what is deployed: each argument that changes ids."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from ak_constructs import (
    AgentApi,
    AgentFunction,
    AgentQueue,
    Authorization,
    KeepWarm,
    QueuedAgentPipeline,
    SessionStore,
    SharedCapacityProvider,
    VersionPruner,
    WebSocketAgentApi,
)
from scripts.cases import CASES, ENTRY, Define, Names, network

Arguments = Callable[[cdk.Stack], dict[str, Any]]


def key(stack: cdk.Stack) -> dict[str, Any]:
    """Encrypt with a key that is there."""
    arn = stack.format_arn(service="kms", resource="key", resource_name="k")
    return {"key": kms.Key.from_key_arn(stack, "Key", arn)}


def vpc(stack: cdk.Stack) -> dict[str, Any]:
    """Put the functions into a network."""
    return {"vpc": network(stack)}


def cors(_stack: cdk.Stack) -> dict[str, Any]:
    """Let pages of another origin ask."""
    return {"cors": apigateway.CorsOptions(allow_origins=["https://example.com"])}


def vpc_endpoint(stack: cdk.Stack) -> dict[str, Any]:
    """Make an API private."""
    endpoint = ec2.InterfaceVpcEndpoint.from_interface_vpc_endpoint_attributes(
        stack, "Endpoint", vpc_endpoint_id="vpce-0123456789abcdef0", port=443
    )
    return {"vpc_endpoint": endpoint}


def connections(stack: cdk.Stack) -> dict[str, Any]:
    """Keep connections in a table that is there."""
    return {"connections": dynamodb.TableV2.from_table_name(stack, "Connections", "connections")}


def session_store(stack: cdk.Stack) -> dict[str, Any]:
    """Keep conversations in a store that is defined beside."""
    return {"session_store": SessionStore(stack, "Sessions")}


def secrets(stack: cdk.Stack) -> dict[str, Any]:
    """Give the agent a secret."""
    return {"secrets": {"OPENAI_API_KEY": secretsmanager.Secret.from_secret_name_v2(stack, "Secret", "openai")}}


def given(**arguments: object) -> Arguments:
    """Give arguments that need no stack."""
    return lambda _stack: arguments


def signed(arguments: Arguments) -> Arguments:
    """Let callers in who sign."""
    return lambda stack: {"authorization": Authorization.iam(), **arguments(stack)}


def agent(arguments: Arguments) -> Define:
    """Define an agent with arguments of its own."""
    return lambda stack: {"agent": AgentFunction(stack, "Agent", entry=ENTRY, **arguments(stack))}


def of_agent(construct: Callable[..., Construct], id_: str, arguments: Arguments = given()) -> Define:  # noqa: B008
    """Define a construct with an agent."""

    def define(stack: cdk.Stack) -> Names:
        function = AgentFunction(stack, "Agent", entry=ENTRY)
        return {"agent": function, "made": construct(stack, id_, agent=function, **arguments(stack))}

    return define


def warm(arguments: Arguments) -> Define:
    """Define an agent that is kept warm."""

    def define(stack: cdk.Stack) -> Names:
        target = AgentFunction(stack, "Agent", entry=ENTRY).add_alias("live")
        return {"made": KeepWarm(stack, "Warm", targets=[target], **arguments(stack))}

    return define


def pruner(arguments: Arguments) -> Define:
    """Define a pruner that keeps its reports."""

    def define(stack: cdk.Stack) -> Names:
        made = VersionPruner(stack, "Pruner", tags={"team": "agents"}, **arguments(stack))
        made.add_report_bucket(s3.Bucket.from_bucket_name(stack, "Reports", "reports"))
        return {"made": made}

    return define


def sessions(arguments: Arguments) -> Define:
    """Define sessions that an agent has."""

    def define(stack: cdk.Stack) -> Names:
        store = SessionStore(stack, "Sessions", **arguments(stack))
        store.attach(AgentFunction(stack, "Agent", entry=ENTRY))
        return {"made": store}

    return define


def existing_redis(stack: cdk.Stack) -> Names:
    """Define sessions in a Redis that is there."""
    store = SessionStore.from_redis(stack, "Sessions", host="redis.example.com")
    store.attach(AgentFunction(stack, "Agent", entry=ENTRY, vpc=network(stack)))
    return {"made": store}


def pool(arguments: Arguments) -> Define:
    """Define a pool."""
    return lambda stack: {"made": SharedCapacityProvider(stack, "Pool", vpc=network(stack), **arguments(stack))}


def reply_handler(stack: cdk.Stack) -> Names:
    """Define a queue whose answers a function of the user's is told."""
    function = AgentFunction(stack, "Agent", entry=ENTRY)
    made = AgentQueue(stack, "Queue", agent=function)
    arn = stack.format_arn(service="lambda", resource="function", resource_name="told")
    made.add_reply_handler(
        lambda_.Function.from_function_attributes(stack, "Told", function_arn=arn, same_environment=True)
    )
    return {"made": made}


def routes(construct: Callable[..., Any], id_: str, *route: str) -> Define:
    """Define an API with a route of the user's."""

    def define(stack: cdk.Stack) -> Names:
        function = AgentFunction(stack, "Agent", entry=ENTRY)
        made = construct(stack, id_, agent=function, authorization=Authorization.iam())
        made.add_route(*route, AgentFunction(stack, "Items", entry=ENTRY, handler="agent.respond"))
        return {"made": made}

    return define


_HTTP: dict[str, Arguments] = {
    **{each.__name__: each for each in (key, vpc, cors, vpc_endpoint)},
    "chat_path": given(chat_path="/api/v2/talk"),
}
# Of each construct the uses of `scripts.cases` and these, by name.
USES: dict[str, dict[str, Define]] = {construct: dict(cases) for construct, cases in CASES.items()}
USES["AgentFunction"] = {
    "": CASES["AgentFunction"][""],
    "key": agent(key),
    "vpc": agent(vpc),
    "secrets": agent(secrets),
    "handler": agent(given(handler="agent.respond")),
}
USES["AgentApi"] |= {name: of_agent(AgentApi, "Api", arguments) for name, arguments in _HTTP.items()}
USES["AgentApi"]["add_route"] = routes(AgentApi, "Api", "GET", "/items")
USES["QueuedAgentPipeline"] |= {
    **{name: of_agent(QueuedAgentPipeline, "Pipeline", arguments) for name, arguments in _HTTP.items()},
    "mode": of_agent(QueuedAgentPipeline, "Pipeline", given(mode="rest_async")),
    "max_waiting": of_agent(QueuedAgentPipeline, "Pipeline", given(max_waiting=10)),
}
USES["QueuedAgentPipeline"]["add_route"] = routes(QueuedAgentPipeline, "Pipeline", "GET", "/items")
USES["WebSocketAgentApi"] |= {
    **{each.__name__: of_agent(WebSocketAgentApi, "Chat", signed(each)) for each in (key, vpc, connections)},
    "chat_route": of_agent(WebSocketAgentApi, "Chat", signed(given(chat_route="talk"))),
    "add_route": routes(WebSocketAgentApi, "Chat", "items"),
}
USES["AgentQueue"] = {
    "": of_agent(AgentQueue, "Queue"),
    **{each.__name__: of_agent(AgentQueue, "Queue", each) for each in (key, vpc, session_store)},
    "fifo": of_agent(AgentQueue, "Queue", given(fifo=False)),
    "add_reply_handler": reply_handler,
}
USES["SessionStore"] |= {"attach": sessions(given()), "key": sessions(key), "`SessionStore.from_redis`": existing_redis}
USES["KeepWarm"] |= {"key": warm(key), "vpc": warm(vpc)}
USES["VersionPruner"] |= {"key": pruner(key), "vpc": pruner(vpc)}
USES["SharedCapacityProvider"] |= {"key": pool(key), "counter_in_vpc": pool(given(counter_in_vpc=True))}
