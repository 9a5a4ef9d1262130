"""The protocol's changes and questions, one by one; `test_request_protocol_machine.py` plays them together."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ak_lambda.shared import protocol
from ak_lambda.shared.protocol import DONE, FAILED, PENDING, Put, Update
from test.lambda_assets.fakes import FakeTable

NOW = 1_780_000_000
DAY = 24 * 3600
RETENTION = 4 * DAY
WEEKS = 14 * DAY
ITEM: dict[str, Any] = {
    "request_id": "r",
    "session_id": "s",
    "user_id": "u",
    "body_hash": "h",
    "status": PENDING,
    "attempt": 0,
    "redrives": 0,
    "lease_until": 0,
    "created_at": NOW * 1000 + 7,
    "pending_until": NOW + RETENTION,
    "expiry_time": NOW + 2 * RETENTION,
}
FINISH: dict[str, Any] = {
    "session_id": "s",
    "user_id": "u",
    "status": DONE,
    "status_code": 200,
    "answer": "{}",
    "redrives": 0,
    "reply_id": "m",
    "now": NOW,
    "retention": RETENTION,
}
quickly = settings(derandomize=True, max_examples=60, deadline=None, database=None)


def test_words_in_the_table_stay() -> None:
    """Items outlive releases, and callers see two of these."""
    assert (PENDING, DONE, FAILED) == ("PENDING", "DONE", "FAILED")
    assert protocol.EXPIRED == "expired: no run finished before the queue dropped the request"
    assert protocol.NO_ANSWER == "no run finished: each was killed, ran out of memory or ran out of time"


def test_times_stay() -> None:
    """A lease outlives two beats, and a redrive finds the item for as long as it finds the message."""
    assert (protocol.LEASE_SECONDS, protocol.PARKED_SECONDS, protocol.MAX_BACKOFF_SECONDS) == (60, WEEKS, 60)


def test_submit_puts_a_whole_item() -> None:
    """Pending for as long as the queue keeps its message, and readable for as long again."""
    put = protocol.submit(
        request_id="r", session_id="s", user_id="u", body_hash="h", now_ms=NOW * 1000 + 7, retention=RETENTION
    )
    assert put == Put(ITEM, NOW)


def test_submit_leaves_out_what_is_none() -> None:
    """DynamoDB would keep a null, which is equal to nothing."""
    put = protocol.submit(
        request_id="r", session_id="s", user_id=None, body_hash=None, now_ms=NOW * 1000 + 7, retention=RETENTION
    )
    expected = {**ITEM, "user_id": ""}  # a condition can be held to it
    del expected["body_hash"]
    assert put.item == expected


@pytest.mark.parametrize(
    ("user_id", "body_hash", "same"),
    [("u", "h", True), ("u", "other", False), ("other", "h", False), (None, "h", False), ("other", "other", False)],
)
def test_same_request_is_of_the_same_user_and_body(user_id: str | None, body_hash: str, *, same: bool) -> None:
    """Anything else is a conflict."""
    assert protocol.same_request(ITEM, user_id=user_id, body_hash=body_hash) is same


def test_nobodys_request_is_the_same_as_nobodys() -> None:
    """An open API knows no users."""
    item = {"user_id": "", "body_hash": "h"}
    assert protocol.same_request(item, user_id=None, body_hash="h")
    assert not protocol.same_request(item, user_id="u", body_hash="h")
    assert not protocol.same_request({"user_id": ""}, user_id=None, body_hash="h")


@pytest.mark.parametrize(
    ("owner", "submitted", "caller", "may"),
    [
        ("u", True, "u", True),
        ("u", True, "other", False),
        ("u", True, None, False),
        ("", True, None, True),
        ("", True, "u", False),
        ("u", False, "u", True),
        ("", False, None, False),
        ("", False, "u", False),
    ],
)
def test_a_request_is_read_by_its_user(owner: str, caller: str | None, *, submitted: bool, may: bool) -> None:
    """Nobody's only where it was submitted: then its id is the ticket."""
    item = {"user_id": owner, "session_id": "s"} | ({"body_hash": "h"} if submitted else {})
    assert protocol.may_read(item, user_id=caller) is may


