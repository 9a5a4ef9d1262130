"""AgentQueue and QueuedAgentPipeline: what belongs to what."""

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Template

from ak_constructs import AgentFunction, AgentQueue, QueuedAgentPipeline, SessionStore
from test.support import statements
from test.test_agent_queue import CONSUME, found, granted, variables


def id_of(stack: cdk.Stack, construct: Any) -> str:  # noqa: ANN401
    """Give the logical id of a construct's resource."""
    return str(stack.resolve(construct.node.default_child.logical_id))


def test_each_grant_is_on_the_one_thing_it_names(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And on nothing else."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    role = iam.Role(stack, "Backend", assumed_by=iam.AccountRootPrincipal())
    queue.grant_send_requests(role)
    queue.grant_read_answers(role)
    queue.grant_redrive(role)
    assert granted(stack, "Backend") == {
        (("sqs:SendMessage",), id_of(stack, queue.request_queue)),
        (("dynamodb:GetItem",), id_of(stack, queue.requests_table)),
        (("s3:GetObject",), id_of(stack, queue.payloads) + "answers/*"),
        (("lambda:InvokeFunction",), id_of(stack, queue.redrive_function)),
    }


def test_each_function_is_told_of_its_own_queues(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Each name means one thing."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    table, bucket, requests, replies, dead, parked, parked_replies = (
        {"Ref": id_of(stack, each)}
        for each in (
            queue.requests_table,
            queue.payloads,
            queue.request_queue,
            queue.reply_queue,
            queue.dead_letter_queue,
            queue.parked_queue,
            queue.parked_reply_queue,
        )
    )
    everywhere = {
        "AK_CONSTRUCTS_REQUESTS_TABLE": table,
        "AK_CONSTRUCTS_PAYLOADS_BUCKET": bucket,
        "AK_CONSTRUCTS_RETENTION_SECONDS": "345600",
        "AK_CONSTRUCTS_REPLY_QUEUE_URL": replies,
    }
    assert variables(stack, "QueueResponseHandler") == everywhere
    assert variables(stack, "QueueDeadLetterHandler") == {
        **everywhere,
        "AK_CONSTRUCTS_DEAD_LETTER_QUEUE_URL": dead,
        "AK_CONSTRUCTS_PARKED_QUEUE_URL": parked,
    }
    assert variables(stack, "QueueRedrive") == {
        **everywhere,
        "AK_CONSTRUCTS_REQUEST_QUEUE_URL": requests,
        "AK_CONSTRUCTS_PARKED_QUEUE_URL": parked,
        "AK_CONSTRUCTS_PARKED_REPLIES_URL": parked_replies,
    }
    assert variables(stack, "Agent255")["AK_CONSTRUCTS_REQUEST_QUEUE_URL"] == requests
    assert variables(stack, "Agent255")["AK_CONSTRUCTS_REPLY_QUEUE_URL"] == replies


def test_a_handler_of_the_users_may_receive_and_reply(stack: cdk.Stack, entry: Path) -> None:
    """And nothing of the table or the bucket; its replies go to the reply queue."""
    agent = AgentFunction(stack, "Agent", entry=entry, handler="agent.respond")
    queue = AgentQueue(stack, "Queue", agent=agent)
    replies = id_of(stack, queue.reply_queue)
    assert variables(stack, "Agent255")["AK_EXECUTION__QUEUES__OUTPUT__URL"] == {"Ref": replies}
    table = queue.session_store.table
    kernels = (
        "dynamodb:DeleteItem",
        "dynamodb:DescribeTable",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
    )
    assert granted(stack, "AgentRole") == {
        (CONSUME, id_of(stack, queue.request_queue)),
        (("sqs:SendMessage",), replies),
        (kernels, id_of(stack, table)),
    }


def test_every_mapping_and_queue_of_ours_is_as_safe_as_the_agents(stack: cdk.Stack, agent: AgentFunction) -> None:
    """One message at a time, each failure alone; hidden for six times the timeout; kept as long as is said."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    Template.from_stack(stack).all_resources_properties(
        "AWS::Lambda::EventSourceMapping", {"BatchSize": 1, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
    )
    resources = Template.from_stack(stack).find_resources("AWS::SQS::Queue")
    made = {
        id_: (each["Properties"]["VisibilityTimeout"], each["Properties"]["MessageRetentionPeriod"])
        for id_, each in resources.items()
    }
    fortnight = 14 * 24 * 3600
    assert made == {
        id_of(stack, queue.request_queue): (174, 4 * 24 * 3600),
        id_of(stack, queue.reply_queue): (180, fortnight),
        id_of(stack, queue.dead_letter_queue): (180, fortnight),
        id_of(stack, queue.parked_queue): (180, fortnight),
        id_of(stack, queue.parked_reply_queue): (180, fortnight),
    }


def test_each_alarm_watches_the_queue_it_is_named_after(stack: cdk.Stack, agent: AgentFunction) -> None:
    """From the first message, and as it gets old."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    made = {
        id_: (
            each["Properties"]["MetricName"],
            each["Properties"]["Dimensions"][0]["Value"]["Fn::GetAtt"][0],
            each["Properties"]["Threshold"],
            each["Properties"]["ComparisonOperator"],
        )
        for id_, each in Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").items()
    }
    depth, age = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
    old = 12 * 24 * 3600
    at_least = "GreaterThanOrEqualToThreshold"
    watched = [(queue.dead_letter_queue, 300), (queue.parked_queue, old), (queue.parked_reply_queue, old)]
    expected = [
        (metric, id_of(stack, each), threshold, at_least)
        for each, oldest in watched
        for metric, threshold in ((depth, 1), (age, oldest))
    ]
    assert sorted(made.values()) == sorted(expected)
    assert [id_of(stack, alarm) for alarm in queue.alarms] == [
        next(id_ for id_, value in made.items() if value == each) for each in expected
    ]


