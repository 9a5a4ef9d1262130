"""Run an agent behind a queue, so that every request gets one answer."""

import math
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ak_constructs._agent import agent_function_of, has_own_handler, mark_as_queued
from ak_constructs._function import Surroundings, define_function
from ak_constructs._limits import (
    LAMBDA_DEFAULT_TIMEOUT_SECONDS,
    LAMBDA_SQS_CONCURRENCY,
    SQS_DEDUPLICATION_SECONDS,
    SQS_MESSAGE_BYTES,
    SQS_RETENTION_SECONDS,
    SQS_VISIBILITY_SECONDS,
)
from ak_constructs._payloads import define_payloads, let_use_objects
from ak_constructs._queue_wiring import QueueWiring
from ak_constructs._queues import define_alarms, define_mapping, define_queue, let_receive, let_send
from ak_constructs._tables import define_table
from ak_constructs._validation import check_at_least, check_between, check_duration_between
from ak_constructs.agent_function import AgentFunction
from ak_constructs.session_store import SessionStore

DEFAULT_MAX_RECEIVE_COUNT = 5
DEFAULT_RETENTION = cdk.Duration.days(4)
HANDLER_MEMORY_MIB = 256
HANDLER_TIMEOUT = cdk.Duration.seconds(30)
REDRIVE_TIMEOUT = cdk.Duration.minutes(5)
VISIBILITY_FACTOR = 6
OWN_HANDLER_VISIBILITY_SECONDS = 60
PARKING_BYTES = 4096  # what a dead letter says of itself when it is parked
REPLY_MAX_RECEIVE_COUNT = 100
DEAD_LETTER_RETENTION = cdk.Duration.days(14)


