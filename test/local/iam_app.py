"""The unmodified example, deployed with the caller's credentials: the emulator's IAM stops CDK's bootstrap roles."""

import aws_cdk as cdk

from examples.chat_api.app import ChatApiStack

app = cdk.App(default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer())
ChatApiStack(app, "ChatApi")
app.synth()
