"""Whether somebody has Lambda keep environments of a function ready."""

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct


def provisions(resource: IConstruct | None) -> bool:
    """Whether a resource is a version or an alias with provisioned concurrency, or gives an alias some by the clock."""
    if isinstance(resource, lambda_.CfnVersion | lambda_.CfnAlias):
        return bool(cdk.Stack.of(resource).resolve(resource.provisioned_concurrency_config))
    return isinstance(resource, cdk.CfnResource) and resource.cfn_resource_type.endswith("::ScalableTarget")