def test_a_metric_is_of_the_queue_it_speaks_of(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Waiting are requests, parked are failed requests."""
    queue = AgentQueue(stack, "Queue", agent=agent)
    for metric, of in (
        (queue.metric_waiting(), queue.request_queue),
        (queue.metric_oldest_waiting(), queue.request_queue),
        (queue.metric_parked(), queue.parked_queue),
    ):
        assert stack.resolve(metric.dimensions) == {"QueueName": {"Fn::GetAtt": [id_of(stack, of), "QueueName"]}}
        assert metric.statistic == "Maximum"


def test_fails_when_the_agent_has_another_session_store(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Never two."""
    SessionStore(stack, "First").attach(agent)
    with pytest.raises(
        ValueError, match=r"^Stack/Agent must have one session store, got Stack/Second after Stack/First"
    ):
        AgentQueue(stack, "Queue", agent=agent, session_store=SessionStore(stack, "Second"))


def test_a_caller_may_be_let_in_to_exactly_three_routes(stack: cdk.Stack, agent: AgentFunction) -> None:
    """To submit and to poll."""
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    pipeline.grant_invoke(iam.Role(stack, "Backend", assumed_by=iam.AccountRootPrincipal()))
    ((actions, resources),) = statements(stack, "Backend")
    stage = {"Ref": id_of(stack, pipeline.api.deployment_stage)}
    assert actions == ("execute-api:Invoke",)
    assert [each["Fn::Join"][1][-2:] for each in resources] == [
        [stage, "/POST/api/v1/chat"],
        [stage, "/GET/api/v1/chat"],
        [stage, "/GET/api/v1/chat/*"],
    ]
    waiting = pipeline.metric_waiting_callers()
    assert (waiting.statistic, stack.resolve(waiting.dimensions)) == (
        "Maximum",
        {"FunctionName": {"Ref": id_of(stack, pipeline.request_handler)}},
    )


def test_with_sessions_in_a_table_the_request_handler_is_in_no_network(stack: cdk.Stack, entry: Path) -> None:
    """Cold starts, addresses and endpoints for nothing."""
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    agent = AgentFunction(stack, "Agent", entry=entry, vpc=vpc)
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent)
    assert not pipeline.request_handler.is_bound_to_vpc


def test_in_the_agents_network_it_is_in_the_agents_subnets(stack: cdk.Stack, entry: Path) -> None:
    """Others need not lead there."""
    vpc = ec2.Vpc(
        stack,
        "Vpc",
        max_azs=1,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="Out", subnet_type=ec2.SubnetType.PUBLIC),
            ec2.SubnetConfiguration(name="Nat", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            ec2.SubnetConfiguration(name="Own", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        ],
    )
    chosen = ec2.SubnetSelection(subnet_group_name="Own")
    agent = AgentFunction(stack, "Agent", entry=entry, vpc=vpc, vpc_subnets=chosen)
    sessions = SessionStore.from_redis(stack, "Sessions", host="redis.example.com")
    QueuedAgentPipeline(stack, "Pipeline", agent=AgentQueue(stack, "Queue", agent=agent, session_store=sessions))
    subnets = found(stack, "AWS::Lambda::Function", "PipelineRequestHandler")["VpcConfig"]["SubnetIds"]
    assert subnets == [stack.resolve(each) for each in vpc.select_subnets(subnet_group_name="Own").subnet_ids]
    assert variables(stack, "PipelineHealth") == {"AK_CONSTRUCTS_MEMORY_BACKEND": "redis"}


def test_apis_of_one_queue_must_agree_on_the_path_of_a_handler_of_the_users(stack: cdk.Stack, entry: Path) -> None:
    """It knows one."""
    agent = AgentFunction(stack, "Agent", entry=entry, handler="agent.respond")
    queue = AgentQueue(stack, "Queue", agent=agent)
    QueuedAgentPipeline(stack, "One", agent=queue)
    with pytest.raises(ValueError, match=r"^chat_path must be the same for all APIs"):
        QueuedAgentPipeline(stack, "Two", agent=queue, chat_path="/a/b/c")
