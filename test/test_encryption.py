"""One key for all that a construct keeps, and for each role what it needs of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template
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

DECRYPT = ("kms:Decrypt",)
READ_ITEMS = ("kms:Decrypt", "kms:DescribeKey")
WRITE_ITEMS = (
    *READ_ITEMS,
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
ENCRYPT = ("kms:GenerateDataKey",)
SEND = ("kms:GenerateDataKey", "kms:Decrypt")
WHERE_THE_KEY_STANDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "AWS::DynamoDB::GlobalTable": lambda table: table["Replicas"][0]["SSESpecification"]["KMSMasterKeyId"],
    "AWS::ElastiCache::ServerlessCache": lambda cache: cache["KmsKeyId"],
    "AWS::Lambda::CapacityProvider": lambda pool: pool["KmsKeyArn"],
    "AWS::Lambda::Function": lambda function: function["KmsKeyArn"],
    "AWS::Logs::LogGroup": lambda group: group["KmsKeyId"],
    "AWS::S3::Bucket": lambda bucket: bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0][
        "ServerSideEncryptionByDefault"
    ]["KMSMasterKeyID"],
    "AWS::SQS::Queue": lambda queue: queue["KmsMasterKeyId"],
}


@pytest.fixture
def key(stack: cdk.Stack) -> kms.Key:
    """Make a key."""
    return kms.Key(stack, "Key")


def everything(stack: cdk.Stack, entry: Path, key: kms.IKey) -> dict[str, list[str]]:
    """Define every construct with a key, and give which kinds of resource each should have defined with it."""
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    agent = AgentFunction(stack, "Agent", entry=str(entry), vpc=vpc, key=key)
    other = AgentFunction(stack, "Other", entry=str(entry), key=key)
    AgentApi(stack, "Api", agent=agent, key=key)
    SessionStore.redis(stack, "Redis", vpc=vpc, key=key).attach(agent)
    QueuedAgentPipeline(stack, "Pipeline", agent=other, key=key)
    KeepWarm(stack, "Warm", targets=[agent], key=key)
    VersionPruner(stack, "Pruner", functions=[agent], key=key)
    SharedCapacityProvider(stack, "Pool", vpc=vpc, key=key)
    tokens = Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"])
    third = AgentFunction(stack, "Third", entry=str(entry), key=key)
    WebSocketAgentApi(stack, "Chat", agent=third, authorization=tokens, buffered=False, key=key)
    function, logs, queue = "AWS::Lambda::Function", "AWS::Logs::LogGroup", "AWS::SQS::Queue"
    handlers = [function, logs]
    return {
        "Agent": handlers,
        "Other": handlers,
        "Third": handlers,
        "Chat": [*(2 * handlers), logs, "AWS::DynamoDB::GlobalTable"],
        "Api": [*handlers, logs],
        "Redis": ["AWS::ElastiCache::ServerlessCache"],
        "Pipeline": [
            *(5 * handlers),
            logs,
            *(5 * [queue]),
            *(2 * ["AWS::DynamoDB::GlobalTable"]),
            "AWS::S3::Bucket",
        ],
        "Warm": handlers,
        "Pruner": handlers,
        "Pool": [*handlers, logs, "AWS::Lambda::CapacityProvider"],
    }


def uses(stack: cdk.Stack, role: str, key: kms.IKey) -> list[tuple[tuple[str, ...], str]]:
    """Give (actions, service) of each statement about keys that a role has, all of which must be about this one."""
    found = []
    for resource in Template.from_stack(stack).to_json()["Resources"].values():
        if resource["Type"] != "AWS::IAM::Policy" or not resource["Properties"]["Roles"][0]["Ref"].startswith(role):
            continue
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if not any(action.startswith("kms:") for action in actions):
                continue
            assert statement["Resource"] == stack.resolve(key.key_arn)
            parts = statement["Condition"]["StringEquals"]["kms:ViaService"]["Fn::Join"][1]
            assert parts[1:] == [{"Ref": "AWS::Region"}, ".", {"Ref": "AWS::URLSuffix"}]
            found.append((tuple(actions), parts[0].rstrip(".")))
    return sorted(found)


def test_all_that_is_kept_is_encrypted_by_the_key(stack: cdk.Stack, entry: Path, key: kms.Key) -> None:
    """Of every construct and every kind; a new kind must be looked at."""
    expected = everything(stack, entry, key)
    resources = Template.from_stack(stack).to_json()["Resources"]
    found: dict[str, list[str]] = {name: [] for name in expected}
    for logical_id, resource in resources.items():
        where = WHERE_THE_KEY_STANDS.get(resource["Type"])
        name = next((name for name in expected if logical_id.startswith(name)), None)
        if where is None or name is None:
            continue
        assert where(resource["Properties"]) == stack.resolve(key.key_arn), logical_id
        found[name].append(resource["Type"])
    assert {name: sorted(kinds) for name, kinds in found.items()} == {
        name: sorted(kinds) for name, kinds in expected.items()
    }


def test_nothing_is_said_of_keys_without_one(stack: cdk.Stack, entry: Path) -> None:
    """No statement, and for a bucket not the setting that goes with it."""
    agent = AgentFunction(stack, "Agent", entry=str(entry))
    QueuedAgentPipeline(stack, "Pipeline", agent=agent).queue.add_reply_handler(agent)
    text = str(Template.from_stack(stack).to_json())
    assert "kms:" not in text
    assert "BucketKeyEnabled" not in text


def test_a_role_may_use_the_key_for_what_it_does_and_through_that_service_only(
    stack: cdk.Stack, agent: AgentFunction, key: kms.Key
) -> None:
    """Whoever sends encrypts, whoever receives decrypts; an item is decrypted by its table's own key."""
    QueuedAgentPipeline(stack, "Pipeline", agent=agent, key=key)
    items, get, put = (WRITE_ITEMS, "dynamodb"), (DECRYPT, "s3"), (ENCRYPT, "s3")
    receive, send = (DECRYPT, "sqs"), (SEND, "sqs")
    expected = {
        "AgentRole": [items, get, receive, put, send],
        "PipelineRequestHandlerRole": [items, get, put, send],
        "PipelineQueueResponseHandlerRole": [items, receive, put],
        "PipelineQueueDeadLetterHandlerRole": [(READ_ITEMS, "dynamodb"), receive, send],
        "PipelineQueueRedriveRole": [items, receive, send],
        "PipelineHealthRole": [],
    }
    assert {role: uses(stack, role, key) for role in expected} == {
        role: sorted(each) for role, each in expected.items()
    }


