"""Holds on to something while a run goes on: a thread that calls back at intervals."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Self

EVERY_SECONDS = 20.0
AFTER_FAILURE_SECONDS = 2.0
BETWEEN_TEXTS_SECONDS = 0.5

_log = logging.getLogger("ak_constructs.heartbeat")


class Heartbeat(contextlib.AbstractContextManager["Heartbeat"]):
    """Beats at once and then at intervals, until its end; a beat that fails is tried again soon.

    Args:
        beat: Called with the newest text that no beat carried yet, or None. It returns whether to go on.
        every_seconds: The interval.
    """

    def __init__(self, beat: Callable[[str | None], bool], *, every_seconds: float = EVERY_SECONDS) -> None:
        self._beat = beat
        self._every_seconds = every_seconds
        self._text: str | None = None
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._wake.set()
        self._thread.join()

    def carry(self, text: str) -> None:
        """Let the next beat carry a text, soon; of several within half a second only the last is carried."""
        self._text = text
        self._wake.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            text, self._text = self._text, None
            self._wake.clear()
            pause = self._every_seconds
            try:
                if not self._beat(text):
                    return
            except Exception as error:  # noqa: BLE001 - whatever fails, the next beat may not
                _log.warning("a heartbeat failed", extra={"error_type": type(error).__name__})
                self._text = self._text or text
                pause = AFTER_FAILURE_SECONDS
            self._rest(pause)

    def _rest(self, pause: float) -> None:
        """Wait for the next beat, for a text, or for the end."""
        until = time.monotonic() + pause
        self._ended.wait(min(BETWEEN_TEXTS_SECONDS, pause))
        while not self._ended.is_set() and self._text is None and time.monotonic() < until:
            self._wake.wait(max(0.0, until - time.monotonic()))
            self._wake.clear()
