"""The resources of examples/chat_api written with aws_cdk alone: what our constructs are measured against at synth."""

import json
import sys

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

GATEWAY_RESPONSES = {
    "AccessDenied": apigateway.ResponseType.ACCESS_DENIED,
    "BadRequestBody": apigateway.ResponseType.BAD_REQUEST_BODY,
    "ClientError": apigateway.ResponseType.DEFAULT_4_XX,
    "IntegrationTimeout": apigateway.ResponseType.INTEGRATION_TIMEOUT,
    "NoSuchRoute": apigateway.ResponseType.UNSUPPORTED_MEDIA_TYPE,
    "MissingToken": apigateway.ResponseType.MISSING_AUTHENTICATION_TOKEN,
    "ServerError": apigateway.ResponseType.DEFAULT_5_XX,
    "Throttled": apigateway.ResponseType.THROTTLED,
    "TooLarge": apigateway.ResponseType.REQUEST_TOO_LARGE,
    "Unauthorized": apigateway.ResponseType.UNAUTHORIZED,
}


def function(stack: cdk.Stack, id: str, package: str, handler: str) -> lambda_.Function:
    """Define a function with a role and a log group of its own."""
    log_group = logs.LogGroup(stack, f"{id}Logs", retention=logs.RetentionDays.ONE_MONTH)
    role = iam.Role(stack, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    role.add_to_policy(
        iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn])
    )
    return lambda_.Function(
        stack,
        id,
        code=lambda_.Code.from_asset(package),
        handler=handler,
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        memory_size=1024,
        timeout=cdk.Duration.seconds(29),
        environment={"MODEL_ID": "amazon.nova-lite-v1:0"},
        role=role,
        log_group=log_group,
        logging_format=lambda_.LoggingFormat.JSON,
        tracing=lambda_.Tracing.ACTIVE,
    )


def define(stack: cdk.Stack, package: str) -> None:
    """Define everything."""
    agent = function(stack, "Agent", package, "ak_lambda.agent_runner.handler.handler")
    model = stack.format_arn(service="bedrock", account="", resource="foundation-model", resource_name="m")
    agent.add_to_role_policy(iam.PolicyStatement(actions=["bedrock:InvokeModel"], resources=[model]))
    health = function(stack, "Health", package, "ak_lambda.health.handler.handler")
    access_logs = logs.LogGroup(stack, "AccessLogs", retention=logs.RetentionDays.ONE_MONTH)
    api = apigateway.RestApi(
        stack,
        "Api",
        endpoint_types=[apigateway.EndpointType.REGIONAL],
        cloud_watch_role=False,
        deploy_options=apigateway.StageOptions(
            access_log_destination=apigateway.LogGroupLogDestination(access_logs),
            access_log_format=apigateway.AccessLogFormat.custom(json.dumps({"requestId": "$context.requestId"})),
            tracing_enabled=True,
            metrics_enabled=True,
            throttling_rate_limit=100,
            throttling_burst_limit=200,
            method_options={
                "/health/GET": apigateway.MethodDeploymentOptions(throttling_rate_limit=10, throttling_burst_limit=20)
            },
            variables={"akConstructsIdentity": "iam"},
        ),
    )
    api.root.add_resource("health").add_method("GET", apigateway.LambdaIntegration(health, allow_test_invoke=False))
    body = api.add_model(
        "JsonObject",
        content_type="application/json",
        schema=apigateway.JsonSchema(type=apigateway.JsonSchemaType.OBJECT),
    )
    api.root.resource_for_path("/api/v1/chat").add_method(
        "POST",
        apigateway.LambdaIntegration(agent, allow_test_invoke=False),
        authorization_type=apigateway.AuthorizationType.IAM,
        request_models={"application/json": body},
        request_validator=api.add_request_validator("Validator", validate_request_body=True),
    )
    not_found = apigateway.MockIntegration(
        request_templates={"application/json": '{"statusCode": 404}'},
        integration_responses=[apigateway.IntegrationResponse(status_code="404")],
    )
    for resource in (api.root, api.root.add_resource("{proxy+}")):
        resource.add_method(
            "ANY",
            not_found,
            authorization_type=apigateway.AuthorizationType.IAM,
            method_responses=[apigateway.MethodResponse(status_code="404")],
        )
    for name, type_ in GATEWAY_RESPONSES.items():
        api.add_gateway_response(name, type=type_, templates={"application/json": '{"error": "no"}'})


if __name__ == "__main__":
    app = cdk.App()
    define(cdk.Stack(app, "ByHand"), sys.argv[1])
    app.synth()
