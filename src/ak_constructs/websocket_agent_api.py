"""Put a WebSocket API in front of an agent: answers, and what comes before them, are pushed."""

from collections.abc import Sequence
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from ak_constructs._agent import agent_function_of, has_own_handler, mark_as_answering
from ak_constructs._alarms import define_alarm
from ak_constructs._connections import Connections, check_connections, define_connections, take_connections
from ak_constructs._function import Surroundings, define_function, define_log_group, function_behind
from ak_constructs._in_front import around_submitter, connect_submitter, queue_of
from ak_constructs._limits import (
    API_GATEWAY_WEBSOCKET_INTEGRATION_TIMEOUT_SECONDS,
    API_GATEWAY_WEBSOCKET_ROUTES,
)
from ak_constructs._stage import DEFAULT_RATE_LIMIT
from ak_constructs._validation import check_at_least, check_at_most, check_matches
from ak_constructs._websocket_api import arn_below, define_stage, define_websocket_api, let_manage_connections
from ak_constructs._websocket_wiring import WebSocketWiring, check_agent, check_timeout
from ak_constructs.agent_function import AgentFunction
from ak_constructs.agent_queue import AgentQueue
from ak_constructs.authorization import Authorization, proof_of

HANDLER_MEMORY_MIB = 256
HANDLER_TIMEOUT = cdk.Duration.seconds(API_GATEWAY_WEBSOCKET_INTEGRATION_TIMEOUT_SECONDS + 1)
CONNECT, DISCONNECT, DEFAULT, PING, RESUME = "$connect", "$disconnect", "$default", "ping", "resume"
_ROUTE = r"[A-Za-z0-9_-]+"
_ROUTE_FORM = "letters, digits, underscores and hyphens, such as {}"


