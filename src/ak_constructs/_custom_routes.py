"""How a REST API of ours gets a route of its user's."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_

from ak_constructs._chat_path import SEGMENT, check_chat_path, name_routes
from ak_constructs._function import function_behind
from ak_constructs._rest_api import Front, add_method
from ak_constructs._validation import check_matches, check_timeout_at_most


def define_route(
    front: Front,
    method: str,
    path: str,
    handler: lambda_.IFunction,
    *,
    chat_path: str,
    scopes: Sequence[str] | None,
    timeout: cdk.Duration,
) -> apigateway.Method:
    """Add a route beside the chat route, behind the API's authorization."""
    check_matches("method", method, "GET|POST|PUT|PATCH|DELETE|HEAD|ANY", "an HTTP method in capitals, or ANY")
    check_matches(
        "path",
        path,
        rf"(({SEGMENT})|(/\{{[A-Za-z0-9_]+\}}))+",
        "segments or parameters, such as /app or /items/{id}",
    )
    check_answers_within(handler, timeout)
    check_chat_path(handler, chat_path)
    whole = chat_path.rpartition("/")[0] + path
    authorization = front.authorization.for_route(method, whole, scopes)
    name_routes(handler, chat_path)
    resource = front.api.root.resource_for_path(whole)
    return add_method(resource, method, integration_of(handler, timeout), authorization=authorization)


def integration_of(handler: lambda_.IFunction, timeout: cdk.Duration) -> apigateway.LambdaIntegration:
    """Have a function answer, for which the API waits so long."""
    return apigateway.LambdaIntegration(handler, allow_test_invoke=False, timeout=timeout)


def check_answers_within(handler: lambda_.IFunction, timeout: cdk.Duration) -> None:
    """Nobody would hear what a function says after the API hung up; an imported function's timeout is not known."""
    function = function_behind(handler)
    if function and not timeout.is_unresolved():
        check_timeout_at_most(
            f"the timeout of {function.node.path}",
            function.timeout,
            int(timeout.to_seconds()),
            "lower it, since the API waits no longer (raised_timeout= of an AgentApi says that your account's quota "
            "was raised)",
        )
