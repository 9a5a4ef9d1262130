"""Example apps: each is a CDK app of its own, with a demo that runs it on the local emulator."""
