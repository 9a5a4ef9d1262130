"""The unmodified example, deployed with the caller's credentials: the emulator's IAM stops CDK's bootstrap roles."""

import aws_cdk as cdk

from examples.queued_pipeline.app import QueuedPipelineStack

app = cdk.App(default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer())
QueuedPipelineStack(app, "QueuedPipeline")
app.synth()
