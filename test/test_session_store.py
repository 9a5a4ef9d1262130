"""SessionStore: where conversations are kept, and who gets there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentFunction, SessionStore, _layer, _redis_client
from ak_constructs._lambda_assets import lambda_assets
from ak_constructs._session_backends import REDIS_ACCESS
from ak_constructs.testing import normalised
from test.support import logical_ids, statements

OUR_OWN = {"AK_CONSTRUCTS_AGENT": "agent:respond"}
KEEPING = {"AK_CONSTRUCTS_SESSIONS_TTL_SECONDS": "2592000", "AK_CONSTRUCTS_HISTORY_TURNS": "5"}
Define = Callable[..., SessionStore]


@pytest.fixture
def vpc(stack: cdk.Stack) -> ec2.Vpc:
    """Make a network."""
    return ec2.Vpc(stack, "Vpc", max_azs=2)


@pytest.fixture
def inside(stack: cdk.Stack, entry: Path, vpc: ec2.Vpc) -> AgentFunction:
    """Make an agent in the network."""
    return AgentFunction(stack, "Inside", entry=str(entry), vpc=vpc)


def raw(stack: cdk.Stack, vpc: ec2.IVpc | None = None) -> AgentFunction:
    """Make an agent with a handler of its own."""
    code = lambda_.Code.from_inline("def handler(event, context): ...")
    return AgentFunction(stack, "Raw", code=code, handler="index.handler", vpc=vpc)


def variables(stack: cdk.Stack, function: str) -> dict[str, Any]:
    """Give a function's variables, the function named by how its logical id begins."""
    functions = Template.from_stack(stack).find_resources("AWS::Lambda::Function")
    (found,) = (each for name, each in functions.items() if name.startswith(function))
    values: dict[str, Any] = found["Properties"].get("Environment", {}).get("Variables", {})
    return values


def granted(stack: cdk.Stack, role: str) -> list[tuple[tuple[str, ...], Any]]:
    """Give what a role may do beyond what every function's may."""
    common = {"logs:CreateLogStream", "xray:PutTraceSegments", "ec2:AssignPrivateIpAddresses"}
    return [each for each in statements(stack, role) if not common & set(each[0])]


def arn(resource: str, attribute: str = "Arn") -> dict[str, Any]:
    """Give the reference to a resource's ARN."""
    return {"Fn::GetAtt": [resource, attribute]}


