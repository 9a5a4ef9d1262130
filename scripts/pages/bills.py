"""What a construct costs in use: the worked example of its page."""

import math
import re
import sys
from collections.abc import Callable

from scripts.project import ROOT

sys.path.insert(0, str(ROOT / "lambda_assets"))

from ak_constructs import session_store
from ak_lambda.agent_runner import delta_rules
from benchmarks.prices import OTHERS, PRICES
from examples.websocket_chat import client as websocket_client
from scripts.pages.costs import MILLION, Cost, small
from scripts.pages.stacks import Defined

BENCHMARKS = ROOT / "docs" / "benchmarks.md"
MEASURED = "[measured](../benchmarks.md#the-queued-pipeline)"
LITTLE_SECONDS = 0.01


def in_use(defined: Defined, construct: str) -> tuple[str, list[Cost]] | None:
    """Give what the worked example of a construct assumes, and its bill; None where idle is all there is."""
    example = EXAMPLES.get(construct)
    return example(defined) if example else None


def _agent(defined: Defined, *, runs: int, seconds: float, invoked: bool = True) -> Cost:
    """Of the agent's own runs; a measured sum has the price of their invocation already."""
    function = next(each for each in defined.resources if each.path == "Agent/Resource")
    gib, second = function.properties["MemorySize"] / 1024, PRICES["arm64"].dollars
    fee = PRICES["invocation"].dollars if invoked else 0
    formula = f"{seconds:g} s x {gib:g} GiB x {small(second)}"
    formula = f"{runs:,} x ({formula} + {small(fee)})" if fee else f"{runs:,} x {formula}"
    return Cost(what="runs of the agent", formula=formula, dollars=runs * (gib * seconds * second + fee))


def _of(what: str, count: float, price: float) -> Cost:
    return Cost(what=what, formula=f"{count:,.0f} x {small(price)}", dollars=count * price)


def _mapped(requests: int) -> Cost:
    """Of Lambda, which receives and deletes two messages for a request, one at a time; no benchmark counts these."""
    return _of("messages received and deleted by Lambda", 4 * requests, PRICES["sqs"].dollars)


def _function(defined: Defined) -> tuple[str, list[Cost]]:
    return "A million runs of 2 s:", [_agent(defined, runs=MILLION, seconds=2)]


def _api(defined: Defined) -> tuple[str, list[Cost]]:
    return "A million requests, which the agent answers in 2 s:", [
        _of("requests to the REST API", MILLION, PRICES["api"].dollars),
        _agent(defined, runs=MILLION, seconds=2),
    ]


def _queue(defined: Defined) -> tuple[str, list[Cost]]:
    parts = measured("rest_async")
    names = ("queues", "reads", "writes", "response handler's time")
    return "A million requests that are run once, for 1 s:", [
        Cost(
            what="messages sent, tables, the response handler's time",
            formula=f"{' + '.join(f'{parts[name]:.2f}' for name in names)}, as {MEASURED} with an API in front",
            dollars=sum(parts[name] for name in names),
        ),
        _mapped(MILLION),
        _of("invocations of agent and response handler", 2 * MILLION, PRICES["invocation"].dollars),
        _agent(defined, runs=MILLION, seconds=1, invoked=False),
    ]


def _pipeline(defined: Defined) -> tuple[str, list[Cost]]:
    waiting, later = (sum(measured(mode).values()) for mode in ("rest_sync", "rest_async"))
    return "A million requests that are run once, for 1 s, and waited for:", [
        Cost(
            what="API, our functions, messages sent, tables",
            formula=f"`rest_sync`, as {MEASURED}; `rest_async` with one poll is {later:.2f}",
            dollars=waiting,
        ),
        _mapped(MILLION),
        _agent(defined, runs=MILLION, seconds=1, invoked=False),
    ]