class AgentQueue(Construct):
    """Defines a queue in front of an agent, and the one final answer to each request behind it.

    ```text
    request message -> request queue -> agent, under a lease -> reply queue -> response handler -> requests table
                            | after `max_receive_count` receives
                            v
                       dead letters -> dead letter handler -> a FAILED reply, and the message is parked for a redrive
    ```

    **The requests table is the truth**: one item for each request, PENDING until its one final answer, DONE or FAILED.
    Messages only move it, by conditional writes, so that one delivered twice, late or out of turn changes nothing. A
    run holds a lease of 60 s that it extends every 20 s: there is no second run while it lives, and one that was killed
    is run again within about a minute. Each request is run at least once; more often when a run dies.

    **Order**: runs of one session one after the other, sessions in parallel. With `fifo=False` there is no order.

    **Failures** (with our runner): when the agent raises, the request rests for 1, 2, 4, 8 s and is run again; what the
    agent returns, an error too, is final. After the last receive the caller's answer is FAILED with the reason, and the
    message is parked for 14 days. To have what is parked run again, `aws lambda invoke --function-name
    <redrive_function> out.json`; the payload may be `{"queue": "requests", "max_messages": 100}`, or `"queue":
    "replies"` for answers that could not be stored. It counts what it did: `redrive` and `resend` are on their way,
    `answered` are done, `not failed yet` is for a later call, `forgotten` ones had expired.

    **Without an API** (`grant_send_requests`): a request message's body is the request as JSON (`prompt`, and if you
    like `session_id`, `agent`, and keys of your own), its attributes are `request_id` and `user_id` (String, both
    optional), its group is the session, its deduplication id the request id. Who may send speaks for every user, by
    attribute alone. A message without `request_id` is known by its own id; one whose id stands for another user's or
    session's request is dropped, and logged. APIs in front of one queue share its request ids and its users' names.
    `add_reply_handler` has a function of yours told the answers (one that also sends belongs into the queue's stack).
    `grant_read_answers` lets one read them: the item of the table has `request_id`, `status` (PENDING, DONE or FAILED),
    `status_code` and `answer`, JSON text or, of a large one, `{"$ak_constructs_ref": {"bucket", "key", "bytes",
    "sha256"}}`. It is there from the first run on. With `fifo=False` an attribute `session_id` says the session.

    **An agent with a handler of its own**, `agentkernel`'s `ServerlessAgentRunner.handle` for one, gets Agent Kernel's
    names of the queues; that one wants `session_id` in each body. It has no lease, no progress and no large requests: a
    message that is delivered or submitted twice is run twice, though only one answer counts, and one that is killed
    comes back after its timeout and a minute.

    **When to use**: runs longer than an API waits, or callers who cannot lose an answer. `QueuedAgentPipeline` puts an
    API in front. On a pool of managed instances a run may take up to 5400 s.

    **Resources**, ids relative to this construct: `RequestQueue`, `DeadLetters`, `Replies`, `ParkedReplies` (FIFO, high
    throughput, unless `fifo=False`) and `Parked` (encrypted, TLS only, 14 days but for `retention`); `Requests`
    the table (on demand, encrypted, point-in-time recovery, TTL, retained); `Payloads` the bucket for bodies over 700
    KiB in a message or 300 KiB in an item (encrypted, private, TLS only, retained, objects expire); `ResponseHandler`,
    `DeadLetterHandler` and `Redrive` with a role and a log group each (256 MiB); `Mapping`, `ResponseMapping` and
    `DeadLetterMapping` from queue to function, one message at a time; `Sessions`, a `SessionStore`, unless one is given
    or attached to the agent; two alarms, `...DepthAlarm` and `...AgeAlarm`, for each of `DeadLetters`, `Parked` and
    `ParkedReplies`. While idle they cost what CloudWatch charges for six alarms, and what SQS charges for Lambda
    looking into three queues.

    **Permissions**: each function may receive, delete and hide messages of the queue that it is mapped to
    (`sqs:ReceiveMessage`, `sqs:DeleteMessage`, `sqs:GetQueueAttributes`, `sqs:ChangeMessageVisibility`), the redrive
    function those of the parked ones as far as it does so; `sqs:SendMessage` to the ones it writes; `dynamodb:GetItem`,
    `dynamodb:PutItem` and `dynamodb:UpdateItem` on the table, where used; `s3:GetObject` and `s3:PutObject` on
    `requests/*` or `answers/*` of the bucket, where used; `lambda:InvokeFunction` on reply handlers. The agent gets
    what its runner uses of these, and the session store's. With a `key` each also gets `kms:Decrypt` on it where it
    receives, reads or sends, `kms:GenerateDataKey` where it sends or writes objects, `kms:DescribeKey` for items and,
    to write some, `kms:Encrypt`, `kms:GenerateDataKeyWithoutPlaintext`, `kms:ReEncryptFrom` and `kms:ReEncryptTo`,
    through SQS, S3 or DynamoDB only; so do those whom the `grant_...` methods let in. What SQS moves to the dead
    letters stays encrypted as it was: nobody needs more for that. `WebSocketAgentApi` says what it adds.

    **In a VPC** (`vpc`) the three functions get a security group of their own, and their roles what `AgentFunction`
    says. `docs/private.md` has the VPC endpoints that they need. The agent's network is the agent's own.

    **Not included**: whom the alarms tell (`for alarm in queue.alarms: alarm.add_alarm_action(...)`), cross-account
    senders.

    Args:
        scope: The parent, in the agent's stack.
        id: The id, unique in the parent.
        agent: The function that answers: an `AgentFunction`, another function of this app, or a version or alias of
            one. It can belong to one queue only.
        fifo: Whether runs of a session are in order. Defaults to True; False for the last bit of throughput.
        max_receive_count: How often a request may be received before it is given up, 5 or more. Defaults to 5.
        max_concurrency: How many requests may run at once, 2 to 1000. Defaults to no bound but the function's.
        retention: How long a request may wait for its run, and an answer can be read at least: 300 s, or as long as
            a message is hidden, to 14 days. Defaults to 4 days.
        session_store: What keeps the conversations. Defaults to the one attached to the agent, or else to a table of
            its own.
        key: Encrypts the queues, the table, the bucket, the sessions if it defines them, and the functions' variables
            and logs. Defaults to keys of AWS's. An imported key must let CloudWatch Logs use it: `docs/private.md` has
            the statement.
        vpc: The network of the three functions. Defaults to none.
        vpc_subnets: Which subnets of `vpc`. Defaults to the private ones.
        security_groups: Needs `vpc`. Defaults to one for each function, which may call everybody.

    Attributes:
        agent: The agent as it was given.
        alarms: The six alarms.
        dead_letter_handler: The function that answers and parks what failed.
        dead_letter_queue: Where messages go after the last receive.
        fifo: Whether runs of a session are in order.
        mapping: The event source mapping to the agent.
        parked_queue: Where failed requests wait for a redrive.
        parked_reply_queue: Where replies wait that could not be stored after 100 receives.
        payloads: The bucket for large bodies.
        redrive_function: The function to invoke for a redrive.
        reply_queue: From the agent to the response handler.
        request_queue: To the agent.
        requests_table: The truth.
        response_handler: The function that finishes requests.
        retention: How long a request may wait.
        session_store: What keeps the conversations.

    Raises:
        ValueError: The agent is imported, in another stack, or belongs to another queue; a number or duration is out
            of range; `fifo` is False for an agent with a handler of its own; the agent has another session store.

    Example:
        ```python
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent", timeout=cdk.Duration.minutes(10))
        queue = AgentQueue(stack, "Queue", agent=agent)
        queue.grant_send_requests(iam.AccountRootPrincipal())
        ```

    Sources:
        Six times the function's timeout, and five receives:
        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        Keys of senders and receivers:
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
        Message size and retention:
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
        High throughput:
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        agent: lambda_.FunctionBase | lambda_.IFunction,
        fifo: bool = True,
        max_receive_count: int = DEFAULT_MAX_RECEIVE_COUNT,
        max_concurrency: int | None = None,
        retention: cdk.Duration = DEFAULT_RETENTION,
        session_store: SessionStore | None = None,
        key: kms.Key | kms.IKey | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
    ) -> None:
        super().__init__(scope, id)
        function = agent_function_of(agent, self)
        own_handler = has_own_handler(function)
        check_at_least(
            "max_receive_count", max_receive_count, DEFAULT_MAX_RECEIVE_COUNT, "leave it out: AWS advises so many"
        )
        check_between("max_concurrency", max_concurrency, LAMBDA_SQS_CONCURRENCY)
        visibility = _visibility_seconds(function, own_handler=own_handler)
        # A message that outlived its request's item, or its name's five minutes, could be taken for another's.
        least = max(SQS_DEDUPLICATION_SECONDS, visibility, SQS_RETENTION_SECONDS[0])
        check_duration_between("retention", retention, (least, SQS_RETENTION_SECONDS[1]))
        if own_handler and not fifo:
            raise ValueError(
                "fifo must be True for an agent with a handler of its own, got False; leave it out: it relies on groups"
            )
        mark_as_queued(function, self)

        self.agent: lambda_.IFunction = agent
        self.fifo: bool = fifo
        self.retention: cdk.Duration = retention
        self._around = Surroundings(key=key, vpc=vpc, vpc_subnets=vpc_subnets, security_groups=security_groups)
        self.requests_table: dynamodb.TableV2 = define_table(self, "Requests", partition_key="request_id", key=key)
        self.payloads: s3.Bucket = define_payloads(self, "Payloads", kept_days=self._kept_days(), key=key)
        self.dead_letter_queue: sqs.Queue = self._define_queue("DeadLetters", fifo=fifo)
        self.request_queue: sqs.Queue = self._define_request_queue(visibility, max_receive_count)
        self.parked_queue: sqs.Queue = self._define_queue("Parked", fifo=False)
        self.parked_reply_queue: sqs.Queue = self._define_queue("ParkedReplies", fifo=fifo)
        parked_replies = sqs.DeadLetterQueue(queue=self.parked_reply_queue, max_receive_count=REPLY_MAX_RECEIVE_COUNT)
        self.reply_queue: sqs.Queue = self._define_queue("Replies", fifo=fifo, dead_letters=parked_replies)
        self._wiring = QueueWiring(
            agent=function,
            own_handler=own_handler,
            requests_table=self.requests_table,
            payloads=self.payloads,
            request_queue=self.request_queue,
            reply_queue=self.reply_queue,
            retention=retention,
            key=key,
        )
        self.response_handler: lambda_.Function = self._define_response_handler()
        self.dead_letter_handler: lambda_.Function = self._define_dead_letter_handler()
        self.redrive_function: lambda_.Function = self._define_redrive_function()
        self.session_store: SessionStore = self._attach_session_store(function, session_store)
        self.mapping: lambda_.EventSourceMapping = define_mapping(
            self, "Mapping", function=agent, queue=self.request_queue, max_concurrency=max_concurrency
        )
        self._wiring.connect_agent(max_receive_count)
        self.alarms: Sequence[cloudwatch.Alarm] = define_alarms(
            self, dead_letters=self.dead_letter_queue, parked=self.parked_queue, parked_replies=self.parked_reply_queue
        )
        self._reply_handlers: list[str] = []

    def add_reply_handler(self, function: lambda_.FunctionBase | lambda_.IFunction) -> None:
        """Have a function of yours told each final answer, at least once, in the order of its session.

        It is invoked with `{"request_id", "session_id", "user_id", "status", "status_code", "answer", "created_at",
        "attempt"}`; `answer` is JSON text, or of a large one `{"$ak_constructs_ref": ...}`, and without a user there is
        no `user_id`. It has 25 s; when it raises or takes longer, it is told again, after a rest that grows to 60 s.
        """
        self._reply_handlers.append(function.function_arn)
        self.response_handler.add_environment("AK_CONSTRUCTS_REPLY_HANDLERS", ",".join(self._reply_handlers))
        self.response_handler.add_to_role_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function.function_arn])
        )

    def grant_send_requests(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody send request messages, in the shape above, speaking for whatever user they name."""
        return let_send(self.request_queue, grantee)

    def grant_read_answers(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody read the item of any request by its id, and large answers."""
        let_use_objects(self.payloads, grantee, "s3:GetObject", "answers/*")
        return self._wiring.let_use_items(grantee, "dynamodb:GetItem")

    def grant_redrive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody invoke the redrive function."""
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["lambda:InvokeFunction"],
            resource_arns=[self.redrive_function.function_arn],
        )

    def metric_waiting(self) -> cloudwatch.Metric:
        """Give the number of requests that wait for a run, the most in 5 minutes."""
        return self.request_queue.metric_approximate_number_of_messages_visible()

    def metric_oldest_waiting(self) -> cloudwatch.Metric:
        """Give the age of the oldest request that is not answered yet, in seconds, the most in 5 minutes."""
        return self.request_queue.metric_approximate_age_of_oldest_message()

    def metric_parked(self) -> cloudwatch.Metric:
        """Give the number of failed requests that can be redriven, the most in 5 minutes."""
        return self.parked_queue.metric_approximate_number_of_messages_visible()

    def _kept_days(self) -> int:
        """As long as a body may be needed: waiting, as a dead letter, parked, waiting again, and then as an answer."""
        waiting = math.ceil(self.retention.to_days(integral=False))
        return 2 * (waiting + int(DEAD_LETTER_RETENTION.to_days())) + waiting

    def _define_queue(self, id: str, *, fifo: bool, dead_letters: sqs.DeadLetterQueue | None = None) -> sqs.Queue:
        """Define a queue that a function of ours reads, or a person."""
        return define_queue(
            self,
            id,
            fifo=fifo,
            visibility_seconds=VISIBILITY_FACTOR * int(HANDLER_TIMEOUT.to_seconds()),
            retention=DEAD_LETTER_RETENTION,
            key=self._around.key,
            dead_letters=dead_letters,
        )

    def _define_request_queue(self, visibility: int, max_receive_count: int) -> sqs.Queue:
        return define_queue(
            self,
            "RequestQueue",
            fifo=self.fifo,
            visibility_seconds=visibility,
            retention=self.retention,
            key=self._around.key,
            dead_letters=sqs.DeadLetterQueue(queue=self.dead_letter_queue, max_receive_count=max_receive_count),
            message_bytes=SQS_MESSAGE_BYTES - PARKING_BYTES,
        )

    def _define_response_handler(self) -> lambda_.Function:
        function = self._define_handler("ResponseHandler", "response_handler", HANDLER_TIMEOUT)
        self._wiring.let_use_items(function, "dynamodb:PutItem", "dynamodb:UpdateItem")
        let_use_objects(self.payloads, function, "s3:PutObject", "answers/*")
        self._wiring.tell(function, replies=True)
        define_mapping(self, "ResponseMapping", function=function, queue=self.reply_queue)
        return function

    def _define_dead_letter_handler(self) -> lambda_.Function:
        function = self._define_handler("DeadLetterHandler", "dead_letter_handler", HANDLER_TIMEOUT)
        self._wiring.let_use_items(function, "dynamodb:GetItem")
        let_send(self.reply_queue, function)
        let_send(self.parked_queue, function)
        self._wiring.tell(function, replies=True)
        function.add_environment("AK_CONSTRUCTS_DEAD_LETTER_QUEUE_URL", self.dead_letter_queue.queue_url)
        function.add_environment("AK_CONSTRUCTS_PARKED_QUEUE_URL", self.parked_queue.queue_url)
        define_mapping(self, "DeadLetterMapping", function=function, queue=self.dead_letter_queue)
        return function

    def _define_redrive_function(self) -> lambda_.Function:
        function = self._define_handler("Redrive", "redrive", REDRIVE_TIMEOUT)
        self._wiring.let_use_items(function, "dynamodb:GetItem", "dynamodb:UpdateItem")
        hide = "sqs:ChangeMessageVisibility"
        let_receive(self.parked_queue, function, "sqs:ReceiveMessage", "sqs:DeleteMessage", hide)
        let_receive(self.parked_reply_queue, function, "sqs:ReceiveMessage", "sqs:DeleteMessage")
        for queue in (self.request_queue, self.reply_queue):
            let_send(queue, function)
        self._wiring.tell(function, requests=True, replies=True)
        function.add_environment("AK_CONSTRUCTS_PARKED_QUEUE_URL", self.parked_queue.queue_url)
        function.add_environment("AK_CONSTRUCTS_PARKED_REPLIES_URL", self.parked_reply_queue.queue_url)
        return function

    def _define_handler(self, id: str, folder: str, timeout: cdk.Duration) -> lambda_.Function:
        return define_function(
            self,
            id,
            handler=f"ak_lambda.{folder}.handler.handler",
            memory_size=HANDLER_MEMORY_MIB,
            timeout=timeout,
            around=self._around,
        )

    def _attach_session_store(self, function: lambda_.Function, given: SessionStore | None) -> SessionStore:
        attached = function.session_store if isinstance(function, AgentFunction) else None
        store = given or attached or SessionStore(self, "Sessions", key=self._around.key)
        if isinstance(function, AgentFunction):
            store.attach(function)
        return store


def wiring_of(queue: AgentQueue) -> QueueWiring:
    """Give what an API in front of a queue needs of it."""
    return queue._wiring  # noqa: SLF001 - of this module


def _visibility_seconds(function: lambda_.Function, *, own_handler: bool) -> int:
    """How long a message that is being run stays hidden, unless the runner says otherwise."""
    timeout = int(function.timeout.to_seconds()) if function.timeout else LAMBDA_DEFAULT_TIMEOUT_SECONDS
    longer = timeout + OWN_HANDLER_VISIBILITY_SECONDS
    return min(longer if own_handler else VISIBILITY_FACTOR * timeout, SQS_VISIBILITY_SECONDS)
