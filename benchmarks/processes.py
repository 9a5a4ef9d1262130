"""Times whole processes, in turn, by the operating system's own account of each."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the things to compare.

    Attributes:
        command: What to run.
        environment: The whole environment it runs in.
        cwd: Where.
        before: What to do before each run, outside the time.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    before: Callable[[], None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What one side took: seconds of CPU and of wall time, and MiB at its peak; sorted."""

    cpu: list[float]
    wall: list[float]
    memory: list[float]


def compare(sides: Mapping[str, Side], runs: int) -> dict[str, Spread]:
    """Run the sides in turn, A B A B, after one uncounted run each, so that a machine's mood meets all alike."""
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in sides}
    for run in range(runs + 1):
        for name, side in sides.items():
            once = _once(side)
            if run:
                taken[name].append(once)
    columns = {name: [sorted(column) for column in zip(*each, strict=True)] for name, each in taken.items()}
    return {name: Spread(cpu=each[0], wall=each[1], memory=each[2]) for name, each in columns.items()}


def figure(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """Write a median with its spread."""
    places = 0 if scale * max(values) >= 100 else 2  # noqa: PLR2004 - three figures are enough
    low, middle, high = (
        f"{scale * each:,.{places}f}" for each in (min(values), statistics.median(values), max(values))
    )
    return f"{middle} {unit} ({low} to {high})"


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Divide medians."""
    return statistics.median(over) / statistics.median(under)


def at_least(value: float, bound: float) -> str:
    """Say whether a goal is met."""
    return f"at least {bound:g}: {'met' if value >= bound else '**missed**'}"


def at_most(value: float, bound: float) -> str:
    """Say whether a goal is met."""
    return f"at most {bound:g}: {'met' if value <= bound else '**missed**'}"


def _once(side: Side) -> tuple[float, float, float]:
    side.before()
    started = time.perf_counter()
    process = subprocess.Popen(side.command, env=dict(side.environment), cwd=side.cwd, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(side.command)} ended with status {process.returncode}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024
