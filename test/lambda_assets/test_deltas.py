"""What a run says while it runs, posted by real threads to a stand-in for API Gateway."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ak_lambda.agent_runner import deltas as module
from ak_lambda.agent_runner.audience import Audience
from ak_lambda.agent_runner.deltas import MAX_CONNECTIONS, Deltas
from ak_lambda.shared.connections import Connection
from test.lambda_assets.fake_connections import (
    ENDPOINT,
    FORBIDDEN,
    GONE,
    THROTTLED,
    TIMEOUT,
    FakeConnection,
    FakeConnections,
    FakeGateway,
)

PATIENCE = 10  # seconds after which a test gives up waiting for what must come


class World:
    """A user with connections, and runs for them."""

    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self.table = FakeConnections()
        self.left = 60.0
        self.clients: list[str] = []
        self.threads = set(threading.enumerate())
        self.find: Callable[[str], list[Connection]] = lambda user: self.table.of_user(user, now=0)

    def connect(
        self, name: str, *, user: str = "alice", is_new: bool = False, endpoint: str = ENDPOINT
    ) -> FakeConnection:
        """Open a connection."""
        self.table.add(Connection(user, name, endpoint, is_new), now=0)
        return self.gateway.connect(name, endpoint)

    def has_only_its_threads(self) -> bool:
        """Whether all threads of all runs have ended."""
        return set(threading.enumerate()) <= self.threads

    def of_user(self, user_id: str, *, now: int) -> list[Connection]:
        """Read the table."""
        assert now == 0
        return self.find(user_id)

    def remove(self, *key: str, endpoint: str | None) -> None:
        """Forget a connection."""
        self.table.remove(*key, endpoint=endpoint)

    def client_for(self, endpoint: str) -> Any:  # noqa: ANN401
        """Make a client."""
        self.clients.append(endpoint)
        return self.gateway.client_for(endpoint)

    def follow(self, attempt: int = 1) -> Deltas:
        """Begin a run."""
        audience = Audience(
            connections=self,  # type: ignore[arg-type]
            client_for=self.client_for,
            now=lambda: 0,
            clock=time.monotonic,
        )
        return audience.deltas(
            request_id="r", session_id="s", user_id="alice", attempt=attempt, left_seconds=lambda: self.left
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Make a world in which nothing waits for long; no thread outlives it."""
    for name in ("LOOK_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)
    monkeypatch.setattr("ak_lambda.agent_runner.delta_rules.CUT_SECONDS", 0.005)
    world = World()
    yield world
    assert world.has_only_its_threads()


def until(holds: Callable[[], object]) -> None:
    """Wait for what must come."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def text(connection: FakeConnection) -> str:
    """Join what arrived, which must be without a gap."""
    chunks = connection.of_type("STREAM_CHUNK")
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    return "".join(chunk.get("delta", "") for chunk in chunks)


def is_done(connection: FakeConnection) -> bool:
    """Whether the last chunk arrived."""
    return [chunk["done"] for chunk in connection.of_type("STREAM_CHUNK")][-1:] == [True]


def test_every_connection_of_the_user_gets_the_deltas_and_nobody_elses(world: World) -> None:
    """In order, to the last, which says so."""
    mine, too, hers = world.connect("1"), world.connect("2"), world.connect("3", user="bob")
    with world.follow() as run:
        for piece in ("", "Hello", ", ", "world"):
            run.feed(piece)
        run.end(done=True)
    assert (text(mine), text(too), hers.posted) == ("Hello, world", "Hello, world", [])
    assert is_done(mine)
    assert is_done(too)


def test_the_first_piece_arrives_while_the_agent_still_works(world: World) -> None:
    """And so does what comes later."""
    mine = world.connect("1")
    with world.follow() as run:
        run.feed("a")
        until(lambda: text(mine) == "a")
        run.feed("b")
        until(lambda: text(mine) == "ab")
        run.end(done=True)
    assert is_done(mine)


def test_connections_are_looked_for_when_the_first_piece_is_expected(world: World) -> None:
    """Not when the run begins: most agents do not stream."""
    with world.follow() as run:
        run.end(done=True)
    assert world.table.reads == 0
    world.connect("1")
    with world.follow() as run:
        run.feed("")
        until(lambda: world.clients == [ENDPOINT])
        assert world.gateway.posts == []
        run.end(done=True)


def test_a_run_that_is_silent_looks_for_nobody(world: World) -> None:
    """Connections that come while an agent thinks are found when it goes on."""
    with world.follow() as run:
        run.feed("a")
        until(lambda: world.table.reads == 1)
        time.sleep(0.05)
        assert world.table.reads == 1
        mine = world.connect("1")
        run.feed("b")
        until(lambda: text(mine) == "ab")
        run.end(done=True)


def test_a_connection_that_comes_in_mid_stream_gets_everything(world: World) -> None:
    """One that was replaced, for example."""
    first = world.connect("1")
    with world.follow() as run:
        run.feed("a")
        until(lambda: text(first) == "a")
        first.close()
        second = world.connect("2")
        run.feed("b")
        until(lambda: text(second) == "ab")
        run.end(done=True)
    assert text(first) == "a"
    assert is_done(second)
    assert list(world.table.rows) == [("alice", "2")], "the one that is gone is forgotten"


def test_progress_goes_to_all_besides_the_deltas(world: World) -> None:
    """Whatever the agent calls progress; the last text always."""
    mine = world.connect("1")

    class Silent:
        def __str__(self) -> str:
            raise ValueError

    with world.follow(attempt=3) as run:
        run.progress("Fetching data")
        until(lambda: mine.posted)
        for said in (Silent(), 41, 42):
            run.progress(said)
        run.end(done=True)
    frame = {"type": "PROGRESS", "request_id": "r", "session_id": "s", "attempt": 3}
    assert mine.frames[0] == {**frame, "progress": "Fetching data"}
    assert mine.frames[-1] == {**frame, "progress": "42"}


@pytest.mark.parametrize("error", [THROTTLED, FORBIDDEN, TIMEOUT])
def test_a_connection_whose_posts_fail_is_left_alone_and_delays_nobody(world: World, error: str) -> None:
    """It is tried once more: what the environment kept open to the service may be dead since it froze."""
    once, broken, well = world.connect("1"), world.connect("2"), world.connect("3")
    once.fails = [error]
    broken.always = error
    with world.follow() as run:
        run.feed("a")
        until(lambda: text(once) == text(well) == "a")
        until(lambda: [name for name, _ in world.gateway.posts].count("2") == 2)
        run.feed("b")
        run.end(done=True)
    assert text(once) == text(well) == "ab"
    assert [name for name, _ in world.gateway.posts].count("2") == 2
    assert len(world.table.rows) == 3


def test_a_connection_that_is_gone_in_mid_stream_is_forgotten(world: World) -> None:
    """The service said so."""
    gone, well = world.connect("1"), world.connect("2")
    gone.fails = [None, GONE]
    with world.follow() as run:
        run.feed("a")
        until(lambda: text(gone) == text(well) == "a")
        run.feed("b")
        until(lambda: ("alice", "1") not in world.table.rows)
        run.feed("c")
        run.end(done=True)
    assert (text(gone), text(well)) == ("a", "abc")


def test_a_connection_that_is_still_being_made_is_tried_again(world: World) -> None:
    """The service says "gone" until its $connect has ended."""
    mine = world.connect("1", is_new=True)
    mine.fails = [GONE, GONE]
    with world.follow() as run:
        until(lambda: run.feed("a") or mine.posted)  # type: ignore[func-returns-value]
        run.end(done=True)
    assert set(text(mine)) == {"a"}
    assert is_done(mine)


def test_a_client_that_never_reads_delays_neither_the_run_nor_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its post blocks until its timeout: the run ends, the others have all, and nothing is posted to it any more."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "LAST_SECONDS", 0.5)
    monkeypatch.setattr(module, "JOIN_SECONDS", 0.05)
    stuck, well = world.connect("1"), world.connect("2")
    stuck.opened.clear()
    with world.follow() as run:
        for piece in "abc":
            run.feed(piece)
            until(lambda piece=piece: text(well).endswith(piece))  # type: ignore[misc]
        run.end(done=True)
    assert text(well) == "abc"
    assert is_done(well)
    record = next(record for record in caplog.records if record.message == "deltas")
    assert (vars(record)["left"], vars(record)["dropped"]) == (1, 0), "said in the log, since it outlives the run"
    stuck.opened.set()
    until(world.has_only_its_threads)
    assert [chunk["seq"] for chunk in stuck.of_type("STREAM_CHUNK")] == [0], "what was under way, and no more"


def test_a_slow_connection_gets_fewer_larger_frames(world: World) -> None:
    """While it alone reads; nothing is cut before somebody can take it."""
    mine = world.connect("1")
    with world.follow() as run:
        run.feed("a")
        until(lambda: mine.posted)
        mine.opened.clear()
        run.feed("b")
        until(lambda: len(world.gateway.posts) == 2)
        for _ in range(100):
            run.feed("c")
        mine.opened.set()
        run.end(done=True)
    assert text(mine) == "ab" + 100 * "c"
    assert len(mine.posted) == 3


def test_after_the_run_nothing_is_posted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what waited nor what comes late, from a task that the agent left behind."""
    monkeypatch.setattr(module, "LAST_SECONDS", 0.02)
    mine = world.connect("1")
    mine.opened.clear()
    with world.follow() as run:
        run.feed("a")
        until(lambda: world.gateway.posts)
        run.feed("b")
        run.end(done=True)
        mine.opened.set()
    run.feed("c")
    run.progress("d")
    run.end(done=True)
    assert text(mine) == "a"
    assert len(world.gateway.posts) == 1


def test_a_failed_run_has_no_end_and_the_next_begins_anew(world: World) -> None:
    """With a higher attempt and seq 0, so that no text is doubled."""
    mine = world.connect("1")
    with world.follow(attempt=1) as run:
        run.feed("a")
        until(lambda: mine.posted)
        run.feed("b")
        run.end(done=False)
    with world.follow(attempt=2) as run:
        run.feed("ab")
        run.end(done=True)
    first, second = ([frame for frame in mine.frames if frame["attempt"] == attempt] for attempt in (1, 2))
    assert not any(frame["done"] for frame in first)
    assert [frame["seq"] for frame in second] == list(range(len(second)))
    assert "".join(frame.get("delta", "") for frame in second) == "ab"
    assert second[-1]["done"]


def test_a_run_that_raises_ends_its_threads(world: World) -> None:
    """The fixture looks for them."""
    mine = world.connect("1")

    def run_once() -> None:
        with world.follow() as run:
            run.feed("a")
            until(lambda: mine.posted)
            raise KeyError

    with pytest.raises(KeyError):
        run_once()
    assert not is_done(mine)


def test_a_run_that_lost_its_lease_falls_silent_at_once(world: World) -> None:
    """While it goes on: the other run's deltas are the ones that count."""
    mine = world.connect("1")
    with world.follow() as run:
        run.feed("a")
        until(lambda: mine.posted)
        run.stop()
        run.feed("b")
        run.progress("x")
        run.end(done=True)
    assert [frame.get("delta") for frame in mine.frames] == ["a"]


def test_a_piece_that_is_no_text_ends_the_deltas(world: World) -> None:
    """The run will fail; no client must take the deltas for the answer."""
    mine = world.connect("1")
    with world.follow() as run:
        run.feed("a")
        until(lambda: mine.posted)
        run.feed(7)
        run.feed("b")
        run.end(done=True)
    assert [frame.get("delta") for frame in mine.frames] == ["a"]


def test_a_table_that_fails_is_asked_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What happened in between is not lost."""
    mine = world.connect("1")
    answers = iter([RuntimeError("a secret"), RuntimeError("a secret")])

    def find(user: str) -> list[Connection]:
        for error in answers:
            raise error
        return world.table.of_user(user, now=0)

    world.find = find
    with world.follow() as run:
        run.feed("a")
        until(lambda: text(mine) == "a")
        run.end(done=True)
    assert caplog.text.count("the connections cannot be read") == 2
    assert "a secret" not in caplog.text


def test_a_post_that_breaks_breaks_nothing_else(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Even where nobody expects it; the log has its type alone."""
    broken, well = world.connect("1"), world.connect("2")

    def fail(_data: bytes) -> None:
        raise ZeroDivisionError("a secret")

    broken.before = fail
    with world.follow() as run:
        run.feed("a")
        until(lambda: text(well) == "a")
        run.feed("b")
        run.end(done=True)
    assert text(well) == "ab"
    assert "deltas are dropped" in caplog.text
    assert "a secret" not in caplog.text


def test_a_row_that_leads_nowhere_is_not_posted_to(world: World) -> None:
    """Only HTTPS is: a row is data."""
    world.connect("1", endpoint="http://169.254.169.254")
    with world.follow() as run:
        run.feed("a")
        run.end(done=True)
    assert world.gateway.posts == []
    assert world.clients == []


def test_no_more_threads_are_started_than_there_is_room_for(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether by our own bound or by the system's."""
    for number in range(MAX_CONNECTIONS + 5):
        world.connect(str(number))
    with world.follow() as run:
        run.feed("a")
        until(lambda: len({name for name, _ in world.gateway.posts}) == MAX_CONNECTIONS)
        run.end(done=True)
    assert len({name for name, _ in world.gateway.posts}) == MAX_CONNECTIONS

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with world.follow() as run:
        for _ in range(3):
            run.feed("a")
        run.end(done=True)
    assert caplog.text.count("deltas are dropped") == 1


FAILURES = st.lists(st.none() | st.sampled_from([THROTTLED, TIMEOUT, FORBIDDEN]), max_size=6)


@settings(
    derandomize=True,
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(said=st.lists(st.text(max_size=2000), max_size=12), fails=st.lists(FAILURES, min_size=1, max_size=3))
def test_who_is_not_dropped_has_the_answer_without_a_gap(
    world: World, said: list[str], fails: list[list[str | None]]
) -> None:
    """Whichever posts fail; nobody is dropped for one failure."""
    world.table.rows.clear()
    connections = [world.connect(str(number)) for number in range(len(fails))]
    for connection, each in zip(connections, fails, strict=True):
        connection.fails = list(each)
    with world.follow() as run:
        run.feed("")
        for piece in said:
            run.feed(piece)
        run.end(done=True)
    for connection, each in zip(connections, fails, strict=True):
        assert "".join(said).startswith(text(connection))
        if is_done(connection):
            assert text(connection) == "".join(said)
        else:
            assert any(first and second for first, second in itertools.pairwise(each))


def test_a_reply_waits_no_longer_than_its_function_may_run(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that does not read must not cost the answer."""
    caplog.set_level(logging.INFO)
    for name in ("LAST_SECONDS", "JOIN_SECONDS"):
        monkeypatch.setattr(module, name, 20 * PATIENCE)
    world.left = 0.02
    mine = world.connect("1")
    mine.opened.clear()
    began = time.monotonic()
    with world.follow() as run:
        run.feed("a")
        until(lambda: world.gateway.posts)
        run.end(done=True)
    assert time.monotonic() - began < 2 * PATIENCE
    assert "deltas" in caplog.text
    assert mine.posted == []
    mine.opened.set()
    until(world.has_only_its_threads)
