"""What cdk-nag finds in this example and why it is accepted here; paste what fits into your own stack.

Each finding by its exact path and id: a new one must be looked at, and one that is gone must go here too.
"""

import aws_cdk as cdk

from examples.local.nag import ALL_THREE, WITHOUT_PCI, Acknowledgements, acknowledge_all, each, of_signed_api

APIS = ("Waits", "Accepts")
QUEUE_HANDLERS = ("Queue/ResponseHandler", "Queue/DeadLetterHandler", "Queue/Redrive")
API_HANDLERS = tuple(f"{api}/{name}" for api in APIS for name in ("RequestHandler", "Health"))
ALL_FUNCTIONS = ("Agent", *API_HANDLERS, *QUEUE_HANDLERS)
FUNCTIONS = tuple(f"{name}/Resource" for name in ALL_FUNCTIONS)
ROLES = tuple(f"{name}Role/DefaultPolicy/Resource" for name in ALL_FUNCTIONS)
LOG_GROUPS = tuple(f"{name}Logs/Resource" for name in (*ALL_FUNCTIONS, *(f"{api}/Access" for api in APIS)))
ALARMS = (
    *(f"Queue/{queue}{what}Alarm" for queue in ("DeadLetters", "Parked", "ParkedReplies") for what in ("Age", "Depth")),
    *(f"{api}/ThrottledAlarm" for api in APIS),
)
FROM_QUEUES = ("Agent/Resource", "Queue/ResponseHandler/Resource", "Queue/DeadLetterHandler/Resource")
FROM_CALLERS = tuple(f"{name}/Resource" for name in API_HANDLERS)
ROUTES = ("api/v1/chat/POST", "api/v1/chat/GET", "api/v1/chat/{request_id}/GET")
PAYLOADS = "AwsSolutions-IAM5[Resource::<QueuePayloads0A785006.Arn>/{}/*]"
READ_REQUESTS = (
    "AgentRole/DefaultPolicy/Resource",
    *(f"{api}/RequestHandlerRole/DefaultPolicy/Resource" for api in APIS),
)

ACKNOWLEDGEMENTS: Acknowledgements = [
    (ROLES, ("AwsSolutions-IAM5[Resource::*]",), "X-Ray has no resources to name; everything else is named"),
    (
        READ_REQUESTS,
        (PAYLOADS.format("requests"),),
        "a request too large for a message is kept under a random key; the agent may read and callers may write these",
    ),
    (
        (*READ_REQUESTS, "Queue/ResponseHandlerRole/DefaultPolicy/Resource"),
        (PAYLOADS.format("answers"),),
        "a large answer is kept under a random key, which cannot be named beforehand",
    ),
    (ROLES, each(ALL_THREE, "IAMNoInlinePolicy"), "each policy belongs to one role and goes with it"),
    (
        FUNCTIONS,
        ("AwsSolutions-L1", "Serverless-LambdaLatestVersion"),
        "Python 3.13 is what this release was tested with",
    ),
    (
        FROM_QUEUES,
        (*each(WITHOUT_PCI, "LambdaDLQ"), "Serverless-LambdaDLQ"),
        "invoked by an event source mapping: what fails stays in its queue, which is where it is counted and parked",
    ),
    (
        FROM_CALLERS,
        (*each(WITHOUT_PCI, "LambdaDLQ"), "Serverless-LambdaDLQ"),
        "called through an API only, which waits for the answer: nothing is retried or lost unseen",
    ),
    (
        ("Queue/Redrive/Resource",),
        (*each(WITHOUT_PCI, "LambdaDLQ"), "Serverless-LambdaDLQ"),
        "invoked by a person who sees its answer; what it did not redrive is still parked",
    ),
    (
        FUNCTIONS,
        each(WITHOUT_PCI, "LambdaConcurrency"),
        "the stages' rate limits bound an example; max_waiting= and max_concurrency= bound waiters and runs",
    ),
    (
        FUNCTIONS,
        each(ALL_THREE, "LambdaInsideVPC"),
        "calls public AWS endpoints only; give vpc= where a network is needed",
    ),
    (
        LOG_GROUPS,
        each(ALL_THREE, "CloudWatchLogGroupEncrypted"),
        "encrypted with CloudWatch's own key; no prompt is logged",
    ),
    (
        tuple(f"Queue/{name}/Resource" for name in ("Mapping", "ResponseMapping", "DeadLetterMapping")),
        ("Serverless-LambdaEventSourceMappingDestination",),
        "an SQS mapping takes no destination: queues keep what fails, the first two in dead-letter queues of their own",
    ),
    (
        ("Queue/DeadLetters/Resource", "Queue/Parked/Resource", "Queue/ParkedReplies/Resource"),
        ("Serverless-SQSRedrivePolicy",),
        "the end of a chain: messages here are redriven or expire after 14 days, and alarms watch depth and age",
    ),
    (
        ("Queue/Parked/Resource",),
        ("AwsSolutions-SQS3",),
        "only the dead letter handler sends here, so the rule does not see that it is a dead-letter queue",
    ),
    (
        tuple(f"{alarm}/Resource" for alarm in ALARMS),
        each(WITHOUT_PCI, "CloudWatchAlarmAction"),
        "whom to wake is yours to say: queue.alarms and pipeline.throttled_alarm take add_alarm_action",
    ),
    (
        ("Queue/Payloads/Resource",),
        ("AwsSolutions-S1", *each(ALL_THREE, "S3BucketLoggingEnabled")),
        "only these functions read and write it; CloudTrail's data events tell more than access logs",
    ),
    (
        ("Queue/Payloads/Resource",),
        (*each(ALL_THREE, "S3BucketReplicationEnabled"), *each(ALL_THREE, "S3BucketVersioningEnabled")),
        "each object is written once under a random key and dropped after some weeks: nothing to restore",
    ),
    (
        ("Queue/Payloads/Resource",),
        each(ALL_THREE, "S3DefaultEncryptionKMS"),
        "encrypted with S3's own key, which costs nothing per request",
    ),
    *(accepted for api in APIS for accepted in of_signed_api(api, ROUTES)),
]


def acknowledge(stack: cdk.Stack) -> None:
    """Attach every acknowledgement to its construct."""
    acknowledge_all(stack, ACKNOWLEDGEMENTS)
