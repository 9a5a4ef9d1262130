"""The shapes of messages."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_constructs import _limits
from ak_lambda.shared import messages, payloads
from ak_lambda.shared.messages import ToSend
from ak_lambda.shared.requests import Request, queued_request
from test.lambda_assets.fakes import record

REQUEST = Request("hi", "s-1", "r-1", "alice", None, {"images": [], "a": None, "n": 1.5})


def test_a_request_message_is_agent_kernels() -> None:
    """The request as JSON without empty fields, who asks in it and beside it, the session as its group."""
    message = messages.request_message(
        body=messages.request_body(REQUEST), request_id="r-1", session_id="s-1", user_id="alice", redrives=0
    )
    assert json.loads(message.body) == {
        "prompt": "hi",
        "session_id": "s-1",
        "images": [],
        "n": 1.5,
        "user_id": "alice",
    }
    assert message.attributes == {"request_id": "r-1", "user_id": "alice"}
    assert (message.group, message.deduplication_id) == ("s-1", "r-1")


def test_a_request_message_says_where_somebody_waits() -> None:
    """In an attribute, never in the body; its reply says so too."""
    sent = messages.request_message(
        body="{}", request_id="r-1", session_id="s", user_id="alice", redrives=0, endpoint_url="https://x"
    )
    assert sent.attributes == {"request_id": "r-1", "user_id": "alice", "endpoint_url": "https://x"}
    got = messages.received(record(sent))
    reply = messages.reply_message(got, body="{}", session_id="s", status_code=200, attempt=1, redrives=0)
    assert reply.attributes["endpoint_url"] == "https://x"
    body = '{"endpoint_url": "https://y"}'
    plain = messages.request_message(body=body, request_id="r-1", session_id="s", user_id="alice", redrives=0)
    got = messages.received(record(plain))
    reply = messages.reply_message(got, body="{}", session_id="s", status_code=200, attempt=1, redrives=0)
    assert "endpoint_url" not in reply.attributes


@pytest.mark.parametrize("grows", ["9e15,", '"é",', '"😀",', "[],", '"\\\\",', "1e999,"])
def test_what_a_websocket_brings_never_needs_another_place(grows: str) -> None:
    """Whatever becomes longer in the queue than it was: its message handler may not write to the bucket."""
    most = _limits.API_GATEWAY_WEBSOCKET_MESSAGE_BYTES
    head, tail = '{"route":"chat","prompt":"hi","list":[', "0]}"
    sent = head + grows * ((most - len(head) - len(tail)) // len(grows.encode())) + tail
    assert most - len(grows.encode()) <= len(sent.encode()) <= most
    body = messages.request_body(Request("hi", "s-1", "r-1", "u" * 256, None, {"list": json.loads(sent)["list"]}))
    assert len(body) < payloads.MAX_MESSAGE_BYTES


def test_a_redriven_request_has_another_name() -> None:
    """Or the queue would drop it within five minutes."""
    message = messages.request_message(body="{}", request_id="r-1", session_id="s", user_id=None, redrives=2)
    assert message.attributes == {"request_id": "r-1", "redrives": "2"}
    assert message.deduplication_id == "r-1#r2"


def test_who_asks_is_never_what_a_body_claims() -> None:
    """Behind a public API nobody is proven, so nobody is named."""
    claimed = Request("hi", "s", "r", None, None, {"user_id": "mallory"})
    assert "mallory" not in messages.request_body(claimed)
    proven = Request("hi", "s", "r", "alice", None, {"user_id": "mallory"})
    assert json.loads(messages.request_body(proven))["user_id"] == "alice"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(extra=st.dictionaries(st.text(min_size=1), json_values))
def test_what_a_caller_sent_reaches_the_agent(extra: dict[str, Any]) -> None:
    """Through the queue and back, but for what is empty."""
    taken = {"prompt", "agent", "session_id", "user_id", "request_id", "body", "images", "files", "$ak_constructs_ref"}
    extra = {name: value for name, value in extra.items() if name not in taken}
    body = messages.request_body(Request("hi", "s", "r", "alice", "bot", extra))
    read = queued_request(body, request_id="r", session_id="s", user_id="alice")
    kept = {name: value for name, value in extra.items() if value is not None}
    assert read == Request("hi", "s", "r", "alice", "bot", kept)


@pytest.mark.parametrize(
    ("attributes", "body", "expected"),
    [
        ({"request_id": "a"}, {"request_id": "b"}, "a"),
        ({}, {"request_id": "b"}, "b"),
        ({}, {"request_id": ""}, "message-1"),
        ({"request_id": "no id"}, {"request_id": "x" * 97}, "message-1"),
        ({}, {"request_id": {"a": 1}}, "message-1"),
        ({}, {}, "message-1"),
    ],
)
def test_a_message_belongs_to_a_request_by_attribute_or_body_or_its_own_id(
    attributes: dict[str, str], body: dict[str, str], expected: str
) -> None:
    """EventBridge Scheduler, for one, can set no attributes."""
    sent = ToSend(json.dumps(body), attributes, "s", "x")
    assert messages.received(record(sent)).request_id == expected


@pytest.mark.parametrize(
    ("fifo", "group", "attributes", "expected"),
    [
        (True, "s", {"session_id": "other"}, "s"),
        (False, "s", {"session_id": "stated"}, "stated"),
        (False, "s", {}, "s"),
        (False, "", {}, "in-the-body"),
        (True, "", {}, "in-the-body"),
        (False, "", {"session_id": "no group"}, "in-the-body"),
    ],
)
def test_a_message_belongs_to_a_session_by_its_group_or_by_what_it_says(
    fifo: bool, group: str, attributes: dict[str, str], expected: str
) -> None:
    """A standard queue's group need not reach its consumer, and decides no order."""
    sent = ToSend('{"session_id": "in-the-body"}', attributes, group, "x")
    assert messages.received(record(sent, fifo=fifo)).session_id == expected


