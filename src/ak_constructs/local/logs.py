"""Reads what a function logged, from the emulator."""

import functools
import json
import os
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from ak_constructs.local.emulator import Emulator

# Nothing of a person's own settings: a profile that AWS_PROFILE names need not even exist.
_NO_SETTINGS = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


@functools.cache
def _session() -> boto3.Session:
    return boto3.Session(botocore_session=botocore.session.Session(_NO_SETTINGS))


def client(service: str, emulator: Emulator) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Make a boto3 client for the emulator."""
    return _session().client(
        service,  # type: ignore[call-overload]
        endpoint_url=emulator.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator's, and nobody's
        config=Config(proxies={}),  # it is on this machine, whatever the environment says
    )


def complaints(emulator: Emulator, since_ms: int) -> list[str]:
    """Give the errors that functions have logged since then, oldest first."""
    groups = client("logs", emulator).get_paginator("describe_log_groups").paginate()
    names = [group["logGroupName"] for page in groups for group in page["logGroups"]]
    found = []
    for name in names:
        pages = client("logs", emulator).get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=name, startTime=since_ms):
            found += [(event["timestamp"], event["message"].strip()) for event in page["events"]]
    return [message for _, message in sorted(found) if '"level": "ERROR"' in message or message.startswith("[ERROR]")]


def log_lines(emulator: Emulator, group: str) -> list[dict[str, Any]]:
    """Give all JSON lines of a log group, oldest first; other lines as messages."""
    pages = client("logs", emulator).get_paginator("filter_log_events").paginate(logGroupName=group)
    messages = [event["message"] for page in pages for event in page["events"]]
    return [json.loads(each) if each.startswith("{") else {"message": each} for each in messages]
