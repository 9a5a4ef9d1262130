"""Frames are posted to all connections of a user; one that is slow or gone holds no other up."""

import dataclasses
import threading
import time
from typing import Any

import pytest

from ak_lambda.shared import clients
from ak_lambda.shared.connections import Connection
from ak_lambda.shared.posting import MAX_AT_ONCE, Posted, Poster
from test.lambda_assets.fake_connections import (
    ENDPOINT,
    FORBIDDEN,
    THROTTLED,
    TIMEOUT,
    FakeConnections,
    FakeGateway,
    error,
)

NOW = 1_000_000


class World:
    """Some connections of one user."""

    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.table = FakeConnections()
        self.poster = Poster(self.table, self.gateway.client_for)  # type: ignore[arg-type]

    def connect(self, connection_id: str, **changes: Any) -> Connection:  # noqa: ANN401
        """Open a connection."""
        connection = dataclasses.replace(Connection("alice", connection_id, ENDPOINT), **changes)
        self.gateway.connect(connection_id)
        self.table.add(connection, now=NOW)
        return connection

    def got(self, connection: Connection) -> list[bytes]:
        """Give what a client got."""
        return self.gateway.connections[connection.connection_id].posted


@pytest.fixture
def world() -> World:
    """Make a world."""
    return World()


def test_a_frame_is_delivered(world: World) -> None:
    """As it is."""
    here = world.connect("c")
    assert world.poster.post(here, b"{}") == "delivered"
    assert world.got(here) == [b"{}"]


def test_a_connection_that_is_gone_is_forgotten(world: World) -> None:
    """And told of as gone."""
    here = world.connect("c")
    world.gateway.connections["c"].close()
    assert world.poster.post(here, b"{}") == "gone"
    assert world.table.rows == {}


def test_a_connection_that_is_gone_is_not_forgotten_under_another_endpoint(world: World) -> None:
    """There its row is another API's."""
    here = world.connect("c")
    elsewhere = dataclasses.replace(here, endpoint="https://b.example.com/prod")
    assert world.poster.post(elsewhere, b"{}") == "gone"
    assert list(world.table.rows) == [("alice", "c")]


def test_a_new_connection_that_seems_gone_is_kept(world: World) -> None:
    """Its `$connect` has not ended: a moment later it hears what is posted."""
    here = world.connect("c", is_new=True)
    world.gateway.connections["c"].close()
    assert world.poster.post(here, b"{}") == "gone"
    assert list(world.table.rows) == [("alice", "c")]


def test_a_row_that_cannot_be_forgotten_is_gone_all_the_same(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It goes when it expires."""
    here = world.connect("c")
    world.gateway.connections["c"].close()

    def fails(*_args: object, **_more: object) -> None:
        raise error(THROTTLED, "DeleteItem")

    world.table.remove = fails  # type: ignore[method-assign]
    assert world.poster.post(here, b"{}") == "gone"
    assert "not forgotten" in caplog.text


@pytest.mark.parametrize("code", [THROTTLED, FORBIDDEN, TIMEOUT, "InternalServerErrorException"])
def test_what_fails_is_told_by_operation_and_code(world: World, caplog: pytest.LogCaptureFixture, code: str) -> None:
    """Never with what was posted, nor with the service's words; the row stays."""
    here = world.connect("c")
    world.gateway.connections["c"].always = code
    assert world.poster.post(here, b'"a secret"') == "failed"
    (line,) = (vars(each) for each in caplog.records)
    assert (line["operation"], line["code"]) == ("PostToConnection", "ReadTimeoutError" if code == TIMEOUT else code)
    assert not any(word in str(line) for word in ("secret", "from the service", ENDPOINT))
    assert list(world.table.rows) == [("alice", "c")]


@pytest.mark.parametrize("endpoint", ["http://a.example.com/prod", "a.example.com/prod", "", "file:///etc/passwd"])
def test_nothing_is_posted_in_the_clear(world: World, endpoint: str) -> None:
    """Whatever a row says."""
    here = world.connect("c", endpoint=endpoint)
    assert world.poster.post(here, b"{}") == "failed"
    assert world.gateway.posts == []


def test_every_connection_gets_all_frames_in_order(world: World) -> None:
    """And the outcomes are counted."""
    many = [world.connect(str(number)) for number in range(MAX_AT_ONCE + 4)]
    world.gateway.connections["1"].close()
    world.gateway.connections["2"].always = FORBIDDEN
    frames = [b"0", b"1", b"2"]
    assert world.poster.post_all(many, frames) == Posted(delivered=MAX_AT_ONCE + 2, gone=1, failed=1)
    assert [world.got(each) for each in many] == [[] if number in {1, 2} else frames for number in range(len(many))]


def test_a_connection_that_fails_gets_no_further_frames(world: World) -> None:
    """They would be a gap."""
    here, there = world.connect("c"), world.connect("d")
    world.gateway.connections["c"].fails = [None, THROTTLED]
    assert world.poster.post_all([here, there], [b"0", b"1", b"2"]) == Posted(delivered=1, gone=0, failed=1)
    assert (world.got(here), world.got(there)) == ([b"0"], [b"0", b"1", b"2"])


def test_a_client_that_does_not_read_holds_no_other_up(world: World) -> None:
    """All others have everything before it gives way."""
    slow, *others = [world.connect(str(number)) for number in range(4)]
    gate = world.gateway.connections["0"].opened
    gate.clear()
    thread = threading.Thread(target=world.poster.post_all, args=([slow, *others], [b"0", b"1"]))
    thread.start()
    until = time.monotonic() + 5
    while any(len(world.got(each)) < 2 for each in others) and time.monotonic() < until:
        time.sleep(0.005)
    assert [len(world.got(each)) for each in [slow, *others]] == [0, 2, 2, 2]
    gate.set()
    thread.join(timeout=5)
    assert world.got(slow) == [b"0", b"1"]


def test_nobody_is_posted_to_in_vain(world: World) -> None:
    """A user without connections."""
    assert world.poster.post_all([], [b"{}"]) == Posted(delivered=0, gone=0, failed=0)


def test_a_client_is_made_once_for_an_endpoint_and_is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a post is waited for."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    clients._callback_client.cache_clear()
    made = clients.callback_client(ENDPOINT)
    assert clients.callback_client(ENDPOINT) is made
    other = clients.callback_client(ENDPOINT, read_seconds=2)
    assert [each.meta.endpoint_url for each in (made, other)] == [ENDPOINT, ENDPOINT]
    configs = [each.meta.config for each in (made, other)]
    assert [(each.connect_timeout, each.read_timeout) for each in configs] == [(1, 5), (1, 2)]
    assert {each.retries["total_max_attempts"] for each in configs} == {2}
    assert all(each.max_pool_connections >= MAX_AT_ONCE for each in configs)
    clients._callback_client.cache_clear()
