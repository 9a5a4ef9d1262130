"""Lets a program be stopped at any moment, and clean up undisturbed."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Callable[[], int]) -> NoReturn:
    """Run a program so that it can be stopped, by Ctrl-C, SIGTERM or a closed terminal, and end with its status."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may have it ignored
    try:
        status = main()
    except KeyboardInterrupt:
        _ignore()
        print("\nstopped")
        status = 130
    _ignore()
    sys.exit(status)


@contextlib.contextmanager
def undisturbed() -> Iterator[Callable[[], None]]:
    """Give what makes signals be ignored until the end of the block: a second Ctrl-C must not stop the cleaning up."""
    if threading.current_thread() is not threading.main_thread():  # which alone has signals
        yield lambda: None
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield _ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
