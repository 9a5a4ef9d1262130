"""Put a REST API in front of one agent."""

import json

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from ak_constructs._function import define_function, define_log_group
from ak_constructs._limits import API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS
from ak_constructs._validation import check_at_least, check_matches, check_timeout_at_most
from ak_constructs.authorization import Authorization

DEFAULT_CHAT_PATH = "/api/v1/chat"
DEFAULT_RATE_LIMIT = 100
DEFAULT_BURST_LIMIT = 200
HEALTH_RATE_LIMIT = 10
HEALTH_BURST_LIMIT = 20
HEALTH_MEMORY_MIB = 128
MAX_BODY_MIB = 4  # what the runner takes; the gateway would take 10

_SEGMENT = r"/[A-Za-z0-9_.:-]+"
# Everything a request is recognised by, and no query string: a token may travel in one.
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "resourcePath": "$context.resourcePath",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "errorType": "$context.error.responseType",
    "xrayTraceId": "$context.xrayTraceId",
}


class AgentApi(Construct):
    """Defines a REST API that answers each request with one run of an agent.

    ```text
    POST /api/v1/chat -> authorization -> body is a JSON object -> agent -> 200 {"result", "session_id", "request_id"}
    GET  /health      -> a small function of ours, open to everybody, never the agent
    anything else     -> 404 {"error"}
    ```

    The body is a JSON object with `prompt` and, if the caller likes, `agent`, `session_id`, `request_id` (or the
    header `Idempotency-Key`), `images`, `files`; every other key reaches the agent as `turn.extra`. Agent Kernel's
    nested form `{"request_id", "user_id", "body": {...}}` works too. Errors are `{"error": "..."}` with 400 (the
    message names the field), 401 or 403, 404, 413 (over 4 MiB), 429 (throttled) and 502 (the agent failed).

    **When to use**: answers within 29 s. For longer ones put a queue between: no HTTP response waits longer.

    **Resources**, ids relative to this construct: `RestApi` with its stage `prod` (regional, X-Ray, throttled),
    `AccessLogs` the log group of its access log (JSON, no query strings, 30 days), `Health`, `HealthRole`, `HealthLogs`
    the health function (128 MiB), the permission for API Gateway to call each function through its own method.

    **Permissions**: the health function's role may write to its own log group and to X-Ray, as `AgentFunction` says.

    **Not included**: a custom domain, CORS, WAF, and the account's one role for API Gateway logs. API Gateway
    refuses a stage with an access log until that role is set, once per account and region; a library must not set it,
    since every stack that does overwrites the others'. The README has the commands.

    Args:
        scope: The parent.
        id: The id, unique in the parent.
        agent: The function that answers: an `AgentFunction`, a version or alias of one, or an imported one.
        authorization: How callers prove who they are. Defaults to `Authorization.iam()`.
        chat_path: Base path, version and endpoint. Defaults to `/api/v1/chat`.
        rate_limit: Requests per second of the whole stage, at least 1. Defaults to 100; more are answered with 429.
        burst_limit: Requests at once above that rate, at least 1. Defaults to 200.

    Attributes:
        api: The REST API.
        access_logs: The log group of the access log.
        health_function: The function behind `GET /health`.
        chat_path: The chat route's path, below the stage.

    Raises:
        ValueError: `chat_path` has not three segments, a limit is below 1, or the agent's timeout is over 29 s.

    Example:
        ```python
        agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent")
        api = AgentApi(stack, "Api", agent=agent, authorization=Authorization.iam())
        cdk.CfnOutput(stack, "ChatUrl", value=api.chat_url)
        ```

    Sources:
        Timeout of 29 s and body of 10 MB:
        https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
        The account's role for logs: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        agent: lambda_.IFunction,
        authorization: Authorization | None = None,
        chat_path: str = DEFAULT_CHAT_PATH,
        rate_limit: int = DEFAULT_RATE_LIMIT,
        burst_limit: int = DEFAULT_BURST_LIMIT,
    ) -> None:
        super().__init__(scope, id)
        check_matches("chat_path", chat_path, f"({_SEGMENT}){{3}}", f"write it like {DEFAULT_CHAT_PATH}")
        check_at_least("rate_limit", rate_limit, 1, "to close the API, remove it")
        check_at_least("burst_limit", burst_limit, 1, "to close the API, remove it")
        _check_timeout(agent)
        authorization = authorization or Authorization.iam()

        self.chat_path: str = chat_path
        self.access_logs: logs.LogGroup = define_log_group(self, "AccessLogs")
        self.api: apigateway.RestApi = self._define_api(authorization, rate_limit, burst_limit)
        self.health_function: lambda_.Function = self._define_health()
        self._define_chat(agent, authorization)
        self._define_not_found(authorization)
        self._define_error_bodies()

    @property
    def chat_url(self) -> str:
        """The address to POST to, known at deployment."""
        return self.api.url_for_path(self.chat_path)

    def _define_api(self, authorization: Authorization, rate_limit: int, burst_limit: int) -> apigateway.RestApi:
        api = apigateway.RestApi(
            self,
            "RestApi",
            rest_api_name=self.node.path.replace("/", " "),  # what people see; it need not be unique
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,  # it would overwrite the one role that all APIs of the account share
            deploy_options=apigateway.StageOptions(
                access_log_destination=apigateway.LogGroupLogDestination(self.access_logs),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG)),
                tracing_enabled=True,
                metrics_enabled=True,
                throttling_rate_limit=rate_limit,
                throttling_burst_limit=burst_limit,
                method_options={
                    "/health/GET": apigateway.MethodDeploymentOptions(
                        throttling_rate_limit=HEALTH_RATE_LIMIT, throttling_burst_limit=HEALTH_BURST_LIMIT
                    )
                },
                # How the runner learns whose request it is: set here, out of the caller's reach, so that one agent
                # may serve several APIs with different authorizations.
                variables={"akConstructsIdentity": authorization.identity},
            ),
        )
        api.node.try_remove_child("Endpoint")  # an output of the stack is the user's decision
        return api

    def _define_health(self) -> lambda_.Function:
        function = define_function(
            self,
            "Health",
            handler="ak_lambda.health.handler.handler",
            memory_size=HEALTH_MEMORY_MIB,
            timeout=cdk.Duration.seconds(3),
        )
        self.api.root.add_resource("health").add_method(
            "GET",
            apigateway.LambdaIntegration(function, allow_test_invoke=False),
            authorization_type=apigateway.AuthorizationType.NONE,
        )
        return function

    def _define_chat(self, agent: lambda_.IFunction, authorization: Authorization) -> None:
        body = self.api.add_model(
            "JsonObject",
            content_type="application/json",
            schema=apigateway.JsonSchema(
                schema=apigateway.JsonSchemaVersion.DRAFT4, type=apigateway.JsonSchemaType.OBJECT
            ),
        )
        self.api.root.resource_for_path(self.chat_path).add_method(
            "POST",
            apigateway.LambdaIntegration(agent, allow_test_invoke=False),
            authorization_type=authorization.authorization_type,
            request_models={"application/json": body},
            request_validator=self.api.add_request_validator("JsonObjectValidator", validate_request_body=True),
        )

    def _define_not_found(self, authorization: Authorization) -> None:
        """Answer unknown routes with 404 to those who may call; API Gateway's own answer is 403, as if unsigned."""
        response = apigateway.IntegrationResponse(
            status_code="404", response_templates={"application/json": '{"error": "no such route"}'}
        )
        for resource in (self.api.root, self.api.root.add_resource("{proxy+}")):
            resource.add_method(
                "ANY",
                apigateway.MockIntegration(
                    request_templates={"application/json": '{"statusCode": 404}'},
                    passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
                    integration_responses=[response],
                ),
                authorization_type=authorization.authorization_type,
                method_responses=[apigateway.MethodResponse(status_code="404")],
            )

    def _define_error_bodies(self) -> None:
        """Give what API Gateway answers itself the one shape that every error here has."""
        as_it_is = '{"error": $context.error.messageString}'
        fixed = json.dumps({"error": "body must be a JSON object"})
        for name, type_, template in (
            ("BadRequestBody", apigateway.ResponseType.BAD_REQUEST_BODY, fixed),
            ("ClientError", apigateway.ResponseType.DEFAULT_4_XX, as_it_is),
            ("ServerError", apigateway.ResponseType.DEFAULT_5_XX, as_it_is),
        ):
            self.api.add_gateway_response(name, type=type_, templates={"application/json": template})


def _check_timeout(agent: lambda_.IFunction) -> None:
    """Nobody would hear what an agent says after the API hung up; an imported function's timeout is not known."""
    if isinstance(agent, lambda_.Function):
        check_timeout_at_most(
            "agent's timeout",
            agent.timeout,
            API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS,
            "lower it, since a REST API waits no longer",
        )
