"""Conversations in the emulator's DynamoDB and in a real Redis, which lets in its users by TLS and password only."""

import contextlib
import importlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ak_constructs._dependencies import Platform, install
from ak_constructs._lambda_assets import lambda_assets
from ak_constructs._session_backends import REDIS_ACCESS
from ak_constructs.local.deployment import deploy
from ak_constructs.local.emulator import Emulator, stop_group
from ak_constructs.local.logs import client
from ak_lambda.shared import sessions
from ak_lambda.shared.sessions import TableSessions
from test.pythons import missing, this_version
from test.sessions_suite import KEEPING, Kept, SessionsSuite

pytestmark = pytest.mark.local
PASSWORD = "A-right-passw0rd"
ADAPTER = "ak_lambda.shared.sessions_redis"


@pytest.fixture(scope="module")
def table(aws: Emulator, work: Path) -> str:
    """Deploy the table and give its name."""
    return deploy(aws, work, app=f"{sys.executable} -m test.local.sessions_app")["Sessions"]["TableName"]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running Redis.

    Attributes:
        port: Where it listens, by TLS only.
        authority: The certificate that signed its own.
        administrator: A client of its owner's.
    """

    port: int
    authority: Path
    administrator: Any


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Import the adapter with the client that the layer has."""
    layer = tmp_path_factory.mktemp("layer") / "python"
    pins = lambda_assets() / "redis_layer" / "requirements.txt"
    install(pins, layer, Platform(machine="x86_64", python=max(this_version(), "3.12")))
    before = set(sys.modules)
    sys.path.insert(0, str(layer))
    sys.modules.pop(ADAPTER, None)
    yield importlib.import_module(ADAPTER)
    sys.path.remove(str(layer))
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "redis" or name == ADAPTER:
            del sys.modules[name]


