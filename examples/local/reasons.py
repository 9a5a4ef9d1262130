"""Why what cdk-nag and Checkov find is accepted: the one source of docs/findings.md and of the examples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from examples.local.nag import HIPAA, PCI, R4, R5, Acknowledgement, each

ALL = (HIPAA, R4, R5, PCI)


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why findings are accepted.

    Attributes:
        ids: What is found; a name that the template makes stands in braces.
        why: The reason.
        ends: What to do to have the finding no more. Empty where nothing does.
        at: Patterns of a construct and a path below it, where the same is found elsewhere for another reason.
    """

    ids: tuple[str, ...]
    why: str
    ends: str = ""
    at: tuple[str, ...] = ("*",)

    def on(self, *paths: str, **names: str) -> Acknowledgement:
        """Acknowledge it at these paths, with the names that stand in braces."""
        return paths, self.named(**names).ids, self.why

    def named(self, **names: str) -> "Reason":
        """Fill in what stands in braces."""
        return replace(self, ids=tuple(id_.format(**names) for id_ in self.ids)) if names else self


_EXECUTE_API = "arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:"
DEAD_LETTERS = (*each("LambdaDLQ", HIPAA, R5), "Serverless-LambdaDLQ", "CKV_AWS_116")

# Functions
RUNTIME = Reason(
    ids=("AwsSolutions-L1", "Serverless-LambdaLatestVersion"),
    why="Python 3.13 is what this release was tested with",
    ends="for an agent `runtime=`",
)
NETWORK = Reason(
    ids=(*each("LambdaInsideVPC", *ALL), "CKV_AWS_117"),
    why="calls public endpoints only, over TLS",
    ends="`vpc=`; for `AuthorizerFunction` that of `Authorization.jwt`",
)
CONCURRENCY = Reason(
    ids=(*each("LambdaConcurrency", HIPAA, R5), "CKV_AWS_115"),
    why="rate limits and schedules bound what runs; a reservation takes from the account's other functions",
    ends="for an agent `reserved_concurrent_executions=`; for a request handler `max_waiting=`",
)
ENVIRONMENT = Reason(
    ids=("CKV_AWS_173",),
    why="encrypted with Lambda's own key; no secret is in it",
    ends="`key=`",
)
AGENT = Reason(
    ids=DEAD_LETTERS,
    why="called by an API that waits, or from a queue that keeps what fails: nothing is lost unseen",
    at=("AgentFunction/*",),
)
CALLED = Reason(
    ids=DEAD_LETTERS,
    why="called through an API only, which waits for the answer: nothing is retried or lost unseen",
    at=("AgentApi/*", "QueuedAgentPipeline/*", "WebSocketAgentApi/*"),
)
FROM_QUEUE = Reason(
    ids=DEAD_LETTERS,
    why="invoked by an event source mapping: what fails stays in its queue, which is where it is counted and parked",
    at=("AgentQueue/*Handler/Resource",),
)
BY_HAND = Reason(
    ids=DEAD_LETTERS,
    why="invoked by a person who sees its answer; what it did not redrive is still parked",
    at=("AgentQueue/Redrive/Resource",),
)
SCHEDULED = Reason(
    ids=DEAD_LETTERS,
    why="the next run of the schedule does what this one did not; alarms watch the failures",
    at=("KeepWarm/*", "VersionPruner/*", "SharedCapacityProvider/*"),
)
RETRIED = Reason(
    ids=("Serverless-LambdaAsyncFailureDestination",),
    why="the next run of the schedule goes on where this one failed; an alarm watches the failures",
)
MAPPING = Reason(
    ids=("Serverless-LambdaEventSourceMappingDestination",),
    why="an SQS mapping takes no destination: queues keep what fails, the first two in dead-letter queues of their own",
)
DEPLOYMENT = Reason(
    ids=("Serverless-EventBusDLQ",),
    why="of a deployment that did not warm nobody need learn: the schedule does it",
    ends="`after_deployment=False`",
)

# Roles
UNNAMED = Reason(
    ids=("AwsSolutions-IAM5[Resource::*]",),
    why="X-Ray and some of Lambda's lists have no resources to name; everything else is named",
)
INLINE = Reason(
    ids=each("IAMNoInlinePolicy", *ALL),
    why="each policy belongs to one role and goes with it",
)
OPERATOR = Reason(
    ids=("AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AWSLambdaManagedEC2ResourceOperator]",),
    why="the policy that AWS keeps for Lambda's operator of instances",
)
VERSIONS = Reason(
    ids=("AwsSolutions-IAM5[Resource::<{function}.Arn>:*]",),
    why="every version of this one, whose numbers nobody knows beforehand, and not the function itself",
)
FOUND_FUNCTIONS = Reason(
    ids=("AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:function:*]",),
    why="which functions these are is seen only when it runs",
    ends="`functions=`",
)
FOUND_VERSIONS = Reason(
    ids=("AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:lambda:<AWS::Region>:<AWS::AccountId>:function:*:*]",),
    why="which versions it deletes is seen only when it runs",
    ends="`functions=` or `dry_run=True`",
)
REQUESTS = Reason(
    ids=("AwsSolutions-IAM5[Resource::<{payloads}.Arn>/requests/*]",),
    why="a request too large for a message is kept under a random key; the agent may read and callers may write these",
)
ANSWERS = Reason(
    ids=("AwsSolutions-IAM5[Resource::<{payloads}.Arn>/answers/*]",),
    why="a large answer is kept under a random key, which cannot be named beforehand",
)