def test_defines_a_table_with_agent_kernels_keys(stack: cdk.Stack) -> None:
    """On demand, encrypted, recoverable, and kept when the stack goes."""
    store = SessionStore(stack, "Sessions")
    template = Template.from_stack(stack)
    template.has_resource(
        "AWS::DynamoDB::GlobalTable",
        {
            "Properties": {
                "KeySchema": [
                    {"AttributeName": "session_id", "KeyType": "HASH"},
                    {"AttributeName": "key", "KeyType": "RANGE"},
                ],
                "AttributeDefinitions": [
                    {"AttributeName": "session_id", "AttributeType": "S"},
                    {"AttributeName": "key", "AttributeType": "S"},
                ],
                "BillingMode": "PAY_PER_REQUEST",
                "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS"},
                "TimeToLiveSpecification": {"AttributeName": "expiry_time", "Enabled": True},
                "Replicas": [
                    Match.object_like({"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}})
                ],
            },
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
        },
    )
    assert len(logical_ids(stack)) == 1
    assert store.table is not None
    assert (store.memory_backend, store.cache, store.security_group, store.client_layer) == (
        "dynamodb",
        None,
        None,
        None,
    )
    assert (store.history_turns, store.ttl.to_days()) == (5, 30)


def test_an_attached_function_gets_names_and_exactly_what_they_need(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Three actions on one table."""
    SessionStore(stack, "Sessions").attach(agent)
    (table,) = Template.from_stack(stack).find_resources("AWS::DynamoDB::GlobalTable")
    assert variables(stack, "Agent") == {**OUR_OWN, **KEEPING, "AK_CONSTRUCTS_SESSIONS_TABLE": {"Ref": table}}
    assert granted(stack, "AgentRole") == [
        (("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"), arn(table)),
    ]


def test_another_function_of_ours_can_be_attached(stack: cdk.Stack) -> None:
    """Whatever defines it."""
    function = lambda_.Function(
        stack,
        "Handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("def handler(event, context): ..."),
    )
    SessionStore(stack, "Sessions").attach(function)
    assert set(variables(stack, "Handler")) == {*KEEPING, "AK_CONSTRUCTS_SESSIONS_TABLE"}


def test_history_turns_and_ttl_reach_the_function(stack: cdk.Stack, agent: AgentFunction) -> None:
    """In seconds."""
    SessionStore(stack, "Sessions", history_turns=9, ttl=cdk.Duration.hours(2)).attach(agent)
    found = variables(stack, "Agent")
    assert (found["AK_CONSTRUCTS_HISTORY_TURNS"], found["AK_CONSTRUCTS_SESSIONS_TTL_SECONDS"]) == ("9", "7200")


def test_what_is_known_at_deployment_passes(stack: cdk.Stack, agent: AgentFunction) -> None:
    """As parameters of the stack, for one."""
    ttl = cdk.CfnParameter(stack, "Ttl", type="Number")
    turns = cdk.CfnParameter(stack, "Turns", type="Number")
    duration = cdk.Duration.seconds(ttl.value_as_number)
    SessionStore(stack, "Sessions", history_turns=cast("int", turns.value_as_number), ttl=duration).attach(agent)
    found = variables(stack, "Agent")
    assert found["AK_CONSTRUCTS_HISTORY_TURNS"] == {"Ref": "Turns"}
    assert found["AK_CONSTRUCTS_SESSIONS_TTL_SECONDS"] == {"Ref": "Ttl"}


def test_a_handler_of_its_own_gets_agent_kernels_names(stack: cdk.Stack) -> None:
    """With the type, and with what its store uses."""
    store = SessionStore(stack, "Sessions", ttl=cdk.Duration.days(1))
    store.attach(raw(stack))
    (table,) = Template.from_stack(stack).find_resources("AWS::DynamoDB::GlobalTable")
    assert variables(stack, "Raw") == {
        "AK_SESSION__TYPE": "dynamodb",
        "AK_SESSION__DYNAMODB__TABLE_NAME": {"Ref": table},
        "AK_SESSION__DYNAMODB__TTL": "86400",
    }
    used = ("DeleteItem", "DescribeTable", "GetItem", "PutItem", "Query")
    assert granted(stack, "RawRole") == [(tuple(f"dynamodb:{name}" for name in used), arn(table))]


def test_attaching_again_changes_nothing(
    stack: cdk.Stack, agent: AgentFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two constructs may both make sure of it."""
    store = SessionStore(stack, "Sessions")
    store.attach(agent)
    monkeypatch.setattr(agent, "add_environment", None)
    store.attach(agent)
    assert len(granted(stack, "AgentRole")) == 1


def test_one_store_serves_several_functions(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Each with its own role."""
    store = SessionStore(stack, "Sessions")
    store.attach(agent)
    store.attach(raw(stack))
    assert granted(stack, "AgentRole")
    assert granted(stack, "RawRole")


def test_fails_when_a_function_has_another_store(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Which of the two it would use would be an accident."""
    SessionStore(stack, "One").attach(agent)
    message = r"^Stack/Agent must have one session store, got Stack/Two after Stack/One; make a second AgentFunction"
    with pytest.raises(ValueError, match=message):
        SessionStore(stack, "Two").attach(agent)


def redis(stack: cdk.Stack, vpc: ec2.IVpc, **settings: Any) -> SessionStore:  # noqa: ANN401
    """Define a cache."""
    return SessionStore.redis(stack, "Sessions", vpc=vpc, **settings)


def existing(stack: cdk.Stack, _vpc: ec2.IVpc, **settings: Any) -> SessionStore:  # noqa: ANN401
    """Name a Redis that exists."""
    return SessionStore.from_redis(stack, "Sessions", host="redis.example", **settings)


def table(stack: cdk.Stack, _vpc: ec2.IVpc, **settings: Any) -> SessionStore:  # noqa: ANN401
    """Define a table."""
    return SessionStore(stack, "Sessions", **settings)


@pytest.mark.parametrize("define", [table, redis, existing])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"history_turns": 0}, r"^history_turns must be at least 1, got 0; leave the store out to keep nothing$"),
        ({"history_turns": 101}, r"^history_turns must be at most 100, got 101; an agent that needs more"),
        ({"ttl": cdk.Duration.seconds(59)}, r"^ttl in seconds must be at least 60, got 59; a conversation takes"),
    ],
)
def test_fails_when_history_turns_or_ttl_is_out_of_range(
    stack: cdk.Stack, vpc: ec2.Vpc, define: Define, settings: dict[str, Any], message: str
) -> None:
    """Wherever the sessions are kept, and before anything is defined."""
    with pytest.raises(ValueError, match=message):
        define(stack, vpc, **settings)
    assert [each.node.path for each in stack.node.find_child("Sessions").node.find_all()] == ["Stack/Sessions"]


