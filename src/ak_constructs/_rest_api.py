"""How a REST API of ours is defined: its stage, who may call it, what it answers itself, its health."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from ak_constructs._cors import cors_variables
from ak_constructs._function import Surroundings, define_function, define_log_group
from ak_constructs._gateway_errors import NO_SUCH_ROUTE, define_error_bodies
from ak_constructs._private_api import address_of, endpoint_configuration, let_in_through
from ak_constructs._proof import MethodAuthorization, Proof
from ak_constructs._stage import BURST_FACTOR, STAGE
from ak_constructs._validation import check_matches

# A regional API takes TLS 1.0 otherwise, a private one does not; TLS 1.3 is taken too. The policies for 1.3 alone would
# turn away clients, and break the names of private APIs unless their endpoint access mode is BASIC.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-security-policies-list.html, read 2026-11-21
SECURITY_POLICY = "TLS_1_2"
HEALTH_RATE_LIMIT = 10
HEALTH_BURST_LIMIT = 20
HEALTH_MEMORY_MIB = 128
_WEB_ACL = r"arn:[^:]+:wafv2:[^:]+:[^:]+:regional/webacl/.+"

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Front:
    """An API with its authorization, its access log and its health."""

    access_logs: logs.LogGroup
    api: apigateway.RestApi
    authorization: MethodAuthorization
    health_function: lambda_.Function
    vpc_endpoint: ec2.IInterfaceVpcEndpoint | None

    def url(self, path: str) -> str:
        """Give a path's address, known at deployment."""
        return address_of(self.api, path, self.vpc_endpoint)


def define_front(
    scope: Construct,
    *,
    proof: Proof,
    cors: apigateway.CorsOptions | None,
    rate_limit: int,
    memory_backend: str,
    vpc_endpoint: ec2.IInterfaceVpcEndpoint | None,
    around: Surroundings,
) -> Front:
    """Define an API, still without routes but for its health."""
    access_logs = define_log_group(scope, "AccessLogs", key=around.key)
    api = _define_rest_api(
        scope,
        access_logs=access_logs,
        proof=proof,
        cors=cors,
        rate_limit=rate_limit,
        vpc_endpoint=vpc_endpoint,
    )
    asked = proof.define(scope, api, around.key)
    if vpc_endpoint:
        let_in_through(vpc_endpoint, api, asked.authorization_type, has_preflights=cors is not None)
    health = _define_health(scope, api, memory_backend=memory_backend, around=around)
    return Front(
        access_logs=access_logs, api=api, authorization=asked, health_function=health, vpc_endpoint=vpc_endpoint
    )


def define_web_acl(
    scope: Construct, api: apigateway.RestApi, web_acl: str | wafv2.CfnWebACL
) -> wafv2.CfnWebACLAssociation:
    """Have a web ACL look at each request of an API's stage first."""
    if scope.node.try_find_child("WebAcl"):
        raise ValueError(
            f"add_web_acl must be called once, got a second web ACL for {scope.node.path}; add its rules to the first"
        )
    if isinstance(web_acl, str):
        check_matches(
            "web_acl", web_acl, _WEB_ACL, "a regional web ACL or its ARN, arn:aws:wafv2:...:regional/webacl/..."
        )
    elif web_acl.scope != "REGIONAL":
        raise ValueError(f"web_acl must have the scope REGIONAL, got {web_acl.scope}; make one for the region")
    return wafv2.CfnWebACLAssociation(
        scope,
        "WebAcl",
        resource_arn=api.deployment_stage.stage_arn,
        web_acl_arn=web_acl if isinstance(web_acl, str) else web_acl.attr_arn,
    )


def define_not_found(api: apigateway.RestApi, authorization: MethodAuthorization) -> None:
    """Answer unknown routes with 404 to those who may call; API Gateway's own answer is 403, as if unsigned."""
    integration = apigateway.MockIntegration(
        request_templates={"application/json": '{"statusCode": 404}'},
        passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
        integration_responses=[
            apigateway.IntegrationResponse(status_code="404", response_templates={"application/json": NO_SUCH_ROUTE})
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


def _define_rest_api(
    scope: Construct,
    *,
    access_logs: logs.ILogGroup,
    proof: Proof,
    cors: apigateway.CorsOptions | None,
    rate_limit: int,
    vpc_endpoint: ec2.IInterfaceVpcEndpoint | None,
) -> apigateway.RestApi:
    """Define an API with one stage: regional or private, traced, throttled, with an access log."""
    api = apigateway.RestApi(
        scope,
        "RestApi",
        rest_api_name=scope.node.path.replace("/", " "),  # what people see; it need not be unique
        endpoint_configuration=endpoint_configuration(vpc_endpoint),
        cloud_watch_role=False,  # it would overwrite the one role that all APIs of the account share
        default_cors_preflight_options=cors,
        deploy_options=apigateway.StageOptions(
            stage_name=STAGE,
            access_log_destination=apigateway.LogGroupLogDestination(access_logs),
            access_log_format=apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG)),
            tracing_enabled=True,
            metrics_enabled=True,
            throttling_rate_limit=rate_limit,
            throttling_burst_limit=BURST_FACTOR * rate_limit,
            method_options={
                "/health/GET": apigateway.MethodDeploymentOptions(
                    throttling_rate_limit=HEALTH_RATE_LIMIT, throttling_burst_limit=HEALTH_BURST_LIMIT
                )
            },
            # How the runner learns whose request it is: set here, out of the caller's reach, so that one agent may
            # serve several APIs with different authorizations.
            variables={"akConstructsIdentity": proof.identity, **cors_variables(cors)},
        ),
    )
    cast(apigateway.CfnRestApi, api.node.default_child).security_policy = SECURITY_POLICY
    api.node.try_remove_child("Endpoint")  # an output of the stack is the user's decision
    define_error_bodies(api, cors, unavailable=proof.gateway_errors)
    return api


def _define_health(
    scope: Construct, api: apigateway.RestApi, *, memory_backend: str, around: Surroundings
) -> lambda_.Function:
    """Define `GET /health`, open to everybody, answered by a small function of ours."""
    function = define_function(
        scope,
        "Health",
        handler="ak_lambda.health.handler.handler",
        memory_size=HEALTH_MEMORY_MIB,
        timeout=cdk.Duration.seconds(3),
        around=around,
    )
    function.add_environment("AK_CONSTRUCTS_MEMORY_BACKEND", memory_backend)
    integration = apigateway.LambdaIntegration(function, allow_test_invoke=False)
    nobody = MethodAuthorization(authorization_type=apigateway.AuthorizationType.NONE)
    add_method(api.root.add_resource("health"), "GET", integration, authorization=nobody)
    return function
