"""Put a REST API in front of one agent."""

from collections.abc import Sequence

import aws_cdk as cdk
import jsii
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from ak_constructs._chat_path import DEFAULT_CHAT_PATH, check_chat_path, name_routes
from ak_constructs._custom_routes import check_answers_within, define_route, integration_of
from ak_constructs._function import Surroundings, function_behind
from ak_constructs._limits import API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS, LAMBDA_TIMEOUT_SECONDS
from ak_constructs._rest_api import add_json_method, define_front, define_not_found, define_web_acl
from ak_constructs._stage import DEFAULT_RATE_LIMIT
from ak_constructs._validation import check_at_least, check_timeout_at_most
from ak_constructs.agent_function import AgentFunction
from ak_constructs.authorization import Authorization, proof_of

MAX_BODY_MIB = 4  # what the runner takes; the gateway would take 10


class AgentApi(Construct):
    """Defines a REST API that answers each request with one run of an agent.

    ```text
    POST /api/v1/chat -> authorization -> body is a JSON object -> agent -> 200 {"result", "session_id", "request_id"}
    GET  /health      -> a small function of ours, open to everybody, never the agent
    your own routes   -> the same authorization -> your function
    anything else     -> 404 {"error"}
    ```

    The body is a JSON object with `prompt` and, if the caller likes, `agent`, `session_id` and `request_id` (or the
    header `Idempotency-Key`); every other key, the lists `images` and `files` too, reaches the agent as `turn.extra`.
    Agent Kernel's nested form `{"request_id", "user_id", "body": {...}}` works too. Errors are `{"error": "..."}` with
    400 (the message names the field), 401 (no credentials, or wrong ones), 403 (not allowed, not signed, or somebody
    else's session, where a `SessionStore` is attached), 404 (no such route, for those who may call), 413 (over 4 MiB),
    429 (throttled), 502 (the agent failed), 503 (what the agent uses is busy, or the tokens' issuer is away) and 504
    (it took too long). Health is `{"status", "timestamp", "runtime", "memory_backend"}`.

    An `AgentFunction` with a handler of its own, agent or behind a route, gets the chat route's three segments as
    `API_BASE_PATH`, `API_VERSION` and `AGENT_ENDPOINT`, from which `agentkernel` knows its routes.

    **When to use**: answers within 29 s. For longer ones put a queue between: no HTTP response waits longer.

    **Private**: with `vpc_endpoint` the API is reached through that endpoint only, health too, and its resource policy
    refuses everything else. Proof of who calls is asked for as before. `api.add_to_resource_policy(...)` adds your own
    statements to a private or a public API. Careful: with `Authorization.iam()` and `.lambda_function()` whoever the
    resource policy allows needs no other permission, if they are of the API's account.

    **Resources**, ids relative to this construct: `RestApi` with its stage `prod` (regional, `TLS_1_2`, X-Ray,
    throttled), `AccessLogs` the log group of its access log (JSON, no query strings, 30 days, retained), `Health`,
    `HealthRole`, `HealthLogs` the health function (128 MiB), `Authorizer`, or `ApiKey` and `UsagePlan`, where the
    authorization needs them, with `AuthorizerFunction`, `AuthorizerFunctionRole`, `AuthorizerFunctionLogs` and the
    layer `JwtLibrary` for `Authorization.jwt()`, `WebAcl`, if one is added; below `RestApi` the routes, a model and a
    validator for the body, a gateway response for each kind of error, and for each function the permission to be called
    through its own route.

    **Permissions**: the roles of the health function and of `AuthorizerFunction` may write to their own log groups and
    to X-Ray, as `AgentFunction` says, and in a VPC what it says of one. With a `key` nothing more.

    **Not included**: a custom domain, a web ACL's rules, and the account's one role for API Gateway logs. API Gateway
    refuses a stage with an access log until that role is set, once per account and region; a library must not set it,
    since every stack that does overwrites the others'. docs/deploying.md has the commands.

    Args:
        scope: The parent.
        id: The id, unique in the parent.
        agent: The function that answers: an `AgentFunction`, a version or alias of one, or an imported one.
        authorization: How callers prove who they are. Defaults to `Authorization.iam()`.
        chat_path: Base path, version and endpoint. Defaults to `/api/v1/chat`.
        cors: Which web pages may call. The runner's and the gateway's own answers then carry the headers; those of
            your own routes are yours. Defaults to none.
        rate_limit: Requests per second for each route, at least 1, and twice as many at once. Defaults to 100; more
            are answered with 429. How many runs that can be at once is up to the agent:
            `reserved_concurrent_executions` bounds them.
        raised_timeout: The integration timeout to which your account's quota was raised, over 29 s and at most 900 s.
            Defaults to no raised quota: 29 s.
        vpc_endpoint: The endpoint, for `execute-api`, that makes the API private. Defaults to a public API.
        key: Encrypts the access log, and the health function's variables and logs. Defaults to keys of AWS's. An
            imported key must let CloudWatch Logs use it: `docs/private.md` has the statement.
        vpc: The network of the health function, which needs no endpoint there. Defaults to none.
        vpc_subnets: Which subnets of `vpc`. Defaults to the private ones.
        security_groups: Needs `vpc`. Defaults to a group of its own that may call everybody.

    Attributes:
        access_logs: The log group of the access log.
        api: The REST API.
        api_key: The key of `Authorization.api_key()`, else None.
        authorizer: The authorizer of `Authorization.jwt()`, `.cognito()` and `.lambda_function()`, else None.
        authorizer_function: The function of `Authorization.jwt()`, else None.
        chat_path: The chat route's path, below the stage.
        chat_url: The address to POST to, known at deployment; a private API's is known everywhere and reached only
            where the endpoint is.
        health_function: The function behind `GET /health`.
        usage_plan: The plan of `Authorization.api_key()`, else None.

    Raises:
        TypeError: `authorization` is not made by a factory.
        ValueError: `chat_path` has not three segments, a limit is below 1, `raised_timeout` is out of range, the
            agent's timeout is longer than the API waits, or another API gave the agent another chat path.

    Example:
        ```python
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent")
        api = AgentApi(stack, "Api", agent=agent, authorization=Authorization.iam())
        cdk.CfnOutput(stack, "ChatUrl", value=api.chat_url)
        ```

    Sources:
        Timeout of 29 s and body of 10 MB:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
        Who needs a resource policy's permission:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
        Addresses of private APIs:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-private-api-test-invoke-url.html
        The account's role for logs: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        agent: lambda_.FunctionBase | lambda_.IFunction,
        authorization: Authorization | None = None,
        chat_path: str = DEFAULT_CHAT_PATH,
        cors: apigateway.CorsOptions | None = None,
        rate_limit: int = DEFAULT_RATE_LIMIT,
        raised_timeout: cdk.Duration | None = None,
        vpc_endpoint: ec2.IInterfaceVpcEndpoint | None = None,
        key: kms.Key | kms.IKey | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
    ) -> None:
        super().__init__(scope, id)
        check_chat_path(agent, chat_path)
        check_at_least("rate_limit", rate_limit, 1, "to close the API, remove it")
        self._timeout = _check_timeouts(agent, raised_timeout)
        proof = proof_of(authorization or Authorization.iam())

        self.chat_path: str = chat_path
        self._front = define_front(
            self,
            proof=proof,
            cors=cors,
            rate_limit=rate_limit,
            memory_backend=cdk.Lazy.string(_MemoryBackend(agent)),
            vpc_endpoint=vpc_endpoint,
            around=Surroundings(key=key, vpc=vpc, vpc_subnets=vpc_subnets, security_groups=security_groups),
        )
        self._authorization = self._front.authorization
        self.access_logs: logs.LogGroup = self._front.access_logs
        self.api: apigateway.RestApi = self._front.api
        self.api_key: apigateway.IApiKey | None = self._authorization.api_key
        self.authorizer: apigateway.IAuthorizer | None = self._authorization.authorizer
        self.authorizer_function: lambda_.Function | None = self._authorization.function
        self.health_function: lambda_.Function = self._front.health_function
        self.usage_plan: apigateway.UsagePlan | None = self._authorization.usage_plan
        add_json_method(
            self.api.root.resource_for_path(chat_path),
            "POST",
            integration_of(agent, self._timeout),
            api=self.api,
            authorization=self._authorization.for_route("POST", chat_path, None),
        )
        define_not_found(self.api, self._authorization)
        name_routes(agent, chat_path)

    @property
    def url(self) -> str:
        """The address of the stage, known at deployment; it ends with a slash."""
        return self._front.url("/")

    @property
    def chat_url(self) -> str:
        """The address to POST to, known at deployment."""
        return self._front.url(self.chat_path)

    def add_route(
        self,
        method: str,
        path: str,
        handler: lambda_.FunctionBase | lambda_.IFunction,
        *,
        scopes: Sequence[str] | None = None,
    ) -> apigateway.Method:
        """Add a route of your own, behind the API's authorization.

        The function gets API Gateway's proxy event and answers `{"statusCode", "headers", "body"}`.

        Args:
            method: `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `HEAD` or `ANY`.
            path: Below the chat route's base path and version, so `/app` becomes `/api/v1/app`; `{name}` stands for
                any segment.
            handler: The function; with an `agentkernel` handler, the agent itself.
            scopes: OAuth scopes that this route asks for: with `Authorization.jwt()` all of them, beside those of the
                API; with `.cognito()` one of them, instead of the API's. Defaults to none.

        Raises:
            ValueError: The method, the path or a scope is malformed, the authorization knows no scopes, the handler's
                timeout is longer than the API waits, or another API gave it another chat path.
        """
        return define_route(
            self._front, method, path, handler, chat_path=self.chat_path, scopes=scopes, timeout=self._timeout
        )

    def add_web_acl(self, web_acl: str | wafv2.CfnWebACL) -> wafv2.CfnWebACLAssociation:
        """Have a web ACL of AWS WAF, regional and in the API's region, look at each request before anything else does.

        What it blocks is answered with 403 and `{"error"}`. It may be called once. WAF's page names REST APIs without
        regard to their kind of endpoint; with a private one it was not tried.
        https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-control-access-aws-waf.html

        Args:
            web_acl: The ACL or its ARN.

        Raises:
            ValueError: The API has one already.
        """
        return define_web_acl(self, self.api, web_acl)

    def arn_for_execute_api(self, method: str = "*", path: str = "/*") -> str:
        """Give the ARN of a route, for policies: `execute-api:Invoke` on it lets a caller in."""
        return self.api.arn_for_execute_api(method, path, self.api.deployment_stage.stage_name)

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let somebody call the chat route of an API with `Authorization.iam()`."""
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["execute-api:Invoke"],
            resource_arns=[self.arn_for_execute_api("POST", self.chat_path)],
        )

    def metric_count(self) -> cloudwatch.Metric:
        """Give the number of requests, per 5 minutes."""
        return self.api.deployment_stage.metric_count()

    def metric_latency(self) -> cloudwatch.Metric:
        """Give the average time from request to response in ms, per 5 minutes."""
        return self.api.deployment_stage.metric_latency()

    def metric_client_error(self) -> cloudwatch.Metric:
        """Give the number of 4xx answers, per 5 minutes."""
        return self.api.deployment_stage.metric_client_error()

    def metric_server_error(self) -> cloudwatch.Metric:
        """Give the number of 5xx answers, per 5 minutes."""
        return self.api.deployment_stage.metric_server_error()


def _check_timeouts(agent: lambda_.IFunction, raised_timeout: cdk.Duration | None) -> cdk.Duration:
    """Give how long the API waits."""
    timeout = raised_timeout or cdk.Duration.seconds(API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS)
    if raised_timeout and not raised_timeout.is_unresolved():
        check_at_least(
            "raised_timeout in seconds",
            raised_timeout.to_seconds(),
            API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS + 1,
            "leave it out unless your account's quota was raised",
        )
    check_timeout_at_most("raised_timeout", raised_timeout, LAMBDA_TIMEOUT_SECONDS, "lower it: no function runs longer")
    check_answers_within(agent, timeout)
    return timeout


@jsii.implements(cdk.IStableStringProducer)
class _MemoryBackend:
    """What keeps the agent's conversations, as health says it; a store may be attached after the API was defined."""

    def __init__(self, agent: lambda_.IFunction) -> None:
        self._function = function_behind(agent)

    def produce(self) -> str:
        """Give the name when the template is made."""
        store = self._function.session_store if isinstance(self._function, AgentFunction) else None
        return store.memory_backend if store else "none"
