"""Deploys this example to a local AWS emulator and talks to its agent over HTTP.

    uv run python -m examples.chat_api.demo "What is a Lambda function?"
    uv run python -m examples.chat_api.demo

With a prompt it prints one answer; without, it holds a conversation until `exit` or Ctrl-D. The model is the
emulator's mock: it answers every prompt with one line that names the prompt's hash.
"""

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import uuid
from pathlib import Path

from botocore.credentials import Credentials

from examples.local.client import RefusedError, chat
from examples.local.deployment import bootstrap, deploy, install_cdk
from examples.local.emulator import Emulator, emulator, prepare
from examples.local.logs import log_lines
from examples.local.progress import step

CREDENTIALS = Credentials("test", "test")  # any will do: the emulator looks at the key, not at the signature
LAST_LINES = 5


def main(prompt: str) -> int:
    """Run the whole example; nothing of it is left when this returns or raises."""
    with contextlib.ExitStack() as running:
        try:
            return _deploy_and_talk(prompt, running)
        finally:  # a second Ctrl-C must not interrupt the cleaning up
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _deploy_and_talk(prompt: str, running: contextlib.ExitStack) -> int:
    work = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="chat-api-")))
    with step("1/5 Installing the CDK command line and the emulator (once)"):
        install_cdk()
        prepare()
    with step("2/5 Starting the emulator"):
        aws = running.enter_context(emulator(work / "emulator.log"))
    with step("3/5 cdk bootstrap"):
        bootstrap(aws, work)
    with step("4/5 cdk deploy"):
        outputs = deploy(aws, work, app=f"{sys.executable} -m examples.chat_api.app")["ChatApi"]
    url = aws.reachable(outputs["ChatUrl"])
    print(f"5/5 POST {url} (the model is the emulator's mock)\n")
    try:
        if prompt:
            print(f"You:   {prompt}\nAgent: {_ask(url, {'prompt': prompt})}")
        else:
            _converse(url, aws, outputs["LogGroup"])
    except RefusedError as error:
        _explain(error, aws, outputs["LogGroup"])
        return 1
    return 0


def _converse(url: str, aws: Emulator, log_group: str) -> None:
    """Read prompts until the end of input; the agent sees what was said before."""
    print("Type a message; `exit` or Ctrl-D ends.")
    session_id = str(uuid.uuid4())
    said: list[dict[str, str]] = []
    while (prompt := _read()) not in {None, "exit"}:
        if not prompt:
            continue
        try:
            answer = _ask(url, {"prompt": prompt, "session_id": session_id, "said": said})
        except RefusedError as error:
            _explain(error, aws, log_group)
            continue
        print(f"Agent: {answer}")
        said += [{"role": "user", "text": prompt}, {"role": "assistant", "text": answer}]


def _ask(url: str, message: dict[str, object]) -> str:
    answer = chat(url, message, credentials=CREDENTIALS)
    return str(answer.get("result", answer))


def _explain(error: RefusedError, aws: Emulator, log_group: str) -> None:
    """Show what the agent's log has to say, since it is gone with the emulator."""
    print(f"Error: {error}", file=sys.stderr)
    for line in log_lines(aws, log_group)[-LAST_LINES:]:
        print(f"  log: {json.dumps(line)}", file=sys.stderr)


def _read() -> str | None:
    try:
        return input("You:   ").strip()
    except EOFError:
        print()
        return None


def _stop(_signal: int, _frame: object) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="*", help="what to ask; without it, a conversation")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may have it ignored
    try:
        sys.exit(main(" ".join(arguments.prompt).strip()))
    except KeyboardInterrupt:
        print("\nstopped")
        sys.exit(130)
