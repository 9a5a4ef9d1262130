"""What the demos have in common: the steps up to a deployed example, and an end that leaves nothing behind."""

import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from botocore.credentials import Credentials

from examples.local.deployment import bootstrap, deploy, install_cdk
from examples.local.emulator import Emulator, emulator, prepare
from examples.local.progress import step

CREDENTIALS = Credentials("test", "test")  # any will do: the emulator looks at the key, not at the signature
STEPS = 5  # four here, and what the demo is about


@contextlib.contextmanager
def deployed(
    example: str, stack: str, *, context: Mapping[str, str] | None = None
) -> Iterator[tuple[Emulator, dict[str, str]]]:
    """Deploy an example and give the emulator and the stack's outputs; nothing is left at the end, or after an error.

    Args:
        example: The name of its folder.
        stack: The name of its stack.
        context: What the app is told. Defaults to nothing.
    """
    with contextlib.ExitStack() as running:
        try:
            prefix = f"{example.replace('_', '-')}-"
            work = Path(running.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
            with step(f"1/{STEPS} Installing the CDK command line and the emulator (once)"):
                install_cdk()
                prepare()
            with step(f"2/{STEPS} Starting the emulator"):
                aws = running.enter_context(emulator(work / "emulator.log"))
            with step(f"3/{STEPS} cdk bootstrap"):
                bootstrap(aws, work)
            with step(f"4/{STEPS} cdk deploy"):
                app = f"{sys.executable} -m examples.{example}.app"
                outputs = deploy(aws, work, app=app, context=context)[stack]
            yield aws, outputs
        finally:  # a second Ctrl-C must not interrupt the cleaning up
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def run(main: Callable[[], int]) -> NoReturn:
    """Run a demo so that it can be stopped, by Ctrl-C or SIGTERM, and end with its status."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may have it ignored
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped")
        sys.exit(130)


def _stop(_signal: int, _frame: object) -> None:
    raise SystemExit(143)