@pytest.fixture(scope="module")
def server(adapter: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a Redis whose one user may do what ours may in a serverless cache."""
    for program in ("redis-server", "openssl"):
        if shutil.which(program) is None:
            missing(program)
    folder = tmp_path_factory.mktemp("redis")
    certify(folder)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    settings = f"""
port 0
bind 127.0.0.1
tls-port {port}
tls-cert-file {folder}/server.pem
tls-key-file {folder}/server.key
tls-ca-cert-file {folder}/authority.pem
tls-auth-clients no
save ""
dir {folder}
user default off
user administrator on >{PASSWORD} ~* &* +@all
user sessions on >{PASSWORD} {REDIS_ACCESS.removeprefix("on ")}
"""
    (folder / "redis.conf").write_text(settings, encoding="utf-8")
    administrator = adapter.redis.Redis(
        host="localhost",
        port=port,
        username="administrator",
        password=PASSWORD,
        ssl=True,
        ssl_ca_certs=str(folder / "authority.pem"),
        decode_responses=True,
    )
    with (
        (folder / "redis.log").open("wb") as log,
        subprocess.Popen(["redis-server", folder / "redis.conf"], stdout=log, start_new_session=True) as process,
    ):
        try:
            wait_for(administrator, adapter, folder / "redis.log")
            yield Server(port=port, authority=folder / "authority.pem", administrator=administrator)
        finally:
            administrator.close()
            stop_group(process)


def certify(folder: Path) -> None:
    """Make an authority, and a certificate for this machine that it signed."""

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

    new = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN="
    openssl(f"{new}authority -keyout authority.key -out authority.pem -addext keyUsage=critical,keyCertSign")
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr")
    (folder / "names").write_text(
        "subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    signing = "-CA authority.pem -CAkey authority.key -CAcreateserial -extfile names -days 2 -out server.pem"
    openssl(f"x509 -req -in server.csr {signing}")


def wait_for(administrator: Any, adapter: ModuleType, log: Path) -> None:  # noqa: ANN401
    """Wait until it answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(adapter.redis.ConnectionError):
            administrator.ping()
            return
        time.sleep(0.05)
    raise RuntimeError(f"redis-server did not answer within 30 s; it says: {log.read_text(encoding='utf-8')}")


@pytest.fixture
def environment(server: Server, aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set what a function attached to that Redis has, and trust its authority as this machine trusts public ones."""
    secret = json.dumps({"username": "sessions", "password": PASSWORD})
    arn = client("secretsmanager", aws).create_secret(Name=f"redis-{time.monotonic_ns()}", SecretString=secret)["ARN"]
    names = {
        **aws.environment,
        "SSL_CERT_FILE": str(server.authority),
        "AK_CONSTRUCTS_SESSIONS_REDIS_HOST": "localhost",
        "AK_CONSTRUCTS_SESSIONS_REDIS_PORT": str(server.port),
        "AK_CONSTRUCTS_SESSIONS_REDIS_SECRET_ARN": arn,
        "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS": str(KEEPING.ttl_seconds),
        "AK_CONSTRUCTS_HISTORY_TURNS": str(KEEPING.turns),
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    return names


@pytest.fixture(params=["dynamodb", "redis"])
def kept(request: pytest.FixtureRequest) -> Kept:
    """Make empty conversations in both."""
    if request.param == "dynamodb":
        aws, table = request.getfixturevalue("aws"), request.getfixturevalue("table")
        dynamodb = client("dynamodb", aws)
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                key = {name: item[name] for name in ("session_id", "key")}
                dynamodb.delete_item(TableName=table, Key=key)
        return Kept(open=lambda: TableSessions(dynamodb, table, KEEPING), advance=lambda _seconds: None)
    request.getfixturevalue("environment")
    administrator = request.getfixturevalue("server").administrator
    administrator.flushall()
    opened = sessions.open_sessions()
    assert opened is not None

    def advance(seconds: int) -> None:
        for key in administrator.keys():  # noqa: SIM118 - a command of Redis
            administrator.expire(key, administrator.ttl(key) - seconds)

    return Kept(open=lambda: opened, advance=advance)


class TestSessions(SessionsSuite):
    """The suite, in the real things."""


def test_the_table_is_opened_by_what_its_construct_sets(
    aws: Emulator, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And Agent Kernel's items live beside ours."""
    ours = {"AK_CONSTRUCTS_SESSIONS_TABLE": table, "AK_CONSTRUCTS_HISTORY_TURNS": "2"}
    for name, value in {**aws.environment, **ours, "AK_CONSTRUCTS_SESSIONS_TTL_SECONDS": "3600"}.items():
        monkeypatch.setenv(name, value)
    opened = sessions.open_sessions()
    assert isinstance(opened, TableSessions)
    theirs = {"session_id": {"S": "mixed"}, "key": {"S": "nv_cache"}, "value": {"B": b"\x80\x04N."}}
    client("dynamodb", aws).put_item(TableName=table, Item=theirs)
    kept = Kept(open=lambda: opened, advance=lambda _seconds: None)
    assert kept.claim("alice", "mixed")
    kept.add(1, session_id="mixed")
    assert [turn["created_at"] for turn in kept.history("mixed")] == [1]
    described = client("dynamodb", aws).describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert (described["TimeToLiveStatus"], described["AttributeName"]) == ("ENABLED", "expiry_time")


def test_the_largest_turn_fits_an_item(aws: Emulator, table: str) -> None:
    """Whatever its characters: the service counts bytes of UTF-8, and its limit is 400 KB."""
    kept = Kept(open=lambda: TableSessions(client("dynamodb", aws), table, KEEPING), advance=lambda _seconds: None)
    for text in ("😀" * 50_000, "\x00" * 50_000):
        key = kept.add(1, prompt=text, answer=text, session_id="large")
        item = client("dynamodb", aws).get_item(TableName=table, Key={"session_id": {"S": "large"}, "key": {"S": key}})[
            "Item"
        ]
        assert sum(len(name) + len(next(iter(value.values())).encode()) for name, value in item.items()) < 70_000


@pytest.mark.usefixtures("environment")
def test_keys_in_redis_expire_by_themselves(server: Server) -> None:
    """Turns after their time, owners after theirs."""
    server.administrator.flushall()
    opened = sessions.open_sessions()
    assert opened is not None
    kept = Kept(open=lambda: opened, advance=lambda _seconds: None)
    assert kept.claim("alice")
    kept.add(1)
    prefix = "ak-constructs:sessions:{s-1}:"
    found = {key.removeprefix(prefix): server.administrator.ttl(key) for key in server.administrator.keys()}  # noqa: SIM118
    assert found["owner"] == pytest.approx(KEEPING.owner_seconds, abs=5)
    assert found["turns"] == pytest.approx(KEEPING.ttl_seconds, abs=5)
    assert len(found) == 2


@pytest.mark.usefixtures("environment")
def test_a_connection_that_was_cut_is_made_again(server: Server) -> None:
    """As ElastiCache cuts each after twelve hours, and a frozen environment loses its own."""
    opened = sessions.open_sessions()
    assert opened is not None
    kept = Kept(open=lambda: opened, advance=lambda _seconds: None)
    assert kept.claim("alice", "cut")
    assert server.administrator.client_kill_filter(user="sessions", skipme=True) >= 1
    assert kept.claim("alice", "cut")
    assert kept.history("cut") == []


@pytest.mark.usefixtures("environment")
def test_a_certificate_that_nobody_signed_is_refused(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a password is sent."""
    monkeypatch.delenv("SSL_CERT_FILE")
    opened = sessions.open_sessions()
    assert opened is not None
    with pytest.raises(adapter.redis.ConnectionError, match="certificate verify failed"):
        opened.claim("s", "alice", now=0)


@pytest.mark.usefixtures("environment")
def test_a_certificate_for_another_name_is_refused(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """However well it is signed."""
    monkeypatch.setenv("AK_CONSTRUCTS_SESSIONS_REDIS_HOST", "127.0.0.1")
    opened = sessions.open_sessions()
    assert opened is not None
    with pytest.raises(adapter.redis.ConnectionError, match="IP address mismatch"):
        opened.claim("s", "alice", now=0)


def test_a_wrong_password_is_refused_and_not_told(
    adapter: ModuleType, environment: dict[str, str], aws: Emulator
) -> None:
    """Not even in the error."""
    arn = environment["AK_CONSTRUCTS_SESSIONS_REDIS_SECRET_ARN"]
    wrong = json.dumps({"username": "sessions", "password": "A-wrong-passw0rd"})
    client("secretsmanager", aws).put_secret_value(SecretId=arn, SecretString=wrong)
    opened = sessions.open_sessions()
    assert opened is not None
    with pytest.raises(adapter.redis.AuthenticationError) as refused:
        opened.claim("s", "alice", now=0)
    assert "passw0rd" not in str(refused.value)


def test_our_user_may_use_our_keys_only(adapter: ModuleType, server: Server) -> None:
    """With the commands that our code uses, and none that looks at or empties the whole cache."""
    user = adapter.redis.Redis(
        host="localhost",
        port=server.port,
        username="sessions",
        password=PASSWORD,
        ssl=True,
        ssl_ca_certs=str(server.authority),
    )
    with contextlib.closing(user):
        assert user.set("ak-constructs:sessions:{s}:owner", "1")
        for command in (("SET", "other", "1"), ("GET", "other"), ("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "GET", "*")):
            with pytest.raises(adapter.redis.exceptions.NoPermissionError):
                user.execute_command(*command)