def _websocket(defined: Defined) -> tuple[str, list[Cost]]:
    people, hours, days, questions, seconds = 1000, 8, 20, 10, 10
    minutes, asked = people * hours * days * 60, people * days * questions
    frames = 3 + math.ceil(seconds / delta_rules.CUT_SECONDS)  # the question, CHAT_QUEUED, CHAT_RESPONSE, the deltas
    pings = 2 * minutes / (websocket_client.QUIET_SECONDS / 60)
    parts = measured("rest_async")
    behind = sum(dollars for name, dollars in parts.items() if name != "API") / MILLION
    title = (
        f"{people:,} people, connected {hours} h on {days} days with one page each, who ask {questions} questions a "
        f"day; each answer is written for {seconds} s:"
    )
    return title, [
        _of("connections, minutes", minutes, OTHERS["minute"].dollars),
        _of(f"messages, {frames} for each answer", frames * asked, OTHERS["message"].dollars),
        _of("pings and their answers", pings, OTHERS["message"].dollars),
        _little(defined, "Chat/ConnectionHandler", int(pings / 2)),
        Cost(
            what="our functions, messages sent, tables",
            formula=f"{asked:,} x {small(behind)}, as {MEASURED} for `rest_async`",
            dollars=asked * behind,
        ),
        _mapped(asked),
        _agent(defined, runs=asked, seconds=seconds, invoked=False),
    ]


def _authorization(defined: Defined) -> tuple[str, list[Cost]]:
    title = "A million requests with `jwt()`, of none of which API Gateway remembers the token:"
    return title, [_little(defined, "Api/AuthorizerFunction", MILLION)]


def _little(defined: Defined, path: str, runs: int) -> Cost:
    """Of runs of a function of ours that has little to do; for how long was not measured on AWS."""
    function = next(each for each in defined.resources if each.path == f"{path}/Resource")
    gib, second, fee = function.properties["MemorySize"] / 1024, PRICES["arm64"].dollars, PRICES["invocation"].dollars
    formula = f"{runs:,} x ({LITTLE_SECONDS} s, assumed, x {gib:g} GiB x {small(second)} + {small(fee)})"
    dollars = runs * (LITTLE_SECONDS * gib * second + fee)
    return Cost(what=f"runs of `{path.partition('/')[2]}`", formula=formula, dollars=dollars)


def _sessions(_defined: Defined) -> tuple[str, list[Cost]]:
    kilobytes, turns = 2, 10
    writes = math.ceil(kilobytes + 0.5)  # begun kB of an item: the texts and the names
    reads = math.ceil(session_store.DEFAULT_HISTORY_TURNS * writes / 4) + 0.5
    return f"A million turns of {kilobytes} kB, {turns} in a session, in the table:", [
        _of(f"reads, {reads:g} units a turn: the owner, the last turns", reads * MILLION, PRICES["read"].dollars),
        _of(f"writes, {writes} units a turn", writes * MILLION, PRICES["write"].dollars),
        _of("writes, one unit a session: its owner", MILLION / turns, PRICES["write"].dollars),
    ]


def _pool(_defined: Defined) -> tuple[str, list[Cost]]:
    return "A million runs on instances that are there already:", [
        _of("invocations; their time is in the instances", MILLION, PRICES["invocation"].dollars)
    ]


def measured(mode: str) -> dict[str, float]:
    """Give what docs/benchmarks.md says a million requests cost, whose agent takes 1 s, by what it is for."""
    text = BENCHMARKS.read_text(encoding="utf-8")
    head = re.search(r"^\| side, mode, agent \|(.+)\|$", text, flags=re.MULTILINE)
    row = re.search(rf"^\| ours, {mode}, 1 s \|(.+)\|$", text, flags=re.MULTILINE)
    if head is None or row is None:
        raise ValueError("docs/benchmarks.md must have the parts of a million requests")
    names, values = ([each.strip() for each in found[1].split("|")] for found in (head, row))
    return dict(zip(names, map(float, values), strict=True))


EXAMPLES: dict[str, Callable[[Defined], tuple[str, list[Cost]]]] = {
    "AgentFunction": _function,
    "AgentApi": _api,
    "AgentQueue": _queue,
    "QueuedAgentPipeline": _pipeline,
    "WebSocketAgentApi": _websocket,
    "Authorization": _authorization,
    "SessionStore": _sessions,
    "SharedCapacityProvider": _pool,
}
