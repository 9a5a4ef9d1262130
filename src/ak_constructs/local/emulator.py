"""Starts and stops a local AWS emulator, on loopback, in a virtual environment of its own."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from ak_constructs.local.environment import make_environment

HERE = Path(__file__).parent
START_SECONDS = 60
STOP_SECONDS = 10
# A person's own files may name real credentials, a program that gets some, or `ignore_configured_endpoint_urls`, with
# which an SDK asks AWS whatever AWS_ENDPOINT_URL says.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html, read 2026-11-21
NO_SETTINGS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
STOP_EMULATOR_SECONDS = 2  # its functions may still wait for an answer of its own, and it keeps nothing


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A running emulator.

    Attributes:
        endpoint: Where it listens.
        log: What it prints.
    """

    endpoint: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 and the CDK command line need to talk to it and to nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            **NO_SETTINGS,
        }

    def reachable(self, url: str) -> str:
        """Turn the address that an API has on AWS into the one it has here; leave any other as it is."""
        # The attribute of an HTTP API has the emulator's own words for the domain, a name that resolves nowhere.
        on_aws = re.match(r"(https?|wss?)://([a-z0-9]+)\.execute-api\.[a-z0-9.-]+(?::\d+)?(?=/|$)", url)
        if on_aws is None:
            return url
        scheme, _, host = self.endpoint.partition("://")
        scheme = "ws" if on_aws[1].startswith("ws") else scheme
        return f"{scheme}://{host}/_aws/execute-api/{on_aws[2]}{url[on_aws.end() :]}"


def prepare(base: str = sys.executable) -> Path:
    """Make the emulator's environment unless it is there, and give its Python.

    Args:
        base: The Python to make it of, which then runs the functions too. Defaults to the one that runs this.
    """
    return make_environment(HERE / "requirements.txt", base)


@contextlib.contextmanager
def emulator(log: Path, *, base: str = sys.executable, enforce_iam: bool = False) -> Iterator[Emulator]:
    """Run an emulator; it and its workers are gone at the end, whatever happens in between.

    Args:
        log: A file for what it prints, in a folder that it may write to.
        base: The Python that runs it and the functions.
        enforce_iam: Whether it checks signatures and policies; it then refuses what a role may not do, and writes what
            it decided to `decisions.jsonl`, and what functions call to `calls.jsonl`, beside the log.
    """
    python = prepare(base)
    port = _free_port()
    running = Emulator(endpoint=f"http://127.0.0.1:{port}", log=log)
    # Not our whole environment: it would leak into the handlers, credentials and settings included.
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true" if enforce_iam else "false",
        **({"AK_CONSTRUCTS_CALLS": str(log.with_name("calls.jsonl"))} if enforce_iam else {}),
        **NO_SETTINGS,  # which functions inherit
        "PYTHONPATH": str(HERE / "lambda_runtime"),
        "TMPDIR": str(log.parent),
    }
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [python, HERE / "patched_ministack.py", log],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_until_healthy(running, process)
            yield running
        finally:
            stop_group(process, seconds=STOP_EMULATOR_SECONDS)


def stop_group(process: subprocess.Popen[bytes], *, seconds: int = STOP_SECONDS) -> None:
    """End a process that leads a session of its own, with all it started; by force after a while."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


def _wait_until_healthy(running: Emulator, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the emulator ended with status {process.returncode}; see {running.log}")
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{running.endpoint}/_ministack/health", timeout=5, trust_env=False).raise_for_status()
            return
        time.sleep(0.05)
    raise RuntimeError(f"the emulator did not answer within {START_SECONDS} s; see {running.log}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
