"""The requests table's adapter, against DynamoDB's own model; `test/local` has it against a table."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from ak_lambda.shared import protocol, requests_table
from ak_lambda.shared.requests_table import RequestsTable, Written

ITEM = {"request_id": "r", "status": "PENDING", "attempt": 1, "expiry_time": 100}
TYPED = {"request_id": {"S": "r"}, "status": {"S": "PENDING"}, "attempt": {"N": "1"}, "expiry_time": {"N": "100"}}


@pytest.fixture
def client() -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Make a client that calls nobody."""
    return boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def test_a_read_is_consistent_and_sees_no_expired_item(client: Any) -> None:  # noqa: ANN401
    """DynamoDB deletes late."""
    table = RequestsTable(client, "t")
    asked = {"TableName": "t", "Key": {"request_id": {"S": "r"}}, "ConsistentRead": True}
    with Stubber(client) as stub:
        for answer, now, expected in (({"Item": TYPED}, 99, ITEM), ({"Item": TYPED}, 100, None), ({}, 0, None)):
            stub.add_response("get_item", answer, asked)
            assert table.read("r", now=now) == expected


def test_a_put_replaces_nothing_but_what_expired(client: Any) -> None:  # noqa: ANN401
    """And gives what stands there instead."""
    table = RequestsTable(client, "t")
    asked = {
        "TableName": "t",
        "Item": TYPED,
        "ConditionExpression": "attribute_not_exists(request_id) OR expiry_time <= :now",
        "ExpressionAttributeValues": {":now": {"N": "5"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    put = protocol.Put(ITEM, 5)
    with Stubber(client) as stub:
        stub.add_response("put_item", {}, asked)
        assert table.write(put, now=5) == Written(done=True, item=ITEM)
        stub.add_client_error(
            "put_item", "ConditionalCheckFailedException", expected_params=asked, modeled_fields={"Item": TYPED}
        )
        assert table.write(put, now=5) == Written(done=False, item=ITEM)


def test_an_update_is_one_conditional_write(client: Any) -> None:  # noqa: ANN401
    """Names and values by placeholders: `status` and others are reserved words."""
    update = protocol.Update(
        "r", equal={"status": "PENDING"}, until={"a": 1}, beyond={"b": 2}, values={"c": "x"}, add={"d": 1}
    )
    asked = {
        "TableName": "t",
        "Key": {"request_id": {"S": "r"}},
        "ConditionExpression": "#0 = :0 AND #1 <= :1 AND #2 > :2",
        "UpdateExpression": "SET #3 = :3 ADD #4  :4",
        "ExpressionAttributeNames": {"#0": "status", "#1": "a", "#2": "b", "#3": "c", "#4": "d"},
        "ExpressionAttributeValues": {
            ":0": {"S": "PENDING"},
            ":1": {"N": "1"},
            ":2": {"N": "2"},
            ":3": {"S": "x"},
            ":4": {"N": "1"},
        },
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    with Stubber(client) as stub:
        stub.add_response("update_item", {"Attributes": TYPED}, asked)
        assert RequestsTable(client, "t").write(update, now=0) == Written(done=True, item=ITEM)
        stub.add_client_error("update_item", "ConditionalCheckFailedException", expected_params=asked)
        assert RequestsTable(client, "t").write(update, now=0) == Written(done=False, item=None)


def test_an_update_need_not_add(client: Any) -> None:  # noqa: ANN401
    """An empty clause would be refused."""
    with Stubber(client) as stub:
        stub.add_response("update_item", {"Attributes": TYPED})
        RequestsTable(client, "t").write(protocol.release("r", attempt=1, error="x"), now=0)


def test_any_other_error_is_raised(client: Any) -> None:  # noqa: ANN401
    """Whoever asked decides when to ask again."""
    with Stubber(client) as stub:
        stub.add_client_error("update_item", "ProvisionedThroughputExceededException")
        with pytest.raises(ClientError, match="ProvisionedThroughputExceeded"):
            RequestsTable(client, "t").write(protocol.lease("r", session_id="s", user_id=None, now=0), now=0)


def test_many_reads_ask_again_for_what_was_left_out(client: Any) -> None:  # noqa: ANN401
    """A call gives 16 MB at most; what has expired, or is not there, is left out."""
    other = {**TYPED, "request_id": {"S": "q"}}
    keys = [{"request_id": {"S": each}} for each in ("r", "q", "x")]
    left = {"t": {"Keys": keys[1:], "ConsistentRead": True}}
    with Stubber(client) as stub:
        asked = {"RequestItems": {"t": {"Keys": keys, "ConsistentRead": True}}}
        stub.add_response("batch_get_item", {"Responses": {"t": [TYPED]}, "UnprocessedKeys": left}, asked)
        expired = {**TYPED, "request_id": {"S": "x"}, "expiry_time": {"N": "99"}}
        stub.add_response("batch_get_item", {"Responses": {"t": [other, expired]}}, {"RequestItems": left})
        table = RequestsTable(client, "t")
        assert table.read_many(["r", "q", "x"], now=99) == {"r": ITEM, "q": {**ITEM, "request_id": "q"}}


def test_many_reads_do_not_ask_for_ever(client: Any) -> None:  # noqa: ANN401
    """The message comes back later."""
    left = {"t": {"Keys": [{"request_id": {"S": "r"}}]}}
    with Stubber(client) as stub:
        for _ in range(requests_table.MAX_ROUNDS):
            stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": left})
        with pytest.raises(RuntimeError, match="too little at a time"):
            RequestsTable(client, "t").read_many(["r"], now=0)
        stub.assert_no_pending_responses()
