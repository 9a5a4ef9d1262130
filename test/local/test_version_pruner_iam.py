"""VersionPruner with IAM enforced, as AWS says that it does: what its role may do, and that it needs that."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from examples.local.deployment import bootstrap, deploy, install_cdk
from examples.local.emulator import Emulator, emulator
from examples.local.logs import client
from test.local import version_pruner_cases as cases

pytestmark = pytest.mark.local
Made = dict[str, cases.Versions]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Run an emulator that checks signatures and policies."""
    install_cdk()
    with emulator(tmp_path_factory.mktemp("iam") / "emulator.log", enforce_iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def made(aws: Emulator) -> Made:
    """Publish versions of four functions."""
    return cases.publish(aws, cases.IAM_NAMES)


@pytest.fixture(scope="module")
def outputs(aws: Emulator, made: Made, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Deploy a pruner of these."""
    assert made
    work = tmp_path_factory.mktemp("work")
    bootstrap(aws, work)
    return deploy(aws, work, app=f"{sys.executable} -m test.local.version_pruner_iam_app")["Pruning"]


def role_policy(aws: Emulator) -> tuple[str, str, dict[str, Any]]:
    """Give the role, its one policy's name, and what that says."""
    roles = client("iam", aws)
    listed = [role["RoleName"] for role in roles.list_roles()["Roles"]]
    (name,) = (each for each in listed if each.startswith("Pruning-ByNameFunctionRole"))
    (policy,) = roles.list_role_policies(RoleName=name)["PolicyNames"]
    return name, policy, roles.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]


@contextlib.contextmanager
def without(aws: Emulator, action: str) -> Iterator[None]:
    """Take an action from the function's role for a while."""
    name, policy, document = role_policy(aws)
    changed = []
    for statement in document["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        changed.append({**statement, "Action": [each for each in actions if each != action] or ["none:None"]})
    assert changed != document["Statement"]
    roles = client("iam", aws)

    def put(statements: object) -> None:
        text = json.dumps({**document, "Statement": statements})
        roles.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text)

    put(changed)
    try:
        yield
    finally:
        put(document["Statement"])


@pytest.mark.parametrize(
    "action",
    [
        "lambda:DeleteFunction",
        "lambda:ListVersionsByFunction",
        "lambda:ListAliases",
        "lambda:ListProvisionedConcurrencyConfigs",
        "lambda:ListEventSourceMappings",
    ],
)
def test_without_one_of_its_permissions_it_deletes_nothing_and_says_so(
    aws: Emulator, made: Made, outputs: dict[str, str], action: str
) -> None:
    """It cannot tell what is in use, or delete it."""
    before = cases.all_numbered(aws, list(made))
    with without(aws, action):
        report = cases.invoke(aws, outputs["ByNameFunction"], {})
    assert cases.listed(report["deleted"]) == {}
    assert cases.all_numbered(aws, list(made)) == before
    operation = action.partition(":")[2]
    assert {failure["what"] for failure in report["failures"]} == {f"{operation}: AccessDeniedException"}


def test_its_permission_deletes_versions_and_not_the_function(aws: Emulator, outputs: dict[str, str]) -> None:
    """Held against somebody who has just that, and means harm."""
    assert outputs
    document = role_policy(aws)[2]
    delete = [
        each for each in document["Statement"] if each["Action"] in ("lambda:DeleteFunction", ["lambda:DeleteFunction"])
    ]
    assert len(delete) == 1
    users = client("iam", aws)
    users.create_user(UserName="mallory")
    text = json.dumps({"Version": "2012-10-17", "Statement": delete})
    users.put_user_policy(UserName="mallory", PolicyName="delete", PolicyDocument=text)
    key = users.create_access_key(UserName="mallory")["AccessKey"]
    functions = boto3.client(
        "lambda",
        endpoint_url=aws.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        functions.delete_function(FunctionName="worker-00")
    with pytest.raises(ClientError, match="AccessDenied"):
        functions.delete_function(FunctionName=outputs["ByNameFunction"], Qualifier="1")
    functions.delete_function(FunctionName="worker-00", Qualifier="1")
    assert "1" not in cases.numbered(aws, "worker-00")
    assert "2" in cases.numbered(aws, "worker-00")


def test_with_all_of_them_it_deletes_what_is_to_go(aws: Emulator, made: Made, outputs: dict[str, str]) -> None:
    """Without a failure."""
    report = cases.invoke(aws, outputs["ByNameFunction"], {})
    assert report["failures"] == []
    left = cases.all_numbered(aws, list(made))
    for name, versions in made.items():
        assert left[name] == {str(number) for number in [*versions.old, *versions.young]} - versions.to_go()
