"""A CDK app for the tests: an agent and a handler of its own, both with secrets; CDK's bootstrap roles as in `iam_app`.

The secret and the parameter are made beforehand: CloudFormation makes no SecureString, and a secret's value is no part
of a template.
"""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm

from ak_constructs import AgentFunction

app = cdk.App(default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer())
stack = cdk.Stack(app, "Secrets")
secret = secretsmanager.Secret.from_secret_name_v2(stack, "Secret", "agents/openai")
token = ssm.StringParameter.from_secure_string_parameter_attributes(stack, "Token", parameter_name="/agents/token")
entry = Path(__file__).parent / "keyed"
agent = AgentFunction(stack, "Agent", entry=entry, secrets={"API_KEY": (secret, "key"), "TOKEN": token})
raw = AgentFunction(
    stack, "Raw", entry=entry, handler="agent.answer", secrets={"API_KEY": (secret, "key"), "TOKEN": token}
)
for name, value in {
    "AgentName": agent.function_name,
    "AgentLogGroup": agent.log_group.log_group_name,
    "RawName": raw.function_name,
    "RawLogGroup": raw.log_group.log_group_name,
}.items():
    cdk.CfnOutput(stack, name, value=value)
app.synth()
