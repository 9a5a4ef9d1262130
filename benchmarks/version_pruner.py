"""Measures how long planning takes and how often AWS is asked, and writes its part of docs/benchmarks.md.

    uv run python -m benchmarks.version_pruner

Planning runs in this process. Calls are those that boto3 makes of an account that is answered here: real paginators,
real serialization, no network.
"""

import datetime as dt
import gc
import os
import platform
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "lambda_assets"))

import boto3

from ak_lambda.shared.functions_api import FunctionsApi
from ak_lambda.version_pruner import core, scope
from ak_lambda.version_pruner.pruning import Pruner
from benchmarks.document import write
from benchmarks.processes import figure
from test.lambda_assets.fake_lambda import PROVIDER, FakeLambda, arn

FUNCTIONS = 1_000
VERSIONS = 50
ON_PROVIDER = 20
VERSIONS_ON_PROVIDER = 100  # as many as a capacity provider takes
PAGE_SIZE = 50  # of Lambda's own lists of functions and of versions
NOW = 1_790_000_000.0
DAY_SECONDS = 86_400
MANAGED = {"LambdaManagedInstancesCapacityProviderConfig": {"CapacityProviderArn": PROVIDER}}
POLICY = core.Policy(keep_latest=3, min_age_seconds=DAY_SECONDS, keep_active=False)


def functions() -> list[core.Observed]:
    """Make functions with as many versions as each has, aliases and a few other uses."""
    return [
        core.Observed(
            versions=[
                core.Version(version=str(number), age_seconds=DAY_SECONDS * (VERSIONS - number), code_bytes=1_000_000)
                for number in range(1, VERSIONS + 1)
            ],
            aliases={
                "live": core.Route(target=str(VERSIONS), weighted=frozenset({str(VERSIONS - 1)})),
                "stable": core.Route(target=str(1 + index % VERSIONS)),
            },
            provisioned=frozenset({str(1 + index % 7)}),
            pinned=frozenset({str(1 + index % 11)}),
        )
        for index in range(FUNCTIONS)
    ]


def planning(runs: int) -> tuple[list[float], int]:
    """Plan for all functions again and again; give the CPU time of each, sorted, and how many versions would go."""
    observed = functions()
    taken, gone = [], 0
    gc.collect()
    for run in range(runs + 1):
        began = time.process_time()
        gone = sum(len(core.plan(each, POLICY).delete) for each in observed)
        if run:
            taken.append(time.process_time() - began)
    return sorted(taken), gone


def account() -> FakeLambda:
    """Make an account in which some of the functions share a capacity provider."""
    fake = FakeLambda(page_size=PAGE_SIZE)
    for index in range(FUNCTIONS):
        name = f"f{index:04}"
        if index < ON_PROVIDER:
            versions = range(1, VERSIONS_ON_PROVIDER // ON_PROVIDER + 1)
            fake.add(name, *versions, State="Active", CapacityProviderConfig=MANAGED)
        else:
            fake.add(name, *range(1, VERSIONS + 1))
        newest = max(int(version) for version in fake.functions[name].versions if version != "$LATEST")
        fake.functions[name].aliases["live"] = {"Name": "live", "FunctionVersion": str(newest)}
    fake.mappings = [arn(f"f{index:04}", "live") for index in range(0, FUNCTIONS, 25)]
    return fake


def calls(named: dict[str, Any] | None, *, only_managed: bool = False) -> Counter[str]:
    """Count the calls of a dry run over a scope, or over what a list of all functions gives."""
    fake = account()
    api = FunctionsApi(fake.client("lambda"))

    def scanned() -> list[str]:
        pages = fake.client("lambda").get_paginator("list_functions").paginate()
        return [
            each["FunctionArn"]
            for page in pages
            for each in page["Functions"]
            if not only_managed or "CapacityProviderConfig" in each
        ]

    Pruner(
        functions=api,
        targets=lambda: scope.targets(named or {"functions": scanned()}, api, lambda _tags: frozenset()),
        policy=POLICY,
        dry_run=True,
        max_deletions=500,
        cursor=None,
        now=lambda: NOW,
        has_time=lambda: True,
    ).run()
    return fake.calls


def report(runs: int) -> str:
    """Measure everything and write it down."""
    taken, gone = planning(runs)
    ours = calls({"capacity_provider": "pool"})
    scan, filtered = calls(None), calls(None, only_managed=True)
    rows = {
        "scope by capacity provider": ours,
        "all functions, those with managed instances looked into": filtered,
        "all functions, each looked into": scan,
    }
    return TEXT.format(
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        python=platform.python_version(),
        boto3=boto3.__version__,
        machine=f"{platform.system()} on {os.cpu_count()} cores of {platform.machine()}",
        functions=f"{FUNCTIONS:,}",
        versions=VERSIONS,
        on_provider=ON_PROVIDER,
        versions_on_provider=VERSIONS_ON_PROVIDER,
        runs=runs,
        taken=figure(taken, "ms", 1000),
        each=figure(taken, "µs", 1e6 / FUNCTIONS),
        gone=f"{gone:,}",
        rows="\n".join(row(name, counted, ours) for name, counted in rows.items()),
        times=f"{scan.total() / ours.total():.0f}",
    )


def row(name: str, counted: Counter[str], ours: Counter[str]) -> str:
    """Put the counts of one way into a line of the table."""
    found = counted["ListFunctionVersionsByCapacityProvider"] + counted["ListFunctions"]
    versions, aliases = counted["ListVersionsByFunction"], counted["ListAliases"]
    rest = counted.total() - found - versions - aliases
    times = f"{counted.total() / ours.total():.1f} x"
    return f"| {name} | {found} | {versions:,} | {aliases:,} | {rest:,} | {counted.total():,} | {times} |"


TEXT = """## The version pruner

Written by `uv run python -m benchmarks.version_pruner` on {date}: Python {python}, boto3 {boto3}; {machine}.

Planning, which is all that the pruner computes: {functions} functions with {versions} versions, two aliases (one of
them weighted), provisioned concurrency and an event source mapping each; {gone} versions would go. CPU time of one
process, {runs} runs after one uncounted, median with minimum and maximum: {taken} for all, {each} a function.

Calls of a dry run in an account of {functions} functions, {on_provider} of which have all of one capacity provider's
{versions_on_provider} versions, and the others {versions} versions each. They are counted as boto3 sends them, page by
page, at Lambda's own page size; the account is a model in memory. The second line is a scan that trusts what the list
of functions says of `$LATEST`; the third, which asks about every function, makes {times} times as many calls as ours.

| how functions are found | finding them | versions | aliases | other | calls | of ours |
|---|---|---|---|---|---|---|
{rows}

Each deletion adds one call for itself and one or more for the aliases, which are read again right before it.
"""


if __name__ == "__main__":
    write(report, __doc__)
