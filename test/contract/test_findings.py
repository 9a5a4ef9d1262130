"""docs/findings.md explains every finding that a user of a construct meets, and what it says to paste works."""

import re

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

import ak_constructs
from ak_constructs import AgentFunction, Authorization, QueuedAgentPipeline
from examples.local import nag
from examples.local.reasons import REASONS
from scripts.cases import AUTHORIZATIONS, CASES, ENTRY, Define, Names, network
from scripts.findings import Examined, examine, names_in_ids, placed, reason_of, violations
from scripts.findings_md import FINDINGS_MD

DOCUMENT = FINDINGS_MD.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> dict[Define, Examined]:
    """Look at every construct with cdk-nag; the local suite does it with Checkov and cfn-lint too."""
    return examine(tmp_path_factory.mktemp("findings"), thoroughly=False)


def blocks(construct: str) -> dict[str, str]:
    """Give the code to paste for a construct, by its use; what every use needs under no name."""
    section = DOCUMENT.partition(f"\n### {construct}\n")[2].partition("\n### ")[0]
    found = re.findall(r"(?:(?<=\n)([^\n]+), also:\n)?\n```python\n(.*?)```", section, flags=re.DOTALL)
    return dict(found)


def test_every_construct_and_every_way_to_let_callers_in_is_looked_at() -> None:
    """A new one too."""
    assert set(CASES) == set(ak_constructs.__all__) - {"Authorization"}
    assert set(AUTHORIZATIONS) == {name for name, each in vars(Authorization).items() if isinstance(each, staticmethod)}


def test_every_finding_has_one_reason(examined: dict[Define, Examined]) -> None:
    """And a reason whose finding is gone must go too; those of Checkov alone the local suite looks at."""
    found = {reason_of(finding) for each in examined.values() for finding in each.findings}
    by_checkov = {name for name, reason in REASONS.items() if all(id_.startswith("CKV") for id_ in reason.ids)}
    assert found == set(REASONS) - by_checkov


def test_what_the_document_says_to_paste_ends_every_finding(examined: dict[Define, Examined]) -> None:
    """Each block, in each use of each construct; without it there were some."""
    for construct, cases in CASES.items():
        code = blocks(construct)
        for case, define in cases.items():
            subject = examined[define]
            names = {**vars(nag), "cdk": cdk, **subject.names}
            for block in dict.fromkeys(["", case]):
                exec(code.get(block, ""), names)  # noqa: S102 - our own documentation
            left = placed(violations(subject.stack), names_in_ids(subject.names))
            assert {finding for finding in left if finding.construct == construct} == set(), case
            assert bool(code) == bool(subject.of(construct))


def on_the_newest_python(stack: cdk.Stack) -> Names:
    """Define an agent on the newest runtime that CDK knows, which other tests of this process may have told it."""
    pythons = [each for each in lambda_.Runtime.ALL if each.family == lambda_.RuntimeFamily.PYTHON]
    newest = max(pythons, key=lambda runtime: [int(part) for part in runtime.name.removeprefix("python").split(".")])
    return {"agent": AgentFunction(stack, "Agent", entry=ENTRY, runtime=newest)}


def with_reservation(stack: cdk.Stack) -> Names:
    """Define an agent that keeps some concurrency for itself."""
    return {"agent": AgentFunction(stack, "Agent", entry=ENTRY, reserved_concurrent_executions=5)}


def in_network(stack: cdk.Stack) -> Names:
    """Define an agent in a network."""
    return {"agent": AgentFunction(stack, "Agent", entry=ENTRY, vpc=network(stack))}


def with_log_key(stack: cdk.Stack) -> Names:
    """Define an agent whose log group has a key."""
    key = kms.Key.from_key_arn(stack, "Key", stack.format_arn(service="kms", resource="key", resource_name="k"))
    return {
        "agent": AgentFunction(
            stack, "Agent", entry=ENTRY, log_group=logs.LogGroup(stack, "AgentLogs", encryption_key=key)
        )
    }


def with_few_waiting(stack: cdk.Stack) -> Names:
    """Define a pipeline that few may wait at."""
    agent = AgentFunction(stack, "Agent", entry=ENTRY)
    return {"agent": agent, "pipeline": QueuedAgentPipeline(stack, "Pipeline", agent=agent, max_waiting=5)}


@pytest.mark.parametrize(
    ("define", "name", "place"),
    [
        (on_the_newest_python, "RUNTIME", "Agent/Resource"),
        (with_reservation, "CONCURRENCY", "Agent/Resource"),
        (with_few_waiting, "CONCURRENCY", "Pipeline/RequestHandler/Resource"),
        (in_network, "NETWORK", "Agent/Resource"),
        (with_log_key, "LOG_KEY", "AgentLogs/Resource"),
    ],
)
def test_what_is_said_to_end_a_finding_ends_it(stack: cdk.Stack, define: Define, name: str, place: str) -> None:
    """Checkov's findings of the same matter are not asked again."""
    define(stack)
    assert not [(path, id_) for path, id_ in violations(stack) if path == place and id_ in REASONS[name].ids]
