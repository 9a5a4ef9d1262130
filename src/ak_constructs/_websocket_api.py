"""How a WebSocket API of ours is defined: its stage, its access log, who may post to its connections."""

import json
from collections.abc import Mapping

import aws_cdk as cdk
import jsii
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from ak_constructs._stage import BURST_FACTOR, STAGE

# Everything a message is recognised by; no query string and no header, in which a token may travel.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html, read 2026-11-21
_ACCESS_LOG: Mapping[str, str] = {
    "requestId": "$context.requestId",
    "extendedRequestId": "$context.extendedRequestId",
    "requestTime": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "caller": "$context.identity.user",
    "principal": "$context.authorizer.principalId",
    "connectionId": "$context.connectionId",
    "connectedAt": "$context.connectedAt",
    "messageId": "$context.messageId",
    "eventType": "$context.eventType",
    "routeKey": "$context.routeKey",
    "status": "$context.status",
    "integrationLatency": "$context.integrationLatency",
    "integrationStatus": "$context.integration.status",
    "integrationError": "$context.integration.error",
    "authorizerStatus": "$context.authorizer.status",
    "error": "$context.error.message",
    "errorType": "$context.error.responseType",
}


@jsii.implements(apigatewayv2.IAccessLogSettings)
class _AccessLog:
    """Where the access log goes, and what stands in it."""

    def __init__(self, group: logs.ILogGroup) -> None:
        self._group = group

    @property
    def destination(self) -> apigatewayv2.IAccessLogDestination:
        """Give the log group."""
        return apigatewayv2.LogGroupLogDestination(self._group)

    @property
    def format(self) -> apigateway.AccessLogFormat:
        """Give what of each event is written down."""
        return apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG))


def define_websocket_api(scope: Construct) -> apigatewayv2.WebSocketApi:
    """Define an API whose messages name their route, still without any."""
    return apigatewayv2.WebSocketApi(
        scope,
        "WebSocketApi",
        api_name=scope.node.path.replace("/", " "),  # what people see; it need not be unique
        route_selection_expression="$request.body.route",
    )


def define_stage(
    scope: Construct,
    api: apigatewayv2.WebSocketApi,
    *,
    access_logs: logs.ILogGroup,
    rate_limit: int,
    domain_mapping: apigatewayv2.DomainMappingOptions | None,
) -> apigatewayv2.WebSocketStage:
    """Define the one stage: throttled, with an access log; what changes is deployed by itself."""
    return apigatewayv2.WebSocketStage(
        scope,
        "Stage",
        web_socket_api=api,
        stage_name=STAGE,
        auto_deploy=True,
        access_log_settings=_AccessLog(access_logs),
        domain_mapping=domain_mapping,
        throttle=apigatewayv2.ThrottleSettings(rate_limit=rate_limit, burst_limit=BURST_FACTOR * rate_limit),
    )


def arn_below(stage: apigatewayv2.WebSocketStage, path: str) -> str:
    """Give the ARN of a route of a stage, or of its connections, for policies."""
    return cdk.Stack.of(stage).format_arn(
        service="execute-api", resource=stage.api.api_id, resource_name=f"{STAGE}/{path}"
    )


def let_manage_connections(stage: apigatewayv2.WebSocketStage, grantee: iam.IGrantable, *methods: str) -> iam.Grant:
    """Let somebody post to the connections of a stage, look at one or close it, by the method of each."""
    return iam.Grant.add_to_principal(
        grantee=grantee,
        actions=["execute-api:ManageConnections"],
        resource_arns=[arn_below(stage, f"{method}/@connections/*") for method in methods],
    )
