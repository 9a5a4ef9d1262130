"""A CDK app for the tests: the same agent behind Agent Kernel's own handlers and behind ours; for a Python version.

Agent Kernel's side has what its Terraform defines by default for queues, but waits in shorter steps.
"""

import sys
import tempfile
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from ak_constructs import AgentFunction, AgentQueue, Authorization, QueuedAgentPipeline
from test.local.agentkernel_cases import AT_ONCE
from test.local.agentkernel_queue_app import (
    ARCHITECTURE,
    MODES,
    copy_entry,
    define_agent,
    define_authorizer,
    runtime,
)

VERSION = "0.9.5"
LOOKS = 10  # a second apart: fewer than an agent's 15 s, and enough for a quick one on a busy machine
LOOK_SECONDS = "1"


class Theirs:
    """Agent Kernel's request handler, agent runner and response handler, with queues and tables between."""

    def __init__(self, stack: cdk.Stack, id: str, *, entry: Path, mode: str, python: str) -> None:
        self._stack = stack
        self._id = id
        self._entry = entry
        self._mode = mode
        self._runtime = runtime(python)
        self.input = self._queue("Input")
        self.output = self._queue("Output")
        answers = dynamodb.Table(
            stack,
            f"{id}Answers",
            partition_key=dynamodb.Attribute(name="request_id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        )
        answers.add_global_secondary_index(
            index_name="session_id-index",
            partition_key=dynamodb.Attribute(name="session_id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="request_id", type=dynamodb.AttributeType.STRING),
        )
        sessions = dynamodb.Table(
            stack,
            f"{id}Sessions",
            partition_key=dynamodb.Attribute(name="session_id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="key", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        )
        store = {"AK_EXECUTION__RESPONSE_STORE__DYNAMODB__TABLE_NAME": answers.table_name}
        self.request_handler = self._function(
            "request_handler",
            API_BASE_PATH="api",
            API_VERSION="v1",
            AGENT_ENDPOINT="chat",
            AK_EXECUTION__QUEUES__INPUT__URL=self.input.queue_url,
            AK_EXECUTION__RESPONSE_STORE__RETRY_COUNT=str(LOOKS),
            AK_EXECUTION__RESPONSE_STORE__DELAY=LOOK_SECONDS,
            **store,
        )
        runner = self._function(
            "agent_runner",
            AK_EXECUTION__QUEUES__OUTPUT__URL=self.output.queue_url,
            AK_EXECUTION__QUEUES__INPUT__MAX_RECEIVE_COUNT="2",
            AK_SESSION__DYNAMODB__TABLE_NAME=sessions.table_name,
        )
        response_handler = self._function(
            "response_handler", AK_EXECUTION__QUEUES__OUTPUT__MAX_RECEIVE_COUNT="2", **store
        )
        for queue, function in ((self.input, runner), (self.output, response_handler)):
            lambda_.EventSourceMapping(
                stack,
                f"{function.node.id}Mapping",
                target=function,
                event_source_arn=queue.queue_arn,
                batch_size=1,  # theirs is 10: the emulator runs larger batches of a FIFO queue one by one
                max_concurrency=AT_ONCE,
                report_batch_item_failures=True,
            )

    def define_api(self, authorizer: lambda_.Function) -> apigateway.RestApi:
        """Define the API as their Terraform does: a stage `agents`, proxies, one authorizer."""
        api = apigateway.RestApi(
            self._stack,
            f"{self._id}Api",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,
            deploy_options=apigateway.StageOptions(stage_name="agents"),
            default_method_options=apigateway.MethodOptions(
                authorizer=apigateway.RequestAuthorizer(
                    self._stack,
                    f"{self._id}Authorizer",
                    handler=authorizer,
                    identity_sources=[],
                    results_cache_ttl=cdk.Duration.seconds(0),
                ),
                authorization_type=apigateway.AuthorizationType.CUSTOM,
            ),
        )
        chat = api.root.resource_for_path("/api/v1/chat")
        for method in ("POST", "GET"):
            chat.add_method(method, apigateway.LambdaIntegration(self.request_handler))
        return api

    def _queue(self, id: str) -> sqs.Queue:
        return sqs.Queue(
            self._stack,
            f"{self._id}{id}",
            fifo=True,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
            visibility_timeout=cdk.Duration.seconds(60),
            retention_period=cdk.Duration.seconds(300),
            max_message_size_bytes=262_144,
        )

    def _function(self, role: str, **environment: str) -> AgentFunction:
        return AgentFunction(
            self._stack,
            f"{self._id}{role.title().replace('_', '')}",
            entry=self._entry,
            handler=f"lambda_{role}.handler",
            architecture=ARCHITECTURE,
            runtime=self._runtime,
            timeout=cdk.Duration.seconds(45),
            environment={"AK_EXECUTION__MODE": self._mode, "AK_EXECUTION__QUEUES__TYPE": "sqs", **environment},
        )


def define(stack: cdk.Stack, python: str, work: Path) -> None:
    """Define both sides in both modes, and outputs to reach them by."""
    authorizer = define_authorizer(stack, python)
    entry = copy_entry(VERSION, work)
    for mode in MODES:
        name = mode.title().replace("_", "")
        theirs = Theirs(stack, f"Theirs{name}", entry=entry, mode=mode, python=python)
        api = theirs.define_api(authorizer)
        agent = define_agent(stack, f"Ours{name}Agent", entry=entry, python=python)
        authorization = Authorization.lambda_function(authorizer, user_key="userId")
        queue = AgentQueue(stack, f"Ours{name}Queue", agent=agent, max_concurrency=AT_ONCE)
        ours = QueuedAgentPipeline(stack, f"Ours{name}", agent=queue, mode=mode, authorization=authorization)
        for output, value in {
            f"Theirs{name}Url": api.url_for_path("/api/v1/chat"),
            f"Theirs{name}Replies": theirs.output.queue_url,
            f"Ours{name}Url": ours.chat_url,
        }.items():
            cdk.CfnOutput(stack, output, value=value)


if __name__ == "__main__":
    app = cdk.App()
    with tempfile.TemporaryDirectory(prefix="agentkernel-differences-") as work:
        define(cdk.Stack(app, "AgentKernelDifferences"), sys.argv[1], Path(work))
        app.synth()
