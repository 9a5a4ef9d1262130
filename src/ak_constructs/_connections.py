"""Who is connected to a WebSocket API: the table that says it, and who may read it and post to them."""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct, IConstruct

from ak_constructs._encryption import READ_ITEM_ACTIONS, WRITE_ITEM_ACTIONS, let_use
from ak_constructs._function import function_behind
from ak_constructs._tables import READ_ONLY, define_table
from ak_constructs._websocket_api import let_manage_connections

KEYS = ("user_id", "connection_id")
INDEX = "connection_id-index"  # Agent Kernel's
_MARK = "ak-constructs:connections"
_AGENT = "ak-constructs:agent"


def define_connections(scope: Construct, id: str, *, agent: lambda_.Function, key: kms.IKey | None) -> dynamodb.TableV2:
    """Define a table of an agent's connections, found by their user or by their own id, in Agent Kernel's names."""
    partition_key, sort_key = KEYS
    table = define_table(scope, id, partition_key=partition_key, sort_key=sort_key, key=key)
    table.add_global_secondary_index(
        index_name=INDEX,
        partition_key=dynamodb.Attribute(name=sort_key, type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name=partition_key, type=dynamodb.AttributeType.STRING),
    )
    _mark_as_of(table, agent)
    return table


@dataclass(frozen=True, kw_only=True, slots=True)
class Connections:
    """The connections of one stage, in a table that other stages may share."""

    table: dynamodb.ITableV2
    key: kms.IKey | None
    stage: apigatewayv2.WebSocketStage

    def let_keep(self, function: lambda_.Function) -> None:
        """Let a function write down who connects and who leaves."""
        self._let(function, "dynamodb:PutItem", "dynamodb:DeleteItem")

    def let_look_up(self, function: lambda_.Function) -> None:
        """Let a function ask whose a connection is."""
        self._let(function, "dynamodb:Query", below=f"/index/{INDEX}")

    def let_post(self, function: lambda_.Function) -> None:
        """Let a function post to connections, and forget one that is gone."""
        self._let(function, "dynamodb:DeleteItem")
        let_manage_connections(self.stage, function, "POST")

    def let_push(self, function: lambda_.Function) -> None:
        """Let a function post to all connections of a user."""
        self._let(function, "dynamodb:Query")
        self.let_post(function)

    def name_table(self, function: lambda_.Function) -> None:
        """Tell a function of ours which table it is."""
        self._mark(function)
        function.add_environment("AK_CONSTRUCTS_CONNECTIONS_TABLE", self.table.table_name)

    def name_for_agent_kernel(self, function: lambda_.Function, *, mode: str, chat_route: str) -> None:
        """Tell `agentkernel` in a function, which refuses to know any route without."""
        self._mark(function)
        function.add_environment("AK_EXECUTION__MODE", mode)
        function.add_environment("AK_WEBSOCKET_API__CONNECTION_TABLE__TABLE_NAME", self.table.table_name)
        function.add_environment("AK_WEBSOCKET_API__CHAT_ROUTE", chat_route)

    def _mark(self, function: lambda_.Function) -> None:
        """A function can know one table only."""
        check_connections(function, self.table)
        if not _known_to(function):
            function.node.add_metadata(_MARK, self.table.node.path)

    def _let(self, grantee: iam.IGrantable, *actions: str, below: str = "") -> None:
        reads_only = set(actions) <= READ_ONLY
        key = self.table.encryption_key or self.key
        let_use(key, grantee, READ_ITEM_ACTIONS if reads_only else WRITE_ITEM_ACTIONS, service="dynamodb")
        iam.Grant.add_to_principal(
            grantee=grantee, actions=list(actions), resource_arns=[f"{self.table.table_arn}{below}"]
        )


def check_connections(agent: lambda_.IFunction, table: dynamodb.ITableV2 | None) -> None:
    """Raise when the agent knows another table already; None is one that is still to be defined."""
    function = function_behind(agent)
    known = _known_to(function) if function else None
    if known and (table is None or table.node.path != known):
        got = "a new one" if table is None else table.node.path
        raise ValueError(
            f"connections must be one table for all WebSocket APIs in front of an agent, got {got} after {known}; "
            "give connections= the first API's connections_table"
        )


def take_connections(table: dynamodb.ITableV2, agent: lambda_.Function) -> None:
    """Raise unless the table is one that another API in front of the same agent defined, as far as that is known."""
    _check_keys(table)
    _mark_as_of(table, agent)


def _mark_as_of(table: dynamodb.ITableV2, agent: lambda_.Function) -> None:
    """Raise when it has the people of another agent: each would push to all, and may post to its own only."""
    known = _noted(table, _AGENT)
    if known not in {None, agent.node.path}:
        raise ValueError(
            f"connections must be of APIs in front of one agent, got {table.node.path} of {known} for "
            f"{agent.node.path}; leave it out, and each API has a table of its own"
        )
    if known is None:
        table.node.add_metadata(_AGENT, agent.node.path)


def _check_keys(table: dynamodb.ITableV2) -> None:
    """Raise for a table of something else, where its keys can be seen: nobody could connect."""
    resource = table.node.default_child
    if isinstance(resource, dynamodb.CfnGlobalTable | dynamodb.CfnTable):
        keys = tuple(element["attributeName"] for element in cdk.Stack.of(resource).resolve(resource.key_schema))
        if keys != KEYS:
            raise ValueError(
                f"connections must be a table with the keys {' and '.join(KEYS)}, got {table.node.path} with "
                f"{' and '.join(keys)}; give another API's connections_table, or leave connections out"
            )


def _known_to(function: lambda_.Function) -> str | None:
    return _noted(function, _MARK)


def _noted(construct: IConstruct, mark: str) -> str | None:
    return next((str(entry.data) for entry in construct.node.metadata if entry.type == mark), None)
