"""A CDK app for the tests: a pipeline whose data has a key and a private API, with IAM enforced."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms

from ak_constructs import AgentApi, AgentFunction, QueuedAgentPipeline

app = cdk.App(default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer())
stack = cdk.Stack(app, "Private")
key = kms.Key(stack, "Key")
agent = AgentFunction(stack, "Agent", entry=Path(__file__).parent / "echo", key=key)
pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, key=key)
endpoint = ec2.InterfaceVpcEndpoint.from_interface_vpc_endpoint_attributes(
    stack, "Endpoint", vpc_endpoint_id="vpce-0123456789abcdef0", port=443
)
private = AgentApi(stack, "Api", agent=agent, vpc_endpoint=endpoint)
for name, value in {
    "ChatUrl": pipeline.chat_url,
    "KeyArn": key.key_arn,
    "PrivateApi": private.api.rest_api_id,
    "PrivateUrl": private.chat_url,
}.items():
    cdk.CfnOutput(stack, name, value=value)
app.synth()
