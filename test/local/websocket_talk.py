"""The stack of `websocket_app`, deployed: people with tokens who connect to it, and what is behind it."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets import Subprotocol
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from ak_constructs.local.deployment import deploy
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from examples.websocket_chat.replies import Frame, Parts
from test.issuer import Issuers
from test.token_world import World

WAIT_SECONDS = 20.0
FORMS: Mapping[str, Callable[[str], tuple[dict[str, Any], str]]] = {  # how a token is sent: options, and the query
    "header": lambda token: ({"additional_headers": {"Authorization": f"Bearer {token}"}}, ""),
    "protocol": lambda token: ({"subprotocols": [Subprotocol("bearer"), Subprotocol(token)]}, ""),
    "query": lambda token: ({}, f"?token={token}"),
}


class Talk:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.raw: list[str] = []
        self._parts = Parts()

    def send(self, **message: object) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def hear(self, seconds: float = WAIT_SECONDS) -> Frame:
        """Give the next frame, a long one joined."""
        while True:
            text = str(self.socket.recv(timeout=seconds))
            self.raw.append(text)
            frame = self._parts.joined(json.loads(text))
            if frame["type"] != "PART":
                return frame

    def ask(self, **message: object) -> Frame:
        """Send a message and give the next frame."""
        self.send(**message)
        return self.hear()

    def until(self, type_: str) -> list[Frame]:
        """Give all frames up to one of a type."""
        frames = [self.hear()]
        while frames[-1]["type"] != type_:
            frames.append(self.hear())
        return frames

    def chat(self, prompt: str, **fields: object) -> list[Frame]:
        """Send a chat message and give all frames up to its answer."""
        self.send(route="chat", prompt=prompt, **fields)
        return self.until("CHAT_RESPONSE")

    def is_quiet(self) -> bool:
        """Tell whether nothing has come, by something that is answered at once."""
        self.send(route="ping")
        return bool(self.hear().get("message") == "pong")


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """The deployed stack.

    Attributes:
        aws: The emulator.
        outputs: The stack's.
        world: The issuer.
    """

    aws: Emulator
    outputs: Mapping[str, str]
    world: World

    def token(self, user: str) -> str:
        """Make a token for a user."""
        return self.world.token(sub=user)

    def url(self, api: str = "Chat") -> str:
        """Give an API's address."""
        return self.aws.reachable(self.outputs[f"{api}Url"])

    @contextlib.contextmanager
    def talk(self, user: str, *, api: str = "Chat", form: str = "protocol", token: str | None = None) -> Iterator[Talk]:
        """Connect as a user."""
        options, query = FORMS[form](self.token(user) if token is None else token)
        with connect(self.url(api) + query, compression=None, **options) as socket:
            yield Talk(socket)

    def refusal(self, form: str | None, token: str = "") -> int:
        """Connect with a token that is none, and give the status."""
        options, query = FORMS[form](token) if form else ({}, "")
        try:
            with connect(self.url() + query, **options):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    def rows(self, user: str) -> list[dict[str, Any]]:
        """Give a user's rows of the connections table."""
        found = client("dynamodb", self.aws).query(
            TableName=self.outputs["ConnectionsTable"],
            KeyConditionExpression="user_id = :user",
            ExpressionAttributeValues={":user": {"S": user}},
            ConsistentRead=True,
        )
        return [dict(item) for item in found["Items"]]


@contextlib.contextmanager
def deployed_on(aws: Emulator, work: Path) -> Iterator[Deployed]:
    """Deploy the stack for an issuer on loopback."""
    with Issuers(work).running() as issuers:
        world = World(issuers, "sockets")
        context = {"issuer": world.issuer.url, "authority": str(issuers.authority)}
        outputs = deploy(aws, work, app=f"{sys.executable} -m test.local.websocket_app", context=context)["WebSocket"]
        yield Deployed(aws=aws, outputs=outputs, world=world)
