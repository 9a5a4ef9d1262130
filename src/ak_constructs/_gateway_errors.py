"""What API Gateway answers itself, in the one shape that every error here has."""

import json
from collections.abc import Mapping

from aws_cdk import aws_apigateway as apigateway

from ak_constructs._cors import error_headers

RETRY_AFTER_SECONDS = 5
NO_SUCH_ROUTE = json.dumps({"error": "no such route"})
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


def define_error_bodies(
    api: apigateway.RestApi,
    cors: apigateway.CorsOptions | None,
    *,
    unavailable: Mapping[str, tuple[apigateway.ResponseType, str]],
) -> None:
    """Define them all; what an authorization says of its being unavailable is answered with 503.

    Never its own text: that of a wrong signature, for one, repeats the request's headers, tokens included.
    """
    for name, (type_, error) in _GATEWAY_ERRORS.items():
        api.add_gateway_response(
            name,
            type=type_,
            templates={"application/json": json.dumps({"error": error})},
            response_headers=error_headers(cors),
        )
    for name, (type_, error) in unavailable.items():
        api.add_gateway_response(
            name,
            type=type_,
            status_code="503",
            templates={"application/json": json.dumps({"error": error})},
            response_headers={"Retry-After": f"'{RETRY_AFTER_SECONDS}'", **(error_headers(cors) or {})},
        )
    api.add_gateway_response(
        "NoSuchRoute",  # only the mock behind unknown routes minds the type of a body
        type=apigateway.ResponseType.UNSUPPORTED_MEDIA_TYPE,
        status_code="404",
        templates={"application/json": NO_SUCH_ROUTE},
        response_headers=error_headers(cors),
    )
