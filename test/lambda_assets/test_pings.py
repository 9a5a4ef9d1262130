"""Which events are pings: ours, the known peers', and never a request."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_constructs import keep_warm
from ak_lambda.shared import fields, pings, requests
from test.lambda_assets.events import http_api, rest

OURS: dict[str, Any] = {"ak_constructs_ping": {"hold_ms": 500}}
# As each peer's own code sends it.
PEERS: list[dict[str, Any]] = [
    {"warmer": True, "concurrency": 3},
    {"warmer": True},
    {
        "warmer": True,
        "__WARMER_INVOCATION__": 2,
        "__WARMER_CONCURRENCY__": 3,
        "__WARMER_CORRELATIONID__": "1-2",
    },
    {
        "warmer": True,
        "__WARMER_INVOCATION__": 2,
        "__WARMER_CONCURRENCY__": 3,
        "__WARMER_CORRELATION_ID__": "1-2",
    },
    {"source": "serverless-plugin-warmup"},
    {"type": "toasty", "toasty_id": "toasty-1", "concurrency": 2, "concurrency_index": 0},
    {"type": "toasty"},
    {"action": "PREWARM"},
]
SCHEDULED: dict[str, Any] = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2015-10-08T16:53:06Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/my-scheduled-rule"],
    "detail": {},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize("event", [OURS, *PEERS])
def test_a_ping_is_one_for_the_runner_and_for_other_handlers(event: dict[str, Any]) -> None:
    """So that whoever comes from another warmer need not change it first."""
    assert pings.is_ping(event)
    assert requests.kind_of(event) == "ping"


def test_a_bare_scheduled_event_is_a_ping_for_the_runner_only() -> None:
    """Without a prompt an agent could only refuse it; another handler may have work to do on a schedule."""
    assert requests.kind_of(SCHEDULED) == "ping"
    assert not pings.is_ping(SCHEDULED)
    for other in ({**SCHEDULED, "detail": {"prompt": "hi"}}, {**SCHEDULED, "source": "my.app"}):
        assert requests.kind_of(other) == "direct"


@pytest.mark.parametrize("event", [OURS, *PEERS, SCHEDULED])
@pytest.mark.parametrize("more", [{"prompt": "hi"}, {"user_id": "alice"}])
def test_what_asks_for_something_is_no_ping(event: dict[str, Any], more: dict[str, Any]) -> None:
    """A backend may pass on what its own user wrote: it must not vanish without an answer."""
    asked = {**event, **more}
    assert not pings.is_ping(asked)
    if event == OURS:
        with pytest.raises(fields.RefusedError, match=r"^event must be a request or an API's event, got both$"):
            requests.kind_of(asked)
    else:
        assert requests.kind_of(asked) == "direct"


@pytest.mark.parametrize("more", [{"session_id": "s"}, {"body": {"prompt": "hi"}}, {"anything": None}])
def test_our_ping_with_any_other_key_is_refused(more: dict[str, Any]) -> None:
    """In Agent Kernel's nested form too a request must not vanish without an answer."""
    with pytest.raises(fields.RefusedError, match=r"^event must be a request or an API's event, got both$"):
        requests.kind_of({**OURS, **more})


@pytest.mark.parametrize("event", [*PEERS, SCHEDULED])
@pytest.mark.parametrize("more", [{"session_id": "s"}, {"body": {"prompt": "hi"}}, {"anything": None}])
def test_a_peers_ping_with_any_other_key_is_a_request(event: dict[str, Any], more: dict[str, Any]) -> None:
    """Exactly what the peer sends, and nothing that a caller could dress up."""
    assert requests.kind_of({**event, **more}) == "direct"


@pytest.mark.parametrize("event", [OURS, *PEERS, SCHEDULED])
def test_a_body_that_a_caller_writes_over_http_is_never_a_ping(event: dict[str, Any]) -> None:
    """Behind an API of either kind it is a request without a prompt."""
    for request in (rest(event), http_api(event)):
        assert requests.kind_of(request) == "http"
        assert not pings.is_ping(request)
        with pytest.raises(fields.RefusedError, match=r"^prompt must be a string"):
            requests.http_request(request, lambda: "id")


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        [OURS],
        "warmer",
        7,
        {},
        {"warmer": 1},
        {"warmer": False},
        {"warmer": "true"},
        {"concurrency": 3},
        {"source": "serverless"},
        {"type": ["toasty"]},
        {"ak_constructs_ping": True},
        {"ak_constructs_ping": {}, "x": 1},
    ],
)
def test_anything_else_is_no_ping(event: object) -> None:
    """Whatever type it is."""
    assert not pings.is_ping(event)


@given(JSON)
def test_any_event_can_be_asked_about(event: object) -> None:
    """Foreign handlers get events of every shape."""
    assert pings.is_ping(event) in {True, False}


@pytest.mark.parametrize("event", [*PEERS, SCHEDULED])
def test_a_peers_ping_is_held_for_a_moment(event: dict[str, Any]) -> None:
    """As their own handlers do, so that several at once meet several environments."""
    assert pings.hold_ms_of(event) == 75


@given(JSON)
def test_a_hold_is_within_bounds(hold_ms: object) -> None:
    """Whatever it asks for."""
    assert 0 <= pings.hold_ms_of({"ak_constructs_ping": {"hold_ms": hold_ms}}) <= 5000


@pytest.mark.parametrize(
    ("hold_ms", "held"),
    [("NaN", 0), ("-1", 0), ("-Infinity", 0), ("Infinity", 5000), ("7.9", 7), ("true", 1), ('"7"', 0)],
)
def test_what_json_calls_a_number_is_a_hold(hold_ms: str, held: int) -> None:
    """Or none at all; Python reads more than JSON has."""
    assert pings.hold_ms_of(json.loads(f'{{"ak_constructs_ping": {{"hold_ms": {hold_ms}}}}}')) == held


def test_both_sides_bound_a_hold_alike() -> None:
    """They never import each other."""
    assert pings.MAX_HOLD_MS == keep_warm.MAX_HOLD_MS


def test_an_environment_has_one_id_and_is_cold_once() -> None:
    """And its id is made when it first runs, not when its module is imported: SnapStart copies that."""
    environment = pings.Environment()
    first, second = environment.enter(), environment.enter()
    assert first == {"environment_id": first["environment_id"], "cold": True}
    assert second == {"environment_id": first["environment_id"], "cold": False}
    assert pings.Environment().enter()["environment_id"] != first["environment_id"]
    assert json.dumps(first)
