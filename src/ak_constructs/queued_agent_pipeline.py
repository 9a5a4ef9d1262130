"""Put a REST API in front of an agent's queue: wait for the answer, or submit and ask later."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from ak_constructs._alarms import define_alarm
from ak_constructs._chat_path import DEFAULT_CHAT_PATH, check_chat_path, name_routes
from ak_constructs._custom_routes import define_route
from ak_constructs._function import Surroundings, define_function
from ak_constructs._in_front import around_submitter, connect_submitter, queue_of
from ak_constructs._limits import API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS
from ak_constructs._rest_api import add_json_method, add_method, define_front, define_not_found, define_web_acl
from ak_constructs._stage import DEFAULT_RATE_LIMIT
from ak_constructs._validation import check_at_least, check_matches
from ak_constructs.agent_queue import AgentQueue, wiring_of
from ak_constructs.authorization import Authorization, proof_of

REQUEST_HANDLER_MEMORY_MIB = 256
ROUTE_TIMEOUT = cdk.Duration.seconds(API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS)
REQUEST_HANDLER_TIMEOUT = cdk.Duration.seconds(API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS + 1)


class QueuedAgentPipeline(Construct):
    """Defines a REST API that puts requests into an agent's queue, and waits for answers or hands them out later.

    ```text
    POST /api/v1/chat              -> authorization -> request handler -> requests table, then `AgentQueue` -> agent
                                                       waits and looks  <- requests table <-  its answer
    GET  /api/v1/chat/{request_id} -> authorization -> request handler -> the answer, or 202 while there is none
    GET  /health                   -> a small function of ours, open to everybody
    your own routes                -> the same authorization -> your function, at once
    ```

    The body is that of `AgentApi`. `request_id` (or the header `Idempotency-Key`) makes a request the same when it is
    sent again: it is run once, and answered as often as it is asked for. Who made up no id finds it in a 202.

    | case | status | body |
    |---|---|---|
    | the answer | 200 | the agent's, or `{"result", "session_id", "request_id"}` |
    | submitted, no wait | 202, `Location`, `Retry-After` | `{"status": "ACCEPTED", "request_id", "session_id"}` |
    | no answer yet | 202, the same | `{"status": "PENDING", "request_id", "session_id", "progress"?}` |
    | an answer over 5 MiB | 303, `Location` a link for 300 s | `{"status": "DONE", "request_id", "session_id"}` |
    | not known, somebody else's, or expired | 404 | `{"status": "NOT_FOUND", "request_id", "error"}` |
    | the id stands for another user's request or body | 409 | `{"error"}` |
    | every run failed | 502 | `{"status": "FAILED", "request_id", "error"}` |
    | a service is busy; send the same again | 503, `Retry-After` | `{"error", "request_id"}` |

    202 always and only means "not final". Everything else is as in `AgentApi`; somebody else's session is 403. A poll
    may name the id in its query (`?request_id=`) or, as Agent Kernel's clients do, in its body; a trusted backend's
    poll names its `user_id` there too.

    **Waiting**: `Prefer: respond-async` is not to wait, `Prefer: wait=10` to wait for at most 10 s; a POST without
    either does as `mode` says, a GET looks once. A wait ends 1.5 s before API Gateway hangs up at 29 s, with 202. It
    looks into the table at once and then in steps of 40 ms, later of 4.5 % of the time waited. Each waiting caller
    occupies an environment of the request handler: requests per second times the seconds they wait is how many you
    need; `max_waiting` reserves and bounds them. Callers above it are refused, polls too, and `throttled_alarm` says
    so.
    Without it, callers who wait share the account's concurrency with the runs they wait for: in production, set it.

    **When to use**: `AgentApi` is simpler for agents that are done in seconds and need not be run again when they die.

    **Resources**, ids relative to this construct: `Queue`, an `AgentQueue`, unless one is given; `RestApi` with its
    stage `prod`, `AccessLogs`, `Health` and what the authorization needs, as `AgentApi` has them; `RequestHandler`,
    `RequestHandlerRole`, `RequestHandlerLogs` (256 MiB, 30 s); `ThrottledAlarm`.

    **Permissions** of the request handler: `dynamodb:GetItem`, `dynamodb:PutItem` and `dynamodb:UpdateItem` on the
    requests table, `sqs:SendMessage` to the request queue, `s3:PutObject` on `requests/*` and `s3:GetObject` on
    `answers/*` of the queue's bucket, and what the session store says of a function that looks whose a session is;
    in a VPC, also with sessions in Redis, those of a function there, on `*`, as `AgentFunction` says. Where the queue
    has a key, `kms:Decrypt` and `kms:GenerateDataKey` on it, and for items also `kms:DescribeKey`, `kms:Encrypt`,
    `kms:GenerateDataKeyWithoutPlaintext`, `kms:ReEncryptFrom` and `kms:ReEncryptTo`, through SQS, S3 and DynamoDB only.

    **In a VPC** (`vpc`) the functions must reach the table, the queue and the bucket: `docs/private.md` has the
    endpoints. With sessions in Redis the request handler runs in the agent's network if no `vpc` is given. `AgentApi`
    says what **private** means with `vpc_endpoint`; a link to a large answer is S3's, for which callers need a way.

    **Not included**: a custom domain, a web ACL's rules, and the account's one role for API Gateway logs (see
    `AgentApi`).

    Args:
        scope: The parent, in the agent's stack.
        id: The id, unique in the parent.
        agent: The function that answers, as `AgentQueue` takes it; or an `AgentQueue`, to set its options or to put
            two APIs in front of it.
        authorization: How callers prove who they are. Defaults to `Authorization.iam()`.
        mode: `rest_sync` waits for the answer, `rest_async` answers 202 at once, unless the caller prefers otherwise.
            Defaults to `rest_sync`.
        chat_path: Base path, version and endpoint. Defaults to `/api/v1/chat`.
        cors: Which web pages may call; expose `Location` and `Retry-After` to them; the headers of your own routes
            are yours. Defaults to none.
        rate_limit: Requests per second for each route, at least 1, and twice as many at once. Defaults to 100; more
            are answered with 429.
        max_waiting: How many callers may wait at once, at least 1; reserved from the account's concurrency. Defaults to
            no reservation.
        vpc_endpoint: The endpoint, for `execute-api`, that makes the API private. Defaults to a public API.
        key: Encrypts the access log, the functions' variables and logs, and all that the `AgentQueue` keeps which is
            defined here; one that is given has its own `key`. Defaults to keys of AWS's. An imported key must let
            CloudWatch Logs use it: `docs/private.md` has the statement.
        vpc: The network of the functions, with those of the `AgentQueue` that is defined here. Defaults to none.
        vpc_subnets: Which subnets of `vpc`. Defaults to the private ones.
        security_groups: Needs `vpc`. Defaults to one for each function, which may call everybody.

    Attributes:
        access_logs: The log group of the access log.
        api: The REST API.
        api_key: The key of `Authorization.api_key()`, else None.
        authorizer: The authorizer of `Authorization.jwt()`, `.cognito()` and `.lambda_function()`, else None.
        authorizer_function: The function of `Authorization.jwt()`, else None.
        chat_path: The chat route's path, below the stage.
        health_function: The function behind `GET /health`.
        queue: The queue behind.
        request_handler: The function that submits, waits and looks up.
        throttled_alarm: Callers were refused because too many waited.
        usage_plan: The plan of `Authorization.api_key()`, else None.

    Raises:
        TypeError: `authorization` is not made by a factory.
        ValueError: `mode` or `chat_path` is malformed, a limit is below 1, or what `AgentQueue` refuses.

    Example:
        ```python
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent", timeout=cdk.Duration.minutes(5))
        pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, authorization=Authorization.iam())
        cdk.CfnOutput(stack, "ChatUrl", value=pipeline.chat_url)
        ```

    Sources:
        Timeout of 29 s:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
        Prefer: https://www.rfc-editor.org/rfc/rfc7240
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        agent: lambda_.FunctionBase | lambda_.IFunction | AgentQueue,
        authorization: Authorization | None = None,
        mode: str = "rest_sync",
        chat_path: str = DEFAULT_CHAT_PATH,
        cors: apigateway.CorsOptions | None = None,
        rate_limit: int = DEFAULT_RATE_LIMIT,
        max_waiting: int | None = None,
        vpc_endpoint: ec2.IInterfaceVpcEndpoint | None = None,
        key: kms.Key | kms.IKey | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
    ) -> None:
        super().__init__(scope, id)
        check_chat_path(agent.agent if isinstance(agent, AgentQueue) else agent, chat_path)
        check_matches("mode", mode, "rest_sync|rest_async", "rest_sync or rest_async")
        check_at_least("rate_limit", rate_limit, 1, "to close the API, remove it")
        if max_waiting is not None:
            check_at_least("max_waiting", max_waiting, 1, "leave it out to let the account's pool bound it")
        proof = proof_of(authorization or Authorization.iam())

        self.chat_path: str = chat_path
        self._around = Surroundings(key=key, vpc=vpc, vpc_subnets=vpc_subnets, security_groups=security_groups)
        self.queue: AgentQueue = queue_of(self, agent, self._around)
        self._front = define_front(
            self,
            proof=proof,
            cors=cors,
            rate_limit=rate_limit,
            memory_backend=self.queue.session_store.memory_backend,
            vpc_endpoint=vpc_endpoint,
            around=self._around,
        )
        self._authorization = self._front.authorization
        self.access_logs: logs.LogGroup = self._front.access_logs
        self.api: apigateway.RestApi = self._front.api
        self.api_key: apigateway.IApiKey | None = self._authorization.api_key
        self.authorizer: apigateway.IAuthorizer | None = self._authorization.authorizer
        self.authorizer_function: lambda_.Function | None = self._authorization.function
        self.health_function: lambda_.Function = self._front.health_function
        self.usage_plan: apigateway.UsagePlan | None = self._authorization.usage_plan
        self.request_handler: lambda_.Function = self._define_request_handler(mode, max_waiting)
        self._define_routes()
        define_not_found(self.api, self._authorization)
        self.throttled_alarm: cloudwatch.Alarm = self._define_throttled_alarm()
        name_routes(self.queue.agent, chat_path)
        wiring_of(self.queue).name_mode(mode)

    @property
    def url(self) -> str:
        """The address of the stage, known at deployment; it ends with a slash."""
        return self._front.url("/")

    @property
    def chat_url(self) -> str:
        """The address to POST to, known at deployment; polls go to this, a slash and the request id."""
        return self._front.url(self.chat_path)

    def add_route(
        self,
        method: str,
        path: str,
        handler: lambda_.FunctionBase | lambda_.IFunction,
        *,
        scopes: Sequence[str] | None = None,
    ) -> apigateway.Method:
        """Add a route of your own, behind the API's authorization and past the queue, as `AgentApi.add_route` does.

        Args:
            method: `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `HEAD` or `ANY`.
            path: Below the chat route's base path and version, so `/app` becomes `/api/v1/app`; `{name}` stands for
                any segment.
            handler: The function, which gets API Gateway's proxy event and answers within 29 s.
            scopes: OAuth scopes that this route asks for, as there. Defaults to none.

        Raises:
            ValueError: The method, the path or a scope is malformed, the authorization knows no scopes, the handler's
                timeout is longer than the API waits, or another API gave it another chat path.
        """
        return define_route(
            self._front, method, path, handler, chat_path=self.chat_path, scopes=scopes, timeout=ROUTE_TIMEOUT
        )

    def add_web_acl(self, web_acl: str | wafv2.CfnWebACL) -> wafv2.CfnWebACLAssociation:
        """Have a web ACL of AWS WAF look at each request before anything else does, as `AgentApi.add_web_acl` does.

        Args:
            web_acl: The ACL or its ARN.

        Raises:
            ValueError: The API has one already.
        """
        return define_web_acl(self, self.api, web_acl)

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody submit and poll at an API with `Authorization.iam()`.

        That is every `GET` below the chat route, routes of your own too: in a policy a star takes slashes.
        """
        stage = self.api.deployment_stage.stage_name
        routes = [("POST", ""), ("GET", ""), ("GET", "/*")]
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["execute-api:Invoke"],
            resource_arns=[
                self.api.arn_for_execute_api(method, f"{self.chat_path}{below}", stage) for method, below in routes
            ],
        )

    def metric_waiting_callers(self) -> cloudwatch.Metric:
        """Give the number of callers that wait or are being answered, the most in 5 minutes."""
        return self.request_handler.metric("ConcurrentExecutions", statistic="Maximum")

    def _define_request_handler(self, mode: str, max_waiting: int | None) -> lambda_.Function:
        function = define_function(
            self,
            "RequestHandler",
            handler="ak_lambda.request_handler.handler.handler",
            memory_size=REQUEST_HANDLER_MEMORY_MIB,
            timeout=REQUEST_HANDLER_TIMEOUT,
            reserved_concurrent_executions=max_waiting,
            around=around_submitter(self.queue, self._around),
        )
        function.add_environment("AK_CONSTRUCTS_MODE", mode)
        connect_submitter(self.queue, function)
        return function

    def _define_routes(self) -> None:
        integration = apigateway.LambdaIntegration(self.request_handler, allow_test_invoke=False)
        chat = self.api.root.resource_for_path(self.chat_path)
        asked = self._authorization.for_route("POST", chat.path, None)
        add_json_method(chat, "POST", integration, api=self.api, authorization=asked)
        for resource in (chat, chat.add_resource("{request_id}")):
            asked = self._authorization.for_route("GET", resource.path, None)
            add_method(resource, "GET", integration, authorization=asked)

    def _define_throttled_alarm(self) -> cloudwatch.Alarm:
        return define_alarm(
            self,
            "ThrottledAlarm",
            metric=self.request_handler.metric_throttles(period=cdk.Duration.minutes(1)),
            threshold=1,
            description="callers are refused: more wait at once than max_waiting or the account allows",
        )
