"""Metrics in the log."""

import json

import pytest

from ak_constructs import _alarms
from ak_lambda.shared import metrics


def test_metrics_are_one_line_of_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    """CloudWatch takes each value from the member that bears its name."""
    metrics.write({"Warm": (3, "Count"), "Used": (12.5, "Percent")}, dimensions={"Target": "agent:live"}, now_ms=17)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0]) == {
        "_aws": {
            "Timestamp": 17,
            "CloudWatchMetrics": [
                {
                    "Namespace": "AkConstructs",
                    "Dimensions": [["Target"]],
                    "Metrics": [{"Name": "Warm", "Unit": "Count"}, {"Name": "Used", "Unit": "Percent"}],
                }
            ],
        },
        "Target": "agent:live",
        "Warm": 3,
        "Used": 12.5,
    }


def test_alarms_look_where_the_functions_write() -> None:
    """The two sides never import each other."""
    assert metrics.NAMESPACE == _alarms.NAMESPACE
