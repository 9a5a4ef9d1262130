"""Keeps conversations: whose a session is, and its last turns. Here in DynamoDB; `sessions_redis` has the other kind.

A retry is harmless: a session is opened once, and a repeated run overwrites its own turn. Nothing is ever logged.
"""

import json
import os
from typing import Any, Protocol

from ak_lambda.shared import turns

TABLE_VARIABLE = "AK_CONSTRUCTS_SESSIONS_TABLE"
REDIS_HOST_VARIABLE = "AK_CONSTRUCTS_SESSIONS_REDIS_HOST"
TTL_VARIABLE = "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS"
TURNS_VARIABLE = "AK_CONSTRUCTS_HISTORY_TURNS"

OWNER_KEY = "owner"
LAST_KEY = turns.PREFIX + "~"  # after every digit
_TEXTS = ("prompt", "answer", "request_id")


class Sessions(Protocol):
    """Conversations, wherever they are kept. Times are seconds since the epoch, but for `created_at`: milliseconds."""

    def claim(self, session_id: str, user_id: str | None, *, now: int, new: bool = False) -> bool:
        """Open a session for a user, or say whether it is theirs; None is nobody, who is nobody else's equal.

        Args:
            session_id: The session.
            user_id: Who asks.
            now: The time.
            new: The id was just made up, so that nobody can have it yet and reading first would be in vain.
        """

    def history(self, session_id: str, *, now: int, before: str | None = None) -> list[dict[str, Any]]:
        """Give the last turns, oldest first: each with `prompt`, `answer`, `request_id` and `created_at`.

        Args:
            session_id: The session.
            now: The time.
            before: The key of a turn that is left out, with all later ones: a repeated run must not see its own.
        """

    def add_turn(
        self, session_id: str, *, key: str, prompt: str, answer: str, request_id: str, created_at: int, now: int
    ) -> None:
        """Keep a turn under the key that `turn_key` gives, in place of one that an earlier run kept there."""


def open_sessions() -> Sessions | None:
    """Open the conversations that the environment names; None when it names none. Keep what this gives."""
    table, host = os.environ.get(TABLE_VARIABLE), os.environ.get(REDIS_HOST_VARIABLE)
    if not table and not host:
        return None
    keeping = turns.Keeping(ttl_seconds=int(_variable(TTL_VARIABLE)), turns=int(_variable(TURNS_VARIABLE)))
    if host:
        from ak_lambda.shared import sessions_redis  # noqa: PLC0415 - its client comes as a layer, where it is used

        return sessions_redis.open_redis(host, os.environ, keeping)
    import boto3  # noqa: PLC0415 - an agent without conversations must not pay for it
    from botocore.config import Config  # noqa: PLC0415

    config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})
    return TableSessions(boto3.client("dynamodb", config=config), str(table), keeping)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} must be set beside the name of a session store; SessionStore.attach does so")
    return value


class TableSessions:
    """Conversations in a DynamoDB table, beside those of Agent Kernel, whose items have other keys.

    TTL deletes late, so `expiry_time` is looked at in every read.
    """

    def __init__(self, client: Any, table: str, keeping: turns.Keeping) -> None:  # noqa: ANN401 - boto3 makes its classes
        self._client = client
        self._table = table
        self._keeping = keeping

    def claim(self, session_id: str, user_id: str | None, *, now: int, new: bool = False) -> bool:
        """See `Sessions`. An owner never changes until it expires, so a read that is a little old does."""
        opened_by = json.dumps(user_id)
        owner = None if new else self._owner(session_id, now, consistent=False)
        if owner is None:
            if self._put_owner(session_id, opened_by, now, "attribute_not_exists(session_id) OR expiry_time <= :now"):
                return True
            owner = self._owner(session_id, now, consistent=True)  # somebody was faster: perhaps an earlier try of ours
        if owner is None or owner["opened_by"]["S"] != opened_by:
            return False
        same = "opened_by = :opened_by AND expiry_time > :now"
        left = int(owner["expiry_time"]["N"]) - now
        return not self._keeping.is_short(left) or self._put_owner(session_id, opened_by, now, same)

    def history(self, session_id: str, *, now: int, before: str | None = None) -> list[dict[str, Any]]:
        """See `Sessions`. One page always does: 1 MB of turns is far more than a history has."""
        found = self._client.query(
            TableName=self._table,
            KeyConditionExpression="session_id = :session_id AND #key BETWEEN :first AND :last",
            ExpressionAttributeNames={"#key": "key"},
            ExpressionAttributeValues={
                ":session_id": {"S": session_id},
                ":first": {"S": turns.PREFIX},
                ":last": {"S": before or LAST_KEY},
            },
            ScanIndexForward=False,
            Limit=self._keeping.turns + (before is not None),  # the one at the end of the range is dropped below
            ConsistentRead=True,
        )["Items"]
        alive = (item for item in found if int(item["expiry_time"]["N"]) > now and item["key"]["S"] != before)
        return turns.latest(map(_turn, alive), self._keeping.turns)

    def add_turn(
        self, session_id: str, *, key: str, prompt: str, answer: str, request_id: str, created_at: int, now: int
    ) -> None:
        """See `Sessions`."""
        turn = turns.turn(prompt=prompt, answer=answer, request_id=request_id, created_at=created_at)
        texts = {"session_id": session_id, "key": key, **{name: turn[name] for name in _TEXTS}}
        numbers = {"created_at": created_at, "expiry_time": now + self._keeping.ttl_seconds}
        item = {name: {"S": text} for name, text in texts.items()}
        item |= {name: {"N": str(number)} for name, number in numbers.items()}
        self._client.put_item(TableName=self._table, Item=item)

    def _owner(self, session_id: str, now: int, *, consistent: bool) -> dict[str, Any] | None:
        key = {"session_id": {"S": session_id}, "key": {"S": OWNER_KEY}}
        item = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=consistent).get("Item")
        return item if item and int(item["expiry_time"]["N"]) > now else None

    def _put_owner(self, session_id: str, opened_by: str, now: int, condition: str) -> bool:
        """Write an owner if the condition holds, and say whether it did."""
        item = {"session_id": {"S": session_id}, "key": {"S": OWNER_KEY}, "opened_by": {"S": opened_by}}
        item["expiry_time"] = {"N": str(now + self._keeping.owner_seconds)}
        values = {":now": {"N": str(now)}}
        if ":opened_by" in condition:
            values[":opened_by"] = {"S": opened_by}
        try:
            self._client.put_item(
                TableName=self._table, Item=item, ConditionExpression=condition, ExpressionAttributeValues=values
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _turn(item: dict[str, Any]) -> dict[str, Any]:
    return {**{name: item[name]["S"] for name in _TEXTS}, "created_at": int(item["created_at"]["N"])}
