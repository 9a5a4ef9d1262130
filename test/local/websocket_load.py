"""Many people at once at a deployed `WebSocketAgentApi`, some of whose connections break in mid-stream.

    python -m test.local.websocket_load [--clients 200 --messages 10 --drop 50]

Every client has a conversation of its own and sends all its messages at once. Each must get exactly its own answers,
in the order in which it asked, and its deltas must be the beginning of the answer, or all of it. Those that are dropped
lose their connection when the first delta of their second message is there, and resume.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ak_constructs.local.deployment import bootstrap, install_cdk
from ak_constructs.local.emulator import emulator, prepare
from examples.local.table import table
from examples.websocket_chat.client import Chat
from examples.websocket_chat.replies import Reply
from test.local.websocket_talk import Deployed, deployed_on

CONNECTING_AT_ONCE = 20  # an account may have 500 new connections a second; here two processors open them
DROPPED_AT = 1  # the number of a message
WORDS = [f"word{number}" for number in range(8)]
PAUSE_SECONDS = 0.03


@dataclass(kw_only=True, slots=True)
class Measured:
    """What was seen.

    Attributes:
        alone: What one client saw that asked one thing after another, before all the others came.
        first: Seconds from each message to its first delta, of those that had one.
        full: Seconds from each message to its answer.
        whole: How many had all deltas.
        dropped: How many connections were broken while something was on its way.
        faults: What must not be.
        seconds: How long it took.
    """

    alone: "Measured | None" = None
    first: list[float] = field(default_factory=list)
    full: list[float] = field(default_factory=list)
    whole: int = 0
    dropped: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def shown(self) -> str:
        """Write it as a table."""
        latencies = [("first delta", self.first), ("full answer", self.full)]
        if self.alone:
            latencies += [("first delta, alone", self.alone.first), ("full answer, alone", self.alone.full)]
        rows = [
            (name, f"{len(values)} ", *(f"{seconds:.2f} s" for seconds in spread(values))) for name, values in latencies
        ]
        about = (
            f"{len(self.full)} answers in {self.seconds:.0f} s, {self.whole} with all deltas, {self.dropped} dropped"
        )
        return "\n".join([about, table(("latency", "of", "p50", "p95", "max"), rows), *self.faults])


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Give median, 95th percentile and maximum."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], max(values)


class _Own(dict[str, Reply]):
    """The replies of one client, which tell when a frame of somebody else's comes."""

    def __init__(self, name: str, measured: Measured) -> None:
        super().__init__()
        self.name, self.measured = name, measured

    def get(self, request_id: str, default: Any = None) -> Any:  # noqa: ANN401 - as a dictionary has it
        """Look one up."""
        if request_id and not request_id.startswith(f"{self.name}-"):
            self.measured.faults.append(f"{self.name} got a frame of {request_id}")
        return super().get(request_id, default)


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """One client.

    Attributes:
        chat: Its connection.
        name: Its user, and its conversation.
        drops: Whether its connection is broken once.
        measured: What all of them see.
    """

    chat: Chat
    name: str
    drops: bool
    measured: Measured

    async def converse(self, messages: int) -> None:
        """Send all messages at once and compare what comes."""
        came: list[int] = []
        await asyncio.gather(*(self._ask(number, came) for number in range(messages)))
        if came != sorted(came) and not self.drops:  # who was away is told of several at once
            self._fault(f"answers came in the order {came}")

    async def ask_in_turn(self, messages: int) -> None:
        """Send each message when the one before it is answered."""
        for number in range(messages):
            await self._ask(number, [])

    async def _ask(self, number: int, came: list[int]) -> None:
        do = {"more": [f" {word}" for word in WORDS], "pause": PAUSE_SECONDS}
        sent = time.perf_counter()
        reply = await self.chat.send(str(number), session_id=self.name, request_id=f"{self.name}-{number}", do=do)
        shown: list[str] = []
        async for delta in reply:
            if not shown:
                self.measured.first.append(time.perf_counter() - sent)
            shown.append(delta)
            if len(shown) == 1 and number == DROPPED_AT and self.drops:
                self.measured.dropped += 1
                self.chat._socket.transport.abort()
        result = (await reply.answer).get("result")
        self.measured.full.append(time.perf_counter() - sent)
        came.append(number)
        if result != " ".join([self.name, self.name, "said", str(number), "after", str(number), *WORDS]):
            self._fault(f"{number}: got {await reply.answer}")
        elif not all(result.startswith(text) for text in ("".join(shown), reply.text)):
            self._fault(f"{number}: was shown {''.join(shown)!r} and {reply.text!r}")
        self.measured.whole += reply.text == result

    def _fault(self, text: str) -> None:
        self.measured.faults.append(f"{self.name}: {text}")


async def run(deployed: Deployed, *, clients: int, messages: int, drop: int) -> Measured:
    """Let one talk, and then all the others at once."""
    measured, alone = Measured(), Measured()
    connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)
    prefix = uuid.uuid4().hex[:6]

    async def connected(number: int, stack: contextlib.AsyncExitStack, sees: Measured) -> Client:
        name = f"{prefix}.{number}"
        chat = Chat(deployed.url(), lambda: deployed.token(name))
        chat._replies = _Own(name, sees)
        async with connecting:
            await stack.enter_async_context(chat)
        return Client(chat=chat, name=name, drops=0 < number <= drop, measured=sees)

    async with contextlib.AsyncExitStack() as stack:
        await (await connected(0, stack, alone)).ask_in_turn(messages)
        others = await asyncio.gather(*(connected(number + 1, stack, measured) for number in range(clients)))
        began = time.perf_counter()
        await asyncio.gather(*(each.converse(messages) for each in others))
        measured.seconds = time.perf_counter() - began
    measured.alone = alone
    measured.faults += alone.faults
    return measured


def main() -> int:
    """Deploy, talk and tell; 1 when something was not as it must be."""
    parser = argparse.ArgumentParser(description="Many people at once at a WebSocketAgentApi on the emulator.")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--messages", type=int, default=10)
    parser.add_argument("--drop", type=int, default=50, help="whose connection breaks in mid-stream")
    asked = parser.parse_args()
    install_cdk()
    prepare()
    with tempfile.TemporaryDirectory(prefix="websocket-load-") as folder:
        work = Path(folder)
        with emulator(work / "emulator.log") as aws:
            bootstrap(aws, work)
            with deployed_on(aws, work) as deployed:
                measured = asyncio.run(run(deployed, clients=asked.clients, messages=asked.messages, drop=asked.drop))
    sys.stdout.write(f"{measured.shown()}\n")
    return 1 if measured.faults else 0


if __name__ == "__main__":
    sys.exit(main())