def test_a_request_is_in_the_session_of_its_message() -> None:
    """Whatever its body says: runs are in order by group."""
    read = queued_request('{"prompt": "hi", "session_id": "b"}', request_id="r", session_id="a", user_id=None)
    assert read.session_id == "a"
    alone = record(ToSend("{}", {"request_id": "r"}, "", "x"), fifo=False)
    assert messages.received(alone).session_id == "r"


def test_a_message_is_read_with_all_it_says() -> None:
    """From the record of an event source mapping."""
    sent = ToSend("{}", {"request_id": "r", "user_id": "alice", "redrives": "3", "own": "x"}, "s", "r#r3")
    read = messages.received(record(sent, message_id="m", receives=4))
    assert read == messages.Received("r", "s", "alice", 3, "r#r3", "m", "m", 4, "{}", sent.attributes)


@pytest.mark.parametrize(
    ("stated", "named", "expected"),
    [
        ("2", "r", 2),
        (None, "r", 0),
        (None, "r#r7", 7),
        (None, "r#dead", None),
        (None, "x#r7", None),
        (None, "r#rx", None),
        ("x", "r#r1", 1),
        ("9" * 5000, "r", 0),
        (None, "r#r" + "9" * 5000, None),
    ],
)
def test_a_message_says_how_often_it_was_redriven(stated: str | None, named: str, expected: int | None) -> None:
    """By attribute, or, from Agent Kernel's runner, by the name it has from its request."""
    attributes = {"request_id": "r"} | ({"redrives": stated} if stated else {})
    assert messages.received(record(ToSend("{}", attributes, "s", named))).redrives == expected


@pytest.mark.parametrize("body", ["", "{", "[]", "1", "[" * 5000, '"x"'])
def test_a_body_that_is_no_object_has_no_claims(body: str) -> None:
    """Its message still has a name."""
    read = messages.received(record(ToSend(body, {}, "s", "x"), fifo=False))
    assert (read.request_id, read.user_id, read.deduplication_id) == ("message-1", None, "message-1")


def test_who_asks_is_said_by_attribute_alone() -> None:
    """A sender may pass on what somebody else wrote."""
    assert messages.received(record(ToSend('{"user_id": "alice"}', {}, "s", "x"))).user_id is None


def test_attributes_that_are_no_text_are_left_out() -> None:
    """Binary ones, for example."""
    made = record(ToSend("{}", {}, "s", "x"))
    made["messageAttributes"] = {"b": {"binaryValue": "AA==", "dataType": "Binary"}, "c": 1}
    assert messages.received(made).attributes == {}


@pytest.mark.parametrize(
    ("body", "stated", "expected"),
    [
        ({"result": "x"}, None, ("DONE", 200)),
        ({"result": "x"}, "200", ("DONE", 200)),
        ({"status": "PAUSED"}, "202", ("DONE", 200)),
        ({"error": "x"}, "400", ("DONE", 400)),
        ({"error": "x"}, "499", ("DONE", 499)),
        ({"error": "x"}, "500", ("FAILED", 502)),
        ({"result": "x"}, "503", ("FAILED", 502)),
        ({"error": "x"}, None, ("FAILED", 502)),
        ({"error": "x"}, "nonsense", ("FAILED", 502)),
        ({"error": "x", "result": "y"}, None, ("DONE", 200)),
        ({"error": "x"}, "200", ("DONE", 200)),
        ({"result": "x"}, "302", ("DONE", 200)),
    ],
)
def test_a_reply_has_a_status(body: dict[str, str], stated: str | None, expected: tuple[str, int]) -> None:
    """What it states counts; Agent Kernel 0.6.0 states nothing."""
    assert messages.outcome(json.dumps(body), stated) == expected


def test_a_failure_keeps_its_error_alone() -> None:
    """And not endlessly much of it."""
    assert json.loads(messages.failure_body('{"error": "x", "secret": 1}')) == {"error": "x"}
    assert json.loads(messages.failure_body('{"error": {"a": 1}}')) == {"error": "the agent failed"}
    assert json.loads(messages.failure_body('{"error": ""}')) == {"error": "the agent failed"}
    assert len(json.loads(messages.failure_body(json.dumps({"error": "x" * 9000})))["error"]) == 2000


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"a": 1e999}', True),
        ('{"a": ' + "1" * 40 + "}", True),
        ("{" + '"a": {' * 40 + "}" * 41, True),
        ('{"a": NaN}', False),
        ('{"a": -Infinity}', False),
        ("[]", False),
        ("", False),
        ("[" * 100_000, False),
    ],
)
def test_an_answer_must_be_a_json_object(body: str, expected: bool) -> None:
    """As text: its numbers may be more than a reader takes."""
    assert messages.is_json_object(body) is expected


def test_a_reference_is_found_where_it_is_one() -> None:
    """An answer that mentions the key somewhere is not."""
    kept = messages.reference(bucket="b", key="answers/1", size=5, sha256="x", session_id="s")
    assert messages.referenced(kept) == {"bucket": "b", "key": "answers/1", "bytes": "5", "sha256": "x"}
    assert messages.referenced('{"result": "$ak_constructs_ref"}') is None
    assert messages.referenced('{"$ak_constructs_ref": 1}') is None
    assert messages.referenced("{}") is None