def test_lease_takes_a_pending_request_that_nobody_holds() -> None:
    """Its conditions and values, whole."""
    assert protocol.lease("r", session_id="s", user_id="u", now=NOW) == Update(
        "r",
        equal={"status": PENDING, "session_id": "s", "user_id": "u"},
        until={"lease_until": NOW},
        beyond={"expiry_time": NOW},
        values={"lease_until": NOW + 60},
        add={"attempt": 1},
    )


def test_unsubmitted_request_begins_with_its_first_run() -> None:
    """A sender of one's own may write to the queue alone."""
    put = protocol.begin_unsubmitted(
        request_id="r", session_id="s", user_id="u", now_ms=NOW * 1000 + 7, retention=RETENTION
    )
    expected = {**ITEM, "attempt": 1, "lease_until": NOW + 60}
    del expected["body_hash"]
    assert put == Put(expected, NOW)


@pytest.mark.parametrize(
    ("progress", "values"),
    [
        (None, {"lease_until": NOW + 60}),
        ("", {"lease_until": NOW + 60, "progress": ""}),
        ("searching", {"lease_until": NOW + 60, "progress": "searching"}),
    ],
)
def test_extend_is_for_the_run_that_holds_the_lease(progress: str | None, values: dict[str, Any]) -> None:
    """By its attempt; another run's lease is not touched."""
    change = protocol.extend("r", attempt=3, now=NOW, progress=progress)
    assert change == Update("r", equal={"status": PENDING, "attempt": 3}, values=values)


def test_release_says_why() -> None:
    """By its attempt too."""
    change = protocol.release("r", attempt=3, error="why")
    assert change == Update("r", equal={"status": PENDING, "attempt": 3}, values={"lease_until": 0, "error": "why"})


@pytest.mark.parametrize(
    ("status", "retention", "kept"),
    [
        (DONE, RETENTION, RETENTION),
        (DONE, WEEKS, WEEKS),
        (FAILED, RETENTION, WEEKS),
        (FAILED, WEEKS + 1, WEEKS + 1),
    ],
)
def test_finish_ends_a_pending_request(status: str, retention: int, kept: int) -> None:
    """A failure is kept for as long as its message may be parked."""
    change = protocol.finish("r", **{**FINISH, "status": status, "retention": retention})
    assert change == Update(
        "r",
        equal={"status": PENDING, "session_id": "s", "user_id": "u", "redrives": 0},
        beyond={"expiry_time": NOW},
        values={
            "status": status,
            "status_code": 200,
            "answer": "{}",
            "answered_by": "m",
            "lease_until": 0,
            "expiry_time": NOW + kept,
        },
    )


def test_reply_that_knows_no_redrive_finishes_any() -> None:
    """A handler of the user's own need not carry it."""
    change = protocol.finish("r", **{**FINISH, "redrives": None, "user_id": None})
    assert change.equal == {"status": PENDING, "session_id": "s"}


def test_a_request_for_nobody_is_leased_by_a_message_for_nobody() -> None:
    """And by no other."""
    assert protocol.lease("r", session_id="s", user_id=None, now=NOW).equal["user_id"] == ""


def test_unsubmitted_answer_is_kept() -> None:
    """A whole item, as if it had been submitted."""
    change = protocol.finish("r", **FINISH)
    put = protocol.finish_unsubmitted(change, session_id="s", user_id="u", now_ms=NOW * 1000 + 7, retention=RETENTION)
    expected = {**ITEM, **change.values}
    del expected["body_hash"]
    assert put == Put(expected, NOW)


