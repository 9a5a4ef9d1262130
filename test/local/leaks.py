"""Looks through everything that our functions and APIs logged on an emulator for what no log may have."""

from collections.abc import Iterator
from typing import Any

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client

SECRETS = ("SECRET", "AWS4-HMAC", "Signature=", "Bearer ", "eyJ")  # tests plant the first; the others are credentials
TRACES = ("Traceback", 'File "', "stackTrace")
OURS = "/aws/cloudformation/"  # where CloudFormation named a group, since a construct of ours defined it
# The emulator's own tests have functions of theirs there, which raise.
BY_HAND = ("/aws/cloudformation/Queues/", "/aws/cloudformation/Sockets/")
RAISES = "Authorizer"  # which has no other way to say 401; Lambda logs the frames, and they are ours


def leaks(aws: Emulator) -> list[str]:
    """Give each line of a log that has what it should not."""
    logs = client("logs", aws)
    found = []
    for page in logs.get_paginator("describe_log_groups").paginate():
        for name in (group["logGroupName"] for group in page["logGroups"]):
            never = SECRETS if RAISES in name else (*SECRETS, *TRACES)
            if name.startswith(OURS) and not name.startswith(BY_HAND):
                found += [f"{name}: {line[:300]}" for line in _lines(logs, name) if any(bad in line for bad in never)]
    return found


def _lines(logs: Any, group: str) -> Iterator[str]:  # noqa: ANN401 - boto3 makes its classes at run time
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
        yield from (event["message"] for event in page["events"])
