"""Keep conversations: whose a session is, and its last turns."""

from collections.abc import Callable

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from ak_constructs._redis_client import define_redis_client
from ak_constructs._session_backends import (
    REDIS_PORT,
    ExistingRedis,
    SessionBackend,
    SessionTable,
    define_cache,
)
from ak_constructs._tables import define_table
from ak_constructs._validation import check_at_least, check_at_most
from ak_constructs.agent_function import AgentFunction

DEFAULT_HISTORY_TURNS = 5
MAX_HISTORY_TURNS = 100
DEFAULT_TTL = cdk.Duration.days(30)
MIN_TTL_SECONDS = 60

_MARK = "ak-constructs:session-store"


class SessionStore(Construct):
    """Defines where conversations are kept: a DynamoDB table, or Redis or Valkey.

    ```text
    request -> claim: is the session this user's? -> history -> agent(turn) -> add the turn
    ```

    A session belongs to the user who opened it, by one conditional write. Its last `history_turns` turns reach the
    agent as `turn.history`, oldest first, by one read, up to 100 kB of text together, the oldest left out first.
    A turn is a prompt and its answer; each is cut at 32 kB. Both are kept as JSON or plain attributes, never
    pickled. A turn is forgotten after `ttl`, the owner 60 days later, so that a stranger never finds a session whose
    turns are still there.

    **In DynamoDB** the table has Agent Kernel's keys (`session_id`, `key`) and TTL attribute (`expiry_time`); its own
    items can live beside ours.

    **In Redis**, by `SessionStore.redis(...)` or `SessionStore.from_redis(...)`, reads take less time, a network and a
    cache are paid for while idle, and a failure of the cache can lose what was written last.

    **When to use** Redis: you have a network anyway and count milliseconds. Else leave it at the table.

    **Resources**, ids relative to this construct: `Table` (on demand, encrypted, point-in-time recovery, TTL, retained
    when the stack is deleted). `.redis(...)` instead defines `Cache` (ElastiCache Serverless
    for Valkey, TLS), `User` who logs in by IAM and may use our keys only, `UserGroup`, `SecurityGroup` that lets in
    attached functions and nobody else (these four are retained when the stack is deleted), and `RedisClient`, a layer
    with the client, installed by uv without Docker; `.from_redis(...)` defines `RedisClient` alone.

    **Permissions** of an attached agent: `dynamodb:GetItem`, `dynamodb:PutItem` and `dynamodb:Query` on the table; of
    a function that only looks whose a session is, the first two;
    an agent with a handler of its own gets what `agentkernel` uses, which is `dynamodb:DeleteItem` and
    `dynamodb:DescribeTable` too. In the cache `elasticache:Connect` on the cache and its user. For a secret
    `secretsmanager:GetSecretValue`, and through it `kms:Decrypt` if it has a key of its own. With a `key` also
    `kms:Decrypt`, `kms:DescribeKey`, `kms:Encrypt`, `kms:GenerateDataKey`, `kms:GenerateDataKeyWithoutPlaintext`,
    `kms:ReEncryptFrom` and `kms:ReEncryptTo` on it, through DynamoDB only, which is what AWS asks for. A cache needs
    nothing of its callers.

    **Not included**: a network; backups of a cache; a way for a function in that network to reach Secrets Manager; the
    deletion of what is retained.

    Args:
        scope: The parent.
        id: The id, unique in the parent.
        history_turns: How many turns the agent sees, 1 to 100. Defaults to 5.
        ttl: How long a turn is kept, at least 60 s. Defaults to 30 days.
        key: Encrypts the table. Who deploys may create grants of it (docs/private.md). Defaults to AWS's
            managed key for DynamoDB.

    Attributes:
        cache: The serverless cache of `.redis(...)`, else None.
        client_layer: The layer with the Redis client, else None.
        history_turns: How many turns the agent sees.
        memory_backend: `dynamodb` or `redis`, as `GET /health` says it.
        security_group: The cache's security group, else None.
        table: The table, or None in Redis.
        ttl: How long a turn is kept.

    Raises:
        ValueError: `history_turns` or `ttl` is out of range.

    Example:
        ```python
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent")
        sessions = SessionStore(stack, "Sessions")
        sessions.attach(agent)
        ```

    Sources:
        How DynamoDB uses keys: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
        How ElastiCache uses keys: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/at-rest-encryption.html
        TTL deletes late: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ttl-expired-items.html
        Login by IAM: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
        Users and groups: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Clusters.RBAC.html
        Serverless caches: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/WhatIs.deployment.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        history_turns: int = DEFAULT_HISTORY_TURNS,
        ttl: cdk.Duration = DEFAULT_TTL,
        key: kms.Key | kms.IKey | None = None,
    ) -> None:
        super().__init__(scope, id)
        check_at_least("history_turns", history_turns, 1, "leave the store out to keep nothing")
        check_at_most(
            "history_turns", history_turns, MAX_HISTORY_TURNS, "an agent that needs more reads the store itself"
        )
        if not ttl.is_unresolved():
            check_at_least("ttl in seconds", ttl.to_seconds(), MIN_TTL_SECONDS, "a conversation takes that long")
        self.history_turns: int = history_turns
        self.ttl: cdk.Duration = ttl
        self._backend = self._define_backend(key)
        self.cache: elasticache.CfnServerlessCache | None = self._backend.cache
        self.client_layer: lambda_.LayerVersion | None = self._backend.client_layer
        self.memory_backend: str = self._backend.memory_backend
        self.security_group: ec2.ISecurityGroup | None = self._backend.security_group
        self.table: dynamodb.TableV2 | None = self._backend.table

    @staticmethod
    def redis(
        scope: Construct,
        id: str,
        *,
        vpc: ec2.IVpc,
        vpc_subnets: ec2.SubnetSelection | None = None,
        history_turns: int = DEFAULT_HISTORY_TURNS,
        ttl: cdk.Duration = DEFAULT_TTL,
        key: kms.Key | kms.IKey | None = None,
    ) -> "SessionStore":
        """Define a serverless Valkey cache that attached functions log in to by their roles.

        `agentkernel` cannot log in that way: an agent with a handler of its own is refused.

        Args:
            scope: The parent.
            id: The id, unique in the parent.
            vpc: The network of the functions.
            vpc_subnets: Which of its private subnets. Defaults to one in each of up to 3 zones.
            history_turns: How many turns the agent sees, 1 to 100. Defaults to 5.
            ttl: How long a turn is kept, at least 60 s. Defaults to 30 days.
            key: Encrypts what the cache writes to disks. Another one makes another cache. Defaults to ElastiCache's.

        Raises:
            ValueError: `history_turns` or `ttl` is out of range, the subnets are public, or the client cannot be
                installed.
        """
        return _RedisStore(
            scope,
            id,
            history_turns=history_turns,
            ttl=ttl,
            define=lambda store: define_cache(store, vpc=vpc, vpc_subnets=vpc_subnets, key=key),
        )

    @staticmethod
    def from_redis(
        scope: Construct,
        id: str,
        *,
        host: str,
        port: int = REDIS_PORT,
        secret: secretsmanager.Secret | secretsmanager.ISecret | None = None,
        security_group: ec2.ISecurityGroup | None = None,
        history_turns: int = DEFAULT_HISTORY_TURNS,
        ttl: cdk.Duration = DEFAULT_TTL,
    ) -> "SessionStore":
        """Keep sessions in a Redis or Valkey that exists, version 6 or later, by TLS, outside cluster mode.

        Its `maxmemory-policy` must be `noeviction`, or a session may lose its owner before its turns.

        Args:
            scope: The parent.
            id: The id, unique in the parent.
            host: Its name, as its certificate has it; a public authority must have signed that.
            port: Its port. Defaults to 6379.
            secret: The password, or JSON with `password` and `username`; read at first use, never in the template.
                With one an agent with a handler of its own is refused. Defaults to no password.
            security_group: Its security group, which lets attached functions in. Defaults to none of AWS's.
            history_turns: How many turns the agent sees, 1 to 100. Defaults to 5.
            ttl: How long a turn is kept, at least 60 s. Defaults to 30 days.

        Raises:
            ValueError: `history_turns`, `port` or `ttl` is out of range, or the client cannot be installed.
        """
        check_at_least("port", port, 1, f"leave it out for {REDIS_PORT}")

        def define(store: Construct) -> ExistingRedis:
            layer = define_redis_client(store, "RedisClient")
            return ExistingRedis(host=host, port=port, secret=secret, security_group=security_group, client_layer=layer)

        return _RedisStore(scope, id, history_turns=history_turns, ttl=ttl, define=define)

    def attach(self, function: lambda_.Function) -> None:
        """Let a function keep its sessions here; again for the same function changes nothing.

        Args:
            function: An `AgentFunction`, or another function that runs this library's code. One with a handler of its
                own gets Agent Kernel's names instead of ours, with `ttl` for a table; in Redis `agentkernel` has a time
                of its own. For a cache it must be in the network of the sessions.

        Raises:
            ValueError: The function has another store, is not in a network where it must be, or has a handler of its
                own that could not log in.
        """
        attached = next((str(each.data) for each in function.node.metadata if each.type == _MARK), None)
        if attached == self.node.path:
            return
        if attached:
            raise ValueError(
                f"{function.node.path} must have one session store, got {self.node.path} after {attached}; make a "
                "second AgentFunction of the same entry, the asset is shared"
            )
        for name, value in self._connect(function).items():
            function.add_environment(name, value)
        function.node.add_metadata(_MARK, self.node.path, stack_trace=False)
        if isinstance(function, AgentFunction):
            function.session_store = self

    def _connect(self, function: lambda_.Function) -> dict[str, str]:
        if isinstance(function, AgentFunction) and function.has_own_handler:
            return self._backend.connect_agent_kernel(function, self.ttl)
        return {
            **self._backend.connect(function, reads_turns=isinstance(function, AgentFunction)),
            "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS": cdk.Tokenization.stringify_number(self.ttl.to_seconds()),
            "AK_CONSTRUCTS_HISTORY_TURNS": cdk.Tokenization.stringify_number(self.history_turns),
        }

    def _define_backend(self, key: kms.IKey | None) -> SessionBackend:
        table = define_table(self, "Table", partition_key="session_id", sort_key="key", key=key)
        return SessionTable(table=table, key=key)


class _RedisStore(SessionStore):
    """A store whose factory says what to define."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        history_turns: int,
        ttl: cdk.Duration,
        define: Callable[[Construct], SessionBackend],
    ) -> None:
        self._define = define
        super().__init__(scope, id, history_turns=history_turns, ttl=ttl)

    def _define_backend(self, key: kms.IKey | None) -> SessionBackend:  # noqa: ARG002 - the factory has it
        return self._define(self)
