"""Where sessions are kept, and what a function needs to get there: names in its environment, and permissions."""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from ak_constructs._encryption import check_key
from ak_constructs._limits import ELASTICACHE_SERVERLESS_ZONES
from ak_constructs._redis_client import define_redis_client
from ak_constructs._secrets import grant_secret
from ak_constructs._tables import let_use_items

REDIS_PORT = 6379
OWNER_ACTIONS = ["dynamodb:GetItem", "dynamodb:PutItem"]
TABLE_ACTIONS = [*OWNER_ACTIONS, "dynamodb:Query"]
AGENT_KERNEL_ACTIONS = [
    "dynamodb:DeleteItem",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
]
# Only the keys that our code writes, and no command that looks at or empties the whole cache.
REDIS_ACCESS = "on ~ak-constructs:sessions:* -@all +@read +@write +@connection +@transaction -@dangerous"


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionTable:
    """Sessions in DynamoDB."""

    table: dynamodb.TableV2
    key: kms.IKey | None
    cache: None = None
    client_layer: None = None
    security_group: None = None
    memory_backend: str = "dynamodb"

    def connect(self, function: lambda_.Function, *, reads_turns: bool) -> dict[str, str]:
        """Let our code in a function in, and give the names it needs; the others do likewise."""
        let_use_items(self.table, function, *(TABLE_ACTIONS if reads_turns else OWNER_ACTIONS), key=self.key)
        return {"AK_CONSTRUCTS_SESSIONS_TABLE": self.table.table_name}

    def connect_agent_kernel(self, function: lambda_.Function, ttl: cdk.Duration) -> dict[str, str]:
        """Let `agentkernel` in a function in, and give the names it needs; the others do likewise, or refuse."""
        let_use_items(self.table, function, *AGENT_KERNEL_ACTIONS, key=self.key)
        return {
            "AK_SESSION__TYPE": "dynamodb",
            "AK_SESSION__DYNAMODB__TABLE_NAME": self.table.table_name,
            "AK_SESSION__DYNAMODB__TTL": cdk.Tokenization.stringify_number(ttl.to_seconds()),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionCache:
    """Sessions in a serverless cache that functions log in to by their roles."""

    cache: elasticache.CfnServerlessCache
    user: elasticache.CfnUser
    security_group: ec2.ISecurityGroup
    client_layer: lambda_.LayerVersion
    table: None = None
    memory_backend: str = "redis"

    def connect(self, function: lambda_.Function, *, reads_turns: bool) -> dict[str, str]:  # noqa: ARG002 - in Redis all or nothing
        _check_network(function)
        _connect(function, self.security_group, REDIS_PORT)
        function.add_layers(self.client_layer)
        _allow(function, ["elasticache:Connect"], self.cache.attr_arn, self.user.attr_arn)
        return {
            "AK_CONSTRUCTS_SESSIONS_REDIS_HOST": self.cache.attr_endpoint_address,
            "AK_CONSTRUCTS_SESSIONS_REDIS_PORT": str(REDIS_PORT),
            "AK_CONSTRUCTS_SESSIONS_REDIS_CACHE": self.cache.ref,
            "AK_CONSTRUCTS_SESSIONS_REDIS_USER": self.user.ref,
        }

    def connect_agent_kernel(self, function: lambda_.Function, ttl: cdk.Duration) -> dict[str, str]:  # noqa: ARG002
        raise ValueError(
            f"{function.node.path} must run our runner to keep sessions in this cache, got a handler of its own; "
            "agentkernel cannot log in by role: give it a SessionStore in DynamoDB, or SessionStore.from_redis(...)"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExistingRedis:
    """Sessions in a Redis or Valkey that somebody else runs."""

    host: str
    port: int
    secret: secretsmanager.ISecret | None
    security_group: ec2.ISecurityGroup | None
    client_layer: lambda_.LayerVersion
    cache: None = None
    table: None = None
    memory_backend: str = "redis"

    def connect(self, function: lambda_.Function, *, reads_turns: bool) -> dict[str, str]:  # noqa: ARG002 - in Redis all or nothing
        self._connect_network(function)
        function.add_layers(self.client_layer)
        names = {
            "AK_CONSTRUCTS_SESSIONS_REDIS_HOST": self.host,
            "AK_CONSTRUCTS_SESSIONS_REDIS_PORT": cdk.Tokenization.stringify_number(self.port),
        }
        if self.secret is None:
            return names
        grant_secret(function, self.secret)
        return {**names, "AK_CONSTRUCTS_SESSIONS_REDIS_SECRET_ARN": self.secret.secret_arn}

    def connect_agent_kernel(self, function: lambda_.Function, ttl: cdk.Duration) -> dict[str, str]:  # noqa: ARG002
        if self.secret is not None:
            raise ValueError(
                f"{function.node.path} must run our runner to log in with a secret, got a handler of its own; "
                "agentkernel takes a password in a variable only, for all to read who may see the function: give it "
                "a SessionStore in DynamoDB"
            )
        self._connect_network(function)
        port = cdk.Tokenization.stringify_number(self.port)
        return {"AK_SESSION__TYPE": "redis", "AK_SESSION__REDIS__URL": f"rediss://{self.host}:{port}"}

    def _connect_network(self, function: lambda_.Function) -> None:
        if self.security_group is not None:
            _check_network(function)
            _connect(function, self.security_group, self.port)


SessionBackend = SessionTable | SessionCache | ExistingRedis


def define_cache(
    scope: Construct, *, vpc: ec2.IVpc, vpc_subnets: ec2.SubnetSelection | None, key: kms.IKey | None
) -> SessionCache:
    """Define a cache that only attached functions reach, and its one user, whom only their roles may be."""
    check_key(scope, key)
    subnets = _private_subnets(vpc, vpc_subnets)
    name = _name(scope)
    user = elasticache.CfnUser(
        scope,
        "User",
        engine="valkey",
        user_id=name,
        user_name=name,
        authentication_mode={"Type": "iam"},
        access_string=REDIS_ACCESS,
    )
    group = elasticache.CfnUserGroup(scope, "UserGroup", engine="valkey", user_group_id=name, user_ids=[user.ref])
    security_group = ec2.SecurityGroup(
        scope, "SecurityGroup", vpc=vpc, allow_all_outbound=False, description="Lets attached functions in, to sessions"
    )
    cache = elasticache.CfnServerlessCache(
        scope,
        "Cache",
        engine="valkey",
        serverless_cache_name=name,
        kms_key_id=key.key_arn if key else None,
        user_group_id=group.ref,
        security_group_ids=[security_group.security_group_id],
        subnet_ids=subnets,
    )
    for each in (user, group, security_group, cache):  # a cache that stays needs them all
        each.apply_removal_policy(cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
    layer = define_redis_client(scope, "RedisClient")
    return SessionCache(cache=cache, user=user, security_group=security_group, client_layer=layer)


def _private_subnets(vpc: ec2.IVpc, selection: ec2.SubnetSelection | None) -> list[str]:
    """Choose a subnet in each zone; more than three zones are of no use to a cache that is kept in three."""
    selected = vpc.select_subnets(
        availability_zones=selection.availability_zones if selection else None,
        one_per_az=True,
        subnet_filters=selection.subnet_filters if selection else None,
        subnet_group_name=selection.subnet_group_name if selection else None,
        subnets=selection.subnets if selection else None,
        subnet_type=selection.subnet_type if selection else None,
    )
    if selected.has_public:
        raise ValueError(
            f"vpc must have private subnets for the sessions, got public ones of {vpc.node.path}; "
            "give the VPC private or isolated subnets, or name them by vpc_subnets="
        )
    return selected.subnet_ids[:ELASTICACHE_SERVERLESS_ZONES]


def _name(scope: Construct) -> str:
    """Make a name, since ElastiCache makes none; of the stack's own id too, or one made again would find it taken."""
    stack_id = cdk.Fn.select(2, cdk.Fn.split("/", cdk.Stack.of(scope).stack_id))
    unique = cdk.Names.unique_resource_name(scope, max_length=24).lower()
    return f"ak-{unique}-{cdk.Fn.select(0, cdk.Fn.split('-', stack_id))}"


def _allow(function: lambda_.Function, actions: list[str], *arns: str) -> None:
    iam.Grant.add_to_principal(grantee=function, actions=actions, resource_arns=list(arns))


def _check_network(function: lambda_.Function) -> None:
    if not function.is_bound_to_vpc:
        raise ValueError(
            f"{function.node.path} must run in the network that the sessions are in, got a function without one; "
            "give it vpc=, or keep the sessions in DynamoDB"
        )


def _connect(function: lambda_.Function, security_group: ec2.ISecurityGroup, port: int) -> None:
    function.connections.allow_to(security_group, ec2.Port.tcp(port), "sessions")
