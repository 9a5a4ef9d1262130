"""Measures synthesis, bundling, cold start, memory and size, and writes docs/benchmarks.md.

    uv run python -m benchmarks.agent_function

Everything runs under one Python of 3.12 or 3.13 in an environment of its own, since Agent Kernel needs one of them.
"""

import datetime as dt
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import AGENT_KERNEL, ROOT, Bench, beside_agent_kernel, zipped
from benchmarks.document import write
from benchmarks.processes import Side, Spread, at_least, at_most, compare, figure, ratio

PINNED = "annotated-types==0.7.0\norjson==3.11.4\npydantic==2.12.4\npydantic-core==2.41.5\n"
PINNED += "typing-extensions==4.15.0\ntyping-inspection==0.4.2\n"
CLIENT = "import boto3\nboto3.client('bedrock-runtime', region_name='us-east-1')\n"

EVENT = {
    "resource": "/api/v1/chat",
    "path": "/api/v1/chat",
    "httpMethod": "POST",
    "headers": {"Content-Type": "application/json"},
    "requestContext": {"identity": {}},
    "body": json.dumps({"prompt": "hi", "agent": "echo", "session_id": "s-1"}),
    "isBase64Encoded": False,
}
CALL = f"""
class Context:
    aws_request_id = "r"
    def get_remaining_time_in_millis(self):
        return 29000

response = handler({EVENT!r}, Context())
assert response["statusCode"] == 200, response
"""


def synth(bench: Bench, runs: int) -> dict[str, Spread]:
    """Synthesize the same resources with our constructs and by hand, each into an empty folder."""
    package = bench.work / "package"
    shutil.copytree(ROOT / "lambda_assets", package)
    shutil.copy(ROOT / "examples/chat_api/agent/agent.py", package)
    out = bench.work / "cdk.out"
    quick = bench.environment(CDK_OUTDIR=str(out), CDK_VALIDATION="false")

    def empty() -> None:
        shutil.rmtree(out, ignore_errors=True)

    def side(*arguments: str) -> Side:
        return Side(command=[bench.python, *arguments], environment=quick, cwd=ROOT, before=empty)

    sides = {
        "ours": side("-m", "benchmarks.by_constructs"),
        "by hand": side("-m", "benchmarks.by_hand", str(package)),
    }
    return compare(sides, runs)


def bundling(bench: Bench, runs: int) -> dict[str, Spread]:
    """Synthesize an agent with pydantic and orjson: nothing in uv's cache, all in it, and the asset there already."""
    entry = bench.work / "bundled"
    entry.mkdir()
    (entry / "agent.py").write_text("def respond(turn):\n    return turn.prompt\n", encoding="utf-8")
    (entry / "requirements.txt").write_text(PINNED, encoding="utf-8")
    out, cache = bench.work / "bundled.out", bench.work / "uv-cache"
    app = (
        "import aws_cdk as cdk\nfrom ak_constructs import AgentFunction\napp = cdk.App()\n"
        f"AgentFunction(cdk.Stack(app, 'S'), 'A', entry={str(entry)!r})\napp.synth()\n"
    )
    environment = bench.environment(CDK_OUTDIR=str(out), CDK_VALIDATION="false", UV_CACHE_DIR=str(cache))

    def side(*empty: Path) -> Side:
        def before() -> None:
            for folder in empty:
                shutil.rmtree(folder, ignore_errors=True)

        return Side(command=[bench.python, "-c", app], environment=environment, cwd=bench.work, before=before)

    return compare({"cold": side(out, cache), "warm": side(out), "cached": side()}, runs)


def cold_start(bench: Bench, runs: int) -> dict[str, Spread]:
    """Start a fresh interpreter, import the handler, answer one event."""
    ours = bench.work / "ours"
    shutil.copytree(ROOT / "lambda_assets", ours, ignore=shutil.ignore_patterns("__pycache__"))
    (ours / "agent.py").write_text(f"{CLIENT}\ndef respond(turn):\n    return turn.prompt\n", encoding="utf-8")
    theirs = bench.work / "theirs"
    theirs.mkdir()
    source = (ROOT / "test/local/agentkernel/app.py").read_text(encoding="utf-8")
    (theirs / "app.py").write_text(f"{CLIENT}\n{source}", encoding="utf-8")
    shipped = {name: bench.work / f"{name}-shipped" for name in ("ours", "theirs")}
    shutil.copytree(ours, shipped["ours"])
    shutil.copytree(theirs, shipped["theirs"])
    bench.install(shipped["theirs"], AGENT_KERNEL)
    for folder in (ours, theirs):
        subprocess.run([bench.python, "-m", "compileall", "-q", str(folder)], check=True)

    def side(path: Path, code: str, *, bytecode: bool = True) -> Side:
        more = {"AK_CONSTRUCTS_AGENT": "agent:respond"}
        more |= {"API_BASE_PATH": "api", "API_VERSION": "v1", "AGENT_ENDPOINT": "chat"}
        environment = bench.environment(path=path, bytecode=bytecode, **more)
        return Side(command=[bench.python, "-c", code], environment=environment, cwd=bench.work)

    run_ours = f"from ak_lambda.agent_runner.handler import handler\n{CALL}"
    run_theirs = f"from app import handler\n{CALL}"
    sides = {
        "ours": side(ours, run_ours),
        "agentkernel": side(theirs, run_theirs),
        "floor": side(ours, CLIENT),
        "ours as it ships": side(shipped["ours"], run_ours, bytecode=False),
        "agentkernel as it ships": side(shipped["theirs"], run_theirs, bytecode=False),
    }
    return compare(sides, runs)


