"""AgentQueue: a queue in front of an agent, and one final answer behind it."""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentFunction, AgentQueue, SessionStore
from ak_constructs.agent_queue import wiring_of
from ak_constructs.testing import normalised
from test.support import logical_ids, statements

XRAY = (("xray:PutTraceSegments", "xray:PutTelemetryRecords"), "*")
LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
CONSUME = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility")


@pytest.fixture
def slow_agent(stack: cdk.Stack, entry: Path) -> AgentFunction:
    """Make an agent that may take ten minutes."""
    return AgentFunction(stack, "Agent", entry=entry, timeout=cdk.Duration.minutes(10))


@pytest.fixture
def own_handler(stack: cdk.Stack, entry: Path) -> AgentFunction:
    """Make an agent with a handler of its own."""
    return AgentFunction(stack, "Agent", entry=entry, handler="agent.respond")


def found(stack: cdk.Stack, type_: str, name: str) -> dict[str, Any]:
    """Give the properties of the one resource whose logical id begins so."""
    resources = Template.from_stack(stack).to_json()["Resources"]
    (properties,) = (
        resource["Properties"] for id_, resource in resources.items() if resource["Type"] == type_ and name in id_
    )
    return dict(properties)


def granted(stack: cdk.Stack, role: str) -> set[tuple[tuple[str, ...], str]]:
    """Give (actions, resource) of each statement of a role, but for logs and X-Ray; the resource by its logical id."""
    made = set()
    for actions, resource in statements(stack, role):
        if actions in {LOGS, XRAY[0]}:
            continue
        text = str(resource)
        names = [name for name in logical_ids(stack) if f"'{name}'" in text]
        below = [key for key in ("requests/*", "answers/*") if key in text]
        made.add((actions, "".join([*names, *below])))
    return made


def variables(stack: cdk.Stack, name: str) -> dict[str, Any]:
    """Give a function's environment."""
    return dict(found(stack, "AWS::Lambda::Function", name)["Environment"]["Variables"])


def test_runs_of_a_session_are_in_order_and_of_all_sessions_in_parallel(stack: cdk.Stack, agent: AgentFunction) -> None:
    """One message at a time, and one that fails keeps none back that succeeded."""
    AgentQueue(stack, "Queue", agent=agent)
    queue = found(stack, "AWS::SQS::Queue", "RequestQueue")
    assert (queue["FifoQueue"], queue["DeduplicationScope"]) == (True, "messageGroup")
    assert queue["FifoThroughputLimit"] == "perMessageGroupId"
    assert "ContentBasedDeduplication" not in queue
    mapping = found(stack, "AWS::Lambda::EventSourceMapping", "QueueMapping")
    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["FunctionName"] == {"Ref": "Agent255F68E9"}
    assert "ScalingConfig" not in mapping