POSTS = Reason(
    ids=(f"AwsSolutions-IAM5[Resource::{_EXECUTE_API}<{{socket_api}}>/prod/POST/@connections/*]",),
    why="the connections of one stage, which API Gateway names as people come, and to post to them only",
)

# Logs and alarms
LOG_KEY = Reason(
    ids=(*each("CloudWatchLogGroupEncrypted", *ALL), "CKV_AWS_158"),
    why="encrypted with CloudWatch's own key; no prompt is logged",
    ends="`key=`; for an agent also `log_group=` with a key",
)
ALARM_ACTION = Reason(
    ids=each("CloudWatchAlarmAction", HIPAA, R4, R5),
    why="whom to wake is yours to say",
    ends="`add_alarm_action`",
)

# The API
EXECUTION_LOGS = Reason(
    ids=("AwsSolutions-APIG6", *each("APIGWExecutionLoggingEnabled", *ALL)),
    why="execution logs would hold prompts",
)
CACHE = Reason(
    ids=(*each("APIGWCacheEnabledAndEncrypted", *ALL), "CKV_AWS_120"),
    why="answers must not be cached",
)
CLIENT_CERTIFICATE = Reason(
    ids=each("APIGWSSLEnabled", HIPAA, R5, PCI),
    why="the backends are Lambda functions, called over TLS with IAM",
)
WEB_ACL = Reason(
    ids=("AwsSolutions-APIG3", *each("APIGWAssociatedWithWAF", R5, PCI)),
    why="rates are limited and bodies checked; a web ACL costs money and is yours to choose",
    ends="`add_web_acl`",
)
VALIDATOR = Reason(
    ids=("AwsSolutions-APIG2",),
    why="the chat route has a validator; the rule looks for one on the whole API",
)
HEALTH = Reason(
    ids=("AwsSolutions-APIG4", "CKV_AWS_59"),
    why="health is open: it says nothing but that the API is up",
    at=("*/health/GET/Resource",),
)
NO_POOL = Reason(
    ids=("AwsSolutions-COG4",),
    why="callers prove who they are as `authorization` says, if at all; health is open",
    ends="`Authorization.cognito()`, but not for health",
)
CONNECTED = Reason(
    ids=("AwsSolutions-APIG4",),
    why="API Gateway asks at `$connect` only, which is authorized: no other route of a WebSocket API can be",
    at=("WebSocketAgentApi/*",),
)
CHAT = ("*/chat/POST/Resource", "*/chat/GET/Resource", "*/{request_id}/GET/Resource", "*/ANY/Resource")
OPEN = Reason(
    ids=("AwsSolutions-APIG4",),
    why="meant so: open to everybody, or asks for an API key, which the rule does not see",
    ends="another authorization",
    at=CHAT,
)
OPEN_TO_ALL = Reason(ids=("CKV_AWS_59",), why="meant so: open to everybody", ends="another authorization", at=CHAT)

# Queues and the bucket for what is too large for a message
QUEUE_KEY = Reason(
    ids=("CKV_AWS_27",),
    why="encrypted by SQS with its own key, which the check does not know",
    ends="`key=`",
)
LAST_QUEUES = Reason(
    ids=("Serverless-SQSRedrivePolicy",),
    why="the end of a chain: messages here are redriven or expire after 14 days, and alarms watch depth and age",
)
PARKED = Reason(
    ids=("AwsSolutions-SQS3",),
    why="only the dead letter handler sends here, so the rule does not see that it is a dead-letter queue",
)
BUCKET_LOGS = Reason(
    ids=("AwsSolutions-S1", *each("S3BucketLoggingEnabled", *ALL), "CKV_AWS_18"),
    why="only these functions read and write it; CloudTrail's data events tell more than access logs",
)
BUCKET_COPIES = Reason(
    ids=(
        *each("S3BucketReplicationEnabled", *ALL),
        *each("S3BucketVersioningEnabled", *ALL),
        *each("S3BucketDefaultLockEnabled", R4),
        "CKV_AWS_21",
    ),
    why="each object is written once under a random key and dropped after some weeks: nothing to restore",
)
BUCKET_KEY = Reason(
    ids=each("S3DefaultEncryptionKMS", HIPAA, R5, PCI),
    why="encrypted with S3's own key, which costs nothing per request",
    ends="`key=`",
)

REASONS: dict[str, Reason] = {name: value for name, value in list(globals().items()) if isinstance(value, Reason)}


def of_signed_api(api: str, routes: Sequence[str]) -> list[Acknowledgement]:
    """Accept what is found of an API whose callers sign with IAM, by its id and its routes but health."""
    stage = f"{api}/RestApi/DeploymentStage.prod/Resource"
    health = f"{api}/RestApi/Default/health/GET/Resource"
    signed = [f"{api}/RestApi/Default/{route}/Resource" for route in (*routes, "{proxy+}/ANY", "ANY")]
    of_stage = (EXECUTION_LOGS, CACHE, CLIENT_CERTIFICATE, WEB_ACL)
    return [
        *(reason.on(stage) for reason in of_stage),
        VALIDATOR.on(f"{api}/RestApi/Resource"),
        HEALTH.on(health),
        NO_POOL.on(health, *signed),
    ]
