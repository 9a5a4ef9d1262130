"""AgentFunction: the user's callable as a Lambda function."""

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_python_alpha as python_alpha
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Match, Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentFunction
from ak_constructs.testing import normalised
from test.pythons import this_version
from test.support import logical_ids, statements

SECRET_ARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:openai-AbCdEf"
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
    AgentFunction(stack, "Agent", entry=str(entry), agent=agent)
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function", {"Environment": {"Variables": {"AK_CONSTRUCTS_AGENT": agent}}}
    )


def test_fails_when_entry_is_not_a_folder(stack: cdk.Stack) -> None:
    """The message shows where the folder was looked for."""
    with pytest.raises(ValueError, match=r"^entry must be a folder, got 'nowhere' \(/.*/nowhere\); give the folder"):
        AgentFunction(stack, "Agent", entry="nowhere")


def test_fails_when_entry_would_hide_our_code(stack: cdk.Stack, entry: Path) -> None:
    """The runner lies beside the user's code in the zip."""
    (entry / "ak_lambda").mkdir()
    with pytest.raises(ValueError, match=r"^entry must not have a folder named ak_lambda, '.*' has; rename it$"):
        AgentFunction(stack, "Agent", entry=str(entry))


@pytest.mark.parametrize("agent", ["agent.py", "agent:", "a b:respond", "agent:respond()", "../agent:respond"])
def test_fails_when_the_agent_is_not_module_and_callable(stack: cdk.Stack, entry: Path, agent: str) -> None:
    """A path is not a module, and a call no name."""
    with pytest.raises(ValueError, match=r"^agent must be module:callable, such as .*, got '.*'$"):
        AgentFunction(stack, "Agent", entry=str(entry), agent=agent)


def test_fails_when_the_agents_module_is_missing(stack: cdk.Stack, entry: Path) -> None:
    """The message names the file that should be there."""
    with pytest.raises(
        ValueError, match=r"got 'missing:respond' but there is no missing\.py; name the one that has it$"
    ):
        AgentFunction(stack, "Agent", entry=str(entry), agent="missing:respond")


def test_fails_when_the_module_cannot_be_read(stack: cdk.Stack, entry: Path) -> None:
    """By the Python that will run it; a newer one than ours may well be able to."""
    (entry / "agent.py").write_text("def respond(turn):\n    return (\n", encoding="utf-8")
    ours = lambda_.Runtime(f"python{this_version()}", lambda_.RuntimeFamily.PYTHON)
    with pytest.raises(
        ValueError, match=r"^agent must name a module without errors, got .*/agent.py:2: '\(' was never"
    ):
        AgentFunction(stack, "Agent", entry=entry, runtime=ours)
    AgentFunction(stack, "Newer", entry=entry, runtime=lambda_.Runtime("python3.99", lambda_.RuntimeFamily.PYTHON))


def test_fails_when_the_callable_is_missing(stack: cdk.Stack, entry: Path) -> None:
    """A typing error is found before a deployment."""
    with pytest.raises(ValueError, match=r"got 'agent:reply' but nothing there has that name; rename one$"):
        AgentFunction(stack, "Agent", entry=str(entry), agent="agent:reply")


@pytest.mark.parametrize("runtime", [lambda_.Runtime.PYTHON_3_10, lambda_.Runtime.PYTHON_3_9], ids=["3.10", "3.9"])
def test_fails_when_the_runtime_is_too_old_for_the_runner(
    stack: cdk.Stack, entry: Path, runtime: lambda_.Runtime
) -> None:
    """Which uses what Python 3.11 brought: Lambda would say so at the first call."""
    said = rf"^runtime must be Python 3\.11 or later for a folder, got {runtime.name}; leave it out \(python3\.13\)$"
    with pytest.raises(ValueError, match=said):
        AgentFunction(stack, "Agent", entry=entry, runtime=runtime)


@pytest.mark.parametrize("name", ["AK_CONSTRUCTS_AGENT", "AK_CONSTRUCTS_OF_TOMORROW"])
def test_fails_when_a_variable_takes_one_of_our_names(stack: cdk.Stack, entry: Path, name: str) -> None:
    """The variables that the runner reads, now or in a later release, are ours."""
    with pytest.raises(ValueError, match=rf"^environment must not set .* got '{name}'; rename it$"):
        AgentFunction(stack, "Agent", entry=str(entry), environment={name: "x"})


def test_fails_when_neither_or_both_of_entry_and_code_are_given(stack: cdk.Stack, entry: Path) -> None:
    """One of them says what to run."""
    code = lambda_.Code.from_inline("x")
    with pytest.raises(ValueError, match=r"^entry or code must be given, and not both, got neither; entry is a folder"):
        AgentFunction(stack, "A")
    with pytest.raises(ValueError, match=r"^entry or code must be given, and not both, got both; entry is a folder"):
        AgentFunction(stack, "B", entry=str(entry), code=code, handler="index.handler")


