"""Events as AWS sends them, cut to what handlers read."""

import json
from typing import Any


class Context:
    """Lambda's context object, as far as our handlers use it."""

    aws_request_id = "lambda-request"

    def get_remaining_time_in_millis(self) -> int:
        """Time left."""
        return 28_000


def rest(body: object, /, *, rule: str = "public", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make a REST API proxy event; a body that is no str is sent as JSON."""
    event = {
        "resource": "/api/v1/chat",
        "path": "/api/v1/chat",
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "queryStringParameters": None,
        "pathParameters": None,
        "stageVariables": {"akConstructsIdentity": rule},
        "requestContext": {
            "requestId": "gateway-request",
            "requestTimeEpoch": 1_780_000_000_000,
            "stage": "prod",
            "identity": {"sourceIp": "203.0.113.1", "user": None, "apiKeyId": None},
        },
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }
    return {**event, **changes}


def http_api(body: object) -> dict[str, Any]:
    """Make an HTTP API event, payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "POST /chat",
        "rawPath": "/chat",
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": "/chat"}, "requestId": "gateway-request"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def socket(
    body: object = None, /, *, route: object = "chat", kind: object = "MESSAGE", **context: object
) -> dict[str, Any]:
    """Make a WebSocket event; a message whose body is no str is sent as JSON."""
    event = {
        "requestContext": {
            "routeKey": route,
            "eventType": kind,
            "connectionId": "c-1",
            "connectedAt": 1_780_000_000_000,
            "requestTimeEpoch": 1_780_000_000_000,
            "domainName": "api1.execute-api.eu-west-1.amazonaws.com",
            "apiId": "api1",
            "stage": "prod",
            "authorizer": {"principalId": "user", "user_id": "alice"},
            "identity": {"sourceIp": "203.0.113.1"},
            **context,
        },
        "isBase64Encoded": False,
    }
    if kind == "MESSAGE":
        return {**event, "body": body if body is None or isinstance(body, str) else json.dumps(body)}
    return {**event, "headers": {"Host": "api1"}, "multiValueHeaders": {"Host": ["api1"]}}
