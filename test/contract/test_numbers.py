"""Every number with a unit in the prose of a document is held: by a constant here, by another test, or by a source."""

import re
from pathlib import Path

import pytest

from ak_constructs import (
    _function,
    _limits,
    agent_function,
    agent_queue,
    authorization,
    keep_warm,
    shared_capacity_provider,
)
from ak_constructs.local import answers
from ak_lambda.agent_runner import delta_rules
from ak_lambda.jwt_authorizer import core as jwt_core
from ak_lambda.jwt_authorizer import keys, tokens
from ak_lambda.keep_warm import core as warmer
from ak_lambda.shared import agent_secrets, frames, heartbeat, payloads, pings, protocol, secret_rules
from benchmarks import keep_warm as warm_costs

ROOT = Path(__file__).parents[2]
# What is the record of a run, with the command that made it.
RECORDS = {
    "docs/chaos.md": "uv run projen test:chaos",
    "docs/websocket-load.md": "uv run python -m test.local.websocket_load",
}
# Whose numbers have a test of their own.
ELSEWHERE = {
    "docs/constructs/*.md": "test_construct_pages.py",
    "docs/decisions/0011-deltas-are-hints.md": "test_docs.py",
    "docs/troubleshooting.md": "test_troubleshooting_document.py",
    "docs/websocket.md": "test_docs.py",
}
# Reasons where there is no constant.
AWS = "AWS's own words, with their source beside them"
MEASURED = "measured once by hand, for a decision, and said to be: no benchmark repeats it"
THEIRS = "what Agent Kernel has, or its user's Terraform in the example"
PROMISED = "a promise of people, not of code"
TABLE = "test_keep_warm_document.py compares the table"
CONNECTED_HOURS = _limits.API_GATEWAY_WEBSOCKET_CONNECTION_SECONDS / 3600
EXAMPLE_SECONDS = 10

HELD: dict[str, dict[str, float | str]] = {
    "README.md": {
        "200 dollars": round(shared_capacity_provider.IDLE_DOLLARS, -2),
        "14 days": agent_queue.DEAD_LETTER_RETENTION.to_days(),
        "700 KiB": payloads.MAX_MESSAGE_BYTES / 1024,
        "150 ms": delta_rules.CUT_SECONDS * 1000,
    },
    "SECURITY.md": {
        "90 days": PROMISED,
        "300 s": authorization.DEFAULT_JWT_CACHE.to_seconds(),
        "10 minutes": keys.FRESH_SECONDS / 60,
        "24 hours": keys.KEPT_SECONDS / 3600,
        "30 s": keys.REFETCH_SECONDS,
        "2 hours": CONNECTED_HOURS,
    },
    "docs/authorization.md": {
        "2 hours": CONNECTED_HOURS,
        "4 KiB": jwt_core.MAX_CLAIMS_BYTES / 1024,
        "300 s": authorization.DEFAULT_JWT_CACHE.to_seconds(),
        "30 s": tokens.LEEWAY_SECONDS,
        "10 minutes": keys.FRESH_SECONDS / 60,
        "24 hours": keys.KEPT_SECONDS / 3600,
    },
    "docs/decisions/0002-one-zip.md": {"144 kB": "test_dependencies.py builds the zip and compares"},
    "docs/decisions/0004-requests-table-is-the-truth.md": {
        "60 s": protocol.LEASE_SECONDS,
        "20 s": heartbeat.EVERY_SECONDS,
    },
    "docs/decisions/0007-the-model-of-sqs.md": {
        "5 minutes": _limits.SQS_DEDUPLICATION_SECONDS / 60,
        "10 seconds": AWS,
        "14 days": _limits.SQS_RETENTION_SECONDS[1] / 86_400,
    },
    "docs/decisions/0009-jwt-library-as-a-layer.md": {"16 MB": MEASURED},
    "docs/decisions/0010-secrets.md": {
        "0.7 s": MEASURED,
        "300 s": secret_rules.REFRESH_SECONDS,
        "10 s": secret_rules.BETWEEN_TRIES_SECONDS,
        "2 s": agent_secrets.CONNECT_SECONDS,
        "0.2 s": MEASURED,
        "0.05 s": MEASURED,
    },
    "docs/keep-warm.md": {
        "5 minutes": keep_warm.DEFAULT_MINUTES,
        "500 ms": keep_warm.DEFAULT_HOLD.to_milliseconds(),
        **dict.fromkeys(("128 MiB", "512 MiB", "1024 MiB", "2048 MiB"), TABLE),
        "1769 MiB": keep_warm.WARMER_MEMORY_MIB,
        "0.6 s": warm_costs.WARMER_SECONDS,
        "147 MiB": round(warm_costs.break_even_mib()),
        "60 %": round(warm_costs.break_even_use() * 100),
        "4 ms": MEASURED,
        "417 ms": MEASURED,
        "1.4 ms": MEASURED,
        "2 s": warmer.longer_hold_ms(int(keep_warm.DEFAULT_HOLD.to_milliseconds()), pings.MAX_HOLD_MS) / 1000,
        "0.8 s": MEASURED,
        "5000 ms": pings.MAX_HOLD_MS,
    },
    "docs/leaving.md": {"90 days": AWS, "35 days": AWS},
    "docs/local.md": {"10 s": answers.QUIET_SECONDS},
    "docs/migrating-from-terraform.md": {
        **dict.fromkeys(("45 s", "512 MB", "256 MB", "60 s", "300 s", "20 s"), THEIRS),
        "29 s": agent_function.DEFAULT_TIMEOUT.to_seconds(),
        "900 s": _limits.LAMBDA_TIMEOUT_SECONDS,
        "30 days": {"ONE_MONTH": 30}[_function.LOG_RETENTION.name],
        "4 days": agent_queue.DEFAULT_RETENTION.to_days(),
        "1 MiB": _limits.SQS_MESSAGE_BYTES / 1024**2,
        "14 days": _limits.SQS_RETENTION_SECONDS[1] / 86_400,
        "6 times": agent_queue.VISIBILITY_FACTOR,
        "100 times": agent_queue.REPLY_MAX_RECEIVE_COUNT,
    },
    "docs/private.md": {"32000 bytes": frames.MAX_FRAME_BYTES},
    "docs/websocket-operations.md": {
        "2 hours": CONNECTED_HOURS,
        "32 KB": _limits.API_GATEWAY_WEBSOCKET_FRAME_BYTES / 1024,
        "32 KiB": _limits.API_GATEWAY_WEBSOCKET_FRAME_BYTES / 1024,
        "150 ms": delta_rules.CUT_SECONDS * 1000,
        "10 s": EXAMPLE_SECONDS,
        "70 dollars": round(
            EXAMPLE_SECONDS / delta_rules.CUT_SECONDS, -1
        ),  # a million times, at a dollar for a million
    },
}
UNITS = "s|ms|seconds?|minutes?|hours?|days?|weeks?|months?|[KMG]i?B|kB|bytes|percent|dollars|times"
NUMBER = re.compile(rf"(?<![\w.,-])(\d[\d,]*(?:\.\d+)?)[ -](?:(?:{UNITS})\b|%)")


