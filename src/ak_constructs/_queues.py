"""How a queue of ours is defined, how a function reads it, and who is told when something stays in it."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ak_constructs._alarms import define_alarm
from ak_constructs._encryption import RECEIVE_ACTIONS, SEND_ACTIONS, let_use
from ak_constructs._limits import SQS_MESSAGE_BYTES

STUCK_AFTER = cdk.Duration.minutes(5)
ABOUT_TO_BE_LOST_AFTER = cdk.Duration.days(12)  # of the 14 for which a parked message is kept


def define_queue(
    scope: Construct,
    id: str,
    *,
    fifo: bool,
    visibility_seconds: int,
    retention: cdk.Duration,
    key: kms.IKey | None,
    dead_letters: sqs.DeadLetterQueue | None = None,
    message_bytes: int = SQS_MESSAGE_BYTES,
) -> sqs.Queue:
    """Define a queue: encrypted, TLS only; a FIFO one with high throughput, in order for each group."""
    return sqs.Queue(
        scope,
        id,
        fifo=True if fifo else None,  # CloudFormation takes no False
        deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if fifo else None,
        fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if fifo else None,
        dead_letter_queue=dead_letters,
        encryption=sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED,
        encryption_master_key=key,
        enforce_ssl=True,
        max_message_size_bytes=message_bytes,
        retention_period=retention,
        visibility_timeout=cdk.Duration.seconds(visibility_seconds),
    )


def let_send(queue: sqs.Queue, grantee: iam.IGrantable) -> iam.Grant:
    """Let somebody send messages, and have them encrypted."""
    let_use(queue.encryption_master_key, grantee, SEND_ACTIONS, service="sqs")
    return queue.grant(grantee, "sqs:SendMessage")


def let_receive(queue: sqs.Queue, grantee: iam.IGrantable, *actions: str) -> None:
    """Let somebody receive, delete and hide messages, and have them decrypted."""
    let_use(queue.encryption_master_key, grantee, RECEIVE_ACTIONS, service="sqs")
    queue.grant(grantee, *actions)


def define_mapping(
    scope: Construct,
    id: str,
    *,
    function: lambda_.IFunction,
    queue: sqs.Queue,
    max_concurrency: int | None = None,
) -> lambda_.EventSourceMapping:
    """Have a function handle the messages of a queue, one at a time, and say of each whether it comes back."""
    let_receive(
        queue,
        function,
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ChangeMessageVisibility",
    )
    return lambda_.EventSourceMapping(
        scope,
        id,
        target=function,
        event_source_arn=queue.queue_arn,
        batch_size=1,
        max_concurrency=max_concurrency,
        report_batch_item_failures=True,
    )


def define_alarms(
    scope: Construct, *, dead_letters: sqs.Queue, parked: sqs.Queue, parked_replies: sqs.Queue
) -> list[cloudwatch.Alarm]:
    """Define two alarms for each queue; whom they tell is up to the user."""
    return [
        *_alarms(scope, "DeadLetters", dead_letters, STUCK_AFTER, "the dead letter handler does not get through"),
        *_alarms(scope, "Parked", parked, ABOUT_TO_BE_LOST_AFTER, "requests failed; redrive them or let them go"),
        *_alarms(
            scope, "ParkedReplies", parked_replies, ABOUT_TO_BE_LOST_AFTER, "answers could not be stored; redrive them"
        ),
    ]


def _alarms(
    scope: Construct, id: str, queue: sqs.Queue, age: cdk.Duration, what: str
) -> tuple[cloudwatch.Alarm, cloudwatch.Alarm]:
    minute = cdk.Duration.minutes(1)
    depth = queue.metric_approximate_number_of_messages_visible(period=minute)
    oldest = queue.metric_approximate_age_of_oldest_message(period=minute)
    return (
        define_alarm(scope, f"{id}DepthAlarm", metric=depth, threshold=1, description=f"{what}: messages are there"),
        define_alarm(
            scope,
            f"{id}AgeAlarm",
            metric=oldest,
            threshold=int(age.to_seconds()),
            description=f"{what}: the oldest is getting old",
        ),
    )
