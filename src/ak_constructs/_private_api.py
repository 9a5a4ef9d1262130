"""How an API is reached: from everywhere, or through one VPC endpoint only."""

import re

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam

from ak_constructs._stage import STAGE

# The stage by its name: a star takes slashes too, and `/*/OPTIONS/*` the path of `POST /items/OPTIONS/1`.
HEALTH = f"execute-api:/{STAGE}/GET/health"
PREFLIGHTS = f"execute-api:/{STAGE}/OPTIONS/*"
EVERY_ROUTE = "execute-api:/*"
# For these API Gateway looks for permission in either the resource policy or the caller's own: what the first allows
# to everybody would be open to whoever signs. For the others it must be in the resource policy, as well as proved.
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html, read 2026-11-21
ALLOWED_ELSEWHERE = (apigateway.AuthorizationType.IAM, apigateway.AuthorizationType.CUSTOM)


def endpoint_configuration(vpc_endpoint: ec2.IInterfaceVpcEndpoint | None) -> apigateway.EndpointConfiguration:
    """Give the kind of endpoint: regional, or private and known by the VPC endpoint's name."""
    if vpc_endpoint is None:
        return apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL])
    if not hasattr(vpc_endpoint, "vpc_endpoint_id"):
        raise TypeError(
            f"vpc_endpoint must be an interface endpoint, got a value of type {type(vpc_endpoint).__name__}; give "
            "ec2.InterfaceVpcEndpoint.from_interface_vpc_endpoint_attributes(...)"
        )
    name = getattr(vpc_endpoint.node.default_child, "service_name", None) or ""  # nothing is known of an imported one
    *_, service = re.sub(r"\$\{Token\[.*?\]\}", "", name).strip(".").split(".")
    if service and not service.startswith("execute-api"):
        raise ValueError(
            f"vpc_endpoint must be one for execute-api, got one for {service}; make it for "
            "ec2.InterfaceVpcEndpointAwsService.APIGATEWAY"
        )
    return apigateway.EndpointConfiguration(types=[apigateway.EndpointType.PRIVATE], vpc_endpoints=[vpc_endpoint])


def let_in_through(
    vpc_endpoint: ec2.IInterfaceVpcEndpoint,
    api: apigateway.RestApi,
    asked: apigateway.AuthorizationType,
    *,
    has_preflights: bool,
) -> None:
    """Refuse what does not come through the endpoint, and let in the rest as far as nothing else decides that.

    Without preflights `OPTIONS` is as good a method as any, which a route with `ANY` hands to the function behind.
    """
    open_routes = [HEALTH, PREFLIGHTS] if has_preflights else [HEALTH]
    api.add_to_resource_policy(
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["execute-api:Invoke"],
            resources=[EVERY_ROUTE],
            conditions={"StringNotEquals": {"aws:SourceVpce": vpc_endpoint.vpc_endpoint_id}},
        )
    )
    api.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.AnyPrincipal()],
            actions=["execute-api:Invoke"],
            resources=open_routes if asked in ALLOWED_ELSEWHERE else [EVERY_ROUTE],
        )
    )


def address_of(api: apigateway.RestApi, path: str, vpc_endpoint: ec2.IInterfaceVpcEndpoint | None) -> str:
    """Give a path's address; a private API's is the alias that works with and without the endpoint's private DNS.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-private-api-test-invoke-url.html,
    read 2026-11-21
    """
    if vpc_endpoint is None:
        return api.url_for_path(path)
    stack = cdk.Stack.of(api)
    host = f"{api.rest_api_id}-{vpc_endpoint.vpc_endpoint_id}.execute-api.{stack.region}.{stack.url_suffix}"
    return f"https://{host}/{api.deployment_stage.stage_name}{path}"
