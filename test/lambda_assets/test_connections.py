"""The connections table, against DynamoDB's own model."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from ak_lambda.shared.connections import MAX_CONNECTIONS, MAX_PAGES, Connection, Connections
from test.lambda_assets.test_queues_and_payloads import client

NOW = 1_000_000
HERE = "https://a.execute-api.us-east-1.amazonaws.com/prod"
ALICE = Connection("alice", "c-1", HERE)
KEY = {"user_id": {"S": "alice"}, "connection_id": {"S": "c-1"}}


class World:
    """A table that answers as it is told."""

    def __init__(self) -> None:
        self.client = client("dynamodb")
        self.stub = Stubber(self.client)
        self.connections = Connections(self.client, "connections")

    def answer(self, *pages: list[dict[str, Any]], endless: bool = False, **asked: Any) -> None:  # noqa: ANN401
        """Answer a query with pages."""
        start: dict[str, Any] = {}
        for number, items in enumerate(pages, 1):
            page: dict[str, Any] = {"Items": items}
            if endless or number < len(pages):
                page["LastEvaluatedKey"] = {"user_id": {"S": "alice"}, "connection_id": {"S": str(number)}}
            self.stub.add_response("query", page, {"TableName": "connections", **asked, **start})
            start = {"ExclusiveStartKey": page.get("LastEvaluatedKey")}


@pytest.fixture
def world() -> Iterator[World]:
    """Make a world, and hold that all that was expected was asked."""
    world = World()
    with world.stub:
        yield world
        world.stub.assert_no_pending_responses()


BY_USER: dict[str, Any] = {
    "KeyConditionExpression": "user_id = :user_id",
    "ExpressionAttributeValues": {":user_id": {"S": "alice"}},
    "ConsistentRead": True,
    "Limit": MAX_CONNECTIONS,
}
BY_CONNECTION: dict[str, Any] = {
    "IndexName": "connection_id-index",
    "KeyConditionExpression": "connection_id = :connection_id",
    "ExpressionAttributeValues": {":connection_id": {"S": "c-1"}},
}


def row(
    connection_id: str = "c-1", user_id: str = "alice", endpoint: str | None = HERE, **changes: dict[str, str] | None
) -> dict[str, Any]:
    """Make a row as it is kept."""
    texts = {"user_id": user_id, "connection_id": connection_id, "endpoint": endpoint}
    numbers = {"expiry_time": NOW + 1, "connected_at": NOW - 30}
    item: dict[str, Any] = {name: {"S": text} for name, text in texts.items() if text is not None}
    item |= {name: {"N": str(number)} for name, number in numbers.items()}
    return {name: value for name, value in {**item, **changes}.items() if value is not None}


def test_a_connection_is_kept_a_little_longer_than_it_can_last(world: World) -> None:
    """Two hours and ten minutes, with where to post to it."""
    item = {
        **KEY,
        "endpoint": {"S": HERE},
        "expiry_time": {"N": str(NOW + 7800)},
        "connected_at": {"N": str(NOW)},
    }
    world.stub.add_response("put_item", {}, {"TableName": "connections", "Item": item})
    world.connections.add(ALICE, now=NOW)


def test_a_connection_is_forgotten(world: World) -> None:
    """By its key."""
    world.stub.add_response("delete_item", {}, {"TableName": "connections", "Key": KEY})
    world.connections.remove("alice", "c-1")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_connection_of_an_endpoint_is_forgotten_only_there(world: World, is_there: bool) -> None:
    """Another API may have a row of this name, or none is left: neither is an error."""
    asked = {
        "TableName": "connections",
        "Key": KEY,
        "ConditionExpression": "endpoint = :endpoint",
        "ExpressionAttributeValues": {":endpoint": {"S": HERE}},
    }
    if is_there:
        world.stub.add_response("delete_item", {}, asked)
    else:
        world.stub.add_client_error("delete_item", "ConditionalCheckFailedException", expected_params=asked)
    world.connections.remove("alice", "c-1", endpoint=HERE)


def test_what_else_goes_wrong_is_told(world: World) -> None:
    """Only a row that is not there is not."""
    world.stub.add_client_error("delete_item", "ThrottlingException")
    with pytest.raises(ClientError):
        world.connections.remove("alice", "c-1", endpoint=HERE)


def test_a_users_connections_are_those_that_are_alive(world: World) -> None:
    """Of all pages; TTL deletes late, and a row that says not where to post is none."""
    world.answer(
        [row("c-1"), row("c-2", expiry_time={"N": str(NOW)}), row("c-3", expiry_time=None)],
        [row("c-4", endpoint="https://b"), row("c-5", endpoint=""), row("c-6", endpoint=None)],
        **BY_USER,
    )
    found = world.connections.of_user("alice", now=NOW)
    assert found == [Connection("alice", "c-1", HERE), Connection("alice", "c-4", "https://b")]


@pytest.mark.parametrize(("age", "is_new"), [(0, True), (29, True), (30, False), (None, False)])
def test_a_connection_is_new_for_half_a_minute(world: World, age: int | None, is_new: bool) -> None:
    """Its `$connect` may not have ended yet."""
    world.answer([row(connected_at=None if age is None else {"N": str(NOW - age)})], **BY_USER)
    (found,) = world.connections.of_user("alice", now=NOW)
    assert found.is_new == is_new


def test_pages_end(world: World) -> None:
    """Whatever the service says."""
    world.answer(*[[row(str(number))] for number in range(MAX_PAGES)], endless=True, **BY_USER)
    assert len(world.connections.of_user("alice", now=NOW)) == MAX_PAGES


def test_a_user_with_very_many_connections_costs_no_more_than_one_with_many(world: World) -> None:
    """Neither reads nor posts: of the second page nothing is read."""
    world.answer([row(str(number)) for number in range(MAX_CONNECTIONS + 1)], endless=True, **BY_USER)
    assert len(world.connections.of_user("alice", now=NOW)) == MAX_CONNECTIONS


@pytest.mark.parametrize(
    ("rows", "endpoint", "user"),
    [
        ([], None, None),
        ([row()], None, "alice"),
        ([row()], HERE, "alice"),
        ([row()], "https://b", None),
        ([row(expiry_time={"N": str(NOW)})], None, None),
        ([row(endpoint=None)], None, None),
        ([row(), row(user_id="bob")], HERE, None),
        ([row(), row(user_id="bob", endpoint="https://b")], HERE, "alice"),
        ([row(), row(user_id="bob", expiry_time={"N": "1"})], None, "alice"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_connection_is_its_one_users(
    world: World, rows: list[dict[str, Any]], endpoint: str | None, user: str | None
) -> None:
    """By the index; where two have it, nobody has."""
    world.answer(rows, **BY_CONNECTION)
    assert world.connections.user_of("c-1", now=NOW, endpoint=endpoint) == user
