"""What a construct costs while nobody uses it, by the resources of its page's stack and the prices of benchmarks/."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ak_constructs import KeepWarm, SharedCapacityProvider, VersionPruner, _limits, shared_capacity_provider
from benchmarks import keep_warm, prices
from benchmarks.prices import OTHERS, PRICES, WARMTH
from scripts.pages.stacks import Defined, Resource

MILLION = 1_000_000
MONTH_HOURS = 30 * 24
RECEIVES_A_MINUTE = 15  # five pollers of 20 s each; https://github.com/getlift/lift/issues/132, read 2026-11-21
LEAST_CACHE_GB = 0.1  # where the price of "valkey" was read
# How long a run of ours by schedule takes; only the warmer's was measured.
SCHEDULED_SECONDS = {"Warmer": keep_warm.WARMER_SECONDS, "Function": 10, "VersionCounter": 1}
CONSTRUCTS = {"Warmer": KeepWarm, "Function": VersionPruner, "VersionCounter": SharedCapacityProvider}
EVERY = {"minute": 60, "minutes": 60, "hour": 3600, "hours": 3600, "day": 86_400, "days": 86_400}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One line of a bill.

    Attributes:
        what: What is paid.
        formula: How it is computed.
        dollars: How much.
    """

    what: str
    formula: str
    dollars: float


def said() -> str:
    """Say of which day the prices are, and what is left out."""
    read = re.search(r"read (\d{4}-\d\d-\d\d)", prices.__doc__ or "")
    if read is None:
        raise ValueError("benchmarks/prices.py must say when its prices were read")
    return (
        f"Prices: us-east-1, read {read[1]}, first tier, no free tier ([prices.py](../../benchmarks/prices.py)); a "
        f"month has {MONTH_HOURS // 24} days; /M is a million. Not counted: what is stored, logs, traces, transfer."
    )


def idle(defined: Defined, root: str) -> list[Cost]:
    """Give what a construct costs a month while nobody uses it and nothing is stored."""
    found = defined.below(root)
    of = {kind: [each for each in found if each.kind == kind] for kind in {each.kind for each in found}}
    costs = []
    if alarms := of.get("CloudWatch::Alarm"):
        costs.append(_times(len(alarms), WARMTH["alarm"].dollars, "alarms"))
    if mappings := of.get("Lambda::EventSourceMapping"):
        costs.append(_polls(defined, mappings))
    for schedule in of.get("Scheduler::Schedule", ()):
        costs += _scheduled(defined, schedule)
    if dashboards := of.get("CloudWatch::Dashboard"):
        costs.append(_times(len(dashboards), OTHERS["dashboard"].dollars, "dashboard"))
    if "ElastiCache::ServerlessCache" in of:
        price = OTHERS["valkey"].dollars
        formula = f"{MONTH_HOURS} h x {LEAST_CACHE_GB} GB, the least that is charged, x {price}"
        costs.append(Cost(what="cache", formula=formula, dollars=MONTH_HOURS * LEAST_CACHE_GB * price))
    if "Lambda::CapacityProvider" in of:
        scp = shared_capacity_provider
        hourly = f"{scp.DOLLARS_PER_HOUR} x {1 + _limits.LAMBDA_MANAGED_FEE_PERCENT / 100}"
        formula = f"{_limits.LAMBDA_MANAGED_DEFAULT_ENVIRONMENTS} `m7g.large` x {scp.HOURS_PER_MONTH} h x {hourly}"
        costs.append(Cost(what="instances", formula=formula, dollars=scp.IDLE_DOLLARS))
    return costs


def _times(count: int, price: float, what: str) -> Cost:
    return Cost(what=what, formula=f"{count} x {price:.2f}", dollars=count * price)


def _polls(defined: Defined, mappings: Sequence[Resource]) -> Cost:
    """Of Lambda, which looks into the queues day and night."""
    minutes = MONTH_HOURS * 60
    fifo = [
        bool(defined.by_id[each.properties["EventSourceArn"]["Fn::GetAtt"][0]].properties.get("FifoQueue"))
        for each in mappings
    ]
    parts = [(fifo.count(True), PRICES["sqs"].dollars), (fifo.count(False), OTHERS["standard"].dollars)]
    formula = " + ".join(
        f"{count} queues x {RECEIVES_A_MINUTE} x {minutes:,} min x {small(price)}" for count, price in parts if count
    )
    dollars = sum(count * RECEIVES_A_MINUTE * minutes * price for count, price in parts)
    return Cost(what="SQS: Lambda asks for messages", formula=formula, dollars=dollars)


def _scheduled(defined: Defined, schedule: Resource) -> list[Cost]:
    """Of a function that runs by schedule, and of the metrics that it writes."""
    every = re.fullmatch(r"rate\((\d+) (\w+)\)", schedule.properties["ScheduleExpression"])
    if every is None:
        raise ValueError(f"a page's schedule must be a rate, got {schedule.properties['ScheduleExpression']}")
    runs = MONTH_HOURS * 3600 // (int(every[1]) * EVERY[every[2]])
    function = defined.by_id[schedule.properties["Target"]["Arn"]["Fn::GetAtt"][0]]
    name = function.path.split("/")[-2]
    gib = function.properties["MemorySize"] / 1024
    seconds, targets = SCHEDULED_SECONDS[name], _targets(function)
    each = WARMTH["schedule"].dollars + PRICES["invocation"].dollars + gib * seconds * PRICES["arm64"].dollars
    started = small(WARMTH["schedule"].dollars + PRICES["invocation"].dollars)
    formula = f"{runs:,} runs x ({started} + {gib:.4g} GiB x {seconds:g} s x {small(PRICES['arm64'].dollars)})"
    costs = [Cost(what=f"`{name}`, by schedule", formula=formula, dollars=runs * each)]
    if name == "Warmer":
        target = next(each for each in defined.resources if each.path == "Agent/Resource")
        memory = target.properties["MemorySize"]
        pings = runs * targets
        held = f"{memory / 1024:.4g} GiB x {keep_warm.HOLD_SECONDS:g} s x {small(PRICES['arm64'].dollars)}"
        formula = f"{pings:,} x ({small(PRICES['invocation'].dollars)} + {held})"
        costs.append(Cost(what="pings", formula=formula, dollars=pings * keep_warm.a_round_for_one(memory)))
    metrics = len([each for each in vars(CONSTRUCTS[name]) if each.startswith("metric_")])
    costs.append(_times(metrics, WARMTH["metric"].dollars, "metrics of its own"))
    return costs


def _targets(function: Resource) -> int:
    """Give how many pings a warmer sends in a round: its page has one target."""
    variables = function.properties["Environment"]["Variables"]
    return int(variables.get("AK_CONSTRUCTS_WARM_CONCURRENCY", 1))


def small(price: float) -> str:
    """Write a small price by the million."""
    return f"{price * MILLION:.4g}/M"