def test_fails_when_agent_and_handler_are_both_given(stack: cdk.Stack, entry: Path) -> None:
    """Our runner or a handler of one's own."""
    with pytest.raises(ValueError, match=r"^agent and handler must not both be given, got 'a:b' and 'c.d'; leave one"):
        AgentFunction(stack, "A", entry=str(entry), agent="a:b", handler="c.d")


def test_fails_when_code_comes_without_a_handler(stack: cdk.Stack) -> None:
    """Our runner lies beside folders only."""
    with pytest.raises(
        ValueError,
        match=r"^handler must be given with code, got none; give lambda_.Handler.FROM_IMAGE for an image",
    ):
        AgentFunction(stack, "A", code=lambda_.Code.from_inline("x"))


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("agent", r"^handler must be module.function, such as app.handler .*, got 'agent'$"),
        ("missing.respond", r"got 'missing.respond' but there is no missing\.py; name the one that has it$"),
        ("agent.reply", r"got 'agent.reply' but nothing there has that name; rename one$"),
    ],
)
def test_fails_when_the_handler_is_not_in_the_folder(stack: cdk.Stack, entry: Path, handler: str, message: str) -> None:
    """A typing error is found before a deployment."""
    with pytest.raises(ValueError, match=message):
        AgentFunction(stack, "A", entry=str(entry), handler=handler)


def test_fails_when_a_folder_is_to_run_on_another_runtime(stack: cdk.Stack, entry: Path) -> None:
    """A folder is Python."""
    with pytest.raises(ValueError, match=r"^runtime must be a Python runtime for a folder, got nodejs22.x; give code="):
        AgentFunction(stack, "A", entry=str(entry), runtime=lambda_.Runtime.NODEJS_22_X)


@pytest.mark.parametrize(("handler", "path"), [("agent.respond", None), ("bots/chat.main", "bots/chat.py")])
def test_a_handler_of_ones_own_is_called_by_lambda_itself(
    stack: cdk.Stack, entry: Path, handler: str, path: str | None
) -> None:
    """Nothing of the runner's is set, and the package is the same."""
    if path:
        (entry / path).parent.mkdir()
        (entry / path).write_text("def main(event, context): ...", encoding="utf-8")
    raw = AgentFunction(stack, "Raw", entry=str(entry), handler=handler, environment={"A_NAME": "1"})
    agent = AgentFunction(stack, "Agent", entry=str(entry))
    functions = Template.from_stack(stack).find_resources("AWS::Lambda::Function")
    properties = {logical_id[:3]: resource["Properties"] for logical_id, resource in functions.items()}
    assert properties["Raw"]["Handler"] == handler
    assert properties["Raw"]["Environment"] == {"Variables": {"A_NAME": "1"}}
    assert properties["Raw"]["Code"] == properties["Age"]["Code"]
    assert (raw.has_own_handler, agent.has_own_handler) == (True, False)


def test_code_made_elsewhere_runs_with_its_handler(stack: cdk.Stack) -> None:
    """An escape for everything that a folder cannot be."""
    code = lambda_.Code.from_inline("def handler(event, context): ...")
    AgentFunction(stack, "Agent", code=code, handler="index.handler", runtime=lambda_.Runtime.PYTHON_3_12)
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function", {"Handler": "index.handler", "Runtime": "python3.12"}
    )


def test_a_container_image_is_code_too(stack: cdk.Stack) -> None:
    """With CDK's own word for its handler."""
    repository = ecr.Repository.from_repository_name(stack, "Repository", "agents")
    AgentFunction(
        stack,
        "Agent",
        code=lambda_.Code.from_ecr_image(repository, tag_or_digest="sha256:" + "0" * 64),
        handler=lambda_.Handler.FROM_IMAGE,
    )
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function",
        {"PackageType": "Image", "Runtime": Match.absent(), "Handler": Match.absent(), "Architectures": ["arm64"]},
    )


def test_packages_without_wheels_may_be_installed_in_docker_as_a_layer(
    stack: cdk.Stack, entry: Path, tmp_path: Path
) -> None:
    """An explicit choice; nothing here runs Docker, since bundling is off."""
    (tmp_path / "dependencies").mkdir()
    (tmp_path / "dependencies" / "requirements.txt").write_text("sgmllib3k==1.0.0\n", encoding="utf-8")
    layer = python_alpha.PythonLayerVersion(
        stack,
        "Dependencies",
        entry=str(tmp_path / "dependencies"),
        compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
        compatible_architectures=[lambda_.Architecture.ARM_64],
    )
    AgentFunction(stack, "Agent", entry=str(entry), layers=[layer])
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function", {"Layers": [{"Ref": Match.string_like_regexp("^Dependencies")}]}
    )