def test_redis_defines_a_cache_for_one_user_who_is_a_role(stack: cdk.Stack, vpc: ec2.Vpc) -> None:
    """By TLS, in private subnets, named after nothing that another stack could be named after."""
    store = redis(stack, vpc)
    resources = Template.from_stack(stack).to_json()["Resources"]
    user, group, cache, firewall = (
        resources[f"Sessions{name}"]["Properties"]
        for name in ("User0EBF922C", "UserGroup05B9E662", "CacheF1DEE39A", "SecurityGroupDC1B8A75")
    )
    assert (user["AuthenticationMode"], user["AccessString"]) == ({"Type": "iam"}, REDIS_ACCESS)
    assert user["UserName"] == user["UserId"] == group["UserGroupId"] == cache["ServerlessCacheName"]
    assert json.dumps(user["UserId"]).count("AWS::StackId") == 1
    assert user["UserId"]["Fn::Join"][1][0].startswith("ak-stacksessions")
    assert len(user["UserId"]["Fn::Join"][1][0]) + 8 <= 40
    assert (user["Engine"], group["Engine"], cache["Engine"]) == ("valkey", "valkey", "valkey")
    assert group["UserIds"] == [{"Ref": "SessionsUser0EBF922C"}]
    assert cache["UserGroupId"] == {"Ref": "SessionsUserGroup05B9E662"}
    assert [each["Ref"][:16] for each in cache["SubnetIds"]] == ["VpcPrivateSubnet"] * 2
    assert cache["SecurityGroupIds"] == [arn("SessionsSecurityGroupDC1B8A75", "GroupId")]
    assert "SecurityGroupIngress" not in firewall
    assert [each["CidrIp"] for each in firewall["SecurityGroupEgress"]] == ["255.255.255.255/32"], "nowhere"
    assert store.cache is not None
    assert store.security_group is not None
    assert (store.memory_backend, store.table) == ("redis", None)


def test_a_cache_and_what_it_needs_are_kept_when_the_stack_goes(stack: cdk.Stack, vpc: ec2.Vpc) -> None:
    """But not when its first deployment fails; the layer is only code."""
    redis(stack, vpc)
    resources = Template.from_stack(stack).to_json()["Resources"]
    kept = {name for name, each in resources.items() if each.get("DeletionPolicy") == "RetainExceptOnCreate"}
    assert {name[:-8] for name in kept} == {
        f"Sessions{each}" for each in ("User", "UserGroup", "Cache", "SecurityGroup")
    }
    assert {resources[name]["UpdateReplacePolicy"] for name in kept} == {"Retain"}


def test_an_attached_function_may_connect_to_the_cache_as_its_user(
    stack: cdk.Stack, vpc: ec2.Vpc, inside: AgentFunction
) -> None:
    """From its own security group, with the client in a layer."""
    store = redis(stack, vpc)
    store.attach(inside)
    assert variables(stack, "Inside") == {
        **OUR_OWN,
        **KEEPING,
        "AK_CONSTRUCTS_SESSIONS_REDIS_HOST": arn("SessionsCacheF1DEE39A", "Endpoint.Address"),
        "AK_CONSTRUCTS_SESSIONS_REDIS_PORT": "6379",
        "AK_CONSTRUCTS_SESSIONS_REDIS_CACHE": {"Ref": "SessionsCacheF1DEE39A"},
        "AK_CONSTRUCTS_SESSIONS_REDIS_USER": {"Ref": "SessionsUser0EBF922C"},
    }
    assert granted(stack, "InsideRole") == [
        (("elasticache:Connect",), [arn("SessionsCacheF1DEE39A", "ARN"), arn("SessionsUser0EBF922C")])
    ]
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::EC2::SecurityGroupIngress",
        {
            "GroupId": arn("SessionsSecurityGroupDC1B8A75", "GroupId"),
            "SourceSecurityGroupId": {"Fn::GetAtt": [Match.string_like_regexp("^InsideSecurityGroup"), "GroupId"]},
            "IpProtocol": "tcp",
            "FromPort": 6379,
            "ToPort": 6379,
        },
    )
    template.resource_count_is("AWS::EC2::SecurityGroupIngress", 1)
    layer = {"Layers": [{"Ref": Match.string_like_regexp("^SessionsRedisClient")}]}
    template.has_resource_properties("AWS::Lambda::Function", layer)


