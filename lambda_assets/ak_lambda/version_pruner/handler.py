"""The Lambda handler of a `VersionPruner`, which a schedule invokes.

    {"dry_run": true} makes any run a dry one   ->   the report: deleted, would_delete, kept with reasons, failures, ...

A retry is harmless: it plans anew from what is there.
"""

import dataclasses
import datetime as dt
import functools
import json
import logging
import os
import time
from typing import Any

from ak_lambda.shared import metrics
from ak_lambda.shared.calls import CallError, calling
from ak_lambda.shared.clients import client, patient_client
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import mapping
from ak_lambda.shared.functions_api import FunctionsApi
from ak_lambda.shared.parameter import Parameter
from ak_lambda.shared.tagged_functions import tagged_functions
from ak_lambda.version_pruner import core, scope
from ak_lambda.version_pruner.pruning import Pruner

TIME_TO_END_MS = 60_000  # a call that is throttled to the end, and then the report
# A log event holds 256 kB at least: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
MAX_LOGGED_BYTES = 200_000
MAX_ANSWER_BYTES = 5_000_000  # Lambda's own limit is 6 MB

_log = logging.getLogger("ak_constructs.version_pruner")


def handler(event: object, context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's own context class
    """Prune, and tell what became of every version: to the log, to CloudWatch, to S3 if asked, and to the caller."""
    always_dry = setting("AK_CONSTRUCTS_DRY_RUN") != "false"
    once_dry = bool(mapping(event).get("dry_run"))
    functions = FunctionsApi(patient_client("lambda"))
    named = scope.parsed(setting("AK_CONSTRUCTS_PRUNE_SCOPE"))
    run = Pruner(
        functions=functions,
        targets=lambda: scope.targets(
            named, functions, lambda tags: tagged_functions(patient_client("resourcegroupstaggingapi"), tags)
        ),
        policy=core.Policy(
            keep_latest=int(setting("AK_CONSTRUCTS_KEEP_LATEST")),
            min_age_seconds=int(setting("AK_CONSTRUCTS_MIN_AGE_SECONDS")),
            keep_active=setting("AK_CONSTRUCTS_KEEP_ACTIVE") == "true",
        ),
        dry_run=always_dry or once_dry,
        max_deletions=int(setting("AK_CONSTRUCTS_MAX_DELETIONS")),
        # A dry run in between leaves it to the deleting ones to go on where they were.
        cursor=None
        if once_dry and not always_dry
        else Parameter(client("ssm"), setting("AK_CONSTRUCTS_CURSOR_PARAMETER")),
        now=time.time,
        has_time=lambda: context.get_remaining_time_in_millis() > TIME_TO_END_MS,
    ).run()
    return _told(run, context.aws_request_id)


def _told(run: core.Run, request_id: str) -> dict[str, Any]:
    where = "nowhere: add a report bucket"
    try:
        where = _put(core.report(run), request_id) or where
    except CallError as error:
        failure = core.Failure(function="(report)", what=str(error))
        run = dataclasses.replace(run, failures=[*run.failures, failure])
    report = core.report(run)
    answer = core.within(report, MAX_ANSWER_BYTES, details=where)
    logged = core.within(report, MAX_LOGGED_BYTES, details=where if where.startswith("s3:") else "the answer")
    _log.info("pruned", extra={"report": logged})
    name = {"FunctionName": os.environ["AWS_LAMBDA_FUNCTION_NAME"]}
    metrics.write(core.metrics(run), dimensions=name, now_ms=int(time.time() * 1000))
    return answer


def _put(report: dict[str, Any], request_id: str) -> str | None:
    """Keep the whole report in S3, if there is a bucket."""
    bucket = os.environ.get("AK_CONSTRUCTS_REPORT_BUCKET")
    if not bucket:
        return None
    prefix = os.environ.get("AK_CONSTRUCTS_REPORT_PREFIX", "")
    key = f"{prefix}{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M%SZ}-{request_id}.json"
    put = functools.partial(client("s3").put_object, Bucket=bucket, Key=key, ContentType="application/json")
    calling("PutObject", lambda: put(Body=json.dumps(report).encode()))
    return f"s3://{bucket}/{key}"