def zip_sizes(bench: Bench) -> dict[str, int]:
    """Zip what each side deploys for an agent of a few lines."""
    return {name: zipped(bench.work / f"{name}-shipped", bench.work / f"{name}.zip") for name in ("ours", "theirs")}


def report(bench: Bench, runs: int) -> str:
    """Measure everything and write it down."""
    few = max(3, runs // 4)
    synthesis, starts, bundles = synth(bench, runs), cold_start(bench, runs), bundling(bench, few)
    sizes = zip_sizes(bench)
    return TEXT.format(
        date=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        machine=f"{platform.system()} on {os.cpu_count()} cores of {platform.machine()}",
        versions=bench.versions(),
        runs=runs,
        few=few,
        rows="\n".join(f"| {' | '.join(row)} |" for row in rows(synthesis, starts, sizes)),
        agent_kernel=AGENT_KERNEL,
        **{name: figure(each.wall, "s") for name, each in bundles.items()},
    )


def rows(synthesis: dict[str, Spread], starts: dict[str, Spread], sizes: dict[str, int]) -> Iterator[tuple[str, ...]]:
    """Put each measurement beside the other side's, with the goal."""

    def cpu(side: Spread) -> str:
        return figure(side.cpu, "ms", 1000)

    ours, theirs, floor = starts["ours"], starts["agentkernel"], starts["floor"]
    hand = synthesis["by hand"]
    times = ratio(synthesis["ours"].cpu, hand.cpu)
    label = "synthesis, all but CDK's own validation"
    yield label, cpu(synthesis["ours"]), f"by hand: {cpu(hand)}", f"{times:.2f} x", at_most(times, 1.15)
    times = ratio(theirs.cpu, ours.cpu)
    yield "cold start, like for like", cpu(ours), cpu(theirs), f"{times:.2f} x less", at_least(times, 1.7)
    times = ratio(ours.cpu, floor.cpu)
    label = "cold start over `import boto3` and the client alone"
    yield label, cpu(ours), cpu(floor), f"{times:.2f} x", at_most(times, 1.15)
    ours, theirs = starts["ours as it ships"], starts["agentkernel as it ships"]
    yield "cold start as each ships (1)", cpu(ours), cpu(theirs), f"{ratio(theirs.cpu, ours.cpu):.2f} x less", ""
    ours, theirs = starts["ours"], starts["agentkernel"]
    times = ratio(theirs.memory, ours.memory)
    label = "memory at its peak, like for like"
    yield label, figure(ours.memory, "MiB"), figure(theirs.memory, "MiB"), f"{times:.2f} x less", ""
    times = sizes["theirs"] / sizes["ours"]
    small, large = f"{sizes['ours'] / 1e3:.1f} kB", f"{sizes['theirs'] / 1e6:.1f} MB"
    yield "zip of an agent of a few lines (2)", small, large, f"{times:,.0f} x smaller", at_least(times, 100)


TEXT = """# Benchmarks

Written by `uv run python -m benchmarks.agent_function` on {date}: {versions}; {machine}.
Whole processes in turn, {runs} runs each after one uncounted ({few} for bundling); medians with minimum and maximum;
CPU time where not said otherwise. The machine is shared and is not Lambda: trust the ratios, not the milliseconds.

| what | ours | Agent Kernel, or by hand | ratio | goal |
|---|---|---|---|---|
{rows}

Cold start is a fresh interpreter that imports the handler and answers one REST event. On both sides the agent makes a
client for Amazon Bedrock, as nearly every agent does, and calls no model. Like for like: both with bytecode and the
same boto3; Agent Kernel's side is `agentkernel.aws.Lambda.handler`.

(1) Neither zip has bytecode. Agent Kernel's zip brings its own boto3, to be compiled at each cold start; ours uses the
one of Lambda's runtime, which is taken to be compiled here.
(2) Ours without dependencies, theirs with `{agent_kernel}`.

| bundling pydantic and orjson for arm64, whole synthesis | wall time |
|---|---|
| cold: nothing in uv's cache | {cold} |
| warm: all in uv's cache | {warm} |
| cached: the asset is there already | {cached} |
"""


if __name__ == "__main__":
    write(lambda runs: beside_agent_kernel(report, runs), __doc__)
