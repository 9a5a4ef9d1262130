"""The secrets of an AgentFunction: what of them a template says, and who may read them."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from aws_cdk.assertions import Template

from ak_constructs import AgentFunction, AgentQueue
from ak_constructs._limits import LAMBDA_RESERVED_NAMES
from test.support import statements

READ_SECRET = ("secretsmanager:GetSecretValue",)
READ_PARAMETER = ("ssm:GetParameter",)
ARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:openai-AbCdEf"


def imported(stack: cdk.Stack) -> secretsmanager.ISecret:
    """Import a secret by its whole ARN."""
    return secretsmanager.Secret.from_secret_complete_arn(stack, "Imported", ARN)


def secure_string(stack: cdk.Stack, key: kms.IKey | None = None) -> ssm.IStringParameter:
    """Import a parameter, which CloudFormation cannot make."""
    return ssm.StringParameter.from_secure_string_parameter_attributes(
        stack, "SecureString", parameter_name="/agents/token", encryption_key=key
    )


def granted(stack: cdk.Stack, role: str = "AgentRole") -> list[tuple[tuple[str, ...], Any]]:
    """Give what a role may do besides logs and traces."""
    return [each for each in statements(stack, role) if not each[0][0].startswith(("logs:", "xray:"))]


def function(stack: cdk.Stack) -> dict[str, Any]:
    """Give the properties of the one function."""
    (found,) = Template.from_stack(stack).find_resources("AWS::Lambda::Function").values()
    properties: dict[str, Any] = found["Properties"]
    return properties


def test_a_template_says_where_secrets_are_and_no_value(stack: cdk.Stack, entry: Path) -> None:
    """In one variable of ours; none has the secrets' own names."""
    secret = secretsmanager.Secret(stack, "Secret")
    AgentFunction(
        stack,
        "Agent",
        entry=entry,
        environment={"MODEL_ID": "m"},
        secrets={"OPENAI_API_KEY": secret, "ORGANISATION": (imported(stack), "org"), "TOKEN": secure_string(stack)},
    )
    properties = function(stack)
    variables = properties["Environment"]["Variables"]
    assert set(variables) == {"MODEL_ID", "AK_CONSTRUCTS_AGENT", "AK_CONSTRUCTS_SECRETS"}
    joined = variables["AK_CONSTRUCTS_SECRETS"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else f"<{next(iter(part.values()))}>" for part in joined)
    assert json.loads(text) == {
        "OPENAI_API_KEY": {"secret": "<SecretA720EF05>"},
        "ORGANISATION": {"secret": ARN, "field": "org"},
        "TOKEN": {"parameter": "arn:<AWS::Partition>:ssm:<AWS::Region>:<AWS::AccountId>:parameter/agents/token"},
    }
    assert properties["Handler"] == "ak_lambda.agent_runner.handler.handler"
    assert "{{resolve:" not in json.dumps(Template.from_stack(stack).to_json())


def test_the_role_may_read_these_and_nothing_else_of_them(stack: cdk.Stack, entry: Path) -> None:
    """One action on each; CDK's own grants would let it describe a secret and read a parameter's old values."""
    secret = imported(stack)
    AgentFunction(
        stack,
        "Agent",
        entry=entry,
        secrets={"WHOLE": secret, "FIELD": (secret, "field"), "TOKEN": secure_string(stack)},
    )
    parameter = ["arn:", {"Ref": "AWS::Partition"}, ":ssm:", {"Ref": "AWS::Region"}, ":"]
    parameter += [{"Ref": "AWS::AccountId"}, ":parameter/agents/token"]
    assert granted(stack) == [(READ_SECRET, ARN), (READ_PARAMETER, {"Fn::Join": ["", parameter]})]


@pytest.mark.parametrize("by", ["name", "partial ARN"])
def test_a_secret_without_its_last_six_characters_is_granted_by_a_pattern_for_them(
    stack: cdk.Stack, entry: Path, by: str
) -> None:
    """AWS adds them to each ARN."""
    secret = (
        secretsmanager.Secret.from_secret_name_v2(stack, "Secret", "openai")
        if by == "name"
        else secretsmanager.Secret.from_secret_partial_arn(stack, "Secret", ARN.removesuffix("-AbCdEf"))
    )
    AgentFunction(stack, "Agent", entry=entry, secrets={"KEY": secret})
    ((actions, resource),) = granted(stack)
    assert actions == READ_SECRET
    assert json.dumps(resource).replace('"]]}', '"').endswith(':secret:openai-??????"')


