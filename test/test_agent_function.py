"""AgentFunction: the user's callable as a Lambda function."""

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentFunction
from test.support import logical_ids, normalised, statements

XRAY = (("xray:PutTraceSegments", "xray:PutTelemetryRecords"), "*")


@pytest.mark.usefixtures("agent")
def test_runs_our_runner_on_arm64_and_python_3_13(stack: cdk.Stack) -> None:
    """The handler is the runner, which finds the user's callable by a variable."""
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Handler": "ak_lambda.agent_runner.handler.handler",
            "Runtime": "python3.13",
            "Architectures": ["arm64"],
            "MemorySize": 1024,
            "Timeout": 29,
            "Environment": {"Variables": {"AK_CONSTRUCTS_AGENT": "agent:respond"}},
        },
    )


@pytest.mark.usefixtures("agent")
def test_logs_json_to_its_own_group_for_a_month(stack: cdk.Stack) -> None:
    """The group is kept when the stack goes."""
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": {"Ref": Match.string_like_regexp("^AgentLogs")}},
            "TracingConfig": {"Mode": "Active"},
        },
    )
    template.has_resource("AWS::Logs::LogGroup", {"Properties": {"RetentionInDays": 30}, "DeletionPolicy": "Retain"})


def test_environment_memory_timeout_and_description_reach_the_function(stack: cdk.Stack, entry: Path) -> None:
    """What the L2 knows goes to it unchanged."""
    AgentFunction(
        stack,
        "Agent",
        entry=str(entry),
        description="Answers",
        environment={"MODEL_ID": "m"},
        memory_size=512,
        timeout=cdk.Duration.seconds(10),
    )
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Description": "Answers",
            "MemorySize": 512,
            "Timeout": 10,
            "Environment": {"Variables": {"MODEL_ID": "m", "AK_CONSTRUCTS_AGENT": "agent:respond"}},
        },
    )


@pytest.mark.parametrize(
    ("agent", "path", "source"),
    [
        ("main:answer", "main.py", "async def answer(turn): ..."),
        ("bots.support:Bot.respond", "bots/support.py", "class Bot: ..."),
        ("bots:reply", "bots/__init__.py", "from bots.support import reply"),
        ("main:reply", "main.py", "reply = lambda turn: 'x'"),
        ("main:reply", "main.py", "from elsewhere import *"),
        ("main:reply", "main.py", "import reply"),
    ],
)
def test_the_agent_may_be_named_in_any_way_python_defines_names(
    stack: cdk.Stack, entry: Path, agent: str, path: str, source: str
) -> None:
    """Functions, classes, imports and assignments are all found."""
    (entry / path).parent.mkdir(exist_ok=True)
    (entry / path).write_text(source, encoding="utf-8")
    function = AgentFunction(stack, "Agent", entry=str(entry), agent=agent)
    assert isinstance(function, lambda_.Function)


def test_fails_when_entry_is_not_a_folder(stack: cdk.Stack) -> None:
    """The message shows where the folder was looked for."""
    with pytest.raises(ValueError, match=r"^entry must be a folder, got 'nowhere' \(/.*/nowhere\); give the folder"):
        AgentFunction(stack, "Agent", entry="nowhere")


def test_fails_when_entry_would_hide_our_code(stack: cdk.Stack, entry: Path) -> None:
    """The runner lies beside the user's code in the zip."""
    (entry / "ak_lambda").mkdir()
    with pytest.raises(ValueError, match=r"^entry must not have a folder named ak_lambda, '.*' has; rename it$"):
        AgentFunction(stack, "Agent", entry=str(entry))


def test_fails_when_the_agent_is_not_module_and_callable(stack: cdk.Stack, entry: Path) -> None:
    """A path is not a module."""
    with pytest.raises(ValueError, match=r"^agent must match .*, got 'agent.py'; write module:callable, such as"):
        AgentFunction(stack, "Agent", entry=str(entry), agent="agent.py")


def test_fails_when_the_agents_module_is_missing(stack: cdk.Stack, entry: Path) -> None:
    """The message names the file that should be there."""
    with pytest.raises(ValueError, match=r"got 'missing:respond' but there is no missing\.py$"):
        AgentFunction(stack, "Agent", entry=str(entry), agent="missing:respond")


def test_fails_when_the_callable_is_missing(stack: cdk.Stack, entry: Path) -> None:
    """A typing error is found before a deployment."""
    with pytest.raises(ValueError, match=r"got 'agent:reply' but nothing there is called 'reply'$"):
        AgentFunction(stack, "Agent", entry=str(entry), agent="agent:reply")


def test_fails_when_a_variable_takes_one_of_our_names(stack: cdk.Stack, entry: Path) -> None:
    """The variables that the runner reads are ours."""
    with pytest.raises(ValueError, match=r"^environment must not set .* got 'AK_CONSTRUCTS_AGENT'; rename it$"):
        AgentFunction(stack, "Agent", entry=str(entry), environment={"AK_CONSTRUCTS_AGENT": "x"})


@pytest.mark.usefixtures("agent")
def test_the_role_may_write_its_own_logs_and_traces_and_nothing_else(stack: cdk.Stack) -> None:
    """No managed policy, no other action, no other resource."""
    logs = {"Fn::GetAtt": ["AgentLogs05C568C3", "Arn"]}
    assert statements(stack, "AgentRole") == [(("logs:CreateLogStream", "logs:PutLogEvents"), logs), XRAY]
    Template.from_stack(stack).has_resource_properties("AWS::IAM::Role", {"ManagedPolicyArns": Match.absent()})


@pytest.mark.usefixtures("agent")
def test_ids_do_not_change(stack: cdk.Stack) -> None:
    """Another id would replace a user's function."""
    assert logical_ids(stack) == {
        "Agent255F68E9": "AWS::Lambda::Function",
        "AgentLogs05C568C3": "AWS::Logs::LogGroup",
        "AgentRoleDefaultPolicy1027F5D2": "AWS::IAM::Policy",
        "AgentRoleF4A42D6B": "AWS::IAM::Role",
    }


@pytest.mark.usefixtures("agent")
def test_snapshot_of_the_defaults(stack: cdk.Stack, snapshot: SnapshotAssertion) -> None:
    """Guards against surprises."""
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)


def test_snapshot_of_everything_set(stack: cdk.Stack, entry: Path, snapshot: SnapshotAssertion) -> None:
    """Guards against surprises."""
    AgentFunction(
        stack,
        "Agent",
        entry=str(entry),
        agent="agent:respond",
        description="Answers",
        environment={"MODEL_ID": "m"},
        memory_size=512,
        timeout=cdk.Duration.seconds(10),
    )
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
