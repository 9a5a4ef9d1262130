"""How a Lambda function is defined here: its role, its logs, and, for our own functions, everything else."""

from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from ak_constructs._assets import own_code
from ak_constructs._encryption import check_key, let_logs_use

RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64
LOG_RETENTION = logs.RetentionDays.ONE_MONTH
# What Lambda needs to attach a function to a VPC; none of them can name a resource beforehand.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions, read 2026-11-21
NETWORK_ACTIONS = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a construct's own functions have around them: the key for what they keep, and a network."""

    key: kms.IKey | None
    vpc: ec2.IVpc | None
    vpc_subnets: ec2.SubnetSelection | None
    security_groups: Sequence[ec2.ISecurityGroup] | None


def define_log_group(scope: Construct, id: str, *, key: kms.IKey | None) -> logs.LogGroup:
    """Define a log group that forgets after a month and outlives its stack."""
    check_key(scope, key)
    if key:
        let_logs_use(key)
    return logs.LogGroup(
        scope, id, encryption_key=key, retention=LOG_RETENTION, removal_policy=cdk.RemovalPolicy.RETAIN
    )


def define_role(scope: Construct, id: str, *, log_group: logs.ILogGroup, in_vpc: bool = False) -> iam.Role:
    """Define a role that may write to one log group and, in a VPC, have Lambda make interfaces; nothing else.

    The managed policies that CDK would attach let a function create and write every log group of the account.
    """
    role = iam.Role(scope, id, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    role.add_to_policy(
        iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn])
    )
    if in_vpc:
        role.add_to_policy(iam.PolicyStatement(actions=NETWORK_ACTIONS, resources=["*"]))
        role.add_to_policy(_not_from_code(scope))
    return role


def _not_from_code(scope: Construct) -> iam.PolicyStatement:
    """Keep those for Lambda itself: in every call of a function's own code AWS names the function.

    Every function, since the role is there before its own:
    https://github.com/aws-samples/serverless-patterns, lambda-deny-access-to-network-actions, read 2026-11-21
    """
    functions = cdk.Stack.of(scope).format_arn(
        service="lambda", resource="function", resource_name="*", arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
    )
    return iam.PolicyStatement(
        effect=iam.Effect.DENY,
        actions=NETWORK_ACTIONS,
        resources=["*"],
        conditions={"ArnLike": {"lambda:SourceFunctionArn": functions}},
    )


def define_function(
    scope: Construct,
    id: str,
    *,
    handler: str,
    memory_size: int,
    timeout: cdk.Duration,
    around: Surroundings,
    code: lambda_.Code | None = None,
    architecture: lambda_.Architecture = ARCHITECTURE,
    layers: Sequence[lambda_.ILayerVersion] = (),
    reserved_concurrent_executions: int | None = None,
) -> lambda_.Function:
    """Define one of this library's own functions, with its log group and role beside it."""
    log_group = define_log_group(scope, f"{id}Logs", key=around.key)
    return lambda_.Function(
        scope,
        id,
        code=code or own_code(),
        handler=handler,
        runtime=RUNTIME,
        architecture=architecture,
        layers=list(layers),
        memory_size=memory_size,
        timeout=timeout,
        reserved_concurrent_executions=reserved_concurrent_executions,
        role=define_role(scope, f"{id}Role", log_group=log_group, in_vpc=around.vpc is not None),
        environment_encryption=around.key,
        vpc=around.vpc,
        vpc_subnets=around.vpc_subnets,
        security_groups=around.security_groups,
        log_group=log_group,
        logging_format=lambda_.LoggingFormat.JSON,
        tracing=lambda_.Tracing.ACTIVE,
    )


def function_behind(agent: lambda_.IFunction) -> lambda_.Function | None:
    """Find the function that an alias or a version is of; None for an imported one."""
    if isinstance(agent, lambda_.Alias | lambda_.Version):
        return function_behind(agent.lambda_)
    return agent if isinstance(agent, lambda_.Function) else None
