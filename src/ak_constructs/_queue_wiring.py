"""What functions in front of an agent's queue, in it and behind it are told, and what they may do."""

from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from ak_constructs._connections import Connections
from ak_constructs._payloads import let_use_objects
from ak_constructs._queues import let_send
from ak_constructs._tables import let_use_items


@dataclass(kw_only=True)
class QueueWiring:
    """The places of a queue's requests and answers.

    Attributes:
        agent: The agent's function.
        own_handler: Whether Lambda calls a handler of the user's in it, which knows Agent Kernel's words alone.
        websocket_mode: How answers are pushed, once a WebSocket API is in front.
    """

    agent: lambda_.Function
    own_handler: bool
    requests_table: dynamodb.TableV2
    payloads: s3.Bucket
    request_queue: sqs.Queue
    reply_queue: sqs.Queue
    retention: cdk.Duration
    key: kms.IKey | None
    websocket_mode: str | None = field(default=None, init=False)

    def let_use_items(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        """Let somebody use items of the requests table."""
        return let_use_items(self.requests_table, grantee, *actions, key=self.key)

    def tell(self, function: lambda_.Function, *, requests: bool = False, replies: bool = False) -> None:
        """Tell a function of ours where things are."""
        function.add_environment("AK_CONSTRUCTS_REQUESTS_TABLE", self.requests_table.table_name)
        function.add_environment("AK_CONSTRUCTS_PAYLOADS_BUCKET", self.payloads.bucket_name)
        function.add_environment("AK_CONSTRUCTS_RETENTION_SECONDS", str(int(self.retention.to_seconds())))
        if requests:
            function.add_environment("AK_CONSTRUCTS_REQUEST_QUEUE_URL", self.request_queue.queue_url)
        if replies:
            function.add_environment("AK_CONSTRUCTS_REPLY_QUEUE_URL", self.reply_queue.queue_url)

    def connect_agent(self, max_receive_count: int) -> None:
        """Let the agent take requests and reply."""
        let_send(self.reply_queue, self.agent)
        if self.own_handler:
            # Agent Kernel's names, with the type that its own Terraform forgets. Not INPUT__URL: a runner that knows it
            # demands a response store as soon as its module registers a route.
            for name, value in {
                "AK_EXECUTION__QUEUES__TYPE": "sqs",
                "AK_EXECUTION__QUEUES__INPUT__MAX_RECEIVE_COUNT": str(max_receive_count),
                "AK_EXECUTION__QUEUES__OUTPUT__URL": self.reply_queue.queue_url,
            }.items():
                self.agent.add_environment(name, value)
            self.name_mode("rest_async")
            return
        self.let_use_items(self.agent, "dynamodb:PutItem", "dynamodb:UpdateItem")
        let_use_objects(self.payloads, self.agent, "s3:GetObject", "requests/*")
        let_use_objects(self.payloads, self.agent, "s3:PutObject", "answers/*")
        self.tell(self.agent, requests=True, replies=True)
        self.agent.add_environment("AK_CONSTRUCTS_MAX_RECEIVE_COUNT", str(max_receive_count))

    def connect_request_handler(self, function: lambda_.Function, *, large: bool = True) -> None:
        """Let a function of ours submit requests, wait for them and read their answers.

        Large ones, that no message could hold, only where our runner fetches them from S3.
        """
        takes_large = large and not self.own_handler
        self.let_use_items(function, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")
        let_send(self.request_queue, function)
        let_use_objects(self.payloads, function, "s3:GetObject", "answers/*")
        if takes_large:
            let_use_objects(self.payloads, function, "s3:PutObject", "requests/*")
        self.tell(function, requests=True)
        function.add_environment("AK_CONSTRUCTS_TAKES_LARGE", str(takes_large).lower())

    def name_mode(self, mode: str) -> None:
        """Tell an agent with a handler of its own how its answers are asked for, in Agent Kernel's words.

        A WebSocket API's word is the last: in another mode the handler would not say of an answer who waits for it.
        """
        if self.own_handler:
            self.agent.add_environment("AK_EXECUTION__MODE", self.websocket_mode or mode)

    def check_websocket(self, mode: str) -> None:
        """Raise when another WebSocket API in front of this queue has another mode: the agent knows one."""
        if self.websocket_mode not in {None, mode}:
            raise ValueError(
                f"mode must be the same for all WebSocket APIs in front of a queue, got {mode!r} after "
                f"{self.websocket_mode!r}; make a second AgentFunction of the same entry, the asset is shared"
            )

    def connect_websocket(self, response_handler: lambda_.Function, connections: Connections, *, mode: str) -> None:
        """Have answers pushed to the connections of those who asked, and by our runner also what comes before them."""
        self.check_websocket(mode)
        self.websocket_mode = mode
        self.name_mode(mode)
        for pushing in [response_handler, *([] if self.own_handler else [self.agent])]:
            connections.let_push(pushing)
            connections.name_table(pushing)
        let_use_objects(self.payloads, response_handler, "s3:GetObject", "answers/*")
        if mode == "stream":  # pieces come as replies, and are kept until the last makes an answer of them
            self.let_use_items(response_handler, "dynamodb:BatchGetItem")
            response_handler.add_environment("AK_CONSTRUCTS_STREAMS", "true")
