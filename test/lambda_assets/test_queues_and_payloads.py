"""The adapters of queues and of the bucket, against the services' own models."""

import hashlib
import io
import json
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from ak_lambda.shared.messages import ToSend, referenced
from ak_lambda.shared.payloads import ANSWERS, REQUESTS, Payloads
from ak_lambda.shared.queues import Queue

MESSAGE = ToSend("{}", {"request_id": "r"}, "s", "d")
ATTRIBUTES = {"request_id": {"DataType": "String", "StringValue": "r"}}


def client(service: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Make a client that calls nobody."""
    return boto3.client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("url", "named", "attributes"),
    [
        ("q.fifo", {"MessageDeduplicationId": "d"}, ATTRIBUTES),
        ("q", {}, {**ATTRIBUTES, "session_id": {"DataType": "String", "StringValue": "s"}}),
    ],
)
def test_only_a_fifo_queue_is_given_a_deduplication_id(
    url: str, named: dict[str, str], attributes: dict[str, Any]
) -> None:
    """A standard queue refuses one; there the group is for fairness, and an attribute says the session."""
    sqs = client("sqs")
    asked = {
        "QueueUrl": url,
        "MessageBody": "{}",
        "MessageAttributes": attributes,
        "MessageGroupId": "s",
        **named,
    }
    with Stubber(sqs) as stub:
        stub.add_response("send_message", {}, asked)
        Queue(sqs, url).send(MESSAGE)


def test_a_queue_hides_gives_and_drops_messages() -> None:
    """In the form of an event source mapping's records."""
    sqs = client("sqs")
    with Stubber(sqs) as stub:
        stub.add_response(
            "change_message_visibility", {}, {"QueueUrl": "q", "ReceiptHandle": "h", "VisibilityTimeout": 7}
        )
        stub.add_response(
            "receive_message",
            {
                "Messages": [
                    {
                        "MessageId": "m",
                        "ReceiptHandle": "h",
                        "Body": "{}",
                        "Attributes": {"ApproximateReceiveCount": "1"},
                        "MessageAttributes": ATTRIBUTES,
                    }
                ]
            },
            {
                "QueueUrl": "q",
                "MaxNumberOfMessages": 3,
                "VisibilityTimeout": 9,
                "WaitTimeSeconds": 1,
                "MessageAttributeNames": ["All"],
                "MessageSystemAttributeNames": ["All"],
            },
        )
        stub.add_response("receive_message", {})
        stub.add_response("delete_message", {}, {"QueueUrl": "q", "ReceiptHandle": "h"})
        queue = Queue(sqs, "q")
        queue.hide("h", 7)
        assert queue.receive(3, hold_seconds=9) == [
            {
                "messageId": "m",
                "receiptHandle": "h",
                "body": "{}",
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {"request_id": {"stringValue": "r"}},
            }
        ]
        assert queue.receive(3, hold_seconds=9) == []
        queue.delete("h")


@pytest.mark.parametrize("body", ["x" * 10, "x" * 40, "ü" * 20])
def test_a_body_that_fits_is_left_alone(body: str) -> None:
    """Bytes count, not characters, and no client is made."""

    def never() -> None:
        raise AssertionError

    assert Payloads(never, "b").fitted(body, 40, folder=REQUESTS, session_id="s") == body
    assert Payloads(never, "b").whole(body, folder=REQUESTS) == body


def test_a_body_that_does_not_fit_is_kept_and_found_again() -> None:
    """Under the hash of its content: kept again, it is the same object."""
    s3 = client("s3")
    body = "ü" * 21
    with Stubber(s3) as stub:
        stub.add_response(
            "put_object", {}, {"Bucket": "b", "Key": ANY, "Body": body.encode(), "ContentType": "application/json"}
        )
        made = Payloads(lambda: s3, "b").fitted(body, 40, folder=ANSWERS, session_id="s")
        kept = referenced(made)
        assert kept is not None
        assert json.loads(made)["session_id"] == "s"
        assert (kept["bucket"], kept["bytes"], kept["sha256"]) == ("b", "42", hashlib.sha256(body.encode()).hexdigest())
        assert kept["key"].startswith(ANSWERS)
        assert kept["key"] == ANSWERS + kept["sha256"]
        assert Payloads(lambda: s3, "b").is_kept(made, folder=ANSWERS)
        assert not Payloads(lambda: s3, "b").is_kept(made, folder=REQUESTS)
        assert not Payloads(lambda: s3, "other").is_kept(made, folder=ANSWERS)
        found = StreamingBody(io.BytesIO(body.encode()), 42)
        stub.add_response("get_object", {"Body": found}, {"Bucket": "b", "Key": kept["key"]})
        assert Payloads(lambda: s3, "b").whole(made, folder=ANSWERS) == body


@pytest.mark.parametrize(
    ("kept", "error"),
    [
        ({"bucket": "other", "key": "answers/1"}, "leads elsewhere"),
        ({"bucket": "b", "key": "requests/1"}, "leads elsewhere"),
        ({"bucket": "b", "key": "answers/../requests/1"}, "leads elsewhere"),
        ({"bucket": "b", "key": "answers/"}, "leads elsewhere"),
        ({"bucket": "b", "key": "answers/1", "sha256": "wrong"}, "not what was kept"),
    ],
)
def test_a_reference_leads_nowhere_else(kept: dict[str, str], error: str) -> None:
    """A body may have been written by anybody."""
    s3 = client("s3")
    body = json.dumps({"$ak_constructs_ref": kept, "session_id": "s"})
    with Stubber(s3) as stub:
        stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"x"), 1)})
        with pytest.raises(ValueError, match=error):
            Payloads(lambda: s3, "b").whole(body, folder=ANSWERS)


@pytest.mark.parametrize(
    "kept",
    [
        {"bucket": "b"},
        {"bucket": "b", "key": "answers/1"},
        {"bucket": "b", "key": "answers/1", "bytes": "x", "sha256": "0" * 64},
        {"bucket": "b", "key": "answers/1", "bytes": 1, "sha256": "0"},
    ],
)
def test_what_only_looks_like_a_reference_is_none(kept: dict[str, Any]) -> None:
    """An agent may have made it up."""
    assert not Payloads(lambda: None, "b").is_kept(json.dumps({"$ak_constructs_ref": kept}), folder=ANSWERS)


def test_a_link_is_signed_and_short_lived() -> None:
    """For one answer."""
    link = Payloads(lambda: client("s3"), "b").link({"bucket": "b", "key": "answers/1"})
    assert "answers/1" in link
    assert "Expires" in link
