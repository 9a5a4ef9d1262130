"""Deploys a stack without assets at once, without the command line."""

import json

import aws_cdk as cdk
from aws_cdk import assertions

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client


def new_stack(name: str) -> cdk.Stack:
    """Make a stack that needs no bootstrapped account."""
    return cdk.Stack(cdk.App(), name, synthesizer=cdk.BootstraplessSynthesizer())


def create(aws: Emulator, stack: cdk.Stack) -> dict[str, str]:
    """Deploy a stack and give its outputs."""
    stacks = client("cloudformation", aws)
    name = stack.stack_name
    template = assertions.Template.from_stack(stack).to_json()
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    (deployed,) = stacks.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in deployed["Outputs"]}