@pytest.mark.parametrize("owned", [True, False])
def test_a_key_of_ones_own_may_be_used(stack: cdk.Stack, entry: Path, owned: bool) -> None:
    """For reading; the role can do nothing else with it."""
    key: kms.IKey = (
        kms.Key(stack, "Key")
        if owned
        else kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:us-east-1:111122223333:key/k")
    )
    secret = secretsmanager.Secret.from_secret_attributes(stack, "Secret", secret_complete_arn=ARN, encryption_key=key)
    AgentFunction(stack, "Agent", entry=entry, secrets={"KEY": secret})
    AgentFunction(stack, "Other", entry=entry, secrets={"TOKEN": secure_string(stack, key)})
    use = (("kms:Decrypt",), stack.resolve(key.key_arn))
    assert granted(stack) == [(READ_SECRET, ARN), use]
    others = granted(stack, "OtherRole")
    assert [actions for actions, _ in others] == [READ_PARAMETER, ("kms:Decrypt",)]
    assert others[1] == use


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_key_is_used_through_the_service_that_has_the_secret_only(stack: cdk.Stack, entry: Path, region: str) -> None:
    """In the secret's region. One key may encrypt much else, which whoever reads a secret need not be able to read."""
    key = kms.Key(stack, "Key")
    secret = secretsmanager.Secret.from_secret_attributes(
        stack, "Secret", secret_complete_arn=ARN.replace("us-east-1", region), encryption_key=key
    )
    AgentFunction(stack, "Agent", entry=entry, secrets={"KEY": secret, "TOKEN": secure_string(stack, key)})
    suffix = {"Ref": "AWS::URLSuffix"}
    conditions = [
        {"Fn::Join": ["", [f"secretsmanager.{region}.", suffix]]},
        {"Fn::Join": ["", ["ssm.", {"Ref": "AWS::Region"}, ".", suffix]]},
    ]
    policies = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    given = [each for policy in policies for each in policy["Properties"]["PolicyDocument"]["Statement"]]
    uses = [each for each in given if each["Action"] == "kms:Decrypt"]
    assert [each.get("Condition") for each in uses] == [{"StringEquals": {"kms:ViaService": by}} for by in conditions]


def test_a_key_whose_policy_nobody_here_writes_may_be_used_too(stack: cdk.Stack, entry: Path) -> None:
    """As far as the role goes; its policy is its owner's affair."""
    owner = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = {"Version": "2012-10-17", "Statement": [{**owner, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}]}
    key = kms.Key.from_cfn_key(kms.CfnKey(stack, "Key", key_policy=policy))
    AgentFunction(stack, "Agent", entry=entry, secrets={"TOKEN": secure_string(stack, key)})
    assert [actions for actions, _ in granted(stack)] == [READ_PARAMETER, ("kms:Decrypt",)]


def test_secrets_and_keys_of_another_stack_make_no_circle(app: cdk.App, stack: cdk.Stack, entry: Path) -> None:
    """Only the role is changed, and it is here."""
    elsewhere = cdk.Stack(app, "Elsewhere")
    key = kms.Key(elsewhere, "Key")
    secret = secretsmanager.Secret(elsewhere, "Secret", encryption_key=key)
    AgentFunction(stack, "Agent", entry=entry, secrets={"KEY": secret, "TOKEN": secure_string(stack, key)})
    use = ("kms:Decrypt",)
    assert [actions for actions, _ in granted(stack)] == [READ_SECRET, use, READ_PARAMETER, use]
    assert not Template.from_stack(elsewhere).find_resources("AWS::IAM::Policy")


