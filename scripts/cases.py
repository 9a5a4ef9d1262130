"""Each public construct as users define it, in a stack of its own; needs aws-cdk-lib and the library, nothing else."""

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from constructs import IConstruct

from ak_constructs import (
    AgentApi,
    AgentFunction,
    Authorization,
    KeepWarm,
    QueuedAgentPipeline,
    SessionStore,
    SharedCapacityProvider,
    VersionPruner,
    WebSocketAgentApi,
)
from scripts.project import ROOT

ENTRY = ROOT / "examples" / "chat_api" / "agent"
AUTHORIZATIONS = ("iam", "jwt", "public", "cognito", "lambda_function", "api_key")
ALIKE = "lambda_function"  # of a pipeline it gives what iam gives, as of an API
MORNING = scheduler.ScheduleExpression.cron(hour="8", minute="0")
# Of an app whose templates are read here: what nobody reads is not made, nothing is installed, and tests validate.
QUICK: dict[str, Any] = {
    "analytics_reporting": False,
    "builtin_cloud_formation_validation": False,
    "context": {"aws:cdk:bundling-stacks": [], "aws:cdk:enable-path-metadata": True},
    "stack_traces": False,
    "tree_metadata": False,
}
Names = dict[str, IConstruct]  # by the names that users give their variables
Define = Callable[[cdk.Stack], Names]


def agent(stack: cdk.Stack) -> Names:
    """Define an agent."""
    return {"agent": AgentFunction(stack, "Agent", entry=ENTRY)}


def authorization(stack: cdk.Stack, name: str) -> Authorization:
    """Let callers in this way."""
    if name == "cognito":
        return Authorization.cognito([cognito.UserPool.from_user_pool_id(stack, "Users", "eu-west-1_Users")])
    if name == "jwt":
        return Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"])
    if name == "lambda_function":
        arn = stack.format_arn(service="lambda", resource="function", resource_name="asks")
        asked = lambda_.Function.from_function_attributes(stack, "Asks", function_arn=arn, same_environment=True)
        return Authorization.lambda_function(asked, user_key="user")
    return {"iam": Authorization.iam, "public": Authorization.public, "api_key": Authorization.api_key}[name]()


def api(how: str) -> Define:
    """Define an API in front of an agent."""

    def define(stack: cdk.Stack) -> Names:
        given = authorization(stack, how)
        function = AgentFunction(stack, "Agent", entry=ENTRY)
        return {"agent": function, "api": AgentApi(stack, "Api", agent=function, authorization=given)}

    return define


def pipeline(how: str) -> Define:
    """Define a pipeline in front of an agent, with the queue that it makes."""

    def define(stack: cdk.Stack) -> Names:
        given = authorization(stack, how)
        function = AgentFunction(stack, "Agent", entry=ENTRY)
        made = QueuedAgentPipeline(stack, "Pipeline", agent=function, authorization=given)
        return {"agent": function, "pipeline": made, "queue": made.queue}

    return define


def chat(how: str, *, buffered: bool = True) -> Define:
    """Define a WebSocket API in front of an agent, with a route of the user's."""

    def define(stack: cdk.Stack) -> Names:
        given = authorization(stack, how)
        function = AgentFunction(stack, "Agent", entry=ENTRY)
        made = WebSocketAgentApi(stack, "Chat", agent=function, authorization=given, buffered=buffered)
        return {"agent": function, "chat": made, **({"queue": made.queue} if made.queue else {})}

    return define


def dynamodb_sessions(stack: cdk.Stack) -> Names:
    """Define sessions in DynamoDB."""
    return {"sessions": SessionStore(stack, "Sessions")}


def redis_sessions(stack: cdk.Stack) -> Names:
    """Define sessions in Redis."""
    return {"sessions": SessionStore.redis(stack, "Sessions", vpc=network(stack))}


def keep_warm(stack: cdk.Stack) -> Names:
    """Define an agent that is kept warm."""
    function = AgentFunction(stack, "Agent", entry=ENTRY)
    return {"agent": function, "warm": KeepWarm(stack, "Warm", targets=[function.add_alias("live")])}


def keep_warm_after_deployment(stack: cdk.Stack) -> Names:
    """Define an agent that is warm again after a deployment."""
    function = AgentFunction(stack, "Agent", entry=ENTRY)
    warm = KeepWarm(stack, "Warm", targets=[function.add_alias("live")], after_deployment=True)
    return {"agent": function, "warm": warm}


def pruner_of_functions(stack: cdk.Stack) -> Names:
    """Define a pruner of given functions."""
    function = AgentFunction(stack, "Agent", entry=ENTRY)
    return {"agent": function, "pruner": VersionPruner(stack, "Pruner", functions=[function], dry_run=False)}


def pruner_of_tags(stack: cdk.Stack) -> Names:
    """Define a pruner of functions that it finds."""
    return {"pruner": VersionPruner(stack, "Pruner", tags={"team": "agents"}, dry_run=False)}


def pool(stack: cdk.Stack) -> Names:
    """Define a pool of managed instances with an agent on it, and what prunes their versions."""
    made = SharedCapacityProvider(stack, "Pool", vpc=network(stack))
    function = AgentFunction(stack, "Agent", entry=ENTRY, memory_size=4096)
    live = made.add_function(function, memory_gib_per_vcpu=4, max_concurrency=4)
    made.add_environments_schedule(
        "Morning", alias=live, schedule=MORNING, min_execution_environments=6, max_execution_environments=16
    )
    pruner = VersionPruner(stack, "Pruner", capacity_provider=made.capacity_provider)
    return {"agent": function, "live": live, "pool": made, "pruner": pruner}


def network(stack: cdk.Stack) -> ec2.IVpc:
    """Give a network that is there, so that its own findings are nobody's here."""
    zones = ["a", "b", "c"]
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Network",
        vpc_id="vpc-0123456789abcdef0",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=zones,
        private_subnet_ids=[f"subnet-{zone}" for zone in zones],
        private_subnet_route_table_ids=[f"table-{zone}" for zone in zones],
    )


CHAT = chat("iam")
# Of each construct, how it is used, and what defines it so.
CASES: dict[str, dict[str, Define]] = {
    "AgentFunction": {
        "": agent,
        "Behind an `AgentQueue`": pipeline("iam"),
        "Behind a `WebSocketAgentApi`": CHAT,
        "On a `SharedCapacityProvider`": pool,
    },
    "AgentApi": {f"With `Authorization.{how}()`": api(how) for how in AUTHORIZATIONS},
    "QueuedAgentPipeline": {f"With `Authorization.{how}()`": pipeline(how) for how in AUTHORIZATIONS if how != ALIKE},
    "WebSocketAgentApi": {
        "With `Authorization.iam()`": CHAT,
        "With `Authorization.jwt()`": chat("jwt"),
        "With `buffered=False`": chat("iam", buffered=False),
    },
    "AgentQueue": {"": pipeline("iam"), "Behind a `WebSocketAgentApi`": CHAT},
    "SessionStore": {"": dynamodb_sessions, "`SessionStore.redis`": redis_sessions},
    "KeepWarm": {"": keep_warm, "With `after_deployment=True`": keep_warm_after_deployment},
    "VersionPruner": {
        "With `functions=` and `dry_run=False`": pruner_of_functions,
        "With `tags=` and `dry_run=False`": pruner_of_tags,
        "With `capacity_provider=`": pool,
    },
    "SharedCapacityProvider": {"": pool},
}


DEFAULTS = {next(iter(cases.values())) for cases in CASES.values()}  # each construct with nothing but what it needs
