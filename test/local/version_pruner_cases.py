"""Forty functions with 150 versions, what refers to some of them, and which of them are to go, by a rule of its own."""

import datetime as dt
import io
import json
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client

KEEP_LATEST = 2
ROLE = "worker"
TAGS = {"team": "agents", "stage": "test"}
COUNTS = [12] * 4 + [3] * 30 + [2] * 6
NAMES = [f"worker-{number:02d}" for number in range(len(COUNTS))]
IAM_NAMES = NAMES[:4]


@dataclass
class Versions:
    """What there is of one function.

    Attributes:
        old: Numbers of the versions of two days ago.
        young: Of those just published.
        used: Of those that something refers to, with what the report must say of it.
    """

    old: list[int] = field(default_factory=list)
    young: list[int] = field(default_factory=list)
    used: dict[int, str] = field(default_factory=dict)

    def to_go(self) -> set[str]:
        """Say which are to be deleted: old, not in use, not of the newest."""
        newest = sorted([*self.old, *self.young])[-KEEP_LATEST:]
        return {str(number) for number in self.old if number not in self.used and number not in newest}


def packed(code: str = "def handler(event, context):\n    return None\n") -> bytes:
    """Make a package, of a function that does nothing unless told otherwise."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("index.py", code)
    return file.getvalue()


def publish(aws: Emulator, names: Sequence[str] = NAMES) -> dict[str, Versions]:
    """Make the functions and all their versions, and refer to some; at least the first four."""
    made = {name: Versions() for name in names}
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    client("iam", aws).create_role(RoleName=ROLE, AssumeRolePolicyDocument=document)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name, count: _publish(aws, name, count, made[name]), names, COUNTS))
    functions = client("lambda", aws)
    weights = {"AdditionalVersionWeights": {"10": 0.1}}
    functions.create_alias(FunctionName=NAMES[0], Name="live", FunctionVersion="9", RoutingConfig=weights)
    made[NAMES[0]].used |= {9: "alias live", 10: "alias live (weighted)"}
    functions.create_alias(FunctionName=NAMES[1], Name="live", FunctionVersion="4")
    functions.update_alias(FunctionName=NAMES[1], Name="live", FunctionVersion="7")
    made[NAMES[1]].used[7] = "alias live"
    functions.put_provisioned_concurrency_config(
        FunctionName=NAMES[2], Qualifier="3", ProvisionedConcurrentExecutions=1
    )
    made[NAMES[2]].used[3] = "provisioned concurrency"
    queues = client("sqs", aws)
    url = queues.create_queue(QueueName="pinned")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions.create_event_source_mapping(FunctionName=f"{NAMES[3]}:6", EventSourceArn=arn, Enabled=False)
    made[NAMES[3]].used[6] = "event source mapping"
    return made


def _publish(aws: Emulator, name: str, count: int, made: Versions) -> None:
    functions = client("lambda", aws)
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="index.handler",
        Role=f"arn:aws:iam::000000000000:role/{ROLE}",
        Code={"ZipFile": packed()},
        Tags=TAGS,
    )
    then = (dt.datetime.now(dt.UTC) - dt.timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    for number in range(1, count + 1):
        functions.update_function_configuration(FunctionName=name, Description=f"change {number}")
        young = name == NAMES[3] and number in {4, 8}
        described = {} if young else {"Description": then}
        version = functions.publish_version(FunctionName=name, **described)["Version"]
        assert version == str(number)
        (made.young if young else made.old).append(number)


def numbered(aws: Emulator, name: str) -> set[str]:
    """Give the versions that there are."""
    pages = client("lambda", aws).get_paginator("list_versions_by_function").paginate(FunctionName=name)
    return {each["Version"] for page in pages for each in page["Versions"]} - {"$LATEST"}


def all_numbered(aws: Emulator, names: Sequence[str] = NAMES) -> dict[str, set[str]]:
    """Give them of each function."""
    return {name: numbered(aws, name) for name in names}


def invoke(aws: Emulator, function: str, event: object) -> dict[str, Any]:
    """Have a pruner run, and give its report."""
    answer = client("lambda", aws).invoke(FunctionName=function, Payload=json.dumps(event).encode())
    report: dict[str, Any] = json.load(answer["Payload"])
    assert "FunctionError" not in answer, report
    return report


def listed(of_functions: dict[str, Any]) -> dict[str, set[str]]:
    """Give a part of a report as sets, without the functions of which there is nothing to say."""
    return {name: set(versions) for name, versions in of_functions.items() if versions}