@pytest.mark.parametrize(("retention", "kept"), [(RETENTION, WEEKS), (WEEKS + 1, WEEKS + 1)])
def test_expire_ends_what_no_message_can_end(retention: int, kept: int) -> None:
    """Not before its time, and not while a run holds it."""
    assert protocol.expire("r", now=NOW, retention=retention) == Update(
        "r",
        equal={"status": PENDING},
        until={"pending_until": NOW, "lease_until": NOW},
        values={
            "status": FAILED,
            "status_code": 502,
            "answer": '{"error": "expired: no run finished before the queue dropped the request"}',
            "lease_until": 0,
            "expiry_time": NOW + kept,
        },
    )


def test_redrive_begins_a_failed_request_anew() -> None:
    """With the times of a new one, and answered by nobody."""
    assert protocol.redrive("r", session_id="s", now=NOW, retention=RETENTION) == Update(
        "r",
        equal={"status": FAILED, "session_id": "s"},
        beyond={"expiry_time": NOW},
        values={
            "status": PENDING,
            "lease_until": 0,
            "answered_by": "",
            "error": "",
            "progress": "",
            "pending_until": NOW + RETENTION,
            "expiry_time": NOW + 2 * RETENTION,
        },
        add={"attempt": 1, "redrives": 1},
    )


@pytest.mark.parametrize(("status", "final"), [(PENDING, False), (DONE, True), (FAILED, True)])
def test_done_and_failed_are_final(status: str, *, final: bool) -> None:
    """Pending alone is not."""
    assert protocol.is_final({"status": status}) is final


@pytest.mark.parametrize(
    ("session_id", "user_id", "own"),
    [("s", "u", True), ("other", "u", False), ("r", "u", False), ("s", "other", False), ("s", None, False)],
)
def test_item_is_of_its_session_and_user(session_id: str, user_id: str | None, *, own: bool) -> None:
    """An id alone may be anybody's."""
    assert protocol.is_of(ITEM, session_id=session_id, user_id=user_id) is own


def test_nobodys_item_is_nobodys() -> None:
    """Of an API that asks for no proof."""
    item = {**ITEM, "user_id": ""}
    assert protocol.is_of(item, session_id="s", user_id=None)
    assert not protocol.is_of(item, session_id="s", user_id="u")


@pytest.mark.parametrize(
    ("status", "pending_until", "lease_until", "can"),
    [
        (PENDING, NOW + 1, 0, False),
        (PENDING, NOW, 0, True),
        (PENDING, NOW - 1, 0, True),
        (PENDING, NOW - 1, NOW, True),
        (PENDING, NOW - 1, NOW + 1, False),
        (DONE, NOW - 1, 0, False),
        (FAILED, NOW - 1, 0, False),
    ],
)
def test_pending_request_can_expire_when_its_time_and_its_lease_are_over(
    status: str, pending_until: int, lease_until: int, *, can: bool
) -> None:
    """The same that the condition of `expire` asks."""
    item = {"status": status, "pending_until": pending_until, "lease_until": lease_until}
    assert protocol.can_expire(item, now=NOW) is can


@pytest.mark.parametrize(("lease_until", "left"), [(0, 0), (NOW - 1, 0), (NOW, 0), (NOW + 1, 1), (NOW + 60, 60)])
def test_lease_left(lease_until: int, left: int) -> None:
    """Never less than nothing."""
    assert protocol.lease_left({"lease_until": lease_until}, now=NOW) == left


@pytest.mark.parametrize(("redrives", "outdated"), [(0, True), (1, True), (2, False), (3, False)])
def test_message_of_before_a_redrive_is_outdated(redrives: int, *, outdated: bool) -> None:
    """Its successor is on its way."""
    assert protocol.is_outdated({"redrives": 2}, redrives=redrives) is outdated


@pytest.mark.parametrize(
    ("receives", "seconds"),
    [(-1, 1), (0, 1), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (100, 60), (10**9, 60)],
)
def test_backoff_doubles_up_to_a_minute(receives: int, seconds: int) -> None:
    """However often a message was received, it takes no time to say so."""
    assert protocol.backoff_seconds(receives) == seconds


@pytest.mark.parametrize(("redrives", "name"), [(0, "r"), (1, "r#r1"), (12, "r#r12")])
def test_redriven_message_has_a_name_of_its_own(redrives: int, name: str) -> None:
    """The queue would drop it for five minutes otherwise."""
    assert protocol.deduplication_id("r", redrives) == name


