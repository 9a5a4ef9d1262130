"""API Gateway's part in front of an authorizer of ours, in memory: what it asks, remembers and answers."""

import fnmatch
from collections.abc import Callable
from typing import Any

from test.token_world import Route

ARN = "arn:aws:execute-api:us-east-1:000000000000:abc123/prod"
Answer = tuple[int, str | None]
"""A status, and whom the agent sees."""


class Gateway:
    """A REST API with a REQUEST authorizer whose results are remembered by header, route and method.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/configure-api-gateway-lambda-authorization-with-console.html
    and https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html, read
    2026-11-21: without an identity source it answers 401 itself, and so it does when the function raises
    `Unauthorized`; it remembers policies and evaluates them anew for each request.
    """

    def __init__(self, handler: Callable[[dict[str, Any], Any], dict[str, Any]]) -> None:
        self._handler = handler
        self._remembered: dict[tuple[str, ...], dict[str, Any]] = {}

    def ask(self, route: Route, name: str, value: str | None) -> Answer:
        """Send a request with a header, or without."""
        if not value:
            return 401, None
        resource = route.resource or route.path
        key = (value, resource, route.method)
        try:
            policy = self._remembered.get(key) or self._handler(event(route, {name: value}), None)
        except Exception as error:  # noqa: BLE001 - it tells them apart by their text
            return (401 if str(error) == "Unauthorized" else 503), None
        self._remembered[key] = policy
        if not _allows(policy["policyDocument"], f"{ARN}/{route.method}{route.path}"):
            return 403, None
        if resource == "/{proxy+}":
            return 404, None
        context = policy["context"]
        assert all(isinstance(each, str | int | float | bool) for each in context.values()), context
        return 200, context.get("user_id")


def event(route: Route, headers: dict[str, str]) -> dict[str, Any]:
    """Write what API Gateway gives a REQUEST authorizer."""
    resource = route.resource or route.path
    return {
        "type": "REQUEST",
        "methodArn": f"{ARN}/{route.method}{route.path}",
        "resource": resource,
        "path": route.path,
        "httpMethod": route.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "pathParameters": {},
        "stageVariables": {"akConstructsIdentity": "lambda:user_id"},
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": route.method,
            "path": f"/prod{route.path}",
            "stage": "prod",
            "apiId": "abc123",
            "accountId": "000000000000",
            "identity": {"sourceIp": "127.0.0.1"},
        },
    }


def _allows(policy: dict[str, Any], arn: str) -> bool:
    effects = set()
    for statement in policy["Statement"]:
        assert statement["Action"] == "execute-api:Invoke"
        resources = statement["Resource"]
        patterns = [resources] if isinstance(resources, str) else resources
        if any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns):
            effects.add(statement["Effect"])
    return effects == {"Allow"}
