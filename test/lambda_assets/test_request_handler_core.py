"""What a caller of the pipeline is told."""

import json
import types
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_lambda.request_handler import core
from ak_lambda.shared.fields import RefusedError
from test.lambda_assets.events import rest

ITEM: dict[str, Any] = {"request_id": "r-1", "session_id": "s-1", "status": "PENDING"}


def submit(body: dict[str, Any], /, new_id: str = "made", **changes: Any) -> core.Submission:  # noqa: ANN401
    """Read a submission."""
    return core.submission(rest(body, **changes), lambda: new_id)


def test_a_submission_without_ids_is_given_both() -> None:
    """In a session that nobody can guess: a session is whose it was opened by."""
    read = core.submission(rest({"prompt": "hi"}), iter(["a", "b"]).__next__)
    assert (read.request.session_id, read.request.request_id) == ("a", "b")
    assert not read.names_session


def test_the_hash_is_of_what_the_caller_sent() -> None:
    """Not of a session that was made up: sent again, it is the same request."""
    first, second = submit({"prompt": "hi", "request_id": "r"}, "a"), submit({"prompt": "hi", "request_id": "r"}, "b")
    assert first.request.session_id != second.request.session_id
    assert first.body_hash == second.body_hash


def test_what_cannot_be_hashed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nested one level less deeply than what cannot be read, which some versions of Python tell apart."""

    def too_deep(_value: object, **_how: object) -> str:
        raise RecursionError

    monkeypatch.setattr(core, "json", types.SimpleNamespace(dumps=too_deep))
    with pytest.raises(RefusedError) as refused:
        submit({"prompt": "hi"})
    assert (refused.value.status, refused.value.message) == (
        400,
        "body must be a JSON object, got one nested too deeply",
    )


@pytest.mark.parametrize("read", [lambda event: core.submission(event, lambda: "a"), core.asked])
def test_a_stage_that_does_not_say_who_asks_is_refused(read: Callable[[dict[str, Any]], object]) -> None:
    """Somebody may have made it beside ours: everybody would be nobody there."""
    with pytest.raises(RefusedError) as refused:
        read(rest({"prompt": "hi"}, stageVariables=None))
    assert (refused.value.status, refused.value.message) == (403, "not allowed: this stage does not say who asks")


def test_a_session_that_the_caller_names_is_taken() -> None:
    """And may exist."""
    read = submit({"prompt": "hi", "session_id": "mine"})
    assert (read.request.session_id, read.names_session) == ("mine", True)


@pytest.mark.parametrize("other", [{"prompt": "ho"}, {"prompt": "hi", "n": 1}, {"prompt": "hi", "session_id": "s"}])
def test_another_body_has_another_hash(other: dict[str, Any]) -> None:
    """Whatever differs."""
    assert submit({**other, "request_id": "r"}).body_hash != submit({"prompt": "hi", "request_id": "r"}).body_hash


def test_the_hash_knows_the_user_but_neither_order_nor_where_the_id_stood() -> None:
    """Two users' same words are two requests."""
    in_body = submit({"prompt": "hi", "request_id": "r", "n": 1})
    in_header = submit({"n": 1, "prompt": "hi"}, headers={"Idempotency-Key": "r"})
    assert in_body.body_hash == in_header.body_hash
    context: dict[str, Any] = {"requestContext": {"identity": {"user": "AROAX:me"}}}
    users = [
        submit({"prompt": "hi", "request_id": "r", "user_id": user}, rule="iam-body", **context) for user in ("a", "b")
    ]
    assert users[0].body_hash != users[1].body_hash


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        (None, 9),
        ("respond-async", 0),
        ("Respond-Async", 0),
        ("wait=10", 10_000),
        ("respond-async, wait=3", 3000),
        ('wait="3"', 3000),
        ("wait = 3", 3000),
        ("wait=0", 0),
        ("wait=x", 9),
        ("return=minimal", 9),
    ],
)
def test_the_caller_says_how_long_it_waits(prefer: str | None, expected: int) -> None:
    """As RFC 7240 spells it; who says nothing gets the pipeline's default."""
    headers = {"prefer": prefer} if prefer else {}
    assert core.wait_ms(rest({}, headers=headers), 9) == expected