@pytest.mark.parametrize(
    ("name", "redrives"),
    [
        (None, None),
        ("r", 0),
        ("r#r1", 1),
        ("r#r123456789", 123_456_789),
        ("r#r1234567890", None),
        ("r#r", None),
        ("r#rx", None),
        ("r#r-1", None),
        ("x#r1", None),
        ("x", None),
        ("", None),
        ("#r1", None),
        ("r#r1#r2", None),
        ("r1", None),
    ],
)
def test_redrives_of_a_name(name: str | None, redrives: int | None) -> None:
    """Other senders name their messages as they like."""
    assert protocol.redrives_of(name, "r") == redrives


@quickly
@given(request_id=st.text("ab.:_-1r", min_size=1, max_size=8), redrives=st.integers(0, 10**6))
def test_name_tells_its_redrive(request_id: str, redrives: int) -> None:
    """Whatever the caller's id looks like."""
    assert protocol.redrives_of(protocol.deduplication_id(request_id, redrives), request_id) == redrives


@quickly
@given(
    status=st.sampled_from([PENDING, DONE, FAILED]),
    pending=st.integers(NOW - 3, NOW + 3),
    lease=st.integers(NOW - 3, NOW + 3),
    now=st.integers(NOW - 3, NOW + 3),
)
def test_questions_and_conditions_agree(status: str, pending: int, lease: int, now: int) -> None:
    """Who asks before and who writes then must not decide differently."""
    item = {**ITEM, "status": status, "pending_until": pending, "lease_until": lease}
    table = FakeTable()
    table.items["r"] = dict(item)
    expired = table.write(protocol.expire("r", now=now, retention=RETENTION), now=now).done
    assert expired is protocol.can_expire(item, now=now)
    table.items["r"] = dict(item)
    leased = table.write(protocol.lease("r", session_id="s", user_id="u", now=now), now=now).done
    assert leased is (not protocol.is_final(item) and not protocol.lease_left(item, now=now))
    table.items["r"] = dict(item)
    redriven = table.write(protocol.redrive("r", session_id="s", now=now, retention=RETENTION), now=now)
    assert redriven.done is (status == FAILED)
    if redriven.done and redriven.item is not None:
        assert protocol.is_outdated(redriven.item, redrives=item["redrives"])


STREAM: dict[str, Any] = {"session_id": "s", "user_id": "u", "redrives": 1, "attempt": 5, "now": NOW}


def test_stream_takes_pieces_of_the_newest_run() -> None:
    """Its number is kept, and nothing else changes."""
    assert protocol.stream("r", **STREAM) == Update(
        "r",
        equal={"status": PENDING, "session_id": "s", "user_id": "u", "redrives": 1},
        until={"attempt": 5},
        beyond={"expiry_time": NOW},
        values={"attempt": 5},
    )
    assert protocol.stream("r", **{**STREAM, "user_id": None}).equal["user_id"] == ""


def test_a_piece_of_an_unsubmitted_request_takes_its_id() -> None:
    """A whole item, as if it had been submitted, that already knows its redrives and its run."""
    change = protocol.stream("r", **{**STREAM, "redrives": 2})
    put = protocol.begin_streamed(change, user_id="u", now_ms=NOW * 1000 + 7, retention=RETENTION)
    expected = {**ITEM, "session_id": change.equal["session_id"], "redrives": 2, **change.values}
    del expected["body_hash"]
    assert put == Put(expected, NOW)


def test_a_piece_is_an_item_of_its_own() -> None:
    """Under a name that no caller can give, and for as long as the queue keeps messages."""
    assert protocol.piece("r#5#0", text="{}", now=NOW, retention=RETENTION) == Put(
        {"request_id": "r#5#0", "piece": "{}", "expiry_time": NOW + RETENTION}, NOW
    )
    assert protocol.piece_name("r", attempt=5, seq=0) == "r#5#0"
