"""docs/keep-warm.md: its code runs, and its numbers are those of the code."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ak_constructs.keep_warm import DEFAULT_HOLD, DEFAULT_MINUTES, WARMER_MEMORY_MIB
from ak_lambda.keep_warm import core
from benchmarks import keep_warm
from benchmarks.prices import PRICES, WARMTH

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "keep-warm.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def foreign() -> Any:  # noqa: ANN401
    """Give a fresh handler in front of which the document's file lies, as a user would paste it."""
    decorated, file, handler = BLOCKS
    assert len([line for line in file.splitlines() if line]) == 8, "eight lines, as promised"
    assert "answers_ping" in decorated
    names: dict[str, Any] = {}
    exec(f"{file}\n{handler}    return event\n", names)  # noqa: S102 - our own documentation
    return names["handler"]


def test_the_eight_lines_answer_as_the_warmer_expects(foreign: Any) -> None:  # noqa: ANN401
    """Cold once, and always the same environment."""
    ping = {"ak_constructs_ping": {"hold_ms": 1}}
    first, second = foreign(ping, None), foreign(ping, None)
    assert first == {"environment_id": first["environment_id"], "cold": True}
    assert second == {"environment_id": first["environment_id"], "cold": False}
    read = core.answered(json.dumps(first).encode(), None)
    assert (read.outcome, read.environment_id, read.cold) == ("answered", first["environment_id"], True)


@pytest.mark.parametrize(
    "event",
    [None, [], "x", 7, {}, {"ak_constructs_ping": True}, {"prompt": "hi"}, {"ak_constructs_ping": {}, "prompt": "hi"}],
)
def test_the_eight_lines_leave_every_other_event_alone(foreign: Any, event: object) -> None:  # noqa: ANN401
    """Whatever it is."""
    assert foreign(event, None) is event
    assert foreign({"ak_constructs_ping": {}}, None)["cold"] is False


def test_the_decorated_handler_of_the_document_answers() -> None:
    """With nothing but our package beside it."""
    code = f"{BLOCKS[0]}\nprint(handler({{'warmer': True}}, None)['cold'], handler([], None))"
    folder = ROOT / "lambda_assets"
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert run.stdout == "True {'statusCode': 200}\n"


def test_the_tables_are_computed() -> None:
    """From prices that are cited."""
    assert keep_warm.table() in TEXT
    for price in (PRICES["arm64"], PRICES["invocation"], *WARMTH.values()):
        assert f"| {price.dollars:.10f} | {price.unit} | {price.source} |" in TEXT


def test_the_sentences_say_what_the_table_was_computed_with() -> None:
    """Where a number stands in the text."""
    text = " ".join(TEXT.split())
    more = 3 * WARMTH["metric"].dollars + WARMTH["alarm"].dollars
    assert f"*fixed* is {keep_warm.fixed():.2f}: the warmer's own runs ({WARMER_MEMORY_MIB} MiB for" in text
    assert f"({WARMER_MEMORY_MIB} MiB for {keep_warm.WARMER_SECONDS:g} s)" in text
    assert f"adds three metrics and an alarm, {more:.2f}." in text
    assert f"from {keep_warm.break_even_mib():.0f} MiB on" in text
    assert f"from {keep_warm.break_even_use() * 100:.0f} % of the time in use" in text
    hold = DEFAULT_HOLD.to_milliseconds()
    assert f"pings every {DEFAULT_MINUTES} minutes held for {hold:g} ms" in text
    assert f"held for {core.longer_hold_ms(int(hold), 5000) / 1000:g} s" in text
    assert keep_warm.EVERY_SECONDS == DEFAULT_MINUTES * 60


@pytest.mark.parametrize(("memory", "environments"), [(128, 2), (128, 20), (2048, 2)])
def test_for_two_or_more_environments_pings_cost_less(memory: int, environments: int) -> None:
    """From the least memory that a function may have."""
    assert keep_warm.pings(memory, environments) < keep_warm.provisioned(memory, environments)


def test_the_break_evens_are_where_both_cost_the_same() -> None:
    """By the formulas of the document."""
    even = keep_warm.break_even_mib()
    assert keep_warm.pings(even, 1) == pytest.approx(keep_warm.provisioned(even, 1))
    use = keep_warm.break_even_use()
    assert use * PRICES["arm64"].dollars == pytest.approx(
        WARMTH["provisioned"].dollars + use * WARMTH["provisioned_run"].dollars
    )
