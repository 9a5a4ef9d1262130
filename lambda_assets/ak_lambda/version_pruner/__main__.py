"""Prints what a VersionPruner would delete and why it keeps the rest, or does it.

exit codes: 0 done; 1 something could not be read or deleted; 2 nothing was tried: arguments, credentials, permissions
or region
"""

import argparse
import logging
import math
import re
import sys
import time
from collections.abc import Sequence

import boto3
from botocore.exceptions import BotoCoreError, NoRegionError
from rich.console import Console
from rich.table import Table

from ak_lambda.shared.calls import CallError, calling
from ak_lambda.shared.clients import PATIENT
from ak_lambda.shared.functions_api import FunctionsApi
from ak_lambda.shared.tagged_functions import tagged_functions
from ak_lambda.version_pruner import core, scope
from ak_lambda.version_pruner.pruning import SCOPE, Pruner

WIDTH_IN_A_FILE = 200
HOUR_SECONDS = 3600
DAY_HOURS = 24
# Never with a version or an alias: whoever names one does not mean all others of its function.
_FUNCTION = re.compile(r"(?:(?:arn:[a-z-]+:lambda:[a-z0-9-]+:)?[0-9]{12}:function:)?[A-Za-z0-9_-]+")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say."""
    logging.getLogger("ak_constructs").addHandler(logging.NullHandler())  # what it says is printed below
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        named = _scope(asked)
        policy = _policy(asked)
    except ValueError as error:
        parser.error(str(error))
    try:
        session = boto3.Session(profile_name=asked.profile, region_name=asked.region)
        if session.get_credentials() is None:
            return _refused("found no AWS credentials; log in, or name a profile with --profile")
        functions = FunctionsApi(session.client("lambda", config=PATIENT))
        tagging = session.client("resourcegroupstaggingapi", config=PATIENT)
    except NoRegionError:
        return _refused("found no region; name one with --region")
    except BotoCoreError as error:  # no such profile: in words for people
        return _refused(str(error))
    try:  # which needs no permission, and is printed before anything is deleted
        account = calling("GetCallerIdentity", session.client("sts", config=PATIENT).get_caller_identity)["Account"]
    except CallError as error:
        return _refused(f"AWS did not take the credentials ({error}); log in again, or name a profile with --profile")
    print(f"account {account}, region {session.region_name}", flush=True)  # noqa: T201
    run = Pruner(
        functions=functions,
        targets=lambda: scope.targets(named, functions, lambda tags: tagged_functions(tagging, tags)),
        policy=policy,
        dry_run=asked.dry_run,
        max_deletions=sys.maxsize,
        cursor=None,
        now=time.time,
        has_time=lambda: True,
    ).run()
    for failure in run.failures:
        if failure.function == SCOPE:
            where = f"which functions to prune in {session.region_name} ({failure.what})"
            return _refused(f"could not read {where}; check the region, the credentials and their permissions")
    return _printed(run)


def _parser() -> argparse.ArgumentParser:
    first, _, codes = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="ak-prune", description=first, epilog=codes)
    parser.add_argument("functions", nargs="*", metavar="function", help="a function's name or ARN")
    parser.add_argument("--capacity-provider", metavar="NAME", help="all functions on it, its versions alone")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="KEY=VALUE", help="all functions that bear it; may be repeated"
    )
    parser.add_argument(
        "--keep-latest", type=int, default=3, metavar="N", help="newest versions to keep, 2 or more (default: 3)"
    )
    parser.add_argument(
        "--min-age", type=float, default=DAY_HOURS, metavar="HOURS", help="keep younger ones, 1 or more (default: 24)"
    )
    parser.add_argument("--keep-active", action="store_true", help="keep active versions on managed instances")
    parser.add_argument("--region", help="default: as the AWS command line has it")
    parser.add_argument("--profile", help="of the AWS command line's configuration")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dry-run", action="store_true", help="print the plan")
    what.add_argument("--delete", action="store_true", help="carry it out")
    return parser


def _scope(asked: argparse.Namespace) -> dict[str, object]:
    for function in asked.functions:
        if not _FUNCTION.fullmatch(function):
            raise ValueError(f"a function must be its name or ARN, without version or alias, got {function}")
    tags = dict(_tag(tag) for tag in asked.tag)
    if len(tags) < len(asked.tag):
        raise ValueError("each tag must have one value: a function bears a key once")
    given = {"functions": asked.functions, "capacity_provider": asked.capacity_provider, "tags": tags}
    named = {kind: value for kind, value in given.items() if value}
    if len(named) != 1:
        got = " and ".join(named) or "none"
        raise ValueError(f"name functions, a --capacity-provider or a --tag, exactly one of the three, got {got}")
    return named


def _policy(asked: argparse.Namespace) -> core.Policy:
    if asked.keep_latest < core.MIN_KEEP_LATEST:
        raise ValueError(f"--keep-latest must be at least {core.MIN_KEEP_LATEST}, got {asked.keep_latest}")
    least = core.MIN_AGE_SECONDS / HOUR_SECONDS
    if not (math.isfinite(asked.min_age) and asked.min_age >= least):
        raise ValueError(f"--min-age must be at least {least:g} (hours), got {asked.min_age:g}")
    return core.Policy(
        keep_latest=asked.keep_latest,
        min_age_seconds=round(asked.min_age * HOUR_SECONDS),
        keep_active=asked.keep_active,
    )


def _tag(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key or not value:  # which the construct refuses, too
        raise ValueError(f"a tag must be KEY=VALUE, got {text}")
    return key, value


def _refused(why: str) -> int:
    print(f"ak-prune: {why}", file=sys.stderr)  # noqa: T201 - a command prints
    return 2


def _printed(run: core.Run) -> int:
    """Print the plan as a table, the totals, and what could not be done."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_IN_A_FILE, markup=False, highlight=False)
    table = Table("function", "version", "age", "size", "decision", "reason")
    for outcome in run.outcomes:
        version = outcome.version
        table.add_row(
            outcome.function,
            version.version,
            _age(version.age_seconds),
            _size(version.code_bytes),
            outcome.decision,
            ", ".join(outcome.reasons),
        )
    console.print(table)
    done = core.WOULD_DELETE if run.dry_run else core.DELETED
    totals = [f"{done}: {core.count_of(run, done)} versions, {_size(core.bytes_of(run, done))}"]
    totals.append(f"{core.KEPT}: {core.count_of(run, core.KEPT)}")
    if run.code_storage is not None:
        used, limit = run.code_storage
        totals.append(f"code storage: {_size(used)} of {_size(limit)} used, {core.percent(used, limit)} %")
    console.print("; ".join(totals))
    for failure in run.failures:
        print(f"{failure.function}: {failure.what}", file=sys.stderr)  # noqa: T201
    if run.left:
        print(f"{run.left} functions were not gone through ({run.stopped})", file=sys.stderr)  # noqa: T201
    return 1 if run.failures else 0


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    hours = seconds / HOUR_SECONDS
    return f"{hours:.1f} h" if hours < DAY_HOURS else f"{hours / DAY_HOURS:.1f} d"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


if __name__ == "__main__":
    sys.exit(main())
