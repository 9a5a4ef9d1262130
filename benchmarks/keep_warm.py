"""What warm environments cost by pings and by provisioned concurrency: the numbers of docs/keep-warm.md.

uv run python -m benchmarks.keep_warm
"""

from ak_constructs.keep_warm import DEFAULT_HOLD, WARMER_MEMORY_MIB
from benchmarks.prices import PRICES, WARMTH

MONTH_SECONDS = 30 * 24 * 3600
EVERY_SECONDS = 300
HOLD_SECONDS = DEFAULT_HOLD.to_milliseconds() / 1000
WARMER_SECONDS = HOLD_SECONDS + 0.1  # as measured on the emulator
METRICS = 3
ALARMS = 2

MEMORIES_MIB = (128, 512, 1024, 2048)
ENVIRONMENTS = (1, 5, 20)


def a_round_for_one(memory_mib: float) -> float:
    """What one ping costs: a run of the target for as long as it is held."""
    return memory_mib / 1024 * HOLD_SECONDS * PRICES["arm64"].dollars + PRICES["invocation"].dollars


def fixed() -> float:
    """What a `KeepWarm` with one target costs a month, however many environments it keeps."""
    warmer = WARMER_MEMORY_MIB / 1024 * WARMER_SECONDS * PRICES["arm64"].dollars + PRICES["invocation"].dollars
    rounds = MONTH_SECONDS / EVERY_SECONDS
    told = METRICS * WARMTH["metric"].dollars + ALARMS * WARMTH["alarm"].dollars
    return rounds * (warmer + WARMTH["schedule"].dollars) + told


def pings(memory_mib: float, environments: int) -> float:
    """What pings cost a month."""
    return fixed() + MONTH_SECONDS / EVERY_SECONDS * environments * a_round_for_one(memory_mib)


def provisioned(memory_mib: float, environments: int) -> float:
    """What provisioned concurrency costs a month while nobody calls."""
    return memory_mib / 1024 * environments * MONTH_SECONDS * WARMTH["provisioned"].dollars


def break_even_mib() -> float:
    """From how much memory on pings for one environment cost less than provisioned concurrency for it."""
    rounds = MONTH_SECONDS / EVERY_SECONDS
    by_gib = MONTH_SECONDS * WARMTH["provisioned"].dollars - rounds * HOLD_SECONDS * PRICES["arm64"].dollars
    return 1024 * (fixed() + rounds * PRICES["invocation"].dollars) / by_gib


def break_even_use() -> float:
    """From what share of the time in use on provisioned concurrency costs less than runs without it."""
    return WARMTH["provisioned"].dollars / (PRICES["arm64"].dollars - WARMTH["provisioned_run"].dollars)


def table() -> str:
    """Write the document's table."""
    head = "| memory | " + " | ".join(f"{each} by pings | {each} provisioned" for each in ENVIRONMENTS) + " |"
    rows = [
        f"| {memory} MiB | "
        + " | ".join(f"{pings(memory, each):,.2f} | {provisioned(memory, each):,.2f}" for each in ENVIRONMENTS)
        + " |"
        for memory in MEMORIES_MIB
    ]
    return "\n".join([head, "|---|" + "---:|" * 2 * len(ENVIRONMENTS), *rows])


if __name__ == "__main__":
    print(table())
    print(f"fixed {fixed():.2f}, even at {break_even_mib():.0f} MiB, at {break_even_use():.0%} in use")
