"""A CDK app for the tests: two pruners of functions that exist already, one by their names and one by their tags."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from ak_constructs import VersionPruner
from test.local.version_pruner_cases import KEEP_LATEST, NAMES, TAGS


def define(app: cdk.App, names: Sequence[str]) -> None:
    """Define the stack."""
    stack = cdk.Stack(app, "Pruning")
    by_name = VersionPruner(
        stack,
        "ByName",
        functions=[lambda_.Function.from_function_name(stack, name, name) for name in names],
        keep_latest=KEEP_LATEST,
        dry_run=False,
    )
    reports = s3.Bucket(stack, "Reports")
    by_name.add_report_bucket(reports)
    by_tag = VersionPruner(stack, "ByTag", tags=TAGS, keep_latest=KEEP_LATEST)
    for name, value in {
        "Bucket": reports.bucket_name,
        "ByNameCursor": by_name.cursor.parameter_name,
        "ByNameFunction": by_name.function.function_name,
        "ByNameLogs": by_name.function.log_group.log_group_name,
        "ByNameSchedule": by_name.schedule.schedule_name,
        "ByTagFunction": by_tag.function.function_name,
    }.items():
        cdk.CfnOutput(stack, name, value=value)


if __name__ == "__main__":
    app = cdk.App()
    define(app, NAMES)
    app.synth()
