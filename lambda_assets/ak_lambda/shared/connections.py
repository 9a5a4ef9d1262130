"""The connections table of a WebSocket API: who is connected, and where a frame for them is posted.

A retry is harmless: a row is written as it was, and a row that is gone stays gone.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# A connection lasts two hours at most:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html,
# read 2026-11-21. Its row outlives it by some minutes of clocks that differ.
CONNECTION_SECONDS = 2 * 60 * 60
TTL_SECONDS = CONNECTION_SECONDS + 10 * 60
INDEX = "connection_id-index"
# A post to a connection whose $connect has not ended is answered as if it were gone, and its row is written before:
# https://repost.aws/knowledge-center/410-gone-api-gateway, read 2026-11-21. An integration ends within 29 s.
NEW_SECONDS = 30
MAX_PAGES = 10  # so that a user's rows which TTL has still to delete are not all read
PAGE_ROWS = MAX_CONNECTIONS = 250  # of one user that are posted to: every frame is a post to each of them


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection of one user.

    Attributes:
        user_id: Whose it is.
        connection_id: What API Gateway calls it.
        endpoint: The callback URL of its API's stage.
        is_new: Whether it was perhaps still being made when its row was read; then "gone" is not a last word.
    """

    user_id: str
    connection_id: str
    endpoint: str
    is_new: bool = False


class Connections:
    """One table, by a client of boto3's. TTL deletes late, so `expiry_time` is looked at in every read."""

    def __init__(self, client: Any, table: str) -> None:  # noqa: ANN401 - boto3 makes its classes at run time
        self._client = client
        self._table = table

    def add(self, connection: Connection, *, now: int) -> None:
        """Keep a connection that was just made."""
        texts = {**_key(connection.user_id, connection.connection_id), "endpoint": {"S": connection.endpoint}}
        numbers = {"expiry_time": now + TTL_SECONDS, "connected_at": now}
        item = texts | {name: {"N": str(number)} for name, number in numbers.items()}
        self._client.put_item(TableName=self._table, Item=item)

    def remove(self, user_id: str, connection_id: str, *, endpoint: str | None = None) -> None:
        """Forget a connection; where an endpoint is given, only one of that endpoint."""
        condition: dict[str, Any] = {}
        if endpoint is not None:
            condition["ConditionExpression"] = "endpoint = :endpoint"
            condition["ExpressionAttributeValues"] = {":endpoint": {"S": endpoint}}
        try:
            self._client.delete_item(TableName=self._table, Key=_key(user_id, connection_id), **condition)
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def of_user(self, user_id: str, *, now: int) -> list[Connection]:
        """Give a user's connections as they are now; of more than MAX_CONNECTIONS whichever are read first."""
        asked = {
            "KeyConditionExpression": "user_id = :user_id",
            "ExpressionAttributeValues": {":user_id": {"S": user_id}},
            "ConsistentRead": True,
            "Limit": PAGE_ROWS,
        }
        rows = (_row(item, now) for item in self._query(asked))
        return list(itertools.islice((row for row in rows if row is not None), MAX_CONNECTIONS))

    def user_of(self, connection_id: str, *, now: int, endpoint: str | None = None) -> str | None:
        """Say whose a connection is, as far as the index knows yet, which follows the table a little later.

        Where two users seem to have it, nobody does.
        """
        asked = {
            "IndexName": INDEX,
            "KeyConditionExpression": "connection_id = :connection_id",
            "ExpressionAttributeValues": {":connection_id": {"S": connection_id}},
        }
        rows = (_row(item, now) for item in self._query(asked))
        users = {row.user_id for row in rows if row is not None and endpoint in {None, row.endpoint}}
        return users.pop() if len(users) == 1 else None

    def _query(self, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            page = self._client.query(TableName=self._table, **asked, **start)
            yield from page["Items"]
            if not page.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _key(user_id: str, connection_id: str) -> dict[str, Any]:
    return {"user_id": {"S": user_id}, "connection_id": {"S": connection_id}}


def _row(item: Mapping[str, Any], now: int) -> Connection | None:
    """Read a row; of one that has expired, or says not where to post, nothing."""
    endpoint = item.get("endpoint", {}).get("S")
    if not endpoint or int(item.get("expiry_time", {}).get("N", 0)) <= now:
        return None
    is_new = int(item.get("connected_at", {}).get("N", 0)) + NEW_SECONDS > now
    return Connection(item["user_id"]["S"], item["connection_id"]["S"], endpoint, is_new)
