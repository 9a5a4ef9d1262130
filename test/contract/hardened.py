"""Constructs as a cautious company would have them, or as they are by themselves."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms

from ak_constructs import AgentFunction, KeepWarm, QueuedAgentPipeline, VersionPruner

WEB_ACL = "arn:aws:wafv2:us-east-1:111122223333:regional/webacl/rules/1"


def define(stack: cdk.Stack, *, hardened: bool) -> None:
    """Define them, hardened with a key, in a network, behind a VPC endpoint and a web ACL."""
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    key = kms.Key(stack, "Key", enable_key_rotation=True)
    endpoint = vpc.add_interface_endpoint("Endpoint", service=ec2.InterfaceVpcEndpointAwsService.APIGATEWAY)
    inside: dict[str, Any] = {"key": key, "vpc": vpc} if hardened else {}
    private = {**inside, "vpc_endpoint": endpoint} if hardened else {}
    agent = AgentFunction(stack, "Agent", entry="examples/chat_api/agent", **inside)
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, **private)
    if hardened:
        pipeline.add_web_acl(WEB_ACL)
    KeepWarm(stack, "Warm", targets=[agent], **inside)
    VersionPruner(stack, "Pruner", functions=[agent], **inside)
