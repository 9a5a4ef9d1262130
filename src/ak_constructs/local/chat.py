"""Talks with an app's agent on the terminal: by its REST API, at once or by polls, or by its WebSocket API."""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ak_constructs.local import rest_chat, websocket_chat
from ak_constructs.local.answers import Asked, RefusedError, Screen
from ak_constructs.local.application import Deployed, Outputs
from ak_constructs.local.logs import complaints

CHAT_ROUTE = "/chat"  # how the path of a chat route ends, unless its API was given another
LAST_COMPLAINTS = 5


class NoChatError(Exception):
    """There is no chat API, or it is not clear which."""


def find_chat(outputs: Outputs, name: str | None = None) -> str:
    """Give the address of the app's chat API.

    Args:
        outputs: Each stack's outputs, with addresses as they are here.
        name: Which output it is, with its stack (`Support.ChatUrl`) or without. Defaults to the only one that can be.
    """
    every = {f"{stack}.{key}": value for stack, found in outputs.items() for key, value in found.items()}
    wanted = {
        key: value
        for key, value in every.items()
        if (name in {key, key.partition(".")[2]} if name else _may_be_chat(value))
    }
    if len(wanted) == 1:
        (address,) = wanted.values()
        if not _is_api(address):
            raise NoChatError(f"the output {name} must be the address of an API, got {address}")
        return address
    if wanted:
        raise NoChatError(f"several outputs can be meant; say which: --output {' or --output '.join(wanted)}")
    there = f"there are {', '.join(every)}" if every else "there is none at all"
    what = f"is named {name}" if name else f"begins with wss:// or ends in {CHAT_ROUTE}"
    remedy = "name one with --output, or define one: cdk.CfnOutput(stack, 'ChatUrl', value=api.chat_url)"
    raise NoChatError(f"no output {what}; {there}; {remedy}")


def _is_api(address: str) -> bool:
    return "/_aws/execute-api/" in address


def _may_be_chat(address: str) -> bool:
    return _is_api(address) and (address.startswith("ws") or urlsplit(address).path.endswith(CHAT_ROUTE))


@dataclass
class Conversation:
    """What is said to one agent, and by whom.

    Attributes:
        running: The app.
        address: Its chat API's.
        token: A bearer token; without one, requests are signed with SigV4.
        session_id: The conversation's.
    """

    running: Deployed
    address: str
    token: str | None = None
    session_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def ask(self, prompt: str) -> bool:
        """Ask, print what comes, and say whether it was an answer."""
        began_ms = int(time.time() * 1000)
        asked = Asked(address=self.address, prompt=prompt, session_id=self.session_id, token=self.token)
        way: Callable[[Asked, Screen], Mapping[str, Any]]
        way = websocket_chat.ask if self.address.startswith("ws") else rest_chat.ask
        with Screen() as screen:
            try:
                answer = way(asked, screen)
            except RefusedError as error:
                screen.trouble(str(error))
                for line in complaints(self.running.emulator, began_ms)[-LAST_COMPLAINTS:]:
                    screen.trouble(f"  log: {line}")
                return False
        result = answer.get("result")
        screen.answer(result if isinstance(result, str) else json.dumps(answer, ensure_ascii=False))
        return True

    def hold(self) -> None:
        """Read prompts until the end of input; an empty one deploys the app again."""
        print("Type a message; Enter alone deploys again, `exit`, Ctrl-D or Ctrl-C ends.", flush=True)
        while (prompt := _read()) not in {None, "exit"}:
            if prompt:
                self.ask(prompt)
            else:
                self.running.deploy_again()


def _read() -> str | None:
    try:
        return input("You:   ").strip()
    except EOFError:
        print()
        return None
