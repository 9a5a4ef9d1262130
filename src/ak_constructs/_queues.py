"""How a queue of ours is defined, how a function reads it, and who is told when something stays in it."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ak_constructs._alarms import define_alarm
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
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        max_message_size_bytes=message_bytes,
        retention_period=retention,
        visibility_timeout=cdk.Duration.seconds(visibility_seconds),
    )


def define_mapping(
    scope: Construct,
    id: str,
    *,
    function: lambda_.IFunction,
    queue: sqs.Queue,
    max_concurrency: int | None = None,
) -> lambda_.EventSourceMapping:
    """Have a function handle the messages of a queue, one at a time, and say of each whether it comes back."""
    queue.grant(
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