def documents() -> list[str]:
    """Give every document that people write."""
    found = ["README.md", "SECURITY.md", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
    return sorted(name for name in found if not elsewhere(name) and not written(name))


def elsewhere(name: str) -> str:
    """Give the test that holds all numbers of a document, if there is one."""
    return next((test for pattern, test in ELSEWHERE.items() if Path(name).match(pattern)), "")


def written(name: str) -> bool:
    """Say whether a program wrote a document, and says so, or it is the record of a run."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return "Written by `" in text[:400] or (name in RECORDS and RECORDS[name] in text)


def numbers(text: str) -> set[str]:
    """Give every number with a unit in prose."""
    text = re.sub(r"^ *```.*?^ *```$|^    [^\n]*$|<!--.*?-->", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)|`[^`]*`|https?://\S+", "", text)
    return {found[0] for found in NUMBER.finditer(" ".join(text.split()))}


@pytest.mark.parametrize("name", documents())
def test_every_number_with_a_unit_is_held(name: str) -> None:
    """By a constant that it equals, or for a reason; what is no longer written goes from the list."""
    held = HELD.get(name, {})
    assert numbers((ROOT / name).read_text(encoding="utf-8")) == set(held), (
        "hold it in HELD, by a constant if there is one"
    )
    wrong = {
        phrase: by
        for phrase, by in held.items()
        if not isinstance(by, str) and float(re.split("[ -]", phrase)[0].replace(",", "")) != pytest.approx(by)
    }
    assert wrong == {}


def test_who_holds_a_documents_numbers_is_there() -> None:
    """And knows the document."""
    assert set(HELD) <= set(documents())
    for pattern, test in ELSEWHERE.items():
        if list(ROOT.glob(pattern)):
            text = (Path(__file__).parent / test).read_text(encoding="utf-8")
            assert "NUMBERS" in text or "numbers" in text, test
    assert all(written(name) for name in RECORDS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It lasts 5 minutes, or 1,000 ms.", {"5 minutes", "1,000 ms"}),
        ("from 60 % on, 3-day waits", {"60 %", "3-day"}),
        ("`5 minutes`, [5 s](6 s.md), https://example.com/7, Python 3.11, 20 messages, v1.5 s", {"5 s"}),
        ("```text\n5 s\n```\n\n    6 s\n", set()),
    ],
)
def test_what_a_number_with_a_unit_is(text: str, found: set[str]) -> None:
    """Not in code, and not in an address."""
    assert numbers(text) == found
