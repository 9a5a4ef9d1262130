"""Deploys this example to a local AWS emulator and talks to its agent over HTTP.

    uv run python -m examples.chat_api.demo "What is a Lambda function?"
    uv run python -m examples.chat_api.demo

With a prompt it prints one answer; without, it holds a conversation until `exit` or Ctrl-D. The model is the
emulator's mock: it answers every prompt with one line that names the prompt's hash.
"""

import contextlib
import signal
import sys
import tempfile
import uuid
from pathlib import Path

from botocore.credentials import Credentials

from examples.local.client import chat
from examples.local.deployment import bootstrap, deploy, install_cdk
from examples.local.emulator import emulator, prepare
from examples.local.progress import step

CREDENTIALS = Credentials("test", "test")  # any will do: the emulator looks at the key, not at the signature


def main(prompt: str) -> None:
    """Run the whole example; nothing of it is left when this returns or raises."""
    with contextlib.ExitStack() as running:
        try:
            _deploy_and_talk(prompt, running)
        finally:  # a second Ctrl-C must not interrupt the cleaning up
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _deploy_and_talk(prompt: str, running: contextlib.ExitStack) -> None:
    work = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="chat-api-")))
    with step("1/5 Installing the CDK command line and the emulator (once)"):
        install_cdk()
        prepare()
    with step("2/5 Starting the emulator"):
        aws = running.enter_context(emulator(work / "emulator.log"))
    with step("3/5 cdk bootstrap"):
        bootstrap(aws, work)
    with step("4/5 cdk deploy"):
        outputs = deploy(aws, work, app=f"{sys.executable} -m examples.chat_api.app")
    url = aws.reachable(outputs["ChatApi"]["ChatUrl"])
    if prompt:
        with step(f"5/5 POST {url}"):
            answer = chat(url, {"prompt": prompt}, credentials=CREDENTIALS)
        print(f"\nYou:   {prompt}\nAgent: {answer['result']}")
    else:
        print(f"5/5 Talking to {url}")
        converse(url)


def converse(url: str) -> None:
    """Read prompts until the end of input; the agent sees what was said before."""
    print("\nType a message; `exit` or Ctrl-D ends.")
    session_id = str(uuid.uuid4())
    said: list[dict[str, str]] = []
    while (prompt := _ask()) not in {None, "exit"}:
        if not prompt:
            continue
        message = {"prompt": prompt, "session_id": session_id, "said": said}
        result = chat(url, message, credentials=CREDENTIALS)["result"]
        print(f"Agent: {result}")
        said += [{"role": "user", "text": prompt}, {"role": "assistant", "text": result}]


def _ask() -> str | None:
    try:
        return input("You:   ").strip()
    except EOFError:
        print()
        return None


def _stop(_signal: int, _frame: object) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    try:
        main(" ".join(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\nstopped")
        sys.exit(130)
