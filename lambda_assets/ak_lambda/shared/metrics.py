"""Writes metrics to the log, from which CloudWatch takes them: no permission and no call.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Mapping

NAMESPACE = "AkConstructs"


def embedded(metrics: Mapping[str, tuple[float, str]], *, dimensions: Mapping[str, str], now_ms: int) -> str:
    """Put metrics, each a value with its CloudWatch unit, into the embedded metric format: one line of the log."""
    definition = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()],
    }
    values = {name: value for name, (value, _) in metrics.items()}
    return json.dumps({"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [definition]}, **dimensions, **values})


def write(metrics: Mapping[str, tuple[float, str]], *, dimensions: Mapping[str, str], now_ms: int) -> None:
    """Write them to standard output, which Lambda passes on as it is, JSON logs or not."""
    print(embedded(metrics, dimensions=dimensions, now_ms=now_ms), flush=True)  # noqa: T201
