"""Conversations with fakes: what they do, and with how many calls."""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.stub import Stubber

from ak_lambda.shared import sessions, turns
from ak_lambda.shared.sessions import TableSessions
from test.lambda_assets.fake_stores import FakeServer, FakeTable
from test.sessions_suite import KEEPING, START, Kept, SessionsSuite

ENVIRONMENT = {"AK_CONSTRUCTS_SESSIONS_TTL_SECONDS": "60", "AK_CONSTRUCTS_HISTORY_TURNS": "5"}
REDIS = {
    "AK_CONSTRUCTS_SESSIONS_REDIS_HOST": "cache.example",
    "AK_CONSTRUCTS_SESSIONS_REDIS_PORT": "6379",
    **ENVIRONMENT,
}


@pytest.fixture
def table() -> FakeTable:
    """Make an empty table."""
    return FakeTable()


@pytest.fixture
def server() -> FakeServer:
    """Make an empty Redis."""
    return FakeServer()


@pytest.fixture
def in_redis(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import the adapter with a client for that server."""
    name = "ak_lambda.shared.sessions_redis"
    for module, content in server.module().items():
        monkeypatch.setitem(sys.modules, module, content)
    sys.modules.pop(name, None)
    yield importlib.import_module(name)
    del sys.modules[name]


@pytest.fixture(params=["dynamodb", "redis"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Make conversations in both."""
    if request.param == "dynamodb":
        table = request.getfixturevalue("table")
        return Kept(open=lambda: TableSessions(table, "Table", KEEPING), advance=lambda _seconds: None)
    server, in_redis = request.getfixturevalue("server"), request.getfixturevalue("in_redis")
    monkeypatch.setenv("AK_CONSTRUCTS_SESSIONS_REDIS_PORT", "6379")
    environment = {"AK_CONSTRUCTS_SESSIONS_REDIS_PORT": "6379"}
    return Kept(open=lambda: in_redis.open_redis("cache.example", environment, KEEPING), advance=server.advance)


class TestSessions(SessionsSuite):
    """The suite, in memory."""


def operations(table: FakeTable) -> list[str]:
    """Give the calls since the last time."""
    found = [name for name, _ in table.calls]
    table.calls.clear()
    return found


def test_a_table_is_asked_no_more_than_needed(table: FakeTable) -> None:
    """One write opens, one read finds, one read has the history, one write keeps a turn."""
    kept = Kept(open=lambda: TableSessions(table, "Table", KEEPING), advance=lambda _seconds: None)
    assert kept.claim("alice", new=True)
    assert operations(table) == ["PutItem"]
    assert kept.claim("alice")
    assert not kept.claim("bob")
    assert operations(table) == ["GetItem", "GetItem"]
    assert kept.claim("alice", "s-2")
    assert operations(table) == ["GetItem", "PutItem"]
    kept.add(1)
    kept.history()
    assert operations(table) == ["PutItem", "Query"]
    kept.later(14)
    kept.claim("alice")
    assert operations(table) == ["GetItem"]
    kept.later(2)
    kept.claim("alice")
    assert operations(table) == ["GetItem", "PutItem"]


def test_redis_is_asked_no_more_than_needed(server: FakeServer, in_redis: ModuleType) -> None:
    """Each of these is one round trip."""
    redis = in_redis.open_redis("cache.example", {"AK_CONSTRUCTS_SESSIONS_REDIS_PORT": "6379"}, KEEPING)
    assert redis.claim("s", "alice", now=0, new=True)
    assert redis.claim("s", "alice", now=0)
    assert redis.history("s", now=0) == []
    assert server.commands == ["SET", "EXPIRE", "PIPELINE", "GET", "HGETALL"], "the EXPIRE is the fake's, of its SET"


def test_reads_are_as_consistent_as_they_must_be(table: FakeTable) -> None:
    """An owner never changes, a history does; and who was too late must see who was faster."""
    kept = Kept(open=lambda: TableSessions(table, "Table", KEEPING), advance=lambda _seconds: None)
    kept.claim("alice")
    kept.claim("bob", new=True)
    kept.history()
    reads = [call["ConsistentRead"] for name, call in table.calls if name != "PutItem"]
    assert reads == [False, True, True]


def test_agent_kernels_items_live_beside_ours(table: FakeTable) -> None:
    """They have other keys and are never looked at."""
    kept = Kept(open=lambda: TableSessions(table, "Table", KEEPING), advance=lambda _seconds: None)
    for key in ("nv_cache", "openai", "turn", "zzz"):
        item = {"session_id": {"S": "s-1"}, "key": {"S": key}, "value": {"B": b"\x80\x04"}}
        table.items["s-1", key] = item
    kept.add(1)
    assert kept.numbers() == [1]
    assert kept.claim("alice")


def test_an_owner_that_expired_but_was_not_deleted_yet_counts_as_none(table: FakeTable) -> None:
    """TTL deletes late; two who then come at once still cannot both win."""
    kept = Kept(open=lambda: TableSessions(table, "Table", KEEPING), advance=lambda _seconds: None)
    assert kept.claim("alice")
    kept.later(90)
    assert ("s-1", "owner") in table.items
    assert kept.claim("bob")
    assert not kept.claim("alice")


def test_an_owner_who_changed_between_reading_and_refreshing_is_not_overwritten(table: FakeTable) -> None:
    """The read may be a little old: the write looks again."""
    kept = Kept(open=lambda: TableSessions(table, "Table", KEEPING), advance=lambda _seconds: None)
    assert kept.claim("alice")
    kept.later(80)
    stale = table.items["s-1", "owner"]
    table.get_item = lambda **_call: {"Item": stale}  # type: ignore[method-assign]
    table.items["s-1", "owner"] = {**stale, "opened_by": {"S": '"bob"'}}
    assert not kept.claim("alice")


def test_an_owner_who_is_gone_when_looked_at_again_lets_nobody_in(table: FakeTable) -> None:
    """The caller asks again; better than two who both believe that it is theirs."""
    table.get_item = lambda **_call: {}  # type: ignore[method-assign]
    kept = Kept(open=lambda: TableSessions(table, "Table", KEEPING), advance=lambda _seconds: None)
    assert kept.claim("alice")
    assert not kept.claim("alice")


def test_an_owner_who_expires_while_being_refreshed_is_opened_anew(server: FakeServer, in_redis: ModuleType) -> None:
    """Between two commands to Redis."""
    redis = in_redis.open_redis("cache.example", {"AK_CONSTRUCTS_SESSIONS_REDIS_PORT": "6379"}, KEEPING)
    redis._owner = lambda _key: ('"alice"', 1)
    assert redis.claim("s", "alice", now=0)
    assert list(server.values.values()) == ['"alice"']


def test_redis_keeps_one_turn_more_than_it_reads(server: FakeServer, in_redis: ModuleType) -> None:
    """In a hash that a session's keys share a slot with."""
    kept = Kept(
        open=lambda: in_redis.open_redis("cache.example", {"AK_CONSTRUCTS_SESSIONS_REDIS_PORT": "6379"}, KEEPING),
        advance=server.advance,
    )
    kept.claim("alice")
    for number in range(9):
        kept.add(number)
    assert set(server.values) == {"ak-constructs:sessions:{s-1}:owner", "ak-constructs:sessions:{s-1}:turns"}
    assert len(server.values["ak-constructs:sessions:{s-1}:turns"]) == KEEPING.turns + 1
    assert server.expiries["ak-constructs:sessions:{s-1}:turns"] == KEEPING.ttl_seconds
    assert server.commands.count("MULTI") == 9, "a turn without an expiry would be kept for ever"


def test_the_calls_are_what_the_services_model_takes() -> None:
    """Down to a condition that fails."""
    client: Any = boto3.client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    owner = {"opened_by": {"S": '"alice"'}, "expiry_time": {"N": str(START + KEEPING.owner_seconds)}}
    with Stubber(client) as stubber:
        stubber.add_client_error("put_item", "ConditionalCheckFailedException")
        stubber.add_response("get_item", {"Item": owner})
        stubber.add_response("put_item", {})
        stubber.add_response("query", {"Items": []})
        kept = Kept(open=lambda: TableSessions(client, "Table", KEEPING), advance=lambda _seconds: None)
        assert not kept.claim("bob", new=True)
        kept.add(1)
        assert kept.history() == []
        stubber.assert_no_pending_responses()


def set_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Set what a construct sets, and nothing else."""
    for name in list(os.environ):
        if name.startswith("AK_CONSTRUCTS_"):
            monkeypatch.delenv(name)
    for name, value in {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", **environment}.items():
        monkeypatch.setenv(name, value)


def test_without_a_store_there_are_no_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is boto3 imported for them."""
    set_environment(monkeypatch, ENVIRONMENT)
    assert sessions.open_sessions() is None


def test_a_table_is_opened_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asking AWS anything yet."""
    set_environment(monkeypatch, {"AK_CONSTRUCTS_SESSIONS_TABLE": "Table", **ENVIRONMENT})
    opened = sessions.open_sessions()
    assert isinstance(opened, TableSessions)
    assert (opened._table, opened._keeping) == ("Table", turns.Keeping(ttl_seconds=60, turns=5))


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_fails_when_a_variable_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With the name of what sets it."""
    set_environment(monkeypatch, {"AK_CONSTRUCTS_SESSIONS_TABLE": "Table", **ENVIRONMENT, name: ""})
    with pytest.raises(RuntimeError, match=rf"^{name} must be set .*; SessionStore.attach does so$"):
        sessions.open_sessions()


@pytest.mark.usefixtures("in_redis")
def test_redis_is_opened_by_name_and_its_certificate_checked(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With bounds on every wait."""
    set_environment(monkeypatch, REDIS)
    opened: Any = sessions.open_sessions()
    assert opened._keeping == turns.Keeping(ttl_seconds=60, turns=5)
    assert (server.settings["host"], server.settings["port"]) == ("cache.example", 6379)
    assert (server.settings["ssl"], server.settings["ssl_cert_reqs"]) == (True, "required")
    assert server.settings["ssl_check_hostname"] is True
    assert server.settings["socket_timeout"] == server.settings["socket_connect_timeout"] == 2
    assert server.settings["retry"].count == 3
    assert server.settings["credential_provider"] is None


@pytest.mark.usefixtures("in_redis")
def test_a_role_logs_in_with_a_signed_request(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same that botocore's other signer makes."""
    access = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session"}
    cache = {"AK_CONSTRUCTS_SESSIONS_REDIS_CACHE": "cache-1", "AK_CONSTRUCTS_SESSIONS_REDIS_USER": "user-1"}
    set_environment(monkeypatch, {**REDIS, **cache, **access})
    sessions.open_sessions()
    user, token = server.settings["credential_provider"].get_credentials()
    assert user == "user-1"
    query = {name: value[0] for name, value in parse_qs(urlsplit(f"https://{token}").query).items()}
    assert token.startswith("cache-1/?Action=connect&User=user-1&ResourceType=ServerlessCache&X-Amz-")
    assert query["X-Amz-Expires"] == "900"
    assert query["X-Amz-Credential"].endswith("/us-east-1/elasticache/aws4_request")
    assert query["X-Amz-Security-Token"] == "session"
    assert signature_of(token, query["X-Amz-Date"]) == query["X-Amz-Signature"]


def signature_of(token: str, date: str) -> str:
    """Sign the same request again, at the same time, another way."""
    from botocore.auth import SigV4QueryAuth  # noqa: PLC0415

    credentials = Credentials("AKIA", "secret", "session")
    request = AWSRequest(method="GET", url=f"https://{token.rpartition('&X-Amz-Signature=')[0]}", headers={})
    request.context["timestamp"] = date
    auth = SigV4QueryAuth(credentials, "elasticache", "us-east-1", expires=900)
    request.headers["host"] = "cache-1"
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)


@pytest.mark.usefixtures("in_redis")
@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("hunter2", ("hunter2",)),
        ("12345", ("12345",)),
        (json.dumps({"password": "hunter2"}), ("hunter2",)),
        (json.dumps({"username": "", "password": "hunter2"}), ("hunter2",)),
        (json.dumps({"username": "app", "password": "hunter2"}), ("app", "hunter2")),
    ],
)
def test_a_secret_is_fetched_for_each_connection(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, secret: str, expected: tuple[str, ...]
) -> None:
    """A password, or JSON as other tools of AWS write it."""
    set_environment(monkeypatch, {**REDIS, "AK_CONSTRUCTS_SESSIONS_REDIS_SECRET_ARN": "arn:aws:secretsmanager:x"})
    sessions.open_sessions()
    client: Any = boto3.client(
        "secretsmanager", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    monkeypatch.setattr(boto3, "client", lambda _service: client)
    with Stubber(client) as stubber:
        for _ in range(2):
            stubber.add_response("get_secret_value", {"SecretString": secret}, {"SecretId": "arn:aws:secretsmanager:x"})
            assert server.settings["credential_provider"].get_credentials() == expected
        stubber.assert_no_pending_responses()
