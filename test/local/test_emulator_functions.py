"""What we add to the emulator's functions and parameters: each fails when a private name of its version moves."""

import json
import time

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ssm as ssm

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client, complaints
from test.local.stacks import create, new_stack
from test.local.version_pruner_cases import packed

pytestmark = pytest.mark.local


def test_provisioned_concurrency_is_listed(aws: Emulator) -> None:
    """It took the list for the call that gives a single one, and found none."""
    functions = client("lambda", aws)
    code = {"ZipFile": packed()}
    role = "arn:aws:iam::000000000000:role/none"
    functions.create_function(
        FunctionName="provisioned", Runtime="python3.13", Handler="index.handler", Role=role, Code=code
    )
    assert (
        functions.list_provisioned_concurrency_configs(FunctionName="provisioned")["ProvisionedConcurrencyConfigs"]
        == []
    )
    functions.publish_version(FunctionName="provisioned")
    functions.put_provisioned_concurrency_config(
        FunctionName="provisioned", Qualifier="1", ProvisionedConcurrentExecutions=1
    )
    for name in ("provisioned", "arn:aws:lambda:us-east-1:000000000000:function:provisioned"):
        (listed,) = functions.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
        assert listed["FunctionArn"].endswith(":function:provisioned:1")
    single = functions.get_provisioned_concurrency_config(FunctionName="provisioned", Qualifier="1")
    assert single["RequestedProvisionedConcurrentExecutions"] == 1
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.list_provisioned_concurrency_configs(FunctionName="missing")
    functions.delete_function(FunctionName="provisioned")


def test_a_version_may_be_old(aws: Emulator) -> None:
    """Only if its description says so."""
    functions = client("lambda", aws)
    code = {"ZipFile": packed()}
    role = "arn:aws:iam::000000000000:role/none"
    functions.create_function(FunctionName="aged", Runtime="python3.13", Handler="index.handler", Role=role, Code=code)
    then = "2026-01-01T00:00:00.000+0000"
    functions.publish_version(FunctionName="aged", Description=then)
    functions.update_function_configuration(FunctionName="aged", Description="other")
    functions.publish_version(FunctionName="aged", Description="of 2026")
    latest, old, young = functions.list_versions_by_function(FunctionName="aged")["Versions"]
    assert old["LastModified"] == then
    assert young["LastModified"] > then
    assert latest["LastModified"] > then
    functions.delete_function(FunctionName="aged")


def test_a_function_that_cannot_start_logs_why(aws: Emulator) -> None:
    """Whoever asks an API is told 500 alone."""
    began_ms = int(time.time() * 1000)
    functions = client("lambda", aws)
    role = "arn:aws:iam::000000000000:role/none"
    code = {"ZipFile": packed("import nothing_of_this_name")}
    functions.create_function(
        FunctionName="unable", Runtime="python3.13", Handler="index.handler", Role=role, Code=code
    )
    assert functions.invoke(FunctionName="unable")["FunctionError"] == "Unhandled"
    (line,) = [each for each in complaints(aws, began_ms) if "nothing_of_this_name" in each]  # others' may come late
    assert line.startswith("[ERROR] ")
    assert line.endswith("No module named 'nothing_of_this_name'")
    functions.delete_function(FunctionName="unable")


RAISING = """
count = 0

def handler(event, context):
    global count
    count += 1
    raise ValueError(count)
"""


def test_an_environment_goes_on_after_its_handler_raised(aws: Emulator) -> None:
    """Its process was ended, so that each error was followed by a cold start."""
    functions = client("lambda", aws)
    role = "arn:aws:iam::000000000000:role/none"
    code = {"ZipFile": packed(RAISING)}
    functions.create_function(
        FunctionName="raising", Runtime="python3.13", Handler="index.handler", Role=role, Code=code
    )
    answers = [functions.invoke(FunctionName="raising") for _ in range(2)]
    assert [json.load(answer["Payload"])["errorMessage"] for answer in answers] == ["1", "2"]
    assert {answer["FunctionError"] for answer in answers} == {"Unhandled"}
    functions.delete_function(FunctionName="raising")


def test_a_parameter_without_a_name_has_the_arn_that_cdk_says(aws: Emulator) -> None:
    """Its name began with a slash, as CloudFormation's do not."""
    stack = new_stack("Parameters")
    parameter = ssm.StringParameter(stack, "Parameter", string_value="-")
    cdk.CfnOutput(stack, "Arn", value=parameter.parameter_arn)
    cdk.CfnOutput(stack, "Name", value=parameter.parameter_name)
    outputs = create(aws, stack)
    found = client("ssm", aws).get_parameter(Name=outputs["Name"])["Parameter"]
    assert (found["ARN"], found["Value"]) == (outputs["Arn"], "-")
    client("cloudformation", aws).delete_stack(StackName="Parameters")
