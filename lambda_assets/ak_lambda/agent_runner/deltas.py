"""Posts what a run says while it runs: pieces of its answer, and its progress. Hints: the answer comes by itself.

The run only hands over; it never waits for a post. One thread looks for the user's connections, and each connection
has a thread of its own, which keeps its order and delays no other. Nothing that goes wrong here is the run's concern.

Lambda freezes an environment between two events, threads included. Therefore all of them end with their run: none
takes a frame after `end`, and leaving the block waits for posts under way, which their timeouts bound.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable

from ak_lambda.agent_runner.delta_rules import Cutting, Listener
from ak_lambda.shared.connections import Connection
from ak_lambda.shared.posting import Outcome

LOOK_SECONDS = 2.0  # between two looks for connections
LAST_SECONDS = 1.0  # that a reply waits for the rest of the deltas
JOIN_SECONDS = 3.5  # that an environment waits after the reply: a post under way has 1 s to connect, 2 s for an answer
RETRY_SECONDS = 0.25
MAX_FAILURES = 2  # in a row: the first may be a kept connection to the service that is dead since the environment froze
MAX_CONNECTIONS = 16  # that get deltas, each by a thread; as many as a client of boto3's keeps open

_log = logging.getLogger("ak_constructs.deltas")


class Deltas(contextlib.AbstractContextManager["Deltas"]):
    """The deltas and the progress of one run.

    Args:
        cutting: What of it goes into which frame.
        find: Reads the user's connections.
        post: Posts a frame to a connection.
        clock: Seconds, that only ever grow.
        left_seconds: How long this run may still take.
    """

    def __init__(
        self,
        cutting: Cutting,
        *,
        find: Callable[[], Iterable[Connection]],
        post: Callable[[Connection, bytes], Outcome],
        clock: Callable[[], float],
        left_seconds: Callable[[], float],
    ) -> None:
        self._cutting = cutting
        self._find = find
        self._post = post
        self._clock = clock
        self._left_seconds = left_seconds
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._working = 0
        self._served: set[tuple[str, str]] = set()
        self._begun = self._ended = self._stopped = False
        self._said = self._posts = self._dropped = 0

    def __exit__(self, *_error: object) -> None:
        self.stop()
        until = self._clock() + min(JOIN_SECONDS, self._left_seconds() / 2)
        for thread in self._threads:
            thread.join(max(0.0, until - self._clock()))
        if self._begun:
            _log.info("deltas", extra={"posts": self._posts, "dropped": self._dropped, "left": self._working})

    def feed(self, piece: object) -> None:
        """Take a piece of the answer as it comes; an empty one says that others are expected."""
        with self._changed:
            if not isinstance(piece, str):
                self._cutting.turn_off()  # the run will fail, once it has said all
            elif self._cutting.add(piece):
                self._changed.notify_all()
            self._begin()

    def progress(self, text: object) -> None:
        """Take what the run is doing."""
        with contextlib.suppress(Exception), self._changed:  # it may be anything, and fail to be text
            if self._cutting.progress(str(text)):
                self._changed.notify_all()
            self._begin()

    def end(self, *, done: bool) -> None:
        """Give the rest a moment, then post no more; of a run that is not done, post no more at once."""
        with self._changed:
            if done and not self._stopped:
                self._ended = True
                self._cutting.end(done=True)
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._working, min(LAST_SECONDS, self._left_seconds() / 2))
        self.stop()

    def stop(self) -> None:
        """Post no more: this run has ended, or another has taken its place."""
        with self._changed:
            self._ended = self._stopped = True
            self._cutting.end(done=False)
            self._changed.notify_all()

    def _begin(self) -> None:
        """Count what was said, and with the first begin to look for the connections; called with the lock held."""
        self._said += 1
        if not self._begun and not self._ended:
            self._begun = True
            self._start(self._look)

    def _start(self, work: Callable[[], None]) -> None:
        """Start a thread, which counts as working until it ends; called with the lock held."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the run and the other threads go on
                _log.warning("deltas are dropped", extra={"error_type": type(error).__name__})
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

        thread = threading.Thread(target=run, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there are too many
            _log.warning("deltas are dropped", extra={"error_type": "RuntimeError"})
            return
        self._working += 1
        self._threads.append(thread)

    def _look(self) -> None:
        """Find the user's connections, and again those that came since while there is something to post."""
        while True:
            found = self._found()
            with self._changed:
                for connection in found or ():
                    self._serve(connection)
                seen = -1 if found is None else self._said
                self._changed.wait_for(lambda: self._ended, LOOK_SECONDS)
                while not self._ended and self._said == seen:
                    self._changed.wait(LOOK_SECONDS)
                if self._ended:
                    return

    def _found(self) -> list[Connection] | None:
        try:
            return list(self._find())
        except Exception as error:  # noqa: BLE001 - the next look may not fail
            _log.warning("the connections cannot be read", extra={"error_type": type(error).__name__})
            return None

    def _serve(self, connection: Connection) -> None:
        key = (connection.endpoint, connection.connection_id)
        if key not in self._served and self._working <= MAX_CONNECTIONS and not self._stopped:
            self._served.add(key)
            self._start(lambda: self._send(connection, key))

    def _send(self, connection: Connection, key: tuple[str, str]) -> None:
        """Post frame after frame to one connection; one that does not arrive is its last."""
        listener = Listener()
        while (frame := self._next(listener)) is not None:
            outcome = self._posted(connection, frame)
            if outcome != "delivered":
                with self._changed:
                    self._dropped += 1
                    if outcome == "gone" and connection.is_new:
                        self._served.discard(key)  # the next look may find it made
                return

    def _next(self, listener: Listener) -> bytes | None:
        """Wait for a connection's next frame; None when there will be none."""
        with self._changed:
            while not self._stopped:
                if self._cutting.cut(self._clock()):
                    self._changed.notify_all()
                frame = self._cutting.next(listener)
                if frame is not None:
                    self._posts += 1
                    return frame
                if self._ended or self._cutting.has_lost(listener):
                    return None
                self._changed.wait(self._cutting.wait_seconds(self._clock()))
        return None

    def _posted(self, connection: Connection, frame: bytes) -> Outcome:
        for _ in range(MAX_FAILURES):
            outcome = self._post(connection, frame)
            with self._changed:
                if outcome != "failed" or self._changed.wait_for(lambda: self._stopped, RETRY_SECONDS):
                    return outcome
        return "failed"