def test_a_role_of_ones_own_is_granted_what_it_can_be(stack: cdk.Stack, entry: Path) -> None:
    """One that takes no policies must be allowed elsewhere."""
    role = iam.Role(stack, "Mine", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    AgentFunction(stack, "Agent", entry=entry, role=role, secrets={"KEY": imported(stack)})
    fixed = iam.Role.from_role_arn(stack, "Fixed", "arn:aws:iam::111122223333:role/fixed", mutable=False)
    AgentFunction(stack, "Other", entry=entry, role=fixed, secrets={"KEY": imported_again(stack)})
    Template.from_stack(stack).resource_count_is("AWS::IAM::Policy", 1)
    assert granted(stack, "Mine") == [(READ_SECRET, ARN)]


def imported_again(stack: cdk.Stack) -> secretsmanager.ISecret:
    """Import it under another id."""
    return secretsmanager.Secret.from_secret_complete_arn(stack, "ImportedAgain", ARN)


def test_a_handler_of_ones_own_is_called_by_one_that_brings_its_secrets(stack: cdk.Stack, entry: Path) -> None:
    """Which learns from a variable whom to call."""
    agent = AgentFunction(stack, "Agent", entry=entry, handler="agent.respond", secrets={"KEY": imported(stack)})
    properties = function(stack)
    assert properties["Handler"] == "ak_lambda.secret_loader.handler.handler"
    assert properties["Environment"]["Variables"] == {
        "AK_CONSTRUCTS_HANDLER": "agent.respond",
        "AK_CONSTRUCTS_SECRETS": json.dumps({"KEY": {"secret": ARN}}, separators=(",", ":")),
    }
    assert agent.has_own_handler


def test_an_agent_with_secrets_may_answer_a_queue(stack: cdk.Stack, entry: Path) -> None:
    """Its role is the one that the queue grants to."""
    AgentQueue(stack, "Queue", agent=AgentFunction(stack, "Agent", entry=entry, secrets={"KEY": imported(stack)}))
    assert (READ_SECRET, ARN) in granted(stack)


def test_no_secrets_change_nothing(stack: cdk.Stack, entry: Path) -> None:
    """An empty mapping is none."""
    AgentFunction(stack, "Agent", entry=entry, handler="agent.respond", secrets={})
    assert function(stack)["Handler"] == "agent.respond"
    assert granted(stack) == []


@pytest.mark.parametrize("name", ["", "A", "1KEY", "_KEY", "A-KEY", "A KEY", "A_KEY\n", "Ä_KEY", "a.b", "A=B"])
def test_fails_when_a_name_cannot_be_a_variables(stack: cdk.Stack, entry: Path, name: str) -> None:
    """As Lambda has them."""
    with pytest.raises(ValueError, match=r"^a name in secrets must be letters, digits and underscores, such as "):
        AgentFunction(stack, "Agent", entry=entry, secrets={name: imported(stack)})


@pytest.mark.parametrize(
    ("name", "owner"),
    [("AK_CONSTRUCTS_SECRETS", "this library"), *((name, "Lambda") for name in sorted(LAMBDA_RESERVED_NAMES))],
)
def test_fails_when_a_name_is_taken(stack: cdk.Stack, entry: Path, name: str, owner: str) -> None:
    """By what would stop working without it."""
    with pytest.raises(
        ValueError, match=rf"^secrets must not take a name that {owner} sets itself, got '{name}'; rename"
    ):
        AgentFunction(stack, "Agent", entry=entry, secrets={name: imported(stack)})


def test_a_key_of_bedrocks_may_have_the_name_that_boto3_looks_for(stack: cdk.Stack, entry: Path) -> None:
    """Not every name that begins with AWS is Lambda's."""
    AgentFunction(stack, "Agent", entry=entry, secrets={"AWS_BEARER_TOKEN_BEDROCK": imported(stack)})


def test_fails_when_a_variable_has_the_same_name(stack: cdk.Stack, entry: Path) -> None:
    """It would be in the template, and then overwritten."""
    with pytest.raises(ValueError, match=r"^secrets and environment must not set the same name, got 'KEY'; leave one"):
        AgentFunction(stack, "Agent", entry=entry, environment={"KEY": "x"}, secrets={"KEY": imported(stack)})


@pytest.mark.parametrize("kind", ["str", "SecretValue", "tuple", "tuple of a parameter", "tuple without a field"])
def test_fails_when_a_value_is_no_secret_and_does_not_show_it(stack: cdk.Stack, entry: Path, kind: str) -> None:
    """It may be the value itself."""
    values = {
        "str": "HUSH",
        "SecretValue": cdk.SecretValue.unsafe_plain_text("HUSH"),
        "tuple": ("HUSH", "field"),
        "tuple of a parameter": (secure_string(stack), "field"),
        "tuple without a field": (imported(stack), ""),
    }
    got = type(values[kind]).__name__
    with pytest.raises(
        ValueError, match=rf"^secrets must be secrets, parameters or \(secret, field\), got {got} for 'KEY'; give what"
    ) as refused:
        AgentFunction(stack, "Agent", entry=entry, secrets={"KEY": values[kind]})  # type: ignore[dict-item]
    assert "HUSH" not in str(refused.value)


def test_fails_when_there_is_no_folder_for_our_code(stack: cdk.Stack) -> None:
    """Nobody would bring them."""
    with pytest.raises(ValueError, match=r"^secrets must not be given with code, got both; only a folder has our code"):
        AgentFunction(
            stack,
            "Agent",
            code=lambda_.Code.from_inline("def handler(event, context): ..."),
            handler="index.handler",
            secrets={"KEY": imported(stack)},
        )


def test_fails_when_secrets_have_no_names(stack: cdk.Stack, entry: Path) -> None:
    """A list is what another tool takes."""
    several: Any = [secretsmanager.Secret(stack, "Secret")]
    with pytest.raises(
        TypeError, match=r"^secrets must be a dict, of names and secrets, got a value of type list; name each$"
    ):
        AgentFunction(stack, "Agent", entry=entry, secrets=several)
