"""The warmer: many pings at once, what they meet, and what it says of that; and handlers that answer pings."""

import asyncio
import inspect
import io
import itertools
import json
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from ak_lambda.keep_warm import answers_ping
from ak_lambda.keep_warm import handler as warmer
from ak_lambda.keep_warm import ping as ping_module
from ak_lambda.keep_warm.warming import Warming
from ak_lambda.shared.clients import waiting_client
from ak_lambda.shared.pings import Environment
from test.lambda_assets.events import Context, rest
from test.lambda_assets.test_pings import OURS, PEERS, SCHEDULED

A, B = "arn:aws:lambda:us-east-1:1:function:a:live", "arn:aws:lambda:us-east-1:1:function:b"


class Lambda:
    """Targets whose environments serve one event at a time, as Lambda's do.

    Attributes:
        calls: (target, hold) of each ping, in order.
        most_at_once: How many pings were under way at the same moment.
        dull: How many pings of each target share one environment, as if the later ones had come too late.
        errors: What a target's pings end in instead.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.most_at_once = 0
        self.dull: dict[str, int] = {}
        self.errors: dict[str, Exception] = {}
        self.texts: dict[str, tuple[bytes, str | None]] = {}
        self._lock = threading.Lock()
        self._under_way = 0
        self._idle: dict[str, list[str]] = {}
        self._ids = itertools.count()

    def invoke(self, target: str, payload: bytes) -> tuple[bytes, str | None]:
        """Run a ping in an idle environment, or in a new one."""
        hold_ms = json.loads(payload)["ak_constructs_ping"]["hold_ms"]
        with self._lock:
            self.calls.append((target, hold_ms))
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            idle = self._idle.setdefault(target, [])
            cold = not idle
            environment = idle.pop() if idle else f"{target}#{next(self._ids)}"
            if self.dull.get(target, 0) > 0:
                self.dull[target] -= 1
                environment, cold = f"{target}#shared", False
        time.sleep(hold_ms / 1000)
        with self._lock:
            self._under_way -= 1
            if not environment.endswith("shared"):
                idle.append(environment)
        if target in self.errors:
            raise self.errors[target]
        return self.texts.get(target, (json.dumps({"environment_id": environment, "cold": cold}).encode(), None))

    def warming(self, *, concurrency: int = 3, hold_ms: int = 100, has_time: bool = True) -> Warming:
        """Make what pings these targets."""
        return Warming(
            invoke=self.invoke,
            concurrency=concurrency,
            hold_ms=hold_ms,
            max_hold_ms=200,
            has_time=lambda: has_time,
        )


def counts(lambda_: Lambda, targets: list[str], **settings: Any) -> dict[str, Counter[str]]:  # noqa: ANN401
    """Warm and count the outcomes of each target."""
    pinged = lambda_.warming(**settings).run(targets)
    return {target: Counter(ping.outcome for ping in pings) for target, pings in pinged.items()}


def throttled() -> ClientError:
    """Make Lambda's answer when there is no concurrency left."""
    return ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")


def test_so_many_environments_start_as_are_wanted() -> None:
    """Each ping meets another, since all are under way at once."""
    lambda_ = Lambda()
    pinged = lambda_.warming(concurrency=20).run([A])
    assert len({ping.environment_id for ping in pinged[A]}) == 20
    assert all(ping.cold for ping in pinged[A])
    assert lambda_.most_at_once == 20
    again = lambda_.warming(concurrency=20).run([A])
    assert {ping.environment_id for ping in again[A]} == {ping.environment_id for ping in pinged[A]}
    assert not any(ping.cold for ping in again[A])