def everything(stack: cdk.Stack, entry: Path) -> AgentFunction:
    """Define an agent with every argument set that goes with the others."""
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2)
    layer = lambda_.LayerVersion.from_layer_version_arn(
        stack, "Layer", "arn:aws:lambda:us-east-1:111122223333:layer:l:1"
    )
    return AgentFunction(
        stack,
        "Agent",
        entry=str(entry),
        agent="agent:respond",
        architecture=lambda_.Architecture.X86_64,
        current_version_options=lambda_.VersionOptions(description="released"),
        description="Answers",
        environment={"MODEL_ID": "m"},
        key=kms.Key(stack, "Key"),
        layers=[layer],
        log_group=logs.LogGroup(stack, "OwnLogs"),
        memory_size=512,
        reserved_concurrent_executions=5,
        runtime=lambda_.Runtime.PYTHON_3_12,
        secrets={"OPENAI_API_KEY": secretsmanager.Secret.from_secret_complete_arn(stack, "OpenAi", SECRET_ARN)},
        security_groups=[ec2.SecurityGroup(stack, "Group", vpc=vpc)],
        snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS,
        timeout=cdk.Duration.seconds(10),
        tracing=lambda_.Tracing.PASS_THROUGH,
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
    )


def test_what_the_l2_knows_goes_to_it_unchanged(stack: cdk.Stack, entry: Path) -> None:
    """Argument by argument."""
    version = everything(stack, entry).current_version
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "Architectures": ["x86_64"],
            "Description": "Answers",
            "Environment": {"Variables": {"MODEL_ID": "m", "AK_CONSTRUCTS_AGENT": "agent:respond"}},
            "KmsKeyArn": {"Fn::GetAtt": [Match.string_like_regexp("^Key"), "Arn"]},
            "Layers": ["arn:aws:lambda:us-east-1:111122223333:layer:l:1"],
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": {"Ref": Match.string_like_regexp("^OwnLogs")}},
            "MemorySize": 512,
            "ReservedConcurrentExecutions": 5,
            "Runtime": "python3.12",
            "SnapStart": {"ApplyOn": "PublishedVersions"},
            "Timeout": 10,
            "TracingConfig": {"Mode": "PassThrough"},
            "VpcConfig": {
                "SecurityGroupIds": [{"Fn::GetAtt": [Match.string_like_regexp("^Group"), "GroupId"]}],
                "SubnetIds": [{"Ref": Match.string_like_regexp("^VpcPrivateSubnet1")}, Match.any_value()],
            },
        },
    )
    template.has_resource_properties("AWS::Lambda::Version", {"Description": "released"})
    template.resource_count_is("AWS::Logs::LogGroup", 1)
    assert version.lambda_.node.path == "Stack/Agent"


def test_the_size_of_tmp_can_be_raised(stack: cdk.Stack, entry: Path) -> None:
    """Not together with SnapStart, which CDK refuses."""
    AgentFunction(stack, "Agent", entry=str(entry), ephemeral_storage_size=cdk.Size.gibibytes(2))
    Template.from_stack(stack).has_resource_properties("AWS::Lambda::Function", {"EphemeralStorage": {"Size": 2048}})


def test_what_cdk_refuses_is_said_in_its_own_words(stack: cdk.Stack, entry: Path) -> None:
    """Its checks are not repeated here."""
    with pytest.raises(RuntimeError, match="SnapStart"):
        AgentFunction(
            stack,
            "Agent",
            entry=str(entry),
            ephemeral_storage_size=cdk.Size.gibibytes(2),
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS,
        )


def test_in_a_vpc_lambda_may_use_network_interfaces_and_the_code_may_not(stack: cdk.Stack, entry: Path) -> None:
    """What the managed policy would allow, though not to whoever talks an agent into it; its own log group, not all."""
    everything(stack, entry)
    network = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    ]
    assert [actions for actions, _ in statements(stack, "AgentRole") if "ec2" in str(actions)] == [tuple(network)]
    every = {"Fn::Join": Match.array_with([Match.array_with([":function:*"])])}
    denied = {
        "Effect": "Deny",
        "Action": network,
        "Resource": "*",
        "Condition": {"ArnLike": {"lambda:SourceFunctionArn": every}},
    }
    document = {"Statement": Match.array_with([denied])}
    Template.from_stack(stack).has_resource_properties("AWS::IAM::Policy", {"PolicyDocument": document})
    Template.from_stack(stack).has_resource_properties("AWS::IAM::Role", {"ManagedPolicyArns": Match.absent()})


def test_a_role_of_ones_own_is_used_as_it_is(stack: cdk.Stack, entry: Path) -> None:
    """Nothing is defined beside it and nothing granted to it but X-Ray, by CDK."""
    role = iam.Role(stack, "Mine", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    AgentFunction(stack, "Agent", entry=str(entry), role=role)
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::IAM::Role", 1)
    assert statements(stack, "Mine") == [XRAY]


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
    everything(stack, entry)
    assert normalised(stack) == snapshot(extension_class=JSONSnapshotExtension)
