"""Pings so many environments of each target at once that no two pings can meet the same one."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ak_lambda.keep_warm import core
from ak_lambda.keep_warm.core import Ping
from ak_lambda.shared.answers import is_throttle
from ak_lambda.shared.fields import mapping

START_SECONDS = 5  # for all threads to be ready; later they go without each other


@dataclass(frozen=True, kw_only=True, slots=True)
class Warming:
    """What targets are pinged with.

    Attributes:
        invoke: Invokes a target with a payload, waits, and gives what it returned and the kind of its error, if any.
        concurrency: How many environments of each target are wanted.
        hold_ms: How long each environment is held, so that all pings are under way before the first one ends.
        max_hold_ms: How long one may be held in another round.
        has_time: Whether there is time for another round.
    """

    invoke: Callable[[str, bytes], tuple[bytes, str | None]]
    concurrency: int
    hold_ms: int
    max_hold_ms: int
    has_time: Callable[[], bool]

    def run(self, targets: Sequence[str]) -> dict[str, list[Ping]]:
        """Ping all targets, those with too few environments once more and longer, and give what became of each ping."""
        pinged = self._round(targets, self.hold_ms)
        again = [target for target in targets if core.is_worth_another_round(self.concurrency, pinged[target])]
        if again and self.has_time():
            for target, pings in self._round(again, core.longer_hold_ms(self.hold_ms, self.max_hold_ms)).items():
                pinged[target].extend(pings)
        return pinged

    def _round(self, targets: Sequence[str], hold_ms: int) -> dict[str, list[Ping]]:
        """Send all pings at the same moment, each from a thread that was ready before."""
        wanted = [target for target in targets for _ in range(self.concurrency)]
        payload = core.payload(hold_ms)
        ready = threading.Barrier(len(wanted), timeout=START_SECONDS)

        def ping(target: str) -> Ping:
            with contextlib.suppress(threading.BrokenBarrierError):
                ready.wait()
            return self._ping(target, payload)

        pinged: dict[str, list[Ping]] = {target: [] for target in targets}
        with ThreadPoolExecutor(len(wanted)) as threads:
            for target, met in zip(wanted, threads.map(ping, wanted), strict=True):
                pinged[target].append(met)
        return pinged

    def _ping(self, target: str, payload: bytes) -> Ping:
        try:
            text, function_error = self.invoke(target, payload)
        except Exception as error:  # noqa: BLE001 - one target's must not stop the others
            outcome = core.THROTTLED if is_throttle(error) else core.FAILED
            return Ping(outcome, error=f"Lambda did not take the ping or give its answer: {_name(error)}")
        return core.answered(text, function_error)


def _name(error: Exception) -> str:
    """Name an error by AWS's code, and what has none by its type; never by its text, which may quote more."""
    code = mapping(mapping(getattr(error, "response", None)).get("Error")).get("Code")
    return code if isinstance(code, str) else type(error).__name__
