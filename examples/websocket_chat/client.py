"""Talks to a `WebSocketAgentApi`: its connection is opened again when it breaks, and no answer is lost."""

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import Callable
from typing import Any, NoReturn, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from examples.websocket_chat.replies import Frame, Parts, Reply

QUIET_SECONDS = 300  # then a ping: API Gateway closes what is silent for ten minutes
REST_SECONDS = (0.1, 2)  # before connecting again, by chance: not all at once; twice as long after each failure
MOST_DOUBLED = 5
REFUSALS = {400, 401, 403, 404}


class Chat:
    """A connection, for `async with`; `token` is asked anew whenever it opens, and one that is refused raises."""

    def __init__(self, url: str, token: Callable[[], str], *, by_header: bool = False, route: str = "chat") -> None:
        self._url, self._token, self._by_header, self._route = url, token, by_header, route
        self._replies: dict[str, Reply] = {}
        self._socket: ClientConnection
        self._leave = False  # API Gateway ends each connection after two hours: better before

    async def __aenter__(self) -> Self:
        opened = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._keep_open(opened))
        await asyncio.wait([opened, self._running], return_when=asyncio.FIRST_COMPLETED)
        return self if opened.done() else self._running.result()

    async def __aexit__(self, *_error: object) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    async def send(self, prompt: str, **fields: object) -> Reply:
        """Ask something; what else is given goes along, such as `session_id`.

        Raises:
            ValueError: The message is too long for a WebSocket.
            InvalidStatus: The token was refused when the connection was opened again.
        """
        return await self._ask({"request_id": str(uuid.uuid4()), **fields, "route": self._route, "prompt": prompt})

    async def resume(self, request_id: str) -> Reply:
        """Ask for what this user asked before, here or elsewhere."""
        return await self._ask({"route": "resume", "request_id": request_id})

    async def ping(self) -> None:
        """Wait for a sign of life."""
        await (await self._ask({"route": "ping", "request_id": "ping"})).answer

    async def _ask(self, message: Frame) -> Reply:
        reply = self._replies[message["request_id"]] = Reply(message)
        await self._tell(message)
        return reply

    async def _tell(self, message: Frame) -> None:
        if self._running.done():
            self._running.result()
        with contextlib.suppress(WebSocketException):  # the next connection asks for all that has no answer
            await self._socket.send(json.dumps(message))

    async def _keep_open(self, opened: asyncio.Future[None]) -> NoReturn:
        failures = 0
        while True:
            failures += 1
            token, by_header = self._token(), self._by_header
            options: dict[str, Any] = {"subprotocols": [Subprotocol("bearer"), Subprotocol(token)]}
            options = {"additional_headers": {"Authorization": f"Bearer {token}"}} if by_header else options
            try:
                async with connect(self._url, **options) as self._socket:
                    opened.cancel()  # ends the waiting, and does nothing later
                    failures = 0
                    for request_id in list(self._replies):
                        await self._tell({"route": "resume", "request_id": request_id})
                    await self._listen()
            except (OSError, WebSocketException) as error:
                if isinstance(error, InvalidStatus) and error.response.status_code in REFUSALS:
                    for reply in self._replies.values():
                        reply.fail(error)
                    raise
            rest = random.uniform(*REST_SECONDS)  # noqa: S311 - nothing to guess
            await asyncio.sleep(rest * 2 ** min(failures, MOST_DOUBLED))

    async def _listen(self) -> None:
        parts = Parts()
        while self._replies or not self._leave:
            try:
                text = await asyncio.wait_for(self._socket.recv(), QUIET_SECONDS)
            except TimeoutError:
                await self._tell({"route": "ping"})
                continue
            frame = parts.joined(json.loads(text))
            if "connectionId" in frame and "type" not in frame:
                return  # API Gateway's own words: it took no message; the next connection asks which
            self._leave = self._leave or frame.get("reconnect", False)
            named = frame.get("request_id", "ping" if frame.get("message") == "pong" else "")
            reply = self._replies.get(named)
            if reply and reply.is_lost(frame):
                await self._tell(reply.message)
            elif reply and reply.take(frame):
                del self._replies[reply.message["request_id"]]
        self._leave = False
