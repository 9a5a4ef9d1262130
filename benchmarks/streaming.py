"""Measures what a streamed answer costs with and without coalescing, and writes its part of docs/benchmarks.md.

    uv run python -m benchmarks.streaming

Both sides post with the same client of boto3's to a server on loopback that answers each post after a while. Without
coalescing each piece is posted to each connection, one after the other, before the next piece is taken, as Agent
Kernel's stream mode does.
"""

import contextlib
import datetime as dt
import os
import platform
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "lambda_assets"))

import boto3

from ak_lambda.agent_runner.audience import Audience
from ak_lambda.shared import frames
from ak_lambda.shared.clients import callback_client
from ak_lambda.shared.connections import Connection
from benchmarks.document import write
from benchmarks.processes import at_most

PIECE = "token "
PIECES = 200
SPEEDS = (20, 100, 1000)
LATENCIES = (5, 25)
CONNECTIONS = (1, 3)
# Goals, set before the first measurement.
MOST_POSTS = {20: 0.5, 100: 0.1, 1000: 0.05}
MOST_SECONDS_LATER = 0.2


class Rows:
    """The connections of one user, as their table would give them."""

    def __init__(self, count: int) -> None:
        self.found = [Connection("alice", f"c-{number}", "https://loopback") for number in range(count)]

    def of_user(self, _user_id: str, *, now: int) -> list[Connection]:  # noqa: ARG002
        """Give them."""
        return self.found


@dataclass(frozen=True, slots=True)
class Taken:
    """What one answer took.

    Attributes:
        posts: Calls of the management API.
        seconds: From the first piece to the moment when the reply could be sent.
        cpu: Seconds of CPU of the process that posts.
    """

    posts: int
    seconds: float
    cpu: float


def model(speed: float) -> Iterator[str]:
    """Yield pieces at a model's speed, never earlier and, when it was kept waiting, as fast as they are taken."""
    began = time.perf_counter()
    for number in range(PIECES):
        time.sleep(max(0.0, began + number / speed - time.perf_counter()))
        yield PIECE


def coalesced(port: int, connections: int, speed: float) -> None:
    """Stream an answer as the runner does."""
    audience = Audience(
        connections=Rows(connections),  # type: ignore[arg-type]
        client_for=lambda _endpoint: client(port),
        now=lambda: 0,
        clock=time.monotonic,
    )
    with audience.deltas(
        request_id="r", session_id="s", user_id="alice", attempt=1, left_seconds=lambda: 60.0
    ) as deltas:
        deltas.feed("")
        for piece in model(speed):
            deltas.feed(piece)
        deltas.end(done=True)


def one_by_one(port: int, connections: int, speed: float) -> None:
    """Stream an answer with a post for each piece and connection."""
    post = client(port).post_to_connection
    for seq, piece in enumerate(model(speed)):
        (data,) = frames.written(frames.chunk(request_id="r", session_id="s", attempt=1, seq=seq, delta=piece), str)
        for number in range(connections):
            post(ConnectionId=f"c-{number}", Data=data)


def client(port: int) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Give the client that both sides post with."""
    return callback_client(f"http://127.0.0.1:{port}", read_seconds=2, attempts=1)


@contextlib.contextmanager
def callback_api(latency_ms: float) -> Iterator[int]:
    """Run the server in a process of its own, and give its port."""
    command = [sys.executable, "-m", "benchmarks.callback_api", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the server says no port")
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def measured(stream: Callable[[int, int, float], None], port: int, connections: int, speed: float) -> Taken:
    """Stream one answer."""
    _count(port)
    began, cpu = time.perf_counter(), time.process_time()
    stream(port, connections, speed)
    return Taken(seconds=time.perf_counter() - began, cpu=time.process_time() - cpu, posts=_count(port))


def median(taken: Sequence[Taken]) -> Taken:
    """Give the median of each figure."""
    return Taken(
        posts=int(statistics.median(each.posts for each in taken)),
        seconds=statistics.median(each.seconds for each in taken),
        cpu=statistics.median(each.cpu for each in taken),
    )


def rows(runs: int, speeds: Sequence[int] = SPEEDS) -> Iterator[str]:
    """Measure both sides in turn."""
    for latency in LATENCIES:
        with callback_api(latency) as port:
            measured(one_by_one, port, 1, 10_000)  # uncounted: the client is made
            for connections in CONNECTIONS:
                for speed in speeds:
                    both = [
                        (measured(coalesced, port, connections, speed), measured(one_by_one, port, connections, speed))
                        for _ in range(runs)
                    ]
                    yield row(latency, connections, speed, *(median(side) for side in zip(*both, strict=True)))


def row(latency: int, connections: int, speed: int, ours: Taken, theirs: Taken) -> str:
    """Write a line of the table."""
    alone = (PIECES - 1) / speed
    posts = ours.posts / theirs.posts
    cells = [
        f"{speed:,} a second, {latency} ms, {connections}",
        f"{ours.posts}",
        f"{theirs.posts}",
        f"{posts:.3f} x",
        at_most(posts, MOST_POSTS[speed]),
        f"{ours.cpu * 1000:.0f} ms",
        f"{theirs.cpu * 1000:.0f} ms",
        f"{ours.seconds - alone:.2f} s",
        f"{theirs.seconds - alone:.2f} s",
        at_most(round(ours.seconds - alone, 3), MOST_SECONDS_LATER),
    ]
    return f"| {' | '.join(cells)} |"


def report(runs: int) -> str:
    """Measure everything and write it down."""
    return TEXT.format(
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        python=platform.python_version(),
        boto3=boto3.__version__,
        machine=f"{platform.system()} on {os.cpu_count()} cores of {platform.machine()}",
        pieces=PIECES,
        runs=runs,
        rows="\n".join(rows(runs)),
    )


TEXT = """## Streamed answers

Written by `uv run python -m benchmarks.streaming` on {date}: Python {python}, boto3 {boto3}; {machine}.
An answer of {pieces} pieces, at the speed of a model. Ours are the runner's deltas. The other side posts each piece to
each connection, one after the other, as Agent Kernel's stream mode does, but without its query for the connections.
Both post with the same client of boto3's, to a server on loopback that answers a post after so many milliseconds;
medians of {runs} runs in turn. CPU is of the process that posts; "later" is when the reply can be sent, after the model
said its last piece.

| speed, answer to a post, connections | posts | theirs | ratio | goal | CPU | theirs | later | theirs | goal, s |
|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def _count(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as response:
        return int(response.read())


if __name__ == "__main__":
    os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    write(report, __doc__, runs=3)
