"""Deploys a CDK app to a local emulator of AWS, where it stays until Ctrl-C, and talks to its agent.

    python -m ak_constructs.local app.py                   Enter deploys again, Ctrl-C ends
    python -m ak_constructs.local app.py --chat            a conversation on the terminal
    python -m ak_constructs.local app.py --chat "Hello"    one question; the status says whether it was answered
    python -m ak_constructs.local app.py -- pytest e2e     runs a command, whose AWS is the emulator

Nothing is left behind, and nothing of the app is changed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ak_constructs.local.needs import missing

if TYPE_CHECKING:
    from ak_constructs.local.application import Deployed

COMMAND_SECONDS = 10  # that a command has to end when this is stopped


def main(arguments: Sequence[str]) -> int:
    """Run an app as the arguments say, and give the status."""
    own, command = list(arguments), []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="python -m ak_constructs.local",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [--chat [PROMPT]] [--output NAME] [--token TOKEN] app.py [-- COMMAND ...]",
    )
    parser.add_argument("app", help="the file that defines the app, as in `python app.py`")
    parser.add_argument("--chat", nargs="?", const="", metavar="PROMPT", help="talk to the agent; with PROMPT, once")
    parser.add_argument("--output", metavar="NAME", help="the output that has the chat API's address, if several might")
    parser.add_argument("--token", help="sent as a bearer token; without it, requests are signed with SigV4")
    options = parser.parse_args(own)
    if command and options.chat is not None:
        parser.error("--chat and a command cannot be given at once")

    from ak_constructs.local.application import deployed  # noqa: PLC0415 - needs what was just looked for
    from ak_constructs.local.chat import Conversation, NoChatError, find_chat  # noqa: PLC0415
    from ak_constructs.local.synthesis import AppError  # noqa: PLC0415

    try:
        with deployed(options.app) as running:
            _print_outputs(running)
            if command:
                return _run(command, running)
            if options.chat is None:
                return _stay(running)
            talk = Conversation(running, find_chat(running.outputs, options.output), options.token)
            if options.chat:
                print(f"You:   {options.chat}", flush=True)
                return 0 if talk.ask(options.chat) else 1
            talk.hold()
    except (AppError, NoChatError, RuntimeError, OSError) as error:
        print(f"ak_constructs.local: {error}", file=sys.stderr)
        return 1
    return 0


def _print_outputs(running: "Deployed") -> None:
    for note in running.notes:
        print(f"Note: {note}")
    print(f"\nAWS_ENDPOINT_URL={running.endpoint}")
    for stack, outputs in running.outputs.items():
        print(stack)
        width = max(len(name) for name in outputs)
        for name, value in outputs.items():
            print(f"  {name.ljust(width)}  {value}")
    print(flush=True)


def _stay(running: "Deployed") -> int:
    """Deploy again at each line that is read; whoever has no terminal to type one on waits for a signal."""
    print("Enter deploys again, Ctrl-C ends.", flush=True)
    for _line in sys.stdin:
        if running.deploy_again():
            _print_outputs(running)
    if not sys.stdin.isatty():
        signal.pause()
    return 0


def _run(command: Sequence[str], running: "Deployed") -> int:
    """Run a command to its end, with the emulator as its AWS, and give its status."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1"]))
    with tempfile.TemporaryDirectory(prefix="ak-constructs-") as folder:
        outputs = Path(folder) / "outputs.json"
        outputs.write_text(json.dumps(running.outputs, indent=2), encoding="utf-8")
        own |= {**running.environment, "AK_CONSTRUCTS_LOCAL_OUTPUTS": str(outputs)}
        with subprocess.Popen(command, env={**own, "NO_PROXY": direct, "no_proxy": direct}) as process:
            try:
                status = process.wait()
            except BaseException:
                _end(process)
                raise
    return status if status >= 0 else 128 - status


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    if _missing := missing():
        sys.exit(_missing)
    from ak_constructs.local.stopping import run

    run(lambda: main(sys.argv[1:]))
