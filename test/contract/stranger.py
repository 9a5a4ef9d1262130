"""A user with nothing of ours but the wheel: an own folder, an own environment, an own app."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scripts.project import ROOT, build, uv

APP = """
import aws_cdk as cdk
from ak_constructs import AgentApi, AgentFunction, Authorization

app = cdk.App()
stack = cdk.Stack(app, "Stranger")
agent = AgentFunction(stack, "Agent", entry="agents/echo")
api = AgentApi(stack, "Api", agent=agent, authorization=Authorization.public())
cdk.CfnOutput(stack, "ChatUrl", value=api.chat_url)
app.synth()
"""
REDIS_APP = """
import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from ak_constructs import SessionStore

app = cdk.App()
stack = cdk.Stack(app, "Stranger")
SessionStore(stack, "Sessions")
SessionStore.redis(stack, "Faster", vpc=ec2.Vpc(stack, "Vpc", max_azs=2))
app.synth()
"""
AGENT = """
import hashlib


def respond(turn):
    return hashlib.sha256(turn.prompt.encode()).hexdigest()
"""


@dataclass(frozen=True)
class Stranger:
    """Where the stranger works."""

    folder: Path
    wheel: Path

    @classmethod
    def install(cls, folder: Path, *, extra: str = "") -> "Stranger":
        """Build the wheel, install it in a new environment, with an extra or without, write the app."""
        wheel = build(folder / "dist")
        stranger = cls(folder, wheel)
        subprocess.run([uv(), "venv", "-q", "-p", sys.executable, folder / "venv"], check=True, cwd="/")
        constraints = ROOT / "constraints.txt"
        install = [uv(), "pip", "install", "-q", "-p", str(stranger.python), "-c", str(constraints)]
        install.append(f"{wheel}[{extra}]" if extra else str(wheel))
        subprocess.run(install, check=True, cwd="/")
        (folder / "agents" / "echo").mkdir(parents=True)
        (folder / "agents" / "echo" / "agent.py").write_text(AGENT, encoding="utf-8")
        (folder / "app.py").write_text(APP, encoding="utf-8")
        (folder / "redis_app.py").write_text(REDIS_APP, encoding="utf-8")
        return stranger

    @property
    def python(self) -> Path:
        """The interpreter of the stranger's environment."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def package(self) -> Path:
        """Where the wheel was installed."""
        (package,) = (self.folder / "venv").glob("lib/python*/site-packages/ak_constructs")
        return package

    @property
    def dist_info(self) -> str:
        """The name of the wheel's folder of metadata."""
        name, version = self.wheel.name.split("-")[:2]
        return f"{name}-{version}.dist-info"

    def synth(self, out: Path, *, app: str = "app.py", checkout: bool = False) -> Path:
        """Synthesize an app, with the wheel or with the checkout, and give the cloud assembly."""
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CDK_OUTDIR": str(out),
            "CDK_VALIDATION": "false",  # seconds, for warnings that nobody would see; cfn-lint is asked
        }
        environment.pop("PYTHONPATH", None)
        python = Path(sys.executable) if checkout else self.python
        subprocess.run([python, app], cwd=self.folder, env=environment, check=True, capture_output=True)
        return out
