"""How this library's alarms are defined, and where its own metrics lie; whom an alarm tells is up to the user."""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

NAMESPACE = "AkConstructs"
METRICS_EVERY = cdk.Duration.minutes(5)


def own_metric(
    name: str, *, dimensions: Mapping[str, str], statistic: str, period: cdk.Duration | None = None
) -> cloudwatch.Metric:
    """Name a metric that one of this library's functions writes to its log."""
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map=dict(dimensions),
        statistic=statistic,
        period=period or METRICS_EVERY,
    )


def define_alarm(
    scope: Construct,
    id: str,
    *,
    metric: cloudwatch.IMetric,
    threshold: float,
    description: str,
    below: bool = False,
    evaluation_periods: int = 1,
    silence_is_fine: bool = True,
) -> cloudwatch.Alarm:
    """Define an alarm for a metric at its threshold or above it, or else below it.

    No data is no alarm; where silence is not fine, the alarm then says that it has too little data. It begins with
    that, so that nobody is told of it while a stack is new.
    """
    operators = cloudwatch.ComparisonOperator
    missing = cloudwatch.TreatMissingData
    return cloudwatch.Alarm(
        scope,
        id,
        metric=metric,
        threshold=threshold,
        comparison_operator=operators.LESS_THAN_THRESHOLD if below else operators.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluation_periods=evaluation_periods,
        treat_missing_data=missing.NOT_BREACHING if silence_is_fine else missing.MISSING,
        alarm_description=description,
    )
