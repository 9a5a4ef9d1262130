"""DynamoDB and Redis in memory, as far as conversations use them."""

import re
import threading
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any, Self


class ConditionalCheckFailedError(Exception):
    """What the service answers when a condition does not hold."""


class FakeTable:
    """The calls of a boto3 client for one table; conditions are held under a lock, as the service holds them."""

    exceptions = SimpleNamespace(ConditionalCheckFailedException=ConditionalCheckFailedError)

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def get_item(self, **call: Any) -> dict[str, Any]:  # noqa: ANN401
        """Give an item by its key."""
        self.calls.append(("GetItem", call))
        item = self.items.get((call["Key"]["session_id"]["S"], call["Key"]["key"]["S"]))
        return {"Item": item} if item else {}

    def put_item(self, **call: Any) -> dict[str, Any]:  # noqa: ANN401
        """Write an item if its condition holds."""
        item = call["Item"]
        key = (item["session_id"]["S"], item["key"]["S"])
        with self._lock:
            self.calls.append(("PutItem", call))
            condition = call.get("ConditionExpression")
            if condition and not _holds(condition, self.items.get(key, {}), call["ExpressionAttributeValues"]):
                raise ConditionalCheckFailedError
            self.items[key] = item
        return {}

    def query(self, **call: Any) -> dict[str, Any]:  # noqa: ANN401
        """Give the last items of a range, newest first."""
        self.calls.append(("Query", call))
        assert call["KeyConditionExpression"] == "session_id = :session_id AND #key BETWEEN :first AND :last"
        assert (call["ExpressionAttributeNames"], call["ScanIndexForward"]) == ({"#key": "key"}, False)
        session, first, last = (
            call["ExpressionAttributeValues"][f":{n}"]["S"] for n in ("session_id", "first", "last")
        )
        keys = sorted((key for key in self.items if key[0] == session and first <= key[1] <= last), reverse=True)
        return {"Items": [self.items[key] for key in keys[: call["Limit"]]]}


def _holds(condition: str, item: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    assert set(re.findall(r":\w+", condition)) == set(values), "the service refuses a value that is not used"
    if " OR " in condition:
        return any(_holds_one(each, item, values) for each in condition.split(" OR "))
    return all(_holds_one(each, item, values) for each in condition.split(" AND "))


def _holds_one(condition: str, item: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    if condition == "attribute_not_exists(session_id)":
        return not item
    name, operator, value = condition.split(" ")
    if name not in item:
        return False
    if operator == "=":
        return bool(item[name] == values[value])
    found, bound = int(item[name]["N"]), int(values[value]["N"])
    return {"<=": found <= bound, ">": found > bound}[operator]


class FakeServer:
    """What a Redis server holds, with a clock of its own."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.expiries: dict[str, int] = {}
        self.clock = 0
        self.commands: list[str] = []
        self.settings: dict[str, Any] = {}
        self.lock = threading.RLock()

    def advance(self, seconds: int) -> None:
        """Let time go by."""
        self.clock += seconds
        for key in [key for key, expiry in self.expiries.items() if expiry <= self.clock]:
            del self.values[key], self.expiries[key]

    def module(self) -> dict[str, ModuleType]:
        """Give the modules of redis-py, whose client talks to this server."""
        package, backoff, retry = ModuleType("redis"), ModuleType("redis.backoff"), ModuleType("redis.retry")

        def connect(**settings: object) -> FakeRedis:
            self.settings = settings
            return FakeRedis(self)

        package.Redis = connect  # type: ignore[attr-defined]
        backoff.ExponentialWithJitterBackoff = SimpleNamespace  # type: ignore[attr-defined]
        retry.Retry = lambda backoff, count: SimpleNamespace(backoff=backoff, count=count)  # type: ignore[attr-defined]
        return {"redis": package, "redis.backoff": backoff, "redis.retry": retry}


class FakeRedis:
    """The commands of redis-py that conversations use."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def get(self, key: str) -> Any:  # noqa: ANN401
        """GET."""
        self._server.commands.append("GET")
        return self._server.values.get(key)

    def ttl(self, key: str) -> int:
        """TTL."""
        return self._server.expiries[key] - self._server.clock if key in self._server.expiries else -2

    def set(self, key: str, value: str, *, nx: bool, ex: int) -> bool | None:
        """SET NX EX."""
        with self._server.lock:
            self._server.commands.append("SET")
            assert nx
            if key in self._server.values:
                return None
            self._server.values[key] = value
            self.expire(key, ex)
            return True

    def expire(self, key: str, seconds: int) -> int:
        """EXPIRE."""
        self._server.commands.append("EXPIRE")
        if key not in self._server.values:
            return 0
        self._server.expiries[key] = self._server.clock + seconds
        return 1

    def hset(self, key: str, field: str, value: str) -> int:
        """HSET."""
        value.encode()
        self._server.values.setdefault(key, {})[field] = value
        return 1

    def hkeys(self, key: str) -> list[str]:
        """HKEYS."""
        return list(self._server.values.get(key, {}))

    def hdel(self, key: str, *fields: str) -> None:
        """HDEL."""
        for field in fields:
            del self._server.values[key][field]

    def hgetall(self, key: str) -> dict[str, str]:
        """HGETALL."""
        self._server.commands.append("HGETALL")
        return dict(self._server.values.get(key, {}))

    def pipeline(self, *, transaction: bool) -> "FakePipeline":
        """Queue commands and run them together."""
        self._server.commands.append("MULTI" if transaction else "PIPELINE")
        return FakePipeline(self)


class FakePipeline:
    """Commands that are run together."""

    def __init__(self, client: FakeRedis) -> None:
        self._client = client
        self._queued: list[tuple[str, tuple[Any, ...]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._queued.clear()

    def __getattr__(self, command: str) -> Any:  # noqa: ANN401
        return lambda *arguments: self._queued.append((command, arguments))

    def execute(self) -> list[Any]:
        """Run what is queued."""
        return [getattr(self._client, command)(*arguments) for command, arguments in self._queued]