def test_store_and_function_may_be_in_different_stacks(app: cdk.App, entry: Path) -> None:
    """What belongs to the connection lies in the function's, or each would need the other first."""
    network, stores, agents = (cdk.Stack(app, name) for name in ("Network", "Stores", "Agents"))
    vpc = ec2.Vpc(network, "Vpc", max_azs=2)
    store = redis(stores, vpc)
    store.attach(AgentFunction(agents, "Agent", entry=str(entry), vpc=vpc))
    app.synth()
    Template.from_stack(agents).resource_count_is("AWS::EC2::SecurityGroupIngress", 1)
    assert agents.dependencies
    assert agents not in stores.dependencies


@pytest.mark.parametrize("subnets", [None, ec2.SubnetSelection(subnet_group_name="Inner")])
def test_the_cache_lies_in_private_subnets_of_up_to_three_zones(
    stack: cdk.Stack, subnets: ec2.SubnetSelection | None
) -> None:
    """Chosen by the user, or else those with a way out."""
    groups = [
        ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC),
        ec2.SubnetConfiguration(name="Private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
        ec2.SubnetConfiguration(name="Inner", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
    ]
    zones = [f"us-east-1{zone}" for zone in "abcd"]
    vpc = ec2.Vpc(stack, "Vpc", availability_zones=zones, subnet_configuration=groups, nat_gateways=1)
    redis(stack, vpc, vpc_subnets=subnets)
    (cache,) = Template.from_stack(stack).find_resources("AWS::ElastiCache::ServerlessCache").values()
    name = "Inner" if subnets else "Private"
    found = [each["Ref"].partition("Subnet")[0] for each in cache["Properties"]["SubnetIds"]]
    assert found == [f"Vpc{name}"] * 3


@pytest.mark.parametrize("subnets", [None, ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)])
def test_fails_when_the_subnets_are_public(stack: cdk.Stack, subnets: ec2.SubnetSelection | None) -> None:
    """Conversations have no business there."""
    public = [ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC)]
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, subnet_configuration=public if subnets is None else None)
    message = r"^vpc must have private subnets for the sessions, got public ones of Stack/Vpc; give the VPC private"
    with pytest.raises(ValueError, match=message):
        redis(stack, vpc, vpc_subnets=subnets)


def test_fails_when_the_function_is_not_in_a_network(stack: cdk.Stack, vpc: ec2.Vpc, agent: AgentFunction) -> None:
    """Nothing outside reaches the cache; and nothing has changed."""
    store = redis(stack, vpc)
    message = r"^Stack/Agent must run in the network that the sessions are in, got a function without one; give it vpc="
    with pytest.raises(ValueError, match=message):
        store.attach(agent)
    assert variables(stack, "Agent") == OUR_OWN
    assert granted(stack, "AgentRole") == []


def test_fails_when_a_handler_of_its_own_would_have_to_log_in_by_role(stack: cdk.Stack, vpc: ec2.Vpc) -> None:
    """Agent Kernel's client knows passwords only."""
    message = (
        r"^Stack/Raw must run our runner to keep sessions in this cache, .*: give it a SessionStore in DynamoDB, or"
    )
    with pytest.raises(ValueError, match=message):
        redis(stack, vpc).attach(raw(stack, vpc))