def test_connections_are_read_and_written_with_the_key_of_their_table(
    stack: cdk.Stack, agent: AgentFunction, key: kms.Key
) -> None:
    """Of one that another API defined too; whoever pushes deletes what is gone, whoever is looked up is only read."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    one = WebSocketAgentApi(stack, "One", agent=queue, authorization=Authorization.iam(), key=key)
    WebSocketAgentApi(
        stack, "Two", agent=queue, authorization=Authorization.iam(), connections=one.connections_table, key=key
    )
    read, write = (READ_ITEMS, "dynamodb"), (WRITE_ITEMS, "dynamodb")
    expected = {
        "OneConnectionHandlerRole": [read, write],
        "OneMessageHandlerRole": [read, write],
        "TwoConnectionHandlerRole": [read, write],
        "TwoMessageHandlerRole": [read, write],
        "QueueResponseHandlerRole": [read, write],
        "AgentRole": [read, write],
        "QueueRedriveRole": [],
    }
    assert {role: uses(stack, role, key) for role in expected} == expected


def test_an_agent_with_a_handler_of_its_own_uses_queues_and_sessions_only(stack: cdk.Stack, key: kms.Key) -> None:
    """It gets no body from S3."""
    code = lambda_.Code.from_inline("def handler(event, context): pass")
    agent = AgentFunction(stack, "Agent", code=code, handler="index.handler")
    AgentQueue(stack, "Queue", agent=agent, key=key)
    assert uses(stack, "AgentRole", key) == [(DECRYPT, "sqs"), (WRITE_ITEMS, "dynamodb"), (SEND, "sqs")]


def test_who_is_let_in_to_a_queue_may_use_its_key(stack: cdk.Stack, agent: AgentFunction, key: kms.Key) -> None:
    """Senders and readers of answers, each for that."""
    queue = AgentQueue(stack, "Queue", agent=agent, key=key)
    for name, grant in (("Sender", queue.grant_send_requests), ("Reader", queue.grant_read_answers)):
        grant(iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal()))
    assert uses(stack, "Sender", key) == [(SEND, "sqs")]
    assert uses(stack, "Reader", key) == [(DECRYPT, "s3"), (READ_ITEMS, "dynamodb")]


def test_a_sender_of_another_account_is_let_in_by_the_keys_policy(
    stack: cdk.Stack, agent: AgentFunction, key: kms.Key
) -> None:
    """Through SQS only; which key is meant such a policy says by `*`."""
    AgentQueue(stack, "Queue", agent=agent, key=key).grant_send_requests(iam.AccountPrincipal("222233334444"))
    (resource,) = Template.from_stack(stack).find_resources("AWS::KMS::Key").values()
    statement = resource["Properties"]["KeyPolicy"]["Statement"][-1]
    assert statement["Principal"]["AWS"]["Fn::Join"][1][-1] == ":iam::222233334444:root"
    assert (tuple(statement["Action"]), statement["Resource"]) == (SEND, "*")
    assert statement["Condition"]["StringEquals"]["kms:ViaService"]["Fn::Join"][1][0] == "sqs."


def test_the_functions_that_keep_only_logs_and_variables_need_no_permission(
    stack: cdk.Stack, agent: AgentFunction, key: kms.Key
) -> None:
    """CloudWatch Logs encrypts the one by the key's policy, Lambda has a grant for the other."""
    AgentApi(stack, "Api", agent=agent, key=key)
    KeepWarm(stack, "Warm", targets=[agent], key=key)
    VersionPruner(stack, "Pruner", functions=[agent], key=key)
    SharedCapacityProvider(stack, "Pool", vpc=ec2.Vpc(stack, "Vpc"), key=key)
    for role in ("ApiHealthRole", "WarmWarmerRole", "PrunerFunctionRole", "PoolVersionCounterRole", "WarmScheduleRole"):
        assert uses(stack, role, key) == []