def test_a_message_that_is_given_up_goes_to_the_dead_letters(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Of the same kind as its queue; a reply goes to the parked replies."""
    AgentQueue(stack, "Queue", agent=agent)
    request, reply = (found(stack, "AWS::SQS::Queue", name) for name in ("RequestQueue", "QueueReplies"))
    assert request["RedrivePolicy"]["maxReceiveCount"] == 5
    assert "QueueDeadLetters" in str(request["RedrivePolicy"]["deadLetterTargetArn"])
    assert reply["RedrivePolicy"]["maxReceiveCount"] == 100
    assert "QueueParkedReplies" in str(reply["RedrivePolicy"]["deadLetterTargetArn"])
    for name in ("QueueDeadLetters", "QueueParkedReplies"):
        queue = found(stack, "AWS::SQS::Queue", name)
        assert (queue["FifoQueue"], queue["MessageRetentionPeriod"]) == (True, 1_209_600)
        assert "RedrivePolicy" not in queue, "it is received until somebody deletes it"
    parked = [id_ for id_, type_ in logical_ids(stack).items() if type_ == "AWS::SQS::Queue" and "Parked" in id_]
    assert len([id_ for id_ in parked if "FifoQueue" in found(stack, "AWS::SQS::Queue", id_)]) == 1


def test_queues_are_encrypted_and_take_tls_only(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And messages of 1 MiB, or a little less where what is parked of them has more attributes."""
    AgentQueue(stack, "Queue", agent=agent)
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::SQS::Queue", 5)
    template.all_resources_properties("AWS::SQS::Queue", {"SqsManagedSseEnabled": True})
    sizes = [queue["Properties"]["MaximumMessageSize"] for queue in template.find_resources("AWS::SQS::Queue").values()]
    assert sorted(sizes) == [1_044_480, *[1_048_576] * 4]
    assert found(stack, "AWS::SQS::Queue", "RequestQueue")["MaximumMessageSize"] == 1_044_480, "or it cannot be parked"
    template.resource_count_is("AWS::SQS::QueuePolicy", 5)
    template.all_resources_properties(
        "AWS::SQS::QueuePolicy",
        {
            "PolicyDocument": {
                "Statement": [
                    Match.object_like({"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})
                ]
            }
        },
    )


@pytest.mark.parametrize(("seconds", "visibility"), [(29, 174), (900, 5400)])
def test_a_message_is_hidden_for_six_times_the_agents_timeout(
    stack: cdk.Stack, entry: Path, seconds: int, visibility: int
) -> None:
    """As AWS advises; the runner makes it less, while it lives."""
    agent = AgentFunction(stack, "Agent", entry=entry, timeout=cdk.Duration.seconds(seconds))
    AgentQueue(stack, "Queue", agent=agent)
    assert found(stack, "AWS::SQS::Queue", "RequestQueue")["VisibilityTimeout"] == visibility


def test_runs_of_ninety_minutes_are_possible(stack: cdk.Stack, entry: Path) -> None:
    """On a pool of managed instances, which alone takes such a timeout."""
    agent = AgentFunction(stack, "Agent", entry=entry, timeout=cdk.Duration.minutes(90))
    made = AgentQueue(stack, "Queue", agent=agent)
    queue: Any = made.request_queue.node.default_child
    assert queue.visibility_timeout == 6 * 5400


def test_a_message_is_never_hidden_for_longer_than_sqs_can(stack: cdk.Stack, entry: Path) -> None:
    """Half a day."""
    agent = AgentFunction(stack, "Agent", entry=entry, timeout=cdk.Duration.hours(3))
    made = AgentQueue(stack, "Queue", agent=agent)
    queue: Any = made.request_queue.node.default_child
    assert queue.visibility_timeout == 43_200


def test_a_handler_of_the_users_hides_a_message_for_a_minute_longer_than_it_runs(
    stack: cdk.Stack, own_handler: AgentFunction
) -> None:
    """It cannot make it less itself."""
    AgentQueue(stack, "Queue", agent=own_handler)
    assert found(stack, "AWS::SQS::Queue", "RequestQueue")["VisibilityTimeout"] == 89


def test_a_plain_function_may_be_the_agent(stack: cdk.Stack) -> None:
    """With a handler of its own, and Lambda's own timeout of 3 s."""
    function = lambda_.Function(
        stack,
        "Agent",
        code=lambda_.Code.from_inline("def handler(*_): pass"),
        handler="index.handler",
        runtime=lambda_.Runtime.PYTHON_3_13,
    )
    queue = AgentQueue(stack, "Queue", agent=function)
    assert found(stack, "AWS::SQS::Queue", "RequestQueue")["VisibilityTimeout"] == 63
    assert wiring_of(queue).own_handler
    assert variables(stack, "Agent")["AK_EXECUTION__QUEUES__TYPE"] == "sqs"


def test_an_alias_gets_the_messages_and_its_function_the_settings(stack: cdk.Stack, agent: AgentFunction) -> None:
    """So that a version is run as it was published."""
    AgentQueue(stack, "Queue", agent=agent.add_alias("live"))
    mapping = found(stack, "AWS::Lambda::EventSourceMapping", "QueueMapping")
    assert "AgentAliaslive" in str(mapping["FunctionName"])
    assert "AK_CONSTRUCTS_REQUESTS_TABLE" in variables(stack, "Agent")


def test_the_runner_is_told_where_things_are(stack: cdk.Stack, agent: AgentFunction) -> None:
    """In our names."""
    AgentQueue(stack, "Queue", agent=agent, max_receive_count=7, retention=cdk.Duration.hours(1))
    told = variables(stack, "Agent")
    assert set(told) == {
        "AK_CONSTRUCTS_AGENT",
        "AK_CONSTRUCTS_HISTORY_TURNS",
        "AK_CONSTRUCTS_MAX_RECEIVE_COUNT",
        "AK_CONSTRUCTS_PAYLOADS_BUCKET",
        "AK_CONSTRUCTS_REPLY_QUEUE_URL",
        "AK_CONSTRUCTS_REQUESTS_TABLE",
        "AK_CONSTRUCTS_REQUEST_QUEUE_URL",
        "AK_CONSTRUCTS_RETENTION_SECONDS",
        "AK_CONSTRUCTS_SESSIONS_TABLE",
        "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS",
    }
    assert (told["AK_CONSTRUCTS_MAX_RECEIVE_COUNT"], told["AK_CONSTRUCTS_RETENTION_SECONDS"]) == ("7", "3600")


def test_a_handler_of_the_users_is_told_in_agent_kernels_names(stack: cdk.Stack, own_handler: AgentFunction) -> None:
    """With the types that its own Terraform forgets; N receives are told, not N - 1."""
    AgentQueue(stack, "Queue", agent=own_handler)
    told = variables(stack, "Agent")
    assert {name: value for name, value in told.items() if isinstance(value, str)} == {
        "AK_EXECUTION__MODE": "rest_async",
        "AK_EXECUTION__QUEUES__TYPE": "sqs",
        "AK_EXECUTION__QUEUES__INPUT__MAX_RECEIVE_COUNT": "5",
        "AK_SESSION__TYPE": "dynamodb",
        "AK_SESSION__DYNAMODB__TTL": str(30 * 24 * 3600),
    }
    assert "AK_EXECUTION__QUEUES__OUTPUT__URL" in told


def test_the_table_is_on_demand_recoverable_and_kept(stack: cdk.Stack, agent: AgentFunction) -> None:
    """It holds answers."""
    AgentQueue(stack, "Queue", agent=agent)
    Template.from_stack(stack).has_resource(
        "AWS::DynamoDB::GlobalTable",
        {
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": Match.object_like(
                {
                    "AttributeDefinitions": [{"AttributeName": "request_id", "AttributeType": "S"}],
                    "BillingMode": "PAY_PER_REQUEST",
                    "KeySchema": [{"AttributeName": "request_id", "KeyType": "HASH"}],
                    "SSESpecification": {"SSEEnabled": True, "SSEType": "KMS"},
                    "TimeToLiveSpecification": {"AttributeName": "expiry_time", "Enabled": True},
                    "Replicas": [
                        Match.object_like({"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}})
                    ],
                }
            ),
        },
    )


def test_the_bucket_is_private_kept_and_forgets(stack: cdk.Stack, agent: AgentFunction) -> None:
    """After every way that a body may have to wait: queued, dead, parked, and all of that again, and as an answer."""
    AgentQueue(stack, "Queue", agent=agent, retention=cdk.Duration.hours(25))
    Template.from_stack(stack).has_resource(
        "AWS::S3::Bucket",
        {
            "DeletionPolicy": "Retain",
            "Properties": {
                "BucketEncryption": Match.any_value(),
                "LifecycleConfiguration": {"Rules": [{"ExpirationInDays": 2 * (2 + 14) + 2, "Status": "Enabled"}]},
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
            },
        },
    )


def test_the_agent_may_do_what_its_runner_does(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And nothing else."""
    AgentQueue(stack, "Queue", agent=agent)
    ids = logical_ids(stack)
    queue, replies, table, sessions, bucket = (
        next(id_ for id_ in ids if id_.startswith(name) and "Policy" not in id_)
        for name in ("QueueRequestQueue", "QueueReplies", "QueueRequests", "QueueSessionsTable", "QueuePayloads")
    )
    assert granted(stack, "AgentRole") == {
        (CONSUME, queue),
        (("sqs:SendMessage",), replies),
        (("dynamodb:PutItem", "dynamodb:UpdateItem"), table),
        (("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"), sessions),
        (("s3:GetObject",), f"{bucket}requests/*"),
        (("s3:PutObject",), f"{bucket}answers/*"),
    }


def test_our_functions_may_do_what_they_do(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And nothing else."""
    AgentQueue(stack, "Queue", agent=agent)
    ids = logical_ids(stack)
    queue, replies, table, bucket, dead, parked_replies = (
        next(id_ for id_ in ids if id_.startswith(name) and "Policy" not in id_)
        for name in (
            "QueueRequestQueue",
            "QueueReplies",
            "QueueRequests",
            "QueuePayloads",
            "QueueDeadLetters",
            "QueueParkedReplies",
        )
    )
    (parked,) = (
        id_
        for id_, type_ in ids.items()
        if type_ == "AWS::SQS::Queue" and id_.startswith("QueueParked") and id_ != parked_replies
    )
    take = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
    assert granted(stack, "QueueResponseHandlerRole") == {
        (CONSUME, replies),
        (("dynamodb:PutItem", "dynamodb:UpdateItem"), table),
        (("s3:PutObject",), f"{bucket}answers/*"),
    }
    assert granted(stack, "QueueDeadLetterHandlerRole") == {
        (CONSUME, dead),
        (("dynamodb:GetItem",), table),
        (("sqs:SendMessage",), replies),
        (("sqs:SendMessage",), parked),
    }
    assert granted(stack, "QueueRedriveRole") == {
        (("dynamodb:GetItem", "dynamodb:UpdateItem"), table),
        (take, parked),
        (take[:2], parked_replies),
        (("sqs:SendMessage",), queue),
        (("sqs:SendMessage",), replies),
    }


def test_depth_and_age_of_what_failed_are_alarmed(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Whom the alarms tell is up to the user."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    assert len(queue.alarms) == 6
    alarms = {
        (properties["MetricName"], str(properties["Dimensions"][0]["Value"])[19:32]): properties["Threshold"]
        for properties in (
            resource["Properties"]
            for resource in Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").values()
        )
    }
    assert sorted(alarms.values()) == [1, 1, 1, 300, 12 * 24 * 3600, 12 * 24 * 3600]
    Template.from_stack(stack).all_resources_properties(
        "AWS::CloudWatch::Alarm", {"TreatMissingData": "notBreaching", "EvaluationPeriods": 1, "Period": 60}
    )


def test_fifo_may_be_given_up_for_throughput(stack: cdk.Stack, agent: AgentFunction) -> None:
    """All queues are then standard."""
    AgentQueue(stack, "Queue", agent=agent, fifo=False)
    for queue in Template.from_stack(stack).find_resources("AWS::SQS::Queue").values():
        assert not {"FifoQueue", "DeduplicationScope", "FifoThroughputLimit"} & set(queue["Properties"])


def test_the_number_of_runs_at_once_may_be_bounded(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Of the agent's, not of the answers'."""
    AgentQueue(stack, "Queue", agent=agent, max_concurrency=2)
    assert found(stack, "AWS::Lambda::EventSourceMapping", "QueueMapping")["ScalingConfig"] == {"MaximumConcurrency": 2}
    assert "ScalingConfig" not in found(stack, "AWS::Lambda::EventSourceMapping", "QueueResponseMapping")


def test_the_session_store_is_the_one_given_or_the_agents_or_a_new_one(
    stack: cdk.Stack, agent: AgentFunction, entry: Path
) -> None:
    """Never two."""
    given = SessionStore(stack, "Given")
    other = AgentFunction(stack, "Other", entry=entry)
    assert AgentQueue(stack, "One", agent=agent, session_store=given).session_store is given
    given.attach(other)
    assert AgentQueue(stack, "Two", agent=other).session_store is given
    assert stack.node.try_find_child("One").node.try_find_child("Sessions") is None  # type: ignore[union-attr]


def test_a_reply_handler_is_told_answers(stack: cdk.Stack, agent: AgentFunction, entry: Path) -> None:
    """One or more; the response handler may invoke them and nothing else."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    for name in ("One", "Two"):
        queue.add_reply_handler(AgentFunction(stack, name, entry=entry, handler="agent.respond"))
    named = str(variables(stack, "QueueResponseHandler")["AK_CONSTRUCTS_REPLY_HANDLERS"])
    assert "One" in named
    assert "Two" in named
    invoked = {who for what, who in granted(stack, "QueueResponseHandlerRole") if what == ("lambda:InvokeFunction",)}
    assert len(invoked) == 2


def test_somebody_may_send_read_and_redrive(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Each by a grant of its own."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    role = iam.Role(stack, "Backend", assumed_by=iam.AccountRootPrincipal())
    queue.grant_send_requests(role)
    queue.grant_read_answers(role)
    queue.grant_redrive(role)
    made = {(actions, who[:12] + who[-9:]) for actions, who in granted(stack, "Backend")}
    assert {actions for actions, _ in made} == {
        ("sqs:SendMessage",),
        ("s3:GetObject",),
        ("dynamodb:GetItem",),
        ("lambda:InvokeFunction",),
    }


def test_what_goes_on_can_be_seen(stack: cdk.Stack, agent: AgentFunction) -> None:
    """In CloudWatch's own metrics."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    names = [metric.metric_name for metric in (queue.metric_waiting(), queue.metric_oldest_waiting())]
    assert names == ["ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"]
    assert queue.metric_parked().metric_name == "ApproximateNumberOfMessagesVisible"


def test_fails_when_the_agent_belongs_to_another_queue(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Its settings name one."""
    AgentQueue(stack, "One", agent=agent)
    with pytest.raises(
        ValueError,
        match=r"^agent must belong to one queue, got Stack/Agent, which belongs to Stack/One; make a second "
        r"AgentFunction of the same entry, the asset is shared$",
    ):
        AgentQueue(stack, "Two", agent=agent.add_alias("live"))


def test_fails_when_the_agent_is_in_another_stack(app: cdk.App, agent: AgentFunction) -> None:
    """Its settings would make a circle of the two."""
    with pytest.raises(ValueError, match=r"^agent must be in the queue's stack Other, got one in Stack; define the"):
        AgentQueue(cdk.Stack(app, "Other"), "Queue", agent=agent)


def test_fails_when_the_agent_is_imported(stack: cdk.Stack) -> None:
    """It can be given neither settings nor permissions."""
    imported = lambda_.Function.from_function_name(stack, "Imported", "x")
    with pytest.raises(ValueError, match=r"^agent must be a function of this app, .* got an imported one; define it"):
        AgentQueue(stack, "Queue", agent=imported)


def test_fails_when_a_handler_of_the_users_is_to_do_without_order(stack: cdk.Stack, own_handler: AgentFunction) -> None:
    """It relies on the session being the group."""
    with pytest.raises(ValueError, match=r"^fifo must be True for an agent with a handler of its own, got False; "):
        AgentQueue(stack, "Queue", agent=own_handler, fifo=False)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_receive_count": 4}, "max_receive_count must be at least 5, got 4; leave it out: AWS advises so many"),
        ({"max_concurrency": 1}, "max_concurrency must be 2 to 1000, got 1; leave it out or change it"),
        ({"max_concurrency": 1001}, "max_concurrency must be 2 to 1000, got 1001; leave it out or change it"),
        (
            {"retention": cdk.Duration.seconds(299)},
            "retention must be 300 to 1209600 s, got 299 s; leave it out or change it",
        ),
        (
            {"retention": cdk.Duration.days(15)},
            r"retention must be 300 to 1209600 s, got 1.296e\+06 s; leave it out or change it",
        ),
    ],
)
def test_fails_when_a_number_is_out_of_range(
    stack: cdk.Stack, agent: AgentFunction, arguments: dict[str, Any], error: str
) -> None:
    """Before anything is defined."""
    with pytest.raises(ValueError, match=f"^{error}$"):
        AgentQueue(stack, "Queue", agent=agent, **arguments)


def test_fails_when_a_message_would_not_outlive_its_run(stack: cdk.Stack, slow_agent: AgentFunction) -> None:
    """Another could then have its request's name."""
    with pytest.raises(
        ValueError, match=r"^retention must be 3600 to 1209600 s, got 1800 s; leave it out or change it$"
    ):
        AgentQueue(stack, "Queue", agent=slow_agent, retention=cdk.Duration.minutes(30))


def test_snapshot_of_the_defaults(stack: cdk.Stack, agent: AgentFunction, snapshot: SnapshotAssertion) -> None:
    """Ids and surprises."""
    AgentQueue(stack, "Queue", agent=agent)
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)


def test_snapshot_of_everything_set(stack: cdk.Stack, agent: AgentFunction, snapshot: SnapshotAssertion) -> None:
    """Ids and surprises."""
    queue = AgentQueue(
        stack,
        "Queue",
        agent=agent,
        fifo=False,
        max_receive_count=9,
        max_concurrency=10,
        retention=cdk.Duration.days(1),
        session_store=SessionStore(stack, "Sessions"),
    )
    queue.add_reply_handler(lambda_.Function.from_function_name(stack, "Imported", "x"))
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
