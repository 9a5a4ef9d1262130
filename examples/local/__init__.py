"""Runs an example without an AWS account: the emulator, the real `cdk` command line, a client."""
