"""Deploys this example to a local AWS emulator, warms one agent, and asks what the pruner would delete.

    uv run python -m examples.agent_platform.demo

The emulator has no managed instances, so both agents run without. The pruner's first runs are dry, here as on AWS.
"""

import json
from typing import Any

from ak_constructs.local import deployed
from ak_constructs.local.logs import client
from ak_constructs.local.progress import step
from ak_constructs.local.signing import CREDENTIALS
from ak_constructs.local.stopping import run
from examples.local.client import chat
from examples.local.table import table

RELEASES = 6


def main() -> int:
    """Run the whole example; nothing of it is left when this returns or raises."""
    with deployed(["-m", "examples.agent_platform.app"], context={"local": "true"}) as running:
        functions, outputs = client("lambda", running.emulator), running.outputs["AgentPlatform"]
        print("Two rounds of the warmer, before and after the agents are asked\n")
        first = _invoked(functions, outputs["Warmer"])
        for name in ("SupportUrl", "ResearchUrl"):
            answer = chat(outputs[name], {"prompt": "Hello"}, credentials=CREDENTIALS)
            print(f"    {name.removesuffix('Url')}: {answer['result']}")
        _print_rounds([first, _invoked(functions, outputs["Warmer"])])
        with step(f"Publishing {RELEASES} versions of the first agent, a tenth of its callers on the fourth"):
            _release(functions, outputs["SupportFunction"])
        _print_report(_invoked(functions, outputs["PrunerName"]))
    return 0


def _invoked(functions: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - boto3 makes its classes at run time
    answer: dict[str, Any] = json.load(functions.invoke(FunctionName=name, Payload=b"{}")["Payload"])
    return answer


def _print_rounds(rounds: list[dict[str, Any]]) -> None:
    rows = [
        (f"{number}", target.partition(":function:")[2], *(str(found[key]) for key in ("wanted", "cold", "warm")))
        for number, each in enumerate(rounds, 1)
        for target, found in each["targets"].items()
    ]
    print(f"\n{table(('round', 'target', 'wanted', 'were cold', 'were warm'), rows)}\n")


def _release(functions: Any, name: str) -> None:  # noqa: ANN401
    versions = []
    for number in range(RELEASES):
        functions.update_function_configuration(FunctionName=name, Description=f"release {number}")
        published = f"2026-01-{number + 1:02}T12:00:00.000+0000"  # as which the emulator takes such a description
        versions.append(functions.publish_version(FunctionName=name, Description=published)["Version"])
    functions.update_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion=versions[-1],
        RoutingConfig={"AdditionalVersionWeights": {"4": 0.1}},
    )


def _print_report(report: dict[str, Any]) -> None:
    rows = [
        (name.rpartition(":")[2], version, "stays", "; ".join(reasons))
        for name, versions in report["kept"].items()
        for version, reasons in versions.items()
    ]
    rows += [
        (name.rpartition(":")[2], version, "would go", "nobody needs it")
        for name, versions in report["would_delete"].items()
        for version in versions
    ]
    print(f"\n{table(('function', 'version', 'decision', 'because'), sorted(rows))}\n")
    print("Nothing was deleted: a VersionPruner with dry_run=False would do it.")


if __name__ == "__main__":
    run(main)
