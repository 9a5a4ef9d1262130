"""A question to an agent, and how its answer is shown while it comes."""

import sys
import threading
import uuid
from dataclasses import dataclass, field
from typing import Self

QUIET_SECONDS = 10  # without a sign of the answer, until it is said that one waits


class RefusedError(Exception):
    """The API refused a message, or its agent failed."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A message to an agent.

    Attributes:
        address: Its API's.
        prompt: The message.
        session_id: The conversation.
        token: A bearer token; without one, the request is signed with SigV4.
        request_id: This message.
    """

    address: str
    prompt: str
    session_id: str
    token: str | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Screen:
    """Shows one answer: text as it comes, what the agent says that it does, and in the end the truth.

    While it is entered, it says once that one waits when nothing was shown for `QUIET_SECONDS`.
    """

    def __init__(self) -> None:
        self._shown = ""
        self._progress = ""
        self._silent = True
        self._lock = threading.Lock()
        self._quiet = threading.Timer(QUIET_SECONDS, self._wait)
        self._quiet.daemon = True

    def __enter__(self) -> Self:
        self._quiet.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._quiet.cancel()

    def delta(self, text: str) -> None:
        """Show a piece of the answer."""
        self._speak()
        print(text if self._shown else f"Agent: {text}", end="", flush=True)
        self._shown += text

    def progress(self, text: str) -> None:
        """Show what the agent does, once."""
        if text != self._progress:
            self._end_line()
            print(f"       ({text})", flush=True)
            self._progress = text

    def answer(self, text: str) -> None:
        """Show the answer, unless all of it was shown as it came."""
        if text != self._shown or not text:
            self._end_line()
            print(f"Agent: {text or '(an empty text)'}", end="")
        print(flush=True)

    def trouble(self, text: str) -> None:
        """Show what went wrong."""
        self._end_line()
        print(f"Error: {text}" if not text.startswith(" ") else text, file=sys.stderr, flush=True)

    def _end_line(self) -> None:
        self._speak()
        if self._shown:
            print(flush=True)
            self._shown = ""

    def _speak(self) -> None:
        with self._lock:
            self._silent = False

    def _wait(self) -> None:
        with self._lock:
            if self._silent:
                print("       (no answer yet; Ctrl-C ends)", flush=True)
