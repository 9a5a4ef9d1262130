"""What AWS asks for in us-east-1, in dollars; read 2026-11-21, first tier, without free tiers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Price:
    """A price.

    Attributes:
        dollars: For one unit.
        unit: Of what.
        source: Where it was read.
    """

    dollars: float
    unit: str
    source: str


PRICES = {
    "arm64": Price(
        dollars=0.0000133334, unit="GB-s of Lambda, arm64", source="https://cloudchipr.com/blog/aws-lambda-pricing"
    ),
    "x86_64": Price(
        dollars=0.0000166667, unit="GB-s of Lambda, x86_64", source="https://cloudchipr.com/blog/aws-lambda-pricing"
    ),
    "invocation": Price(
        dollars=0.20e-6, unit="invocation of Lambda", source="https://cloudchipr.com/blog/aws-lambda-pricing"
    ),
    "sqs": Price(dollars=0.50e-6, unit="FIFO request of SQS", source="https://cloudburn.io/blog/amazon-sqs-pricing"),
    "read": Price(
        dollars=0.125e-6,
        unit="read unit of DynamoDB on demand",
        source="https://airbyte.com/data-engineering-resources/dynamodb-pricing",
    ),
    "write": Price(
        dollars=0.625e-6,
        unit="write unit of DynamoDB on demand",
        source="https://airbyte.com/data-engineering-resources/dynamodb-pricing",
    ),
    "api": Price(
        dollars=3.50e-6,
        unit="request to a REST API",
        source="https://docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration/cost-optimization.html",
    ),
}
# What warmth costs besides; AWS fills these in by script, so that they were read in price lists that others keep.
WARMTH = {
    "provisioned": Price(
        dollars=0.0000033334,
        unit="GB-s of provisioned concurrency, arm64",
        source="https://aws.amazon.com/lambda/pricing/",
    ),
    "provisioned_run": Price(
        dollars=0.0000077778,
        unit="GB-s of a run on provisioned concurrency, arm64",
        source="https://aws.amazon.com/lambda/pricing/",
    ),
    "schedule": Price(
        dollars=1.00e-6, unit="run of a schedule", source="https://cloudburn.io/blog/amazon-eventbridge-pricing"
    ),
    "metric": Price(
        dollars=0.30, unit="metric of one's own, a month", source="https://aws.amazon.com/cloudwatch/pricing/"
    ),
    "alarm": Price(
        dollars=0.10,
        unit="alarm, a month",
        source="https://c3x.dev/resources/aws/aws_cloudwatch_metric_alarm",
    ),
}
# What else docs/constructs counts.
OTHERS = {
    "standard": Price(
        dollars=0.40e-6,
        unit="request of a standard queue of SQS",
        source="https://cloudburn.io/blog/amazon-sqs-pricing",
    ),
    "dashboard": Price(
        dollars=3.00,
        unit="dashboard, a month",
        source="https://www.factualminds.com/blog/amazon-cloudwatch-pricing-metrics-logs-alarms-dashboards/",
    ),
    "message": Price(
        dollars=1.00e-6, unit="message of a WebSocket API", source="https://amnic.com/blogs/aws-api-gateway-pricing"
    ),
    "minute": Price(
        dollars=0.25e-6,
        unit="minute of a connection to a WebSocket API",
        source="https://amnic.com/blogs/aws-api-gateway-pricing",
    ),
    "valkey": Price(
        dollars=0.084,
        unit="GB-hour of ElastiCache Serverless for Valkey",
        source="https://www.usage.ai/blogs/aws/database-savings-plans/elasticache/serverless-pricing/",
    ),
}
