"""How a REST API of ours is defined: its stage, what it answers itself, its health."""

import json
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from ak_constructs._cors import cors_variables, error_headers
from ak_constructs._function import define_function
from ak_constructs.authorization import MethodAuthorization

HEALTH_RATE_LIMIT = 10
HEALTH_BURST_LIMIT = 20
HEALTH_MEMORY_MIB = 128

_NO_SUCH_ROUTE = json.dumps({"error": "no such route"})
_GATEWAY_ERRORS = {
    "AccessDenied": (apigateway.ResponseType.ACCESS_DENIED, "not allowed"),
    "BadRequestBody": (apigateway.ResponseType.BAD_REQUEST_BODY, "body must be a JSON object"),
    "ClientError": (apigateway.ResponseType.DEFAULT_4_XX, "refused: $context.error.responseType"),
    "IntegrationTimeout": (apigateway.ResponseType.INTEGRATION_TIMEOUT, "the agent took too long"),
    "MissingToken": (apigateway.ResponseType.MISSING_AUTHENTICATION_TOKEN, "not allowed: the request is not signed"),
    "ServerError": (apigateway.ResponseType.DEFAULT_5_XX, "failed: $context.error.responseType"),
    "Throttled": (apigateway.ResponseType.THROTTLED, "too many requests; try again later"),
    "TooLarge": (apigateway.ResponseType.REQUEST_TOO_LARGE, "body is too large"),
    "Unauthorized": (apigateway.ResponseType.UNAUTHORIZED, "not allowed: no credentials, or wrong ones"),
}
# Everything a request is recognised by, and no query string: a token may travel in one.
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "extendedRequestId": "$context.extendedRequestId",  # the caller can set the other one
    "requestTime": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "caller": "$context.identity.user",
    "principal": "$context.authorizer.principalId",
    "apiKeyId": "$context.identity.apiKeyId",
    "method": "$context.httpMethod",
    "resourcePath": "$context.resourcePath",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "errorType": "$context.error.responseType",
    "xrayTraceId": "$context.xrayTraceId",
}


def define_rest_api(
    scope: Construct,
    *,
    access_logs: logs.ILogGroup,
    identity: str,
    cors: apigateway.CorsOptions | None,
    rate_limit: int,
    burst_limit: int,
) -> apigateway.RestApi:
    """Define an API with one stage: regional, traced, throttled, with an access log."""
    api = apigateway.RestApi(
        scope,
        "RestApi",
        rest_api_name=scope.node.path.replace("/", " "),  # what people see; it need not be unique
        endpoint_types=[apigateway.EndpointType.REGIONAL],
        cloud_watch_role=False,  # it would overwrite the one role that all APIs of the account share
        default_cors_preflight_options=cors,
        deploy_options=apigateway.StageOptions(
            access_log_destination=apigateway.LogGroupLogDestination(access_logs),
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
            # How the runner learns whose request it is: set here, out of the caller's reach, so that one agent may
            # serve several APIs with different authorizations.
            variables={"akConstructsIdentity": identity, **cors_variables(cors)},
        ),
    )
    api.node.try_remove_child("Endpoint")  # an output of the stack is the user's decision
    _define_error_bodies(api, cors)
    return api


def define_health(scope: Construct, api: apigateway.RestApi, *, memory_backend: str) -> lambda_.Function:
    """Define `GET /health`, open to everybody, answered by a small function of ours."""
    function = define_function(
        scope,
        "Health",
        handler="ak_lambda.health.handler.handler",
        memory_size=HEALTH_MEMORY_MIB,
        timeout=cdk.Duration.seconds(3),
    )
    function.add_environment("AK_CONSTRUCTS_MEMORY_BACKEND", memory_backend)
    integration = apigateway.LambdaIntegration(function, allow_test_invoke=False)
    nobody = MethodAuthorization(authorization_type=apigateway.AuthorizationType.NONE)
    add_method(api.root.add_resource("health"), "GET", integration, authorization=nobody)
    return function


def define_not_found(api: apigateway.RestApi, authorization: MethodAuthorization) -> None:
    """Answer unknown routes with 404 to those who may call; API Gateway's own answer is 403, as if unsigned."""
    integration = apigateway.MockIntegration(
        request_templates={"application/json": '{"statusCode": 404}'},
        passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
        integration_responses=[
            apigateway.IntegrationResponse(status_code="404", response_templates={"application/json": _NO_SUCH_ROUTE})
        ],
    )
    answers = [apigateway.MethodResponse(status_code="404")]
    for resource in (api.root, api.root.add_resource("{proxy+}")):
        add_method(resource, "ANY", integration, authorization=authorization, method_responses=answers)


def add_json_method(
    resource: apigateway.IResource,
    method: str,
    integration: apigateway.Integration,
    *,
    api: apigateway.RestApi,
    authorization: MethodAuthorization,
) -> apigateway.Method:
    """Add a method whose body the gateway holds to be a JSON object; the function behind names the fields."""
    schema = apigateway.JsonSchema(schema=apigateway.JsonSchemaVersion.DRAFT4, type=apigateway.JsonSchemaType.OBJECT)
    return add_method(
        resource,
        method,
        integration,
        authorization=authorization,
        model=api.add_model("JsonObject", content_type="application/json", schema=schema),
        validator=api.add_request_validator("JsonObjectValidator", validate_request_body=True),
    )


def add_method(
    resource: apigateway.IResource,
    method: str,
    integration: apigateway.Integration,
    *,
    authorization: MethodAuthorization,
    model: apigateway.IModel | None = None,
    validator: apigateway.IRequestValidator | None = None,
    method_responses: Sequence[apigateway.MethodResponse] | None = None,
) -> apigateway.Method:
    """Add a method behind an authorization."""
    return resource.add_method(
        method,
        integration,
        authorization_type=authorization.authorization_type,
        authorizer=authorization.authorizer,
        authorization_scopes=list(authorization.scopes) if authorization.scopes else None,
        api_key_required=authorization.api_key is not None,
        request_models={"application/json": model} if model else None,
        request_validator=validator,
        method_responses=method_responses,
    )


def _define_error_bodies(api: apigateway.RestApi, cors: apigateway.CorsOptions | None) -> None:
    """Give what API Gateway answers itself the one shape that every error here has.

    Never its own text: that of a wrong signature, for one, repeats the request's headers, tokens included.
    """
    for name, (type_, error) in _GATEWAY_ERRORS.items():
        api.add_gateway_response(
            name,
            type=type_,
            templates={"application/json": json.dumps({"error": error})},
            response_headers=error_headers(cors),
        )
    api.add_gateway_response(
        "NoSuchRoute",  # only the mock behind unknown routes minds the type of a body
        type=apigateway.ResponseType.UNSUPPORTED_MEDIA_TYPE,
        status_code="404",
        templates={"application/json": _NO_SUCH_ROUTE},
        response_headers=error_headers(cors),
    )