def test_an_existing_redis_is_reached_by_name(stack: cdk.Stack, vpc: ec2.Vpc, agent: AgentFunction) -> None:
    """From anywhere, when nobody says that it is in a network of AWS's."""
    store = existing(stack, vpc, port=6390)
    store.attach(agent)
    assert variables(stack, "Agent") == {
        **OUR_OWN,
        **KEEPING,
        "AK_CONSTRUCTS_SESSIONS_REDIS_HOST": "redis.example",
        "AK_CONSTRUCTS_SESSIONS_REDIS_PORT": "6390",
    }
    assert granted(stack, "AgentRole") == []
    assert (store.memory_backend, store.cache, store.table) == ("redis", None, None)
    layer = {"Layers": [{"Ref": Match.string_like_regexp("^SessionsRedisClient")}]}
    Template.from_stack(stack).has_resource_properties("AWS::Lambda::Function", layer)


def test_a_secret_is_named_and_never_in_the_template(stack: cdk.Stack, vpc: ec2.Vpc, agent: AgentFunction) -> None:
    """The function reads it, and may use its key."""
    secret = secretsmanager.Secret(stack, "Secret", encryption_key=kms.Key(stack, "Key"))
    existing(stack, vpc, secret=secret).attach(agent)
    key, name = sorted(each for each in logical_ids(stack) if each.startswith(("Secret", "Key")))
    assert variables(stack, "Agent")["AK_CONSTRUCTS_SESSIONS_REDIS_SECRET_ARN"] == {"Ref": name}
    assert granted(stack, "AgentRole") == [
        (("secretsmanager:GetSecretValue",), {"Ref": name}),
        (("kms:Decrypt",), arn(key)),
    ]
    assert "resolve:secretsmanager" not in json.dumps(Template.from_stack(stack).to_json())


def test_a_secret_may_be_imported_by_name(stack: cdk.Stack, vpc: ec2.Vpc, agent: AgentFunction) -> None:
    """The end of its ARN is then whatever AWS made it."""
    existing(stack, vpc, secret=secretsmanager.Secret.from_secret_name_v2(stack, "Secret", "redis")).attach(agent)
    ((actions, resource),) = granted(stack, "AgentRole")
    assert actions == ("secretsmanager:GetSecretValue",)
    assert resource["Fn::Join"][1][-1] == ":secret:redis-??????"


def test_an_existing_redis_lets_in_attached_functions(
    stack: cdk.Stack, vpc: ec2.Vpc, inside: AgentFunction, agent: AgentFunction
) -> None:
    """Where its security group is given; and those must be in a network."""
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0123456789abcdef0")
    store = existing(stack, vpc, security_group=group)
    store.attach(inside)
    assert store.security_group is group
    with pytest.raises(ValueError, match=r"^Stack/Agent must run in the network that the sessions are in"):
        store.attach(agent)
    Template.from_stack(stack).has_resource_properties(
        "AWS::EC2::SecurityGroupIngress", {"GroupId": "sg-0123456789abcdef0", "FromPort": 6379, "ToPort": 6379}
    )


def test_a_handler_of_its_own_gets_the_address_of_an_existing_redis(stack: cdk.Stack, vpc: ec2.Vpc) -> None:
    """By TLS, in Agent Kernel's words, and without our layer."""
    existing(stack, vpc).attach(raw(stack))
    assert variables(stack, "Raw") == {
        "AK_SESSION__TYPE": "redis",
        "AK_SESSION__REDIS__URL": "rediss://redis.example:6379",
    }
    Template.from_stack(stack).has_resource_properties("AWS::Lambda::Function", {"Layers": Match.absent()})


def test_fails_when_a_handler_of_its_own_would_need_a_secret(stack: cdk.Stack, vpc: ec2.Vpc) -> None:
    """It would stand in a variable."""
    store = existing(stack, vpc, secret=secretsmanager.Secret(stack, "Secret"))
    message = r"^Stack/Raw must run our runner to log in with a secret, got a handler of its own; agentkernel takes"
    with pytest.raises(ValueError, match=message):
        store.attach(raw(stack))


def test_fails_when_the_port_is_none(stack: cdk.Stack, vpc: ec2.Vpc) -> None:
    """Before anything is defined."""
    with pytest.raises(ValueError, match=r"^port must be at least 1, got 0; leave it out for 6379$"):
        existing(stack, vpc, port=0)