def test_cloudwatch_logs_may_use_the_key_for_log_groups_of_the_account(
    stack: cdk.Stack, agent: AgentFunction, key: kms.Key
) -> None:
    """One statement, however many groups there are."""
    QueuedAgentPipeline(stack, "Pipeline", agent=agent, key=key)
    (resource,) = Template.from_stack(stack).find_resources("AWS::KMS::Key").values()
    _root, *others = resource["Properties"]["KeyPolicy"]["Statement"]
    region, account = {"Ref": "AWS::Region"}, {"Ref": "AWS::AccountId"}
    groups = ["arn:", {"Ref": "AWS::Partition"}, ":logs:", region, ":", account, ":log-group:*"]
    assert others == [
        {
            "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": {"Fn::Join": ["", groups]}}},
            "Effect": "Allow",
            "Principal": {"Service": {"Fn::Join": ["", ["logs.", region, ".", {"Ref": "AWS::URLSuffix"}]]}},
            "Resource": "*",
        }
    ]


def test_an_imported_key_is_used_and_its_policy_left_to_its_owner(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Its statement for CloudWatch Logs is in docs/private.md."""
    arn = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    key = kms.Key.from_key_arn(stack, "Key", arn)
    QueuedAgentPipeline(stack, "Pipeline", agent=agent, key=key)
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::KMS::Key", 0)
    template.all_resources_properties("AWS::SQS::Queue", {"KmsMasterKeyId": arn})
    assert uses(stack, "PipelineQueueRedriveRole", key)


def test_a_key_of_another_stack_is_used_and_knows_nothing_of_this_one(
    app: cdk.App, stack: cdk.Stack, agent: AgentFunction
) -> None:
    """Or the two stacks would wait for each other."""
    keys = cdk.Stack(app, "Keys")
    QueuedAgentPipeline(stack, "Pipeline", agent=agent, key=kms.Key(keys, "Key"))
    assert "AWS::KMS::Key" in str(Template.from_stack(keys).to_json())
    assert [each.node.path for each in stack.dependencies] == ["Keys"]
    assert not keys.dependencies


def test_a_queue_that_is_given_keeps_its_own_key(stack: cdk.Stack, agent: AgentFunction, key: kms.Key) -> None:
    """The pipeline's covers what the pipeline defines; its request handler may use the queue's."""
    queue = AgentQueue(stack, "Queue", agent=agent, key=key)
    QueuedAgentPipeline(stack, "Pipeline", agent=queue, key=kms.Key(stack, "Other"))
    template = Template.from_stack(stack)
    template.all_resources_properties("AWS::SQS::Queue", {"KmsMasterKeyId": stack.resolve(key.key_arn)})
    assert (SEND, "sqs") in uses(stack, "PipelineRequestHandlerRole", key)


def test_sessions_that_are_given_keep_their_own_key(stack: cdk.Stack, agent: AgentFunction, key: kms.Key) -> None:
    """A queue encrypts what it defines."""
    sessions = SessionStore(stack, "Sessions")
    AgentQueue(stack, "Queue", agent=agent, session_store=sessions, key=key)
    tables = Template.from_stack(stack).find_resources("AWS::DynamoDB::GlobalTable")
    keys = {name[:-8]: table["Properties"]["Replicas"][0].get("SSESpecification") for name, table in tables.items()}
    assert keys == {"SessionsTable": None, "QueueRequests": {"KMSMasterKeyId": stack.resolve(key.key_arn)}}


def test_a_stack_of_a_certain_region_has_the_same_table(app: cdk.App) -> None:
    """Where CDK itself can say the key; it then grants it, too, to whom you let in to the table."""
    stacks = [cdk.Stack(app, "Anywhere"), cdk.Stack(app, "There", env=cdk.Environment(region="us-east-1"))]
    stores = [SessionStore(stack, "Sessions", key=kms.Key(stack, "Key")) for stack in stacks]
    tables = [Template.from_stack(stack).find_resources("AWS::DynamoDB::GlobalTable") for stack in stacks]
    (anywhere, there) = ([table["Properties"] for table in each.values()] for each in tables)
    assert there[0].pop("Replicas") == [{**anywhere[0].pop("Replicas")[0], "Region": "us-east-1"}]
    assert anywhere == there
    assert stores[1].table is not None
    assert stores[1].table.encryption_key is not None


def test_many_objects_cost_one_call_to_kms(stack: cdk.Stack, agent: AgentFunction, key: kms.Key) -> None:
    """S3 keeps a key for the bucket for a while."""
    AgentQueue(stack, "Queue", agent=agent, key=key)
    (bucket,) = Template.from_stack(stack).find_resources("AWS::S3::Bucket").values()
    (rule,) = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True


def test_fails_when_a_key_is_only_its_alias(stack: cdk.Stack, entry: Path) -> None:
    """A template takes one, and then every role's use of it is denied: a policy that names an alias is about that."""
    for alias in (kms.Alias.from_alias_name(stack, "Named", "alias/mine"), kms.Key(stack, "Key").add_alias("alias/x")):
        for define in (
            lambda key: AgentFunction(stack, "Agent", entry=str(entry), key=key),
            lambda key: SessionStore(Construct(stack, "Sessions"), "Store", key=key),
            lambda key: SessionStore.redis(stack, "Cache", vpc=ec2.Vpc(stack, "Vpc"), key=key),
            lambda key: VersionPruner(stack, "Pruner", tags={"team": "agents"}, key=key),
        ):
            with pytest.raises(ValueError, match=r"^key must be a key, got an alias, .*from_lookup\("):
                define(alias)
            for made in ("Sessions", "Cache", "Vpc", "Pruner"):
                stack.node.try_remove_child(made)


def test_fails_when_a_key_is_of_another_region_or_no_key(app: cdk.App, entry: Path) -> None:
    """AWS refuses the first one at deployment; jsii's message of the second names no argument."""
    here = cdk.Stack(app, "Here", env=cdk.Environment(account="111122223333", region="eu-central-1"))
    arn = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    with pytest.raises(ValueError, match=r"^key must be of the stack's region, eu-central-1, got one of us-east-1; "):
        AgentFunction(here, "Agent", entry=str(entry), key=kms.Key.from_key_arn(here, "Key", arn))
    text: Any = arn
    with pytest.raises(TypeError, match=r"^key must be a key, got a value of type str; give kms.Key.from_key_arn"):
        AgentFunction(here, "Agent", entry=str(entry), key=text)
