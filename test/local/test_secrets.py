"""Secrets in an emulator that enforces IAM: read, rotated, denied; and never to be seen."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ak_constructs.local.deployment import bootstrap, deploy, install_cdk
from ak_constructs.local.emulator import Emulator, emulator
from ak_constructs.local.logs import client, log_lines
from test.local.queued_pipeline import until

pytestmark = pytest.mark.local
SECRET = "agents/openai"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator that checks policies."""
    install_cdk()
    with emulator(tmp_path_factory.mktemp("secrets") / "emulator.log", enforce_iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def outputs(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Deploy both forms of an agent."""
    work = tmp_path_factory.mktemp("work")
    bootstrap(aws, work)
    client("secretsmanager", aws).create_secret(Name=SECRET, SecretString='{"key": "HUSH-1"}')
    client("ssm", aws).put_parameter(Name="/agents/token", Value="HUSH-token", Type="SecureString")
    return deploy(aws, work, app=f"{sys.executable} -m test.local.secrets_app")["Secrets"]


def ask(aws: Emulator, function: str, prompt: str = "hi") -> dict[str, Any]:
    """Invoke a function."""
    payload = json.dumps({"prompt": prompt}).encode()
    answer: dict[str, Any] = json.load(client("lambda", aws).invoke(FunctionName=function, Payload=payload)["Payload"])
    return answer


def renew(aws: Emulator, function: str) -> None:
    """Let the next run have a new environment, as a changed variable does."""
    functions = client("lambda", aws)
    variables = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    changed = {"Variables": {**variables, "RENEWED": "1"}}
    functions.update_function_configuration(FunctionName=function, Environment=changed)


@pytest.mark.parametrize("form", ["Agent", "Raw"])
def test_secrets_are_there_when_the_module_is_imported(aws: Emulator, outputs: dict[str, str], form: str) -> None:
    """A field of a secret, and a SecureString; of the function's configuration they are no part."""
    answer = ask(aws, outputs[f"{form}Name"])
    assert (answer["at_import"], answer["now"], answer["token"]) == ("HUSH-1", "HUSH-1", "HUSH-token")
    assert "HUSH" not in str(client("lambda", aws).get_function_configuration(FunctionName=outputs[f"{form}Name"]))


def test_a_rotation_costs_one_failed_run(aws: Emulator, outputs: dict[str, str]) -> None:
    """Once the last reading is ten seconds old."""
    client("secretsmanager", aws).put_secret_value(SecretId=SECRET, SecretString='{"key": "HUSH-2"}')
    assert ask(aws, outputs["AgentName"])["now"] == "HUSH-1"
    assert ask(aws, outputs["AgentName"], "fail")["status_code"] == 502
    until(lambda: ask(aws, outputs["AgentName"])["now"] == "HUSH-2")
    assert ask(aws, outputs["AgentName"])["at_import"] == "HUSH-1"


@pytest.mark.parametrize(("form", "action"), [("Agent", "secretsmanager:GetSecretValue"), ("Raw", "ssm:GetParameter")])
def test_a_denied_secret_is_said_and_granted_again_is_read(
    aws: Emulator, outputs: dict[str, str], form: str, action: str
) -> None:
    """In a new environment, which has no value yet; the next request needs no other."""
    roles = client("iam", aws)
    (role,) = (each for each in roles.list_roles()["Roles"] if each["RoleName"].startswith(f"Secrets-{form}Role"))
    (policy,) = roles.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]
    named = {"RoleName": role["RoleName"], "PolicyName": policy}
    document = roles.get_role_policy(**named)["PolicyDocument"]
    without = [each for each in document["Statement"] if each["Action"] != action]
    assert len(without) == len(document["Statement"]) - 1, "the template grants this once"
    roles.put_role_policy(**named, PolicyDocument=json.dumps({**document, "Statement": without}))
    renew(aws, outputs[f"{form}Name"])
    refused = ask(aws, outputs[f"{form}Name"])
    assert "the agent's secrets cannot be read; its log says which" in str(refused)
    logs = outputs[f"{form}LogGroup"]
    until(lambda: any(action in line["message"] for line in log_lines(aws, logs)))
    line = next(line["message"] for line in log_lines(aws, logs) if action in line["message"])
    assert "access denied to arn:aws:" in line
    assert line.endswith(f"; grant {action}")
    roles.put_role_policy(**named, PolicyDocument=json.dumps(document))
    assert ask(aws, outputs[f"{form}Name"])["token"] == "HUSH-token"


def test_no_log_line_has_a_value(aws: Emulator, outputs: dict[str, str]) -> None:
    """Of all runs above."""
    lines = json.dumps([log_lines(aws, outputs[name]) for name in ("AgentLogGroup", "RawLogGroup")])
    assert "answered" in lines
    assert "HUSH" not in lines
