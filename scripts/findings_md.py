"""Writes docs/findings.md from what cdk-nag and Checkov find; with --check, fails when it is not up to date."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from examples.local.nag import HIPAA, PCI, R4, R5
from examples.local.reasons import REASONS
from scripts.cases import CASES, Define
from scripts.findings import Examined, Finding, examine, reason_of
from scripts.generated import write
from scripts.project import ROOT

FINDINGS_MD = ROOT / "docs" / "findings.md"
VARIABLES = {HIPAA: "HIPAA", R4: "R4", R5: "R5", PCI: "PCI"}
STANDS = {
    "function": "function = cdk.Stack.of(agent).get_logical_id(agent.node.default_child)",
    "socket_api": "socket_api = cdk.Stack.of(chat).get_logical_id(chat.api.node.default_child)",
    "payloads": "payloads = cdk.Stack.of(queue).get_logical_id(queue.payloads.node.default_child)",
}
HEADER = """<!-- Written by `uv run projen docs`: change examples/local/reasons.py or scripts/findings.py instead. -->

# What cdk-nag, Checkov and cfn-lint find

Of each public construct, defined with nothing but what it needs: the findings of
[cdk-nag](https://github.com/cdklabs/cdk-nag) 3 (AwsSolutions, HIPAA.Security, NIST.800.53.R4, NIST.800.53.R5,
PCI.DSS.321 and Serverless) and of [Checkov](https://www.checkov.io/) for CloudFormation. The library acknowledges
nothing itself: that would silence your own audit. cfn-lint finds nothing but W3005, a dependency that CDK writes down
twice.

## Why each is accepted

| finding | where | why | what ends it |
|---|---|---|---|
"""
PASTE = """
## To paste

Copy [nag.py](../examples/local/nag.py), which writes a reason at the exact resource for cdk-nag and for Checkov, and
below it what fits your stack. Leave out what you end, and give your own reason where ours does not fit. A test runs
each block and expects that nothing is found afterwards. A name stands for your construct: `agent`, `chat` for a
`WebSocketAgentApi`, and `queue` for `chat.queue` or `pipeline.queue` where you made none. Another `chat_route` and
routes of `add_route` have findings by their own names.

```python
import aws_cdk as cdk

from nag import HIPAA, PCI, R4, R5, acknowledge_all, each
```
"""


def findings_md(examined: Mapping[Define, Examined]) -> str:
    """Render what was found."""
    everything = {finding for each in examined.values() for finding in each.findings}
    by_reason: dict[str, set[Finding]] = {name: set() for name in REASONS}
    for finding in everything:
        by_reason[reason_of(finding)].add(finding)
    rows = _rows({name: found for name, found in by_reason.items() if found})
    sections = [_section(construct, cases, examined) for construct, cases in CASES.items()]
    return HEADER + "".join(rows) + PASTE + "".join(sections)


def _rows(by_reason: Mapping[str, Iterable[Finding]]) -> list[str]:
    """Write the table; where several findings are of the same resources, these are named once."""
    rows, above = [], ""
    for name, found in by_reason.items():
        reason, where = REASONS[name], _where(found)
        ids = ", ".join(f"`{rule}`{packs}" for rule, packs in _rules(reason.ids))
        rows.append(f"| {ids} | {'as above' if where == above else where} | {reason.why} | {reason.ends or '-'} |\n")
        above = where
    return rows


def _where(found: Iterable[Finding]) -> str:
    """Name the resources, each construct once."""
    where: dict[str, set[str]] = {}
    for finding in found:
        path = finding.path.removesuffix("/Resource").removesuffix("/DefaultPolicy")
        path = path.removeprefix("RestApi/").removeprefix("Default/").removeprefix("WebSocketApi/")
        part = finding.scope.partition(".")[2] or path
        where.setdefault(finding.construct, set()).add("" if part == "Resource" else part)
    named = {construct: sorted(where[construct] - {""}) for construct in CASES if construct in where}
    return "; ".join(" ".join([construct, *[f"`{part}`" for part in parts]]) for construct, parts in named.items())


def _rules(ids: Iterable[str]) -> list[tuple[str, str]]:
    """Give each rule with the packs in brackets."""
    packs: dict[str, list[str]] = {}
    for id_ in ids:
        pack, _, rule = id_.partition("-")
        if pack in VARIABLES:
            packs.setdefault(rule, []).append(VARIABLES[pack])
        else:
            packs[id_] = []
    return [(rule, f" ({', '.join(named)})" if named else "") for rule, named in packs.items()]


def _section(construct: str, cases: Mapping[str, Define], examined: Mapping[Define, Examined]) -> str:
    found = {case: examined[define].of(construct) for case, define in cases.items()}
    common = set.intersection(*found.values())
    text = f"\n### {construct}\n"
    text += (
        _block(common) if common else "\nNothing is found of every use.\n" if any(found.values()) else "\nNothing.\n"
    )
    for case, theirs in found.items():
        if theirs - common:
            text += f"\n{case}, also:\n{_block(theirs - common)}"
    return text


def _block(findings: set[Finding]) -> str:
    """Write the acknowledgements of findings as code."""
    groups: dict[str, dict[str, dict[str, set[str]]]] = {}  # scope, reason, path, ids
    for finding in sorted(findings):
        ids = groups.setdefault(finding.scope, {}).setdefault(reason_of(finding), {})
        ids.setdefault(finding.path, set()).add(finding.id)
    lines = [line for name, line in STANDS.items() if any(f"{{{name}}}" in finding.id for finding in findings)]
    for scope, reasons in groups.items():
        entries = [_entry(name, reasons[name]) for name in REASONS if name in reasons]
        lines.append(f"acknowledge_all({scope}, [{', '.join(entries)},],)")
    formatted = subprocess.run(
        ["ruff", "format", "--isolated", "--line-length=120", "-"],
        input="\n".join(lines), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return f"\n```python\n{formatted.stdout}```\n"


def _entry(name: str, ids_at: Mapping[str, set[str]]) -> str:
    """Write one acknowledgement; a reason's findings come together or not at all."""
    reason = REASONS[name]
    for path, ids in ids_at.items():
        if ids != set(reason.ids):
            raise ValueError(f"{name} must be found as a whole at {path}, got {sorted(ids)}; make two reasons of it")
    return f"({sorted(ids_at)!r}, [{', '.join(_code(reason.ids))}], {reason.why!r})"


def _code(ids: Iterable[str]) -> list[str]:
    written = []
    for rule, packs in _rules(ids):
        if packs:
            written.append(f"*each({rule!r}, {packs[2:-1]})")
        else:
            written.append(f"f{rule!r}" if "{" in rule else repr(rule))
    return written


def main(arguments: list[str]) -> int:
    """Write or check."""
    with tempfile.TemporaryDirectory() as folder:
        text = findings_md(examine(Path(folder), thoroughly=True))
    return write({FINDINGS_MD: text}, arguments, "uv run projen docs")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
