"""Decides what a round of pings says about a target. Plain values in, plain values out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared.fields import mapping
from ak_lambda.shared.pings import KEY

ANSWERED = "answered"
THROTTLED = "throttled"
FAILED = "failed"
UNANSWERED = "unanswered"  # the function ran and said something else: it does not know pings

LONGER_HOLD = 4
LEAST_LONGER_HOLD_MS = 1000


@dataclass(frozen=True, slots=True)
class Ping:
    """What became of one ping.

    Attributes:
        outcome: One of the four above.
        environment_id: Which environment answered.
        cold: Whether it was its first run.
        error: What went wrong, for the log; never a target's own words.
    """

    outcome: str
    environment_id: str = ""
    cold: bool = False
    error: str = ""


def payload(hold_ms: int) -> bytes:
    """Write a ping."""
    return json.dumps({KEY: {"hold_ms": hold_ms}}).encode()


def answered(text: bytes, function_error: str | None) -> Ping:
    """Read what a target returned."""
    if function_error:
        return Ping(FAILED, error=f"the target failed: {function_error}")
    try:
        said = mapping(json.loads(text))
    except (ValueError, RecursionError):
        said = {}
    environment_id = said.get("environment_id")
    if not isinstance(environment_id, str) or not environment_id or not isinstance(said.get("cold"), bool):
        return Ping(UNANSWERED, error="the target does not answer pings")
    return Ping(ANSWERED, environment_id, said["cold"])


def summary(wanted: int, pings: Iterable[Ping]) -> dict[str, int]:
    """Count what all pings to one target met; an environment that several of them met counts once.

    Cold is one that started for a ping, warm one that ran before; `distinct` is both, and what is warm from now on.
    """
    every = list(pings)
    met = {ping.environment_id for ping in every if ping.outcome == ANSWERED}
    cold = {ping.environment_id for ping in every if ping.outcome == ANSWERED and ping.cold}
    return {
        "wanted": wanted,
        "warm": len(met - cold),
        "cold": len(cold),
        "distinct": len(met),
        **{outcome: sum(ping.outcome == outcome for ping in every) for outcome in (THROTTLED, FAILED, UNANSWERED)},
    }


def is_worth_another_round(wanted: int, pings: Sequence[Ping]) -> bool:
    """Whether more pings may meet more environments: not where none is answered, which may have cost a whole run."""
    return summary(wanted, pings)["distinct"] < wanted and any(ping.outcome in {ANSWERED, THROTTLED} for ping in pings)


def longer_hold_ms(hold_ms: int, most: int) -> int:
    """How long to hold the pings of another round: the first ones ended before the last ones began."""
    return min(max(LONGER_HOLD * hold_ms, LEAST_LONGER_HOLD_MS), most)


def errors(pings: Iterable[Ping]) -> list[str]:
    """Say each thing that went wrong once."""
    return sorted({ping.error for ping in pings if ping.error})


def metrics(counts: Mapping[str, int]) -> dict[str, tuple[float, str]]:
    """Give the metrics of one target, each with its unit."""
    return {
        "WarmEnvironments": (counts["distinct"], "Count"),
        "ColdStarts": (counts["cold"], "Count"),
        "PingFailures": (counts[THROTTLED] + counts[FAILED] + counts[UNANSWERED], "Count"),
    }


def result(pinged: Mapping[str, Sequence[Ping]], wanted: int) -> dict[str, Any]:
    """Give what the warmer returns and logs."""
    return {"targets": {target: summary(wanted, pings) for target, pings in pinged.items()}}
