"""A CDK app for the tests: Agent Kernel, unmodified, behind AgentApi; its argument is the emulator's Python version."""

import platform
import sys
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from ak_constructs import AgentApi, AgentFunction, Authorization

ENTRY = Path(__file__).parent / "agentkernel"
ARCHITECTURE = lambda_.Architecture.X86_64 if platform.machine() == "x86_64" else lambda_.Architecture.ARM_64
RUNTIME = lambda_.Runtime(f"python{sys.argv[1]}", lambda_.RuntimeFamily.PYTHON)

app = cdk.App()
stack = cdk.Stack(app, "AgentKernel")
agent = AgentFunction(stack, "Agent", entry=ENTRY, handler="app.handler", architecture=ARCHITECTURE, runtime=RUNTIME)
authorizer = AgentFunction(
    stack, "Authorizer", entry=ENTRY, handler="auth.handler", architecture=ARCHITECTURE, runtime=RUNTIME
)
api = AgentApi(stack, "Api", agent=agent, authorization=Authorization.lambda_function(authorizer, user_key="userId"))
api.add_route("GET", "/app", agent)
api.add_route("POST", "/app_info", agent)
cdk.CfnOutput(stack, "ChatUrl", value=api.chat_url)
validated = Authorization.jwt(custom=ENTRY, user_claim="userId", architecture=ARCHITECTURE)
tokens = AgentApi(stack, "Tokens", agent=agent, authorization=validated)
cdk.CfnOutput(stack, "TokensUrl", value=tokens.chat_url)
app.synth()
