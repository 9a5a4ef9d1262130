"""A WebSocket API whose every frame the test sends, so that frames come in an order that no real one would repeat."""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

TOKEN = "header.payload.signature-of-a-user"
SECONDS = 10

Frame = dict[str, Any]


class FakeApi:
    """The API.

    Attributes:
        connections: The open connections, oldest first.
        offered: The sub-protocols that each connection offered.
        paths: What each connection asked for.
        refusing: Whether new connections are refused, as a bad token's are.
    """

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.offered: list[str] = []
        self.paths: list[str] = []
        self.refusing = False
        self._messages: queue.Queue[Frame] = queue.Queue()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The address."""
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/prod"

    def config(self) -> dict[str, str]:
        """Give what the page is told."""
        return {"url": self.url, "token": TOKEN}

    @contextlib.contextmanager
    def running(self, *, subprotocols: Sequence[str] = ("bearer",)) -> Iterator["FakeApi"]:
        """Serve until the end of the block; of sub-protocols, if there are any, a client must offer one."""
        with serve(
            self._talk,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol(each) for each in subprotocols] or None,
            process_request=self._ask,
            compression=None,
        ) as self._server:
            thread = threading.Thread(target=self._server.serve_forever, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self.cut()
                self._server.shutdown()
                thread.join(5)

    def next(self, *, seconds: float = SECONDS) -> Frame:
        """Give the next message of any connection."""
        return self._messages.get(timeout=seconds)

    def nothing(self, *, seconds: float = 0.3) -> bool:
        """Tell whether no message comes."""
        try:
            self.next(seconds=seconds)
        except queue.Empty:
            return True
        return False

    def send(self, *frames: Frame) -> None:
        """Send frames to every connection."""
        for frame in frames:
            for connection in list(self.connections):
                connection.send(json.dumps(frame))

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + SECONDS
        while not true():
            assert time.monotonic() < deadline, (len(self.connections), self.offered)
            time.sleep(0.01)

    def until_offered(self, times: int) -> None:
        """Wait until somebody tried to connect so often."""
        self.until(lambda: len(self.offered) >= times)

    def cut(self) -> None:
        """End every connection without a word, as a lost network does."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # gone already
                connection.socket.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def _ask(self, connection: ServerConnection, request: Any) -> Any:  # noqa: ANN401 - the library's own
        self.offered.append(request.headers.get("Sec-WebSocket-Protocol", ""))
        self.paths.append(request.path)
        return connection.respond(403, "") if self.refusing else None

    def _talk(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            for message in connection:
                self._messages.put(json.loads(message))
        finally:
            with contextlib.suppress(ValueError):
                self.connections.remove(connection)
