"""The pruners of a few functions, deployed with the caller's credentials: the emulator's IAM stops CDK's own roles."""

import aws_cdk as cdk

from test.local.version_pruner_app import define
from test.local.version_pruner_cases import IAM_NAMES

define(cdk.App(default_stack_synthesizer=cdk.CliCredentialsStackSynthesizer()), IAM_NAMES)
