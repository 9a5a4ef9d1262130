"""What a round of pings says about a target."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_lambda.keep_warm import core
from ak_lambda.keep_warm.core import Ping
from ak_lambda.shared import pings as shared

WARM = core.Ping("answered", "a")
COLD = core.Ping("answered", "b", cold=True)
NOTHING = {"wanted": 2, "warm": 0, "cold": 0, "distinct": 0, "throttled": 0, "failed": 0, "unanswered": 0}
PINGS = st.lists(
    st.one_of(
        st.builds(Ping, st.just("answered"), st.sampled_from("abcdef"), st.booleans()),
        st.builds(Ping, st.sampled_from(["throttled", "failed", "unanswered"]), error=st.sampled_from(["x", "y"])),
    ),
    max_size=12,
)


def test_a_ping_is_what_every_side_takes_for_one() -> None:
    """And asks to be held."""
    event = json.loads(core.payload(500))
    assert shared.is_ping(event)
    assert shared.hold_ms_of(event) == 500


@pytest.mark.parametrize(
    ("text", "error", "outcome", "environment_id", "cold"),
    [
        (b'{"environment_id": "a", "cold": false}', None, "answered", "a", False),
        (b'{"environment_id": "a", "cold": true, "more": 1}', None, "answered", "a", True),
        (b'{"environment_id": "a", "cold": false}', "Unhandled", "failed", "", False),
        (b'{"errorMessage": "Task timed out"}', "Unhandled", "failed", "", False),
        (b'{"statusCode": 400}', None, "unanswered", "", False),
        (b'{"environment_id": "", "cold": true}', None, "unanswered", "", False),
        (b'{"environment_id": 7, "cold": true}', None, "unanswered", "", False),
        (b'{"environment_id": "a"}', None, "unanswered", "", False),
        (b'{"environment_id": "a", "cold": 1}', None, "unanswered", "", False),
        (b"null", None, "unanswered", "", False),
        (b"[]", None, "unanswered", "", False),
        (b"", None, "unanswered", "", False),
        (b"\xff\xfe\xfa", None, "unanswered", "", False),
        (b"[" * 100_000, None, "unanswered", "", False),
    ],
)
def test_what_a_target_returns_is_an_answer_or_not(
    text: bytes, error: str | None, outcome: str, environment_id: str, *, cold: bool
) -> None:
    """A function that knows no pings ran all the same, and says something else."""
    read = core.answered(text, error)
    assert (read.outcome, read.environment_id, read.cold) == (outcome, environment_id, cold)
    assert bool(read.error) == (outcome != "answered")


@pytest.mark.parametrize(
    ("pings", "counts"),
    [
        ([], {}),
        ([WARM, WARM], {"warm": 1, "distinct": 1}),
        ([WARM, COLD], {"warm": 1, "cold": 1, "distinct": 2}),
        ([COLD, Ping("answered", "b")], {"cold": 1, "distinct": 1}),
        ([Ping("throttled"), Ping("failed"), Ping("failed")], {"throttled": 1, "failed": 2}),
        ([Ping("unanswered"), WARM], {"unanswered": 1, "warm": 1, "distinct": 1}),
    ],
)
def test_an_environment_counts_once_however_many_pings_it_answered(pings: list[Ping], counts: dict[str, int]) -> None:
    """It is cold if it started for one of them."""
    assert core.summary(2, pings) == {**NOTHING, **counts}


@given(PINGS)
def test_the_counts_add_up(pings: list[Ping]) -> None:
    """Nothing is counted twice, and nothing is left out."""
    counts = core.summary(3, pings)
    assert counts["warm"] + counts["cold"] == counts["distinct"] <= len(pings)
    failures = counts["throttled"] + counts["failed"] + counts["unanswered"]
    assert failures + sum(ping.outcome == "answered" for ping in pings) == len(pings)
    metrics = core.metrics(counts)
    assert metrics == {
        "WarmEnvironments": (counts["distinct"], "Count"),
        "ColdStarts": (counts["cold"], "Count"),
        "PingFailures": (failures, "Count"),
    }


@given(PINGS, st.randoms())
def test_the_order_of_answers_changes_nothing(pings: list[Ping], random: Any) -> None:  # noqa: ANN401
    """They come as they come."""
    shuffled = random.sample(pings, len(pings))
    assert core.summary(3, shuffled) == core.summary(3, pings)
    assert core.errors(shuffled) == core.errors(pings)


@pytest.mark.parametrize(
    ("pings", "again"),
    [
        ([WARM, COLD], False),
        ([WARM, WARM], True),
        ([WARM, Ping("failed")], True),
        ([WARM, Ping("unanswered")], True),
        ([Ping("throttled"), Ping("failed")], True),
        ([Ping("failed"), Ping("failed")], False),
        ([Ping("unanswered"), Ping("unanswered")], False),
    ],
)
def test_another_round_is_for_targets_that_may_do_better(pings: list[Ping], *, again: bool) -> None:
    """One that knows no pings would only run once more, for nothing."""
    assert core.is_worth_another_round(2, pings) is again


@pytest.mark.parametrize(
    ("hold_ms", "most", "longer"), [(500, 5000, 2000), (0, 5000, 1000), (2000, 5000, 5000), (500, 1500, 1500)]
)
def test_another_round_holds_longer(hold_ms: int, most: int, longer: int) -> None:
    """Within what the runner and the target's timeout allow."""
    assert core.longer_hold_ms(hold_ms, most) == longer


def test_each_thing_that_went_wrong_is_said_once() -> None:
    """A hundred pings may fail alike."""
    pings = [WARM, Ping("failed", error="y"), Ping("failed", error="y"), Ping("throttled", error="x")]
    assert core.errors(pings) == ["x", "y"]