def test_no_ping_begins_before_every_thread_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a thread takes its time, the first ping would end before the last began, and meet the same environment."""
    start = threading.Thread.start

    def slowly(thread: threading.Thread) -> None:
        time.sleep(0.03)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", slowly)
    lambda_ = Lambda()
    pinged = lambda_.warming(concurrency=10).run([A])
    assert len({ping.environment_id for ping in pinged[A]}) == len(pinged[A]) == 10


def test_all_targets_are_pinged_at_the_same_time() -> None:
    """Fifteen slow ones take no longer than one."""
    lambda_ = Lambda()
    pinged = lambda_.warming(concurrency=4).run([A, B])
    assert lambda_.most_at_once == 8
    assert {target: len(pings) for target, pings in pinged.items()} == {A: 4, B: 4}
    assert all(ping.environment_id.startswith(f"{target}#") for target, pings in pinged.items() for ping in pings)


def test_too_few_environments_are_asked_for_once_more_and_held_longer() -> None:
    """Only of the target that has too few."""
    lambda_ = Lambda()
    lambda_.dull = {A: 2}
    pinged = lambda_.warming().run([A, B])
    assert Counter(lambda_.calls) == {(A, 100): 3, (B, 100): 3, (A, 200): 3}
    assert len({ping.environment_id for ping in pinged[A]}) >= 3
    assert len(pinged[A]) == 6


def test_there_is_no_third_round() -> None:
    """The next run of the schedule is near."""
    lambda_ = Lambda()
    lambda_.dull = {A: 100}
    lambda_.warming().run([A])
    assert len(lambda_.calls) == 6


def test_no_other_round_begins_without_time_for_it() -> None:
    """The warmer would be killed within it, and say nothing of the first."""
    lambda_ = Lambda()
    lambda_.dull = {A: 100}
    lambda_.warming(has_time=False).run([A])
    assert len(lambda_.calls) == 3


def test_a_target_that_fails_does_not_stop_the_others() -> None:
    """Neither Lambda's refusals nor a foreign function's."""
    lambda_ = Lambda()
    lambda_.errors = {A: throttled()}
    lambda_.texts = {"foreign": (b'{"statusCode": 400}', None), "broken": (b"{}", "Unhandled")}
    assert counts(lambda_, [A, B, "foreign", "broken"], concurrency=2) == {
        A: Counter(throttled=4),
        B: Counter(answered=2),
        "foreign": Counter(unanswered=2),
        "broken": Counter(failed=2),
    }
    assert ("foreign", 200) not in lambda_.calls, "it would only run once more"


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException", "Message": "SECRET"}}, "Invoke"), "AccessDenied"),
        (ClientError({}, "Invoke"), "ClientError"),
        (ReadTimeoutError(endpoint_url="SECRET"), "ReadTimeoutError"),
    ],
)
def test_an_error_of_lambdas_is_said_by_its_name(error: Exception, name: str) -> None:
    """Its text may hold more than a log should have."""
    lambda_ = Lambda()
    lambda_.errors = {A: error}
    (ping, *_) = lambda_.warming().run([A])[A]
    assert ping.outcome == "failed"
    assert ping.error.startswith(f"Lambda did not take the ping or give its answer: {name}")
    assert "SECRET" not in ping.error


def test_pings_go_on_without_a_thread_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer environments are better than none."""
    barrier = threading.Barrier

    def one_more(parties: int, *, timeout: float) -> threading.Barrier:
        assert timeout == 5
        return barrier(parties + 1, timeout=0.05)

    monkeypatch.setattr(threading, "Barrier", one_more)
    assert counts(Lambda(), [A]) == {A: Counter(answered=3)}


class Functions:
    """A client of Lambda's with the targets above behind it."""

    def __init__(self, targets: Lambda) -> None:
        self.targets = targets

    def invoke(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """Answer as boto3 does."""
        assert request["InvocationType"] == "RequestResponse", "otherwise nobody learns what became of it"
        text, error = self.targets.invoke(request["FunctionName"], request["Payload"])
        return {"Payload": io.BytesIO(text), **({"FunctionError": error} if error else {})}


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Lambda:
    """Give the warmer its settings and targets."""
    targets = Lambda()
    for name, value in {
        "TARGETS": f"{A},{B}",
        "CONCURRENCY": "3",
        "HOLD_MS": "100",
        "MAX_HOLD_MS": "200",
        "WAIT_SECONDS": "5",
    }.items():
        monkeypatch.setenv(f"AK_CONSTRUCTS_WARM_{name}", value)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "the-warmer")  # as Lambda does

    def client(service: str, *, wait_seconds: int, connections: int) -> Functions:
        assert (service, wait_seconds, connections) == ("lambda", 5, 6)
        return Functions(targets)

    monkeypatch.setattr(warmer, "waiting_client", client)
    return targets


def lines(text: str) -> list[dict[str, Any]]:
    """Read what was printed."""
    return [json.loads(line) for line in text.splitlines()]


