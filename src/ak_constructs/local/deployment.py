"""Deploys a CDK app to the emulator with the real `cdk` command line."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ak_constructs.local.emulator import Emulator, stop_group
from ak_constructs.local.environment import kept
from ak_constructs.local.needs import programs

BOOTSTRAP_SECONDS = 120
DEPLOY_SECONDS = 300
INSTALL_SECONDS = 300
HERE = Path(__file__).parent


def install_cdk() -> Path:
    """Install the CDK command line at the version that package-lock.json pins, unless it is there, and give it."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, seconds=INSTALL_SECONDS)

    return kept((HERE / "package-lock.json").read_bytes(), make) / "node_modules" / ".bin" / "cdk"


def bootstrap(emulator: Emulator, work: Path) -> None:
    """Give the emulator's account what `cdk deploy` needs, as one does once in a real account."""
    command = [str(install_cdk()), "bootstrap", "aws://000000000000/us-east-1", "--no-notices"]
    run(command, cwd=work, seconds=BOOTSTRAP_SECONDS, environment=_environment(emulator, work))


def deploy(
    emulator: Emulator,
    work: Path,
    *,
    app: str,
    cwd: Path | None = None,
    context: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, dict[str, str]]:
    """Deploy all stacks of an app, those of its stages too, and give their outputs by stack.

    Args:
        emulator: Where to.
        work: A folder for what the command line writes.
        app: The command that synthesizes, such as `python app.py`.
        cwd: Where that command runs. Defaults to where this runs.
        context: What the app is told. Defaults to nothing.
        environment: What else is in the environment of the command line, and of the app. Defaults to nothing.
    """
    outputs = work / "outputs.json"
    command = [str(install_cdk()), "deploy", "**", "--app", app, "--output", str(work / "cdk.out")]
    command += ["--require-approval", "never", "--outputs-file", str(outputs), "--no-notices"]
    command += ["--profile", ""]  # none that a cdk.json names
    command += [word for name, value in (context or {}).items() for word in ("--context", f"{name}={value}")]
    run(command, cwd=cwd, seconds=DEPLOY_SECONDS, environment={**_environment(emulator, work), **(environment or {})})
    found: dict[str, dict[str, str]] = json.loads(outputs.read_text(encoding="utf-8"))
    return found


def run(command: list[str], *, cwd: Path | None, seconds: int, environment: dict[str, str] | None = None) -> str:
    """Run a command to its end and give what it printed; raise with the end of that when it fails."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={
            **(os.environ if environment is None else environment),
            "PATH": programs(),
        },  # our Node.js before the system's
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            printed = process.communicate(timeout=seconds)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{' '.join(command[:2])} did not end within {seconds} s") from None
        finally:
            stop_group(process)
    if process.returncode != 0:
        end = "\n".join(printed.splitlines()[-40:])
        raise RuntimeError(f"{' '.join(command[:2])} ended with status {process.returncode}:\n{end}")
    return printed


def _environment(emulator: Emulator, work: Path) -> dict[str, str]:
    """Keep out of the way what would lead elsewhere: a person's AWS settings, the command line's too, and proxies."""
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    options = ("CDK_PROFILE", "CDK_PROXY", "CDK_ROLE_ARN")  # which it reads as variables, too
    elsewhere = ("AWS_", *proxies, *options)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(elsewhere)},
        **emulator.environment,
        "CDK_HOME": str(work / "cdk-home"),  # it remembers accounts there by access key; these are nobody's
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_VALIDATION": "false",  # seconds, for warnings that nobody would see; a unit test makes them errors
        "CI": "true",
    }
