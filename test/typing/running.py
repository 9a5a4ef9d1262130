"""What keeps agents warm, runs them on instances of their own, and tidies up after them."""

from collections.abc import Sequence
from typing import assert_type

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_ssm as ssm

from ak_constructs import AgentFunction, KeepWarm, SharedCapacityProvider, VersionPruner


def warmth(stack: cdk.Stack, agent: AgentFunction, imported: lambda_.IFunction) -> None:
    """Of functions and aliases, mixed."""
    live = agent.add_alias("live")
    warm = KeepWarm(stack, "Warm", targets=[live, agent, imported], concurrency=2, key=kms.Key(stack, "Key"))
    KeepWarm(stack, "Seldom", targets=[live], schedule=scheduler.ScheduleExpression.rate(cdk.Duration.minutes(5)))
    assert_type(warm.concurrency, int)
    assert_type(warm.schedule, scheduler.Schedule)
    assert_type(warm.targets, Sequence[lambda_.IFunction])
    assert_type(warm.warmer, lambda_.Function)
    assert_type(warm.metric_warm_environments(live), cloudwatch.Metric)


def a_pool(stack: cdk.Stack, agent: AgentFunction, vpc: ec2.Vpc) -> None:
    """Of instances, for several functions."""
    pool = SharedCapacityProvider(stack, "Pool", vpc=vpc, max_vcpu_count=16)
    alias = pool.add_function(agent, memory_gib_per_vcpu=4, max_concurrency=10)
    assert_type(alias, lambda_.Alias)
    pool.add_environments_schedule(
        "Morning",
        alias=alias,
        schedule=scheduler.ScheduleExpression.cron(hour="8", minute="0"),
        min_execution_environments=2,
        max_execution_environments=4,
    )
    assert_type(pool.alarms, list[cloudwatch.Alarm])
    assert_type(pool.architecture, lambda_.Architecture)
    assert_type(pool.capacity_provider, lambda_.CapacityProvider)
    assert_type(pool.connections, ec2.Connections)
    assert_type(pool.dashboard, cloudwatch.Dashboard)
    assert_type(pool.log_group, logs.LogGroup)
    assert_type(pool.operator_role, iam.IRole)
    assert_type(pool.security_group, ec2.SecurityGroup)
    assert_type(pool.subnets, Sequence[ec2.ISubnet])
    assert_type(pool.version_counter, lambda_.Function)
    assert_type(pool.vpc, ec2.IVpc)
    assert_type(pool.grant_pass(agent), iam.Grant)


def a_pruner(stack: cdk.Stack, agent: AgentFunction, pool: SharedCapacityProvider, bucket: s3.Bucket) -> None:
    """Of functions that are named, of a pool's, or of those with a tag."""
    VersionPruner(stack, "Pool", capacity_provider=pool.capacity_provider)
    VersionPruner(stack, "Tagged", tags={"team": "chat"}, keep_latest=3, min_age=cdk.Duration.days(1))
    pruner = VersionPruner(stack, "Pruner", functions=[agent], dry_run=False)
    pruner.add_report_bucket(bucket, prefix="pruned/")
    assert_type(pruner.cursor, ssm.StringParameter)
    assert_type(pruner.function, lambda_.Function)
    assert_type(pruner.schedule, scheduler.Schedule)
    assert_type(pruner.metric_deleted(), cloudwatch.Metric)