def test_a_wait_ends_before_api_gateway_hangs_up() -> None:
    """Counted from when the gateway got the request."""
    event = rest({}, requestContext={"requestTimeEpoch": 1_000_000})
    assert core.deadline_ms(event, now_ms=1_002_000, wait=29_000) == 1_027_500
    assert core.deadline_ms(event, now_ms=1_002_000, wait=1000) == 1_003_000
    assert core.deadline_ms({}, now_ms=5, wait=29_000) == 27_505


@given(answered_ms=st.integers(0, 27_000), look_ms=st.integers(1, 9))
def test_an_answer_is_seen_soon_after_it_is_there(answered_ms: int, look_ms: int) -> None:
    """Within 50 ms, or within 5 % of a long wait, a look of some ms included."""
    now = looks = 0
    while True:
        looked, now, looks = now, now + look_ms, looks + 1
        if looked >= answered_ms:
            break
        now += core.step_ms(now)
    assert now - answered_ms < max(50 + look_ms, 0.05 * answered_ms + look_ms)
    assert looks < 120


def test_what_is_not_final_says_where_to_ask_again() -> None:
    """Relative to where the caller asked, whatever the stage or domain."""
    base = "https://api.example.com/prod/api/v1/chat"
    for resource, url in (("/api/v1/chat", base), ("/api/v1/chat/{request_id}", base + "/r-1")):
        answer = core.pending(rest({}, resource=resource), ITEM)
        assert urljoin(url, answer.headers["Location"]) == base + "/r-1"
        assert answer.headers["Retry-After"] == "1"
        assert answer.body == {"status": "PENDING", "request_id": "r-1", "session_id": "s-1"}
    dots = core.accepted(rest({}), {**ITEM, "request_id": ".."})
    assert urljoin(base, dots.headers["Location"]) == base + "?request_id=.."


def test_progress_is_told_while_it_is_not_final() -> None:
    """To whoever asks."""
    assert json.loads(core.accepted(rest({}), {**ITEM, "progress": "thinking"}).text) == {
        "status": "ACCEPTED",
        "request_id": "r-1",
        "session_id": "s-1",
        "progress": "thinking",
    }


def test_a_final_answer_is_told_as_it_was_stored() -> None:
    """As text: its numbers are not read."""
    text = '{"n": 1111111111111111111111111111111111111111}'
    answer = core.final({**ITEM, "status": "DONE", "status_code": 200}, text)
    assert (answer.status, answer.text) == (200, text)
    failed = core.final({**ITEM, "status": "FAILED", "status_code": 502}, '{"error": "why"}')
    assert (failed.status, failed.body) == (502, {"status": "FAILED", "request_id": "r-1", "error": "why"})


@pytest.mark.parametrize(
    "changes",
    [
        {"pathParameters": {"request_id": "r"}},
        {"queryStringParameters": {"request_id": "r"}},
        {"body": '{"request_id": "r"}'},
        {"body": '{"body": {"request_id": "r"}}'},
        {
            "body": '{"request_id": "x"}',
            "queryStringParameters": {"request_id": "x"},
            "pathParameters": {"request_id": "r"},
        },
    ],
)
def test_a_get_names_its_request_in_its_path_query_or_body(changes: dict[str, Any]) -> None:
    """The path counts most."""
    assert core.asked_id(core.asked(rest(None, **changes))) == "r"


@pytest.mark.parametrize("changes", [{}, {"body": "{}"}, {"pathParameters": {"request_id": "a b"}}])
def test_a_get_that_names_none_is_refused(changes: dict[str, Any]) -> None:
    """Rather than being made to wait for nothing."""
    with pytest.raises(RefusedError, match=r"^request_id must "):
        core.asked_id(core.asked(rest(None, **changes)))
