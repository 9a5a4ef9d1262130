"""Reads what a function logged, from the emulator."""

import json
from typing import Any

import boto3

from examples.local.emulator import Emulator


def client(service: str, emulator: Emulator) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Make a boto3 client for the emulator."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=emulator.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator's, and nobody's
    )


def log_lines(emulator: Emulator, group: str) -> list[dict[str, Any]]:
    """Give all JSON lines of a log group, oldest first; other lines as messages."""
    pages = client("logs", emulator).get_paginator("filter_log_events").paginate(logGroupName=group)
    messages = [event["message"] for page in pages for event in page["events"]]
    return [json.loads(each) if each.startswith("{") else {"message": each} for each in messages]
