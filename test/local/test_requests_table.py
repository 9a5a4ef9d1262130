"""The table of the tests decides as DynamoDB does: random changes to both give the same."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from ak_lambda.shared import protocol
from ak_lambda.shared.protocol import Change
from ak_lambda.shared.requests_table import MOST_READ, RequestsTable
from test.lambda_assets.fakes import FakeTable

pytestmark = pytest.mark.local
EXAMPLES = 100
RETENTION = 100
NAME = "RequestsTable"


@pytest.fixture(scope="module")
def real(aws: Emulator) -> RequestsTable:
    """Make a table as AgentQueue does."""
    tables = client("dynamodb", aws)
    key = {"AttributeName": "request_id"}
    tables.create_table(
        TableName=NAME,
        KeySchema=[{**key, "KeyType": "HASH"}],
        AttributeDefinitions=[{**key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return RequestsTable(tables, NAME)


texts = st.sampled_from(["a", "b", "é \U0001f600", '{"n": 1.0}', "x" * 300])
small = st.integers(0, 3)


def change_of(request_id: str, now: int) -> st.SearchStrategy[Change]:
    """Choose any change that the protocol knows."""
    users = st.one_of(st.none(), st.sampled_from(["alice", "bob"]))
    statuses = st.sampled_from([protocol.DONE, protocol.FAILED])
    redrives = st.one_of(st.none(), small)
    sessions = st.sampled_from(["s", "s", "s", "x"])  # mostly its own

    def submit(user_id: str | None, body_hash: str) -> Change:
        return protocol.submit(
            request_id=request_id,
            session_id="s",
            user_id=user_id,
            body_hash=body_hash,
            now_ms=now * 1000 + 7,
            retention=RETENTION,
        )

    def begin(user_id: str | None) -> Change:
        return protocol.begin_unsubmitted(
            request_id=request_id, session_id="s", user_id=user_id, now_ms=now * 1000, retention=RETENTION
        )

    def finish(status: str, answer: str, session_id: str, user_id: str | None, redrives: int | None) -> protocol.Update:
        return protocol.finish(
            request_id,
            status=status,
            status_code=200 if status == protocol.DONE else 502,
            answer=answer,
            session_id=session_id,
            user_id=user_id,
            redrives=redrives,
            reply_id="reply",
            now=now,
            retention=RETENTION,
        )

    def finish_unsubmitted(finished: protocol.Update, user_id: str | None) -> Change:
        return protocol.finish_unsubmitted(
            finished, session_id="s", user_id=user_id, now_ms=now * 1000, retention=RETENTION
        )

    finished = st.builds(finish, statuses, texts, sessions, users, redrives)
    extend: Callable[..., Change] = protocol.extend
    release: Callable[..., Change] = protocol.release
    leases = st.builds(
        lambda session_id, user_id: protocol.lease(request_id, session_id=session_id, user_id=user_id, now=now),
        sessions,
        users,
    )
    redriven = st.builds(
        lambda session_id: protocol.redrive(request_id, session_id=session_id, now=now, retention=RETENTION),
        sessions,
    )
    streamed = st.builds(
        lambda session_id, user_id, redrives, attempt: protocol.stream(
            request_id, session_id=session_id, user_id=user_id, redrives=redrives, attempt=attempt, now=now
        ),
        sessions,
        users,
        small,
        small,
    )
    likely = st.one_of(st.builds(submit, users, texts), leases)
    rare = st.one_of(
        st.builds(begin, users),
        st.builds(extend, st.just(request_id), attempt=small, now=st.just(now), progress=st.one_of(st.none(), texts)),
        st.builds(release, st.just(request_id), attempt=small, error=texts),
        finished,
        st.builds(finish_unsubmitted, finished, users),
        st.just(protocol.expire(request_id, now=now, retention=RETENTION)),
        redriven,
        streamed,
    )
    return st.booleans().flatmap(lambda is_rare: rare if is_rare else likely)


# Steps of time that meet every bound: of a lease, of the retention, of what is kept after an answer.
steps = st.sampled_from([0, 1, protocol.LEASE_SECONDS, RETENTION, 2 * RETENTION, protocol.PARKED_SECONDS])
numbers = iter(range(1_000_000))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_both_tables_decide_alike(real: RequestsTable, data: st.DataObject) -> None:
    """What is written, whether it was done, and what is read after it, expired or not."""
    fake = FakeTable()
    request_id = f"r-{next(numbers)}"
    now = 1_000_000
    for _ in range(data.draw(st.integers(4, 14), label="changes")):
        now += data.draw(steps, label="seconds later")
        change = data.draw(change_of(request_id, now), label="change")
        assert fake.write(change, now=now) == real.write(change, now=now)
        for later in (0, RETENTION, 2 * RETENTION):
            assert fake.read(request_id, now=now + later) == real.read(request_id, now=now + later)


def test_both_tables_give_the_same_pieces(real: RequestsTable) -> None:
    """More than one call gives at once would be too many for the service; what is not there is left out."""
    fake = FakeTable()
    names = [protocol.piece_name("streamed", attempt=1, seq=seq) for seq in range(MOST_READ)]
    for name in names[1:]:
        put = protocol.piece(name, text="é", now=0, retention=RETENTION)
        assert fake.write(put, now=0) == real.write(put, now=0)
        assert fake.write(put, now=0) == real.write(put, now=0)
    for now in (0, RETENTION):
        assert fake.read_many(names, now=now) == real.read_many(names, now=now)