class WebSocketAgentApi(Construct):
    """Defines a WebSocket API in front of an agent, which pushes to people what the agent does for them.

    ```text
    $connect            -> authorization -> connection handler -> connections table
    {"route": "chat"}   -> message handler -> requests table, then `AgentQueue` -> agent
                                                         its answer <- response handler <-|
                                              its deltas and progress <- the agent <------|
    {"route": "resume"} -> message handler -> the state of a request, and its answer when there is one
    {"route": "ping"}, unknown routes, $disconnect -> connection handler
    your own routes     -> your function
    ```

    A client's message is a JSON object that names its route. Frames that come back are JSON objects with a `type`:

    | the client sends | and gets |
    |---|---|
    | `{"route": "chat", "prompt": ...}` and more | `CHAT_QUEUED`, then what the agent does |
    | `{"route": "resume", "request_id": ...}` | `CHAT_RESPONSE`, or `CHAT_QUEUED` while there is no answer |
    | `{"route": "ping"}` | `SYSTEM_RESPONSE` with `"message": "pong"` and `reconnect` |
    | anything else | `SYSTEM_RESPONSE` with `"status": "FAILED"`, `status_code` and `message` |

    | frame | what it is |
    |---|---|
    | `CHAT_QUEUED` | `request_id`, `session_id`, `"status": "PENDING"`, `progress`? |
    | `STREAM_CHUNK` | `request_id`, `session_id`, `attempt`, `seq`, `delta`?, `done`: what a generator yielded |
    | `PROGRESS` | `request_id`, `session_id`, `attempt`, `progress`: what `turn.progress` said |
    | `CHAT_RESPONSE` | `request_id`, `session_id`, `status_code` and the answer, or `"status": "FAILED"` and `error` |
    | `SYSTEM_RESPONSE` | `status`, `status_code`, `message`, `request_id`?: refusals, and the answer to a ping |
    | `PART` | `part_id`, `i`, `n`, `data`: a frame over 32000 bytes, in pieces to be joined |

    A chat message has the keys of `AgentApi`'s body, Agent Kernel's nested form included, and `request_id` makes it the
    same when it is sent again. Every connection of the user, of 250 at most, gets every frame. **Deltas are hints, the
    answer is the truth**: they are posted by the agent's function as the agent yields them, and may be missing; `seq`
    counts from 0 within an `attempt`, and who sees a gap, or a higher attempt, waits for the answer, which comes by the
    queue and is kept. It may come more than once. Who was away asks with `resume`, over any connection. What API
    Gateway answers itself, when it throttles for one, has no `type`.

    **Limits** of API Gateway, none of which can be raised: a message is waited for 29 s, which the queue makes enough;
    a connection on which nothing is sent is closed after 10 minutes, so clients ping; any connection is closed after 2
    hours, and from 110 minutes on answers say `"reconnect": true`; a frame has 32 KiB and a message 128 KiB, and who
    sends more is disconnected with code 1009: larger requests go through a `QueuedAgentPipeline` in front of the same
    `AgentQueue`.

    **Who is asking** is asked at `$connect` and nowhere else, by `Authorization.jwt()`, `.lambda_function()` with a
    `user_key`, or `.iam()`; a body's `user_id` is only data. Browsers cannot send headers: with `.jwt()` they offer the
    sub-protocols `bearer` and the token. A token that expires ends no connection.

    **Without the queue** (`buffered=False`) the agent answers in the same message, within 29 s. Nothing is kept: no
    `resume`, and a run that dies is not run again.

    **A handler of Agent Kernel's** behind the queue gets its names of the mode, of the table and of the chat route; the
    frames are the same. Without the queue, and behind a route of yours, it posts frames of its own; what it returns
    goes nowhere.

    **Resources**, ids relative to this construct: `Queue`, an `AgentQueue`, unless one is given; `Connections` the
    table (on demand, encrypted, point-in-time recovery, TTL, retained) with the index `connection_id-index`, unless one
    is given; `WebSocketApi` with a route, an integration and a permission for each route, and `Authorizer`; `Stage`
    `prod` (throttled, deployed by itself), and in it the mapping of a custom domain; `AccessLogs` the log group of its
    access log (JSON, no query strings or headers, 30 days, retained); `ConnectionHandler`, `ConnectionHandlerRole`,
    `ConnectionHandlerLogs` and `MessageHandler`, `MessageHandlerRole`, `MessageHandlerLogs` (256 MiB, 30 s);
    `IntegrationErrorsAlarm` and `ExecutionErrorsAlarm`; `AuthorizerFunction`, `AuthorizerFunctionRole`,
    `AuthorizerFunctionLogs` and the layer `JwtLibrary` for `Authorization.jwt()`. While idle two alarms cost what
    CloudWatch charges, and the queue what it says.

    **Permissions**: the connection handler has `dynamodb:PutItem` and `dynamodb:DeleteItem` on the connections table;
    the message handler what `QueuedAgentPipeline` says of a request handler, but for writing to the bucket (no message
    is too large for the queue), with `dynamodb:DeleteItem` there and `execute-api:ManageConnections` on
    `POST/@connections/*` of the stage; the queue's response handler and an agent with our runner these two,
    `dynamodb:Query` on the table, and the former `s3:GetObject` on `answers/*` of the queue's bucket and, with
    `mode="stream"`, `dynamodb:BatchGetItem` on the requests table. With `Authorization.iam()` both handlers, and an
    agent without a queue, have `dynamodb:Query` on the index: messages do not say who sends them. A handler of Agent
    Kernel's that is given messages has what an agent has, and the index. With a `key` as `AgentQueue` says. The
    functions may be called through the routes that lead to them, by their names.

    **In a VPC** (`vpc`) the functions, an agent's in a network of its own too, need a **way to the internet** to post
    frames: a NAT gateway. AWS has no VPC endpoint for WebSocket APIs, and one for `execute-api` with private DNS in
    the same network makes posts fail with 403. `docs/private.md` has the rest.

    **Not included**: a web ACL, which cannot be attached to a WebSocket API; execution logs, which would hold prompts;
    X-Ray of the API itself, which WebSocket APIs do not have; binary messages; the domain name and its certificate; and
    the account's one role for API Gateway logs, without which the stage is refused (see `AgentApi`).

    Args:
        scope: The parent, in the agent's stack.
        id: The id, unique in the parent.
        agent: The function that answers, as `AgentQueue` takes it; or an `AgentQueue`, to set its options or to put
            several APIs in front of it.
        authorization: How those who connect prove who they are.
        chat_route: The route of messages to the agent: letters, digits, underscores and hyphens. Defaults to `chat`.
        mode: For a handler of Agent Kernel's: `async` for whole answers, `stream` for deltas too. Defaults to `async`.
        buffered: Whether there is a queue between. Defaults to True.
        rate_limit: Messages per second for each route of the stage, at least 1, and twice as many at once. Defaults
            to 100.
        connections: The connections table of another of these, for all APIs in front of one agent must share one.
            Defaults to a table of its own. Who has the same user id at two of them is the same user.
        domain_mapping: The custom domain, with its certificate, at which people connect. Defaults to API Gateway's.
        key: Encrypts the connections table, the access log, the functions' variables and logs, and all that the
            `AgentQueue` keeps which is defined here; it is taken for that of a given table too. Defaults to keys of
            AWS's. An imported key must let CloudWatch Logs use it: `docs/private.md` has the statement.
        vpc: The network of the two handlers, with those of the `AgentQueue` that is defined here. Defaults to none.
        vpc_subnets: Which subnets of `vpc`. Defaults to the private ones.
        security_groups: Needs `vpc`. Defaults to one for each function, which may call everybody.

    Attributes:
        access_logs: The log group of the access log.
        alarms: Two: a function behind a route failed, or could not be called.
        api: The WebSocket API.
        authorizer_function: The function of `Authorization.jwt()`, else None.
        chat_route: The route of messages to the agent.
        connection_handler: The function that notes who is connected.
        connections_table: The table of connections.
        message_handler: The function that submits messages and looks up answers; None without the queue.
        queue: The queue behind; None without one.
        stage: The stage.

    Raises:
        TypeError: `authorization` is not made by a factory.
        ValueError: `authorization` cannot say who connects; `mode` or `chat_route` is malformed, or `mode` means
            nothing to the agent; `rate_limit` is below 1; the agent is imported, in another stack, or knows another
            connections table; `connections` is a table of something else or has the people of another agent; without
            the queue, its timeout is over 29 s or it answers another API; or what `AgentQueue` refuses.

    Example:
        ```python
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent", timeout=cdk.Duration.minutes(5))
        tokens = Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"])
        chat = WebSocketAgentApi(stack, "Chat", agent=agent, authorization=tokens)
        cdk.CfnOutput(stack, "ChatUrl", value=chat.url)
        ```

    Sources:
        Limits:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
        Who is asked at `$connect`:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html,
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html
        Metrics: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html
        For REST APIs only: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-aws-waf.html
        (web ACLs), https://docs.aws.amazon.com/xray/latest/devguide/xray-services-apigateway.html (X-Ray)
        No way through a VPC endpoint: https://repost.aws/knowledge-center/api-gateway-vpc-connections,
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-private-apis.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        agent: lambda_.FunctionBase | lambda_.IFunction | AgentQueue,
        authorization: Authorization,
        chat_route: str = "chat",
        mode: str = "async",
        buffered: bool = True,
        rate_limit: int = DEFAULT_RATE_LIMIT,
        connections: dynamodb.ITableV2 | None = None,
        domain_mapping: apigatewayv2.DomainMappingOptions | None = None,
        key: kms.Key | kms.IKey | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
    ) -> None:
        super().__init__(scope, id)
        function = check_agent(agent, self, buffered=buffered, mode=mode)
        check_matches("chat_route", chat_route, _ROUTE, _ROUTE_FORM.format("chat"))
        _check_free("chat_route", chat_route, {PING, RESUME})
        check_at_least("rate_limit", rate_limit, 1, "to close the API, remove it")
        check_connections(function, connections)
        if connections:
            take_connections(connections, function)
        proof = proof_of(authorization)
        authorizer = proof.define_for_websocket(self, key)
        if not buffered:
            mark_as_answering(function, self)

        self.chat_route: str = chat_route
        self._domain = domain_mapping
        self._around = Surroundings(key=key, vpc=vpc, vpc_subnets=vpc_subnets, security_groups=security_groups)
        self.queue: AgentQueue | None = queue_of(self, agent, self._around) if buffered else None
        self.authorizer_function: lambda_.Function | None = cast(
            "lambda_.Function | None", self.node.try_find_child("AuthorizerFunction")
        )
        self.connections_table: dynamodb.ITableV2 = connections or define_connections(
            self, "Connections", agent=function, key=key
        )
        self.access_logs: logs.LogGroup = define_log_group(self, "AccessLogs", key=key)
        self.api: apigatewayv2.WebSocketApi = define_websocket_api(self)
        self.stage: apigatewayv2.WebSocketStage = define_stage(
            self, self.api, access_logs=self.access_logs, rate_limit=rate_limit, domain_mapping=domain_mapping
        )
        self._wiring = WebSocketWiring(
            connections=Connections(table=self.connections_table, key=key, stage=self.stage),
            callback_url=self.callback_url,
            identity=proof.identity,
            chat_route=chat_route,
            mode=mode,
        )
        self.connection_handler: lambda_.Function = self._define_connection_handler()
        self.message_handler: lambda_.Function | None = self._define_message_handler()
        self._routes: set[str] = set()
        own_handler = has_own_handler(function)
        self._define_routes(authorizer, cast("lambda_.IFunction", agent), own_handler=own_handler)
        self._wiring.connect_agent(function, self.queue)
        self.alarms: Sequence[cloudwatch.Alarm] = self._define_alarms()

    @property
    def url(self) -> str:
        """The address to connect to, known at deployment: that of the custom domain, where there is one."""
        if self._domain is None:
            return self.stage.url
        path = f"/{self._domain.mapping_key}" if self._domain.mapping_key else ""
        return f"wss://{self._domain.domain_name.domain_name_ref.domain_name}{path}"

    @property
    def callback_url(self) -> str:
        """The `endpoint_url` of boto3's client `apigatewaymanagementapi`, known at deployment."""
        return self.stage.callback_url

    def add_route(
        self, name: str, handler: lambda_.FunctionBase | lambda_.IFunction, *, answers: bool = True
    ) -> apigatewayv2.WebSocketRoute:
        """Add a route of your own: messages with `"route": name` go to your function, whatever else is in them.

        It gets API Gateway's event, with what the authorizer said of the user in `requestContext.authorizer`, and
        answers `{"statusCode": 200, "body": "a frame"}`, which goes to the connection that sent the message. To push,
        `grant_manage_connections`. A handler of Agent Kernel's is let push, and told of the connections table.

        Args:
            name: Letters, digits, underscores and hyphens.
            handler: The function.
            answers: Whether the client gets what it returns; without a body that is an empty message. Defaults to
                True, but for Agent Kernel's handlers, which push and return what is for nobody.

        Raises:
            ValueError: The name is malformed or taken, there are too many routes, or the handler's timeout is longer
                than API Gateway waits; an `AgentFunction` has no handler of its own, is in another stack, or knows
                another connections table.
        """
        check_matches("name", name, _ROUTE, _ROUTE_FORM.format("feedback"))
        _check_free("name", name, self._routes)
        check_at_most(
            "the number of routes",
            len(self._routes) + 1,
            API_GATEWAY_WEBSOCKET_ROUTES,
            "let one function tell messages apart",
        )
        check_timeout(handler, "lower it")
        function = function_behind(handler)
        if isinstance(function, AgentFunction):
            self._connect_route(function)
        integration = integrations.WebSocketLambdaIntegration("Integration", handler)
        return self._add_route(name, integration, answers=answers and not isinstance(function, AgentFunction))

    def grant_connect(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody connect to an API with `Authorization.iam()`; nothing more is asked of who is connected."""
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=["execute-api:Invoke"], resource_arns=[arn_below(self.stage, CONNECT)]
        )

    def grant_manage_connections(self, grantee: iam.IGrantable, *, methods: Sequence[str] = ("POST",)) -> iam.Grant:
        """Let somebody post to connections of this stage, whosever they are.

        Args:
            grantee: Who.
            methods: `POST` to post, `GET` to look when somebody connected, `DELETE` to disconnect. Defaults to `POST`.

        Raises:
            ValueError: A method is another one, or none is given.
        """
        check_at_least("the number of methods", len(methods), 1, "leave methods out, or grant nothing")
        for method in methods:
            check_matches("methods", method, "POST|GET|DELETE", "POST, GET or DELETE")
        return let_manage_connections(self.stage, grantee, *methods)

    def metric_connects(self) -> cloudwatch.Metric:
        """Give the number of those who were let in, per 5 minutes."""
        return self.stage.metric("ConnectCount", statistic="Sum")

    def metric_messages(self) -> cloudwatch.Metric:
        """Give the number of messages, from clients and to them, per 5 minutes."""
        return self.stage.metric("MessageCount", statistic="Sum")

    def metric_client_errors(self) -> cloudwatch.Metric:
        """Give the number of those whom API Gateway refused before it called a function, per 5 minutes."""
        return self.stage.metric("ClientError", statistic="Sum")

    def metric_integration_errors(self) -> cloudwatch.Metric:
        """Give the number of answers with 4xx or 5xx from the functions behind, per 5 minutes."""
        return self.stage.metric("IntegrationError", statistic="Sum")

    def metric_execution_errors(self) -> cloudwatch.Metric:
        """Give the number of functions that could not be called, per 5 minutes."""
        return self.stage.metric("ExecutionError", statistic="Sum")

    def metric_integration_latency(self) -> cloudwatch.Metric:
        """Give how long the functions behind take on average, in ms, per 5 minutes."""
        return self.stage.metric("IntegrationLatency", statistic="Average")

    def _define_handler(self, id: str, handler: str, around: Surroundings) -> lambda_.Function:
        function = define_function(
            self,
            id,
            handler=f"ak_lambda.{handler}",
            memory_size=HANDLER_MEMORY_MIB,
            timeout=HANDLER_TIMEOUT,
            around=around,
        )
        function.add_environment("AK_CONSTRUCTS_CHAT_ROUTE", self.chat_route)
        self._wiring.let_know_users(function)
        return function

    def _define_connection_handler(self) -> lambda_.Function:
        function = self._define_handler("ConnectionHandler", "connection_handler.handler.handler", self._around)
        self._wiring.connections.let_keep(function)
        return function

    def _define_message_handler(self) -> lambda_.Function | None:
        if self.queue is None:
            return None
        around = around_submitter(self.queue, self._around)
        function = self._define_handler("MessageHandler", "request_handler.websocket.handler", around)
        connect_submitter(self.queue, function, large=False)  # SQS takes any message of a WebSocket
        self._wiring.connections.let_post(function)
        return function

    def _define_routes(
        self, authorizer: apigatewayv2.IWebSocketRouteAuthorizer, agent: lambda_.IFunction, *, own_handler: bool
    ) -> None:
        """One integration for each function: permission to call it is given for each route all the same."""
        about_connections = integrations.WebSocketLambdaIntegration("Integration", self.connection_handler)
        about_requests = integrations.WebSocketLambdaIntegration("Integration", self.message_handler or agent)
        self._add_route(CONNECT, about_connections, authorizer=authorizer, answers=False)
        self._add_route(DISCONNECT, about_connections, answers=False)
        for name in (DEFAULT, PING):
            self._add_route(name, about_connections)
        if self.message_handler or not own_handler:
            for name in (self.chat_route, RESUME):
                self._add_route(name, about_requests)
        else:
            self._add_route(self.chat_route, about_requests, answers=False)

    def _add_route(
        self,
        name: str,
        integration: integrations.WebSocketLambdaIntegration,
        *,
        authorizer: apigatewayv2.IWebSocketRouteAuthorizer | None = None,
        answers: bool = True,
    ) -> apigatewayv2.WebSocketRoute:
        self._routes.add(name)
        return self.api.add_route(
            name, integration=integration, authorizer=authorizer, return_response=True if answers else None
        )

    def _connect_route(self, function: AgentFunction) -> None:
        if not function.has_own_handler:
            raise ValueError(
                f"handler must be a function with a handler of its own, got the agent {function.node.path}; what is "
                "for an agent goes to the chat route"
            )
        agent_function_of(function, self, called="API")
        self._wiring.connect_agent_kernel(function)

    def _define_alarms(self) -> list[cloudwatch.Alarm]:
        """Define one for each of the two errors; as which an exception counts, the page of the metrics does not say."""
        minute = cdk.Duration.minutes(1)
        return [
            define_alarm(
                self,
                "IntegrationErrorsAlarm",
                metric=self.metric_integration_errors().with_(period=minute),
                threshold=1,
                description="a function behind a route answered that it failed: look at its log",
            ),
            define_alarm(
                self,
                "ExecutionErrorsAlarm",
                metric=self.metric_execution_errors().with_(period=minute),
                threshold=1,
                description="a function behind a route could not be called: look at its errors and throttles",
            ),
        ]


def _check_free(argument: str, name: str, taken: set[str]) -> None:
    if name in taken:
        raise ValueError(f"{argument} must be free, got {name!r}, which is a route already; take another name")