def client_package(out: Path) -> Path:
    """Synthesize a store with bundling on and give the folder that becomes the layer's zip."""
    app = cdk.App(outdir=str(out), analytics_reporting=False)
    SessionStore.from_redis(cdk.Stack(app, "Stack"), "Sessions", host="redis.example")
    app.synth()
    (asset,) = out.glob("asset.*")
    return asset


def test_the_layer_has_the_pinned_client_and_nothing_else(tmp_path: Path) -> None:
    """Where Lambda looks for it, the same on every machine, whatever the checkout's line ends."""
    asset = client_package(tmp_path / "out")
    pins = (lambda_assets() / "redis_layer" / "requirements.txt").read_text(encoding="utf-8")
    version = pins.partition("==")[2].partition(" ")[0]
    assert {path.name for path in asset.iterdir()} == {"python"}
    assert {path.name for path in (asset / "python").iterdir()} == {"redis", f"redis-{version}.dist-info"}
    assert not list(asset.rglob("*.so")), "one layer serves both architectures"
    assert not list(asset.rglob("RECORD"))
    assert "--hash=sha256:" in pins


def test_the_layers_hash_is_that_of_its_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of the place, the line ends, or what else lies there."""
    here = client_package(tmp_path / "here").name
    folder = tmp_path / "elsewhere" / "redis_layer"
    folder.mkdir(parents=True)
    pins = (lambda_assets() / "redis_layer" / "requirements.txt").read_bytes()
    (folder / "requirements.txt").write_bytes(pins.replace(b"\n", b"\r\n"))
    (folder / "notes.txt").touch()
    monkeypatch.setattr(_layer, "lambda_assets", lambda: tmp_path / "elsewhere")
    assert client_package(tmp_path / "there").name == here
    (folder / "requirements.txt").write_bytes(pins + b"# another\n")
    assert client_package(tmp_path / "again").name != here


def test_fails_when_the_client_cannot_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the installer said, and not a page of CDK's own frames."""
    (tmp_path / "redis_layer").mkdir()
    (tmp_path / "redis_layer" / "requirements.txt").write_text("redis==0.0.0\n", encoding="utf-8")
    monkeypatch.setattr(_layer, "lambda_assets", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"(?s)cannot be installed for .*uv says: .*redis==0.0.0"):
        client_package(tmp_path / "out")


def test_what_is_not_the_installers_error_is_raised_as_it_is(
    stack: cdk.Stack, vpc: ec2.Vpc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CDK's own, for one."""
    monkeypatch.setattr(_redis_client, "_RUNTIMES", [])
    with pytest.raises(RuntimeError, match="runtime"):
        existing(stack, vpc)


@pytest.mark.parametrize(
    ("define", "expected"),
    [
        (table, {"SessionsTableA5E8383B": "AWS::DynamoDB::GlobalTable"}),
        (existing, {"SessionsRedisClientE6807C47": "AWS::Lambda::LayerVersion"}),
        (
            redis,
            {
                "SessionsCacheF1DEE39A": "AWS::ElastiCache::ServerlessCache",
                "SessionsRedisClientE6807C47": "AWS::Lambda::LayerVersion",
                "SessionsSecurityGroupDC1B8A75": "AWS::EC2::SecurityGroup",
                "SessionsUser0EBF922C": "AWS::ElastiCache::User",
                "SessionsUserGroup05B9E662": "AWS::ElastiCache::UserGroup",
            },
        ),
    ],
)
def test_ids_are_stable(stack: cdk.Stack, vpc: ec2.Vpc, define: Define, expected: dict[str, str]) -> None:
    """Another id is another, empty store."""
    define(stack, vpc)
    assert {name: kind for name, kind in logical_ids(stack).items() if name.startswith("Sessions")} == expected


def test_a_table_matches_its_snapshot(stack: cdk.Stack, agent: AgentFunction, snapshot: SnapshotAssertion) -> None:
    """Defaults, with a function attached."""
    SessionStore(stack, "Sessions").attach(agent)
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)


def test_a_cache_matches_its_snapshot(
    stack: cdk.Stack, vpc: ec2.Vpc, inside: AgentFunction, snapshot: SnapshotAssertion
) -> None:
    """Everything set, with a function attached."""
    redis(stack, vpc, history_turns=9, ttl=cdk.Duration.days(7)).attach(inside)
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
