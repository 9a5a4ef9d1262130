"""Deploys a CDK app to the emulator with the real `cdk` command line."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from examples.local.emulator import Emulator, stop_group
from examples.local.environment import ROOT

BOOTSTRAP_SECONDS = 120
DEPLOY_SECONDS = 300
INSTALL_SECONDS = 300
CDK = ROOT / "node_modules" / ".bin" / "cdk"


def install_cdk() -> None:
    """Install the CDK command line at the version that package-lock.json pins, unless it is there."""
    if not CDK.exists():
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ROOT, seconds=INSTALL_SECONDS)


def bootstrap(emulator: Emulator, work: Path) -> None:
    """Give the emulator's account what `cdk deploy` needs, as one does once in a real account."""
    command = [str(CDK), "bootstrap", "aws://000000000000/us-east-1", "--no-notices"]
    run(command, cwd=work, seconds=BOOTSTRAP_SECONDS, environment=_environment(emulator, work))


def deploy(
    emulator: Emulator, work: Path, *, app: str, cwd: Path = ROOT, context: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    """Deploy all stacks of an app and give their outputs by stack.

    Args:
        emulator: Where to.
        work: A folder for what the command line writes.
        app: The command that synthesizes, such as `python app.py`.
        cwd: Where that command runs.
        context: What the app is told. Defaults to nothing.
    """
    outputs = work / "outputs.json"
    command = [str(CDK), "deploy", "--all", "--app", app, "--output", str(work / "cdk.out")]
    command += ["--require-approval", "never", "--outputs-file", str(outputs), "--no-notices"]
    command += [word for name, value in (context or {}).items() for word in ("--context", f"{name}={value}")]
    run(command, cwd=cwd, seconds=DEPLOY_SECONDS, environment=_environment(emulator, work))
    found: dict[str, dict[str, str]] = json.loads(outputs.read_text(encoding="utf-8"))
    return found


def run(command: list[str], *, cwd: Path, seconds: int, environment: dict[str, str] | None = None) -> str:
    """Run a command to its end and give what it printed; raise with the end of that when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # our Node.js before the system's
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**(os.environ if environment is None else environment), "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            printed = process.communicate(timeout=seconds)[0].decode(errors="replace")
        finally:
            stop_group(process)
    if process.returncode != 0:
        end = "\n".join(printed.splitlines()[-40:])
        raise RuntimeError(f"{' '.join(command[:2])} ended with status {process.returncode}:\n{end}")
    return printed


def _environment(emulator: Emulator, work: Path) -> dict[str, str]:
    """Keep out of the way what would lead elsewhere: a person's AWS settings and proxies."""
    elsewhere = ("AWS_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(elsewhere)},
        **emulator.environment,
        "CDK_HOME": str(work / "cdk-home"),  # it remembers accounts there by access key; these are nobody's
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_VALIDATION": "false",  # seconds, for warnings that nobody would see; a unit test makes them errors
        "CI": "true",
    }
