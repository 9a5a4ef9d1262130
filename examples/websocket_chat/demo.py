"""Deploys this example to a local AWS emulator, chats with its agent on the terminal, and serves the chat page.

    uv run python -m examples.websocket_chat.demo
    uv run python -m examples.websocket_chat.demo --once "What is a queue?"

It asks once, prints what comes and when, and then serves the page on loopback until Ctrl-C; with `--once` it ends
before. Tokens are of an issuer on loopback, each good for an hour; the page gets a new one each time it connects.
Everybody who opens the page on this machine is the same user: who is who an issuer says.
"""

import argparse
import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ak_constructs.local import deployed
from ak_constructs.local.stopping import run
from examples.local.issuer import issuer
from examples.websocket_chat.client import Chat
from examples.websocket_chat.page_server import served

AUDIENCE = "chat"
USER = "you"
PROMPT = "Why does the text of this answer grow?"
SECONDS = 60


def main(prompt: str, *, once: bool) -> int:
    """Run the whole example; nothing of it is left when this returns or raises."""
    with contextlib.ExitStack() as running:
        work = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="websocket-chat-")))
        signs = running.enter_context(issuer(work))
        context = {"issuer": signs.url, "audience": AUDIENCE, "authority": str(signs.authority)}
        app = running.enter_context(deployed(["-m", "examples.websocket_chat.app"], context=context))
        url = app.outputs["WebSocketChat"]["Url"]

        def token() -> str:
            return signs.token(USER, AUDIENCE)

        print(f"{url}\n")
        asyncio.run(_converse(url, token, prompt))
        if not once:
            page = running.enter_context(served(lambda: {"url": url, "token": token()}))
            print(f"\nChat in a browser: {page}\nCtrl-C ends.", flush=True)
            signal.pause()
    return 0


async def _converse(url: str, token: Callable[[], str], prompt: str) -> None:
    """Ask once, and print what comes when."""
    async with asyncio.timeout(SECONDS), Chat(url, token) as chat:
        print(f"You:   {prompt}\nAgent: ", end="", flush=True)
        started = time.perf_counter()
        first, shown = 0.0, ""
        reply = await chat.send(prompt)
        async for delta in reply:
            first = first or time.perf_counter() - started
            shown += delta
            print(delta, end="", flush=True)
        answer = await reply.answer
        whole = time.perf_counter() - started
    if "result" not in answer:
        raise RuntimeError(f"the service answered {answer}")
    if shown != answer["result"]:  # deltas are hints; the answer is the truth
        print(f"\nAgent: {answer['result']}", end="")
    print(f"\n\nfirst text after {first * 1000:,.0f} ms, the whole answer after {whole * 1000:,.0f} ms", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="*", help=f"what to ask on the terminal; defaults to {PROMPT!r}")
    parser.add_argument("--once", action="store_true", help="end after that")
    arguments = parser.parse_args()
    run(lambda: main(" ".join(arguments.prompt).strip() or PROMPT, once=arguments.once))
