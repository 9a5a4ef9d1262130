"""The requests table: makes the protocol's changes, each as one conditional write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ak_lambda.shared.protocol import Change, Item, Put

MOST_READ = 100  # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html, read 2026-11-21
MAX_ROUNDS = 20  # of 16 MB, what one call gives at most: all items of one reading are less


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a change met.

    Attributes:
        done: Whether its conditions held.
        item: The item afterwards; None if there is none, or only one that has expired.
    """

    done: bool
    item: Item | None


class RequestsTable:
    """One table, by a client of boto3's."""

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401 - boto3 makes its classes at run time
        self._client = client
        self._name = name

    def read(self, request_id: str, *, now: int) -> Item | None:
        """Give an item as it is now; one that has expired is none, though DynamoDB may not have deleted it yet."""
        key = {"request_id": {"S": request_id}}
        response = self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True)
        return _live(response.get("Item"), now)

    def read_many(self, request_ids: Sequence[str], *, now: int) -> dict[str, Item]:
        """Give up to MOST_READ items as they are now, by their ids; what is not there is left out."""
        asked: Any = {self._name: {"Keys": [{"request_id": {"S": each}} for each in request_ids]}}
        asked[self._name]["ConsistentRead"] = True
        found: dict[str, Item] = {}
        for _ in range(MAX_ROUNDS):
            response = self._client.batch_get_item(RequestItems=asked)
            items = (_live(each, now) for each in response["Responses"].get(self._name, []))
            found |= {item["request_id"]: item for item in items if item}
            asked = response.get("UnprocessedKeys")
            if not asked:
                return found
        raise RuntimeError("the table gives too little at a time")

    def write(self, change: Change, *, now: int) -> Written:
        """Make a change if its conditions hold, and give the item as it then is."""
        try:
            if isinstance(change, Put):
                self._client.put_item(TableName=self._name, **_put(change))
                return Written(done=True, item=change.item)
            response = self._client.update_item(TableName=self._name, **_update(change))
            return Written(done=True, item=_plain(response["Attributes"]))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            old: Any = error.response.get("Item")
            return Written(done=False, item=_live(old, now))


def _put(change: Put) -> dict[str, Any]:
    return {
        "Item": {name: _typed(value) for name, value in change.item.items()},
        "ConditionExpression": "attribute_not_exists(request_id) OR expiry_time <= :now",
        "ExpressionAttributeValues": {":now": _typed(change.now)},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _update(change: Any) -> dict[str, Any]:  # noqa: ANN401
    names: dict[str, str] = {}
    values: dict[str, Any] = {}

    def each(fields: Mapping[str, Any], operator: str) -> list[str]:
        clauses = []
        for name, value in fields.items():
            number = len(values)
            names[f"#{number}"] = name
            values[f":{number}"] = _typed(value)
            clauses.append(f"#{number} {operator} :{number}")
        return clauses

    conditions = [*each(change.equal, "="), *each(change.until, "<="), *each(change.beyond, ">")]
    expression = "SET " + ", ".join(each(change.values, "="))
    if change.add:
        expression += " ADD " + ", ".join(each(change.add, ""))
    return {
        "Key": {"request_id": {"S": change.request_id}},
        "ConditionExpression": " AND ".join(conditions),
        "UpdateExpression": expression,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _typed(value: str | int) -> dict[str, str]:
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def _plain(attributes: Mapping[str, Mapping[str, str]]) -> Item:
    return {name: int(each["N"]) if "N" in each else each["S"] for name, each in attributes.items()}


def _live(attributes: Mapping[str, Mapping[str, str]] | None, now: int) -> Item | None:
    item = _plain(attributes) if attributes else None
    return item if item and item["expiry_time"] > now else None
