"""What a pool's alarms and its dashboard look at.

A pool's metrics have two dimensions, its name and the instance type: an alarm asks for all types by a query, since it
cannot search. https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-monitoring.html, read 2026-11-21
"""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._alarms import define_alarm, own_metric
from ak_constructs._limits import CAPACITY_PROVIDER_VERSIONS

# https://github.com/awslabs/agent-plugins, aws-lambda-managed-instances, configuration-guide.md, read 2026-11-21
CPU_PERCENT = 80
MEMORY_PERCENT = 90
LEAST_VCPUS = 1  # no environment is smaller
LEAST_THROTTLES = 1
MANY_VERSIONS = 80
METRIC_MINUTES = 5
IN_A_ROW = 3
VERSIONS_METRIC = "FunctionVersions"
COUNT_EVERY = cdk.Duration.hours(1)
_PERIOD = cdk.Duration.minutes(METRIC_MINUTES)
_HALF = 12


def metric_versions(pool_name: str) -> cloudwatch.Metric:
    """Name the metric that the version counter writes."""
    return own_metric(
        VERSIONS_METRIC, dimensions={"CapacityProviderName": pool_name}, statistic="Maximum", period=COUNT_EVERY
    )


def define_pool_alarms(scope: Construct, pool_name: str) -> list[cloudwatch.Alarm]:
    """Define the alarms of a pool."""
    return [
        define_alarm(
            scope,
            "CpuAlarm",
            metric=_query("AVG(CPUUtilization)", pool_name),
            threshold=CPU_PERCENT,
            evaluation_periods=IN_A_ROW,
            description="The pool's instances have little CPU left: scale out further, or give functions more vCPUs",
        ),
        define_alarm(
            scope,
            "MemoryAlarm",
            metric=_query("AVG(MemoryUtilization)", pool_name),
            threshold=MEMORY_PERCENT,
            evaluation_periods=IN_A_ROW,
            description="The pool's instances have little memory left: fewer runs at once, or more memory",
        ),
        define_alarm(
            scope,
            "VcpuAlarm",
            metric=_query("MAX(vCPUAvailable)", pool_name),
            threshold=LEAST_VCPUS,
            below=True,
            evaluation_periods=IN_A_ROW,
            description="No instance has a vCPU for another environment: is the pool at its ceiling?",
        ),
        define_alarm(
            scope,
            "VersionsAlarm",
            metric=metric_versions(pool_name),
            threshold=MANY_VERSIONS,
            description=f"The pool takes {CAPACITY_PROVIDER_VERSIONS} function versions: prune old ones",
        ),
    ]


def define_throttles_alarm(alias: lambda_.Alias) -> cloudwatch.Alarm:
    """Define an alarm beside a function's alias: in its stack, which may be another than the pool's."""
    return define_alarm(
        alias,
        "ThrottlesAlarm",
        metric=_throttles(alias),
        threshold=LEAST_THROTTLES,
        evaluation_periods=IN_A_ROW,
        description="The function keeps being throttled: raise its minimum of environments, or look at the pool",
    )


class PoolDashboard:
    """Keeps a dashboard whose last graph grows with the functions."""

    def __init__(self, scope: Construct, pool_name: str) -> None:
        self.dashboard = cloudwatch.Dashboard(scope, "Dashboard")
        self._throttles: cloudwatch.GraphWidget | None = None
        by_type = "CapacityProviderName,InstanceType"
        by_function = "CapacityProviderName,FunctionName,Resource"
        self.dashboard.add_widgets(
            _graph(
                "CPU and memory by instance type",
                _search(by_type, "CPUUtilization", "Average", pool_name),
                _search(by_type, "MemoryUtilization", "Average", pool_name),
            ),
            _graph(
                "vCPUs, free and taken, by instance type",
                _search(by_type, "vCPUAvailable", "Average", pool_name),
                _search(by_type, "vCPUAllocated", "Average", pool_name),
            ),
        )
        self.dashboard.add_widgets(
            _graph(
                "Runs at once in an environment, and their limit, by function version",
                _search(by_function, "ExecutionEnvironmentConcurrency", "Maximum", pool_name),
                _search(by_function, "ExecutionEnvironmentConcurrencyLimit", "Maximum", pool_name),
            ),
            cloudwatch.GraphWidget(
                title="Function versions",
                width=_HALF,
                left=[metric_versions(pool_name)],
                left_annotations=[cloudwatch.HorizontalAnnotation(value=CAPACITY_PROVIDER_VERSIONS, label="quota")],
            ),
        )

    def add(self, alias: lambda_.Alias) -> None:
        """Draw a function's throttles; of another stack it cannot be without the stacks needing each other."""
        if cdk.Stack.of(alias) is not cdk.Stack.of(self.dashboard):
            return
        if self._throttles is None:
            self._throttles = _graph("Throttles by function")
            self.dashboard.add_widgets(self._throttles)
        self._throttles.add_left_metric(_throttles(alias))


def _throttles(alias: lambda_.Alias) -> cloudwatch.Metric:
    return alias.metric_throttles(period=_PERIOD, statistic="Sum", label=alias.lambda_.node.path)


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, width=_HALF, left=list(metrics))


def _query(what: str, pool_name: str) -> cloudwatch.MathExpression:
    schema = 'SCHEMA("AWS/Lambda", CapacityProviderName, InstanceType)'
    words = ("SELECT", what, "FROM", schema, "WHERE CapacityProviderName =", f"'{pool_name}'")
    return cloudwatch.MathExpression(expression=" ".join(words), label=what, period=_PERIOD)


def _search(dimensions: str, metric: str, statistic: str, pool_name: str) -> cloudwatch.MathExpression:
    seconds = METRIC_MINUTES * 60
    filters = f'MetricName="{metric}" CapacityProviderName="{pool_name}"'
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{{AWS/Lambda,{dimensions}}} {filters}', '{statistic}', {seconds})",
        label=metric,
        period=_PERIOD,
    )