def test_the_warmer_says_what_is_warm(
    deployed: Lambda, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """In its answer, in its log, and as a metric of each target."""
    caplog.set_level(logging.INFO)
    deployed.dull = {B: 100}
    full = {"wanted": 3, "warm": 0, "cold": 3, "distinct": 3, "throttled": 0, "failed": 0, "unanswered": 0}
    expected = {"targets": {A: full, B: {**full, "warm": 1, "cold": 0, "distinct": 1}}}
    assert warmer.handler({}, Context()) == expected
    assert Counter(deployed.calls) == {(A, 100): 3, (B, 100): 3, (B, 200): 3}, "held as it is set, and no longer"
    written = {line["Target"]: line for line in lines(capsys.readouterr().out)}
    assert {target: line["WarmEnvironments"] for target, line in written.items()} == {A: 3, B: 1}
    assert (written[A]["ColdStarts"], written[A]["PingFailures"]) == (3, 0)
    assert written[A]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Target", "Warmer"]]
    assert {line["Warmer"] for line in written.values()} == {"the-warmer"}
    (record,) = caplog.records
    assert (record.message, vars(record)["targets"]) == ("warmed", expected["targets"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ((b'"hello"', None), "the target does not answer pings"),
        ((b"{}", "Unhandled"), "the target failed: Unhandled"),
    ],
)
def test_the_log_says_why_a_target_is_not_warm(
    deployed: Lambda,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    text: tuple[bytes, str | None],
    said: str,
) -> None:
    """Once, however many pings met it."""
    deployed.texts = {B: text}
    warmer.handler({}, Context())
    (record,) = caplog.records
    assert (record.message, record.levelname) == ("a target is not warmed", "ERROR")
    assert (vars(record)["target"], vars(record)["reason"]) == (B, said)
    assert {line["Target"]: line["PingFailures"] for line in lines(capsys.readouterr().out)} == {A: 0, B: 3}


def test_another_round_needs_the_time_to_wait_for_it(deployed: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is waited for in vain takes as long as the longest one."""
    deployed.dull = {A: 100}
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _self: 9_999)
    warmer.handler({}, Context())
    assert len(deployed.calls) == 6


def test_a_waiting_client_waits_and_never_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ping that is sent again behind the warmer's back would be counted wrongly."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    config = waiting_client("lambda", wait_seconds=39, connections=100).meta.config
    assert (config.read_timeout, config.max_pool_connections, config.tcp_keepalive) == (39, 100, True)
    assert config.retries["total_max_attempts"] == 1


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the process an environment that has not run."""
    monkeypatch.setattr(ping_module, "_environment", Environment())


@answers_ping
def sync_handler(event: Any, context: object, *, more: int = 0) -> object:  # noqa: ANN401
    """Give back what it was called with."""
    return event, context, more


@answers_ping
async def async_handler(event: Any, context: object, *, more: int = 0) -> object:  # noqa: ANN401
    """Give back what it was called with."""
    return event, context, more


def call(handler: Any, *arguments: object, **named: object) -> Any:  # noqa: ANN401
    """Call a handler of either kind."""
    result = handler(*arguments, **named)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


HANDLERS = pytest.mark.parametrize("handler", [sync_handler, async_handler])


@HANDLERS
def test_a_handler_never_hears_of_a_ping(handler: Any) -> None:  # noqa: ANN401
    """Its environment answers, new or not."""
    first, second = call(handler, OURS, None), call(handler, OURS, None)
    assert first == {"environment_id": first["environment_id"], "cold": True}
    assert second == {"environment_id": first["environment_id"], "cold": False}


@HANDLERS
@pytest.mark.parametrize("event", PEERS)
def test_a_handler_answers_the_peers_pings(handler: Any, event: dict[str, Any]) -> None:  # noqa: ANN401
    """So that it need not know who warms it."""
    assert set(call(handler, event, None)) == {"environment_id", "cold"}


@HANDLERS
@pytest.mark.parametrize("event", [None, [], [OURS], "text", 7, {}, SCHEDULED, rest(OURS), {**OURS, "prompt": "hi"}])
def test_every_other_event_reaches_the_handler_as_it_is(handler: Any, event: object) -> None:  # noqa: ANN401
    """A list, nothing, a schedule that has work to do: whatever it is."""
    assert call(handler, event, "context", more=3) == (event, "context", 3)
    assert call(handler, event=event, context="context")[0] is event


@HANDLERS
def test_a_handler_that_ran_before_is_not_cold(handler: Any) -> None:  # noqa: ANN401
    """Whatever it did."""
    call(handler, {}, None)
    assert call(handler, OURS, None)["cold"] is False


@HANDLERS
def test_a_ping_holds_a_handlers_environment(handler: Any) -> None:  # noqa: ANN401
    """Otherwise two pings meet one environment."""
    started = time.monotonic()
    call(handler, {"ak_constructs_ping": {"hold_ms": 150}}, None)
    assert 0.15 <= time.monotonic() - started < 1


def test_a_handler_looks_as_before() -> None:
    """Lambda and frameworks look at its name and signature; what it raises is its own."""
    assert sync_handler.__name__ == "sync_handler"
    assert sync_handler.__doc__ == "Give back what it was called with."
    assert list(inspect.signature(sync_handler).parameters) == ["event", "context", "more"]
    assert inspect.iscoroutinefunction(async_handler)
    assert not inspect.iscoroutinefunction(sync_handler)

    @answers_ping
    def failing(_event: object, _context: object) -> None:
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        failing({}, None)


def test_the_decorator_costs_a_users_function_no_client_of_aws() -> None:
    """It is imported in the user's cold start."""
    code = "import sys, ak_lambda.keep_warm; print([n for n in sys.modules if n.startswith(('boto', 'ak_lambda'))])"
    folder = Path(warmer.__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert "boto" not in run.stdout
    assert "ak_lambda.keep_warm.handler" not in run.stdout
