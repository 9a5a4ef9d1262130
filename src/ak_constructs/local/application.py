"""Deploys a user's app to an emulator of its own, as often as wanted."""

import contextlib
import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ak_constructs.local.deployment import bootstrap, deploy, install_cdk
from ak_constructs.local.emulator import Emulator, emulator, prepare
from ak_constructs.local.progress import step
from ak_constructs.local.stopping import undisturbed
from ak_constructs.local.synthesis import AppError

LAST_LINES = 20  # of an error
STEPS = 4

Outputs = dict[str, dict[str, str]]


class Deployed:
    """An app that runs on an emulator.

    Attributes:
        emulator: What it runs on.
        outputs: Each stack's outputs by their names. Addresses of APIs are those that they have here.
        notes: What is otherwise here than the app says.
    """

    def __init__(self, emulator: Emulator, work: Path, arguments: Sequence[str], context: Mapping[str, str]) -> None:
        self.emulator = emulator
        self.outputs: Outputs = {}
        self.notes: list[str] = []
        self._work, self._context = work, context
        self._app = shlex.join([sys.executable, "-m", "ak_constructs.local.synthesis", *arguments])

    @property
    def endpoint(self) -> str:
        """Where the emulator listens, for `endpoint_url` of boto3 or AWS_ENDPOINT_URL."""
        return self.emulator.endpoint

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to talk to the emulator in place of AWS."""
        return self.emulator.environment

    def reachable(self, url: str) -> str:
        """Give the address that an API's address on AWS has here; any other address is given as it is."""
        return self.emulator.reachable(url)

    def deploy(self) -> None:
        """Deploy all stacks as the app defines them now.

        Raises:
            AppError: The app cannot be synthesized, or cannot be deployed.
        """
        told = self._work / "synthesis.json"
        told.unlink(missing_ok=True)
        extra = {"AK_CONSTRUCTS_SYNTHESIS": str(told)}
        try:
            found = deploy(self.emulator, self._work, app=self._app, context=self._context, environment=extra)
        except RuntimeError as error:
            own = json.loads(told.read_text(encoding="utf-8"))["error"] if told.exists() else ""
            lines = (own or str(error)).rstrip().splitlines()[-LAST_LINES:]
            raise AppError("\n".join(["the app was not deployed:", *lines])) from None
        self.notes = json.loads(told.read_text(encoding="utf-8"))["notes"]
        self.outputs = {
            stack: {name: self.reachable(value) for name, value in outputs.items()} for stack, outputs in found.items()
        }

    def deploy_again(self) -> bool:
        """Deploy what the app defines now, and say so; an error of the app's is printed, and what ran still runs."""
        try:
            with step("cdk deploy"):
                self.deploy()
        except AppError as error:
            print(error, file=sys.stderr, flush=True)
            return False
        return True


def _install() -> None:
    try:
        install_cdk()
        prepare()
    except RuntimeError as error:
        raise RuntimeError(f"{error}\nOnce, this needs npm's and Python's package index; then no network.") from None


@contextlib.contextmanager
def deployed(app: str | Path | Sequence[str], *, context: Mapping[str, str] | None = None) -> Iterator[Deployed]:
    """Deploy an app to an emulator of its own; nothing is left at the end of the block, or after an error.

    It prints what it does. The app runs in the current folder, with the Python that runs this.

    Args:
        app: The file that defines the app, or the arguments of Python for it, such as `["-m", "mine.app"]`.
        context: What the app is told, as `cdk deploy --context` would. Defaults to nothing.

    Raises:
        AppError: There is no such file, or the app cannot be synthesized or deployed.
    """
    arguments = [str(app)] if isinstance(app, str | Path) else [*app]
    if isinstance(app, str | Path) and not Path(app).is_file():
        raise AppError(f"there is no file {app} in {Path.cwd()}; say which file defines the app")
    with undisturbed() as disturb_no_more, contextlib.ExitStack() as running:
        try:
            work = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="ak-constructs-")))
            with step(f"1/{STEPS} Installing the CDK command line and the emulator (once)"):
                _install()
            with step(f"2/{STEPS} Starting the emulator"):
                started = running.enter_context(emulator(work / "emulator.log"))
            with step(f"3/{STEPS} cdk bootstrap"):
                bootstrap(started, work)
            made = Deployed(started, work, arguments, context or {})
            with step(f"4/{STEPS} cdk deploy"):
                made.deploy()
            yield made
        finally:
            disturb_no_more()
