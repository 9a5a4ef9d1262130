"""Deploys this example to a local AWS emulator and talks to its agent over HTTP.

    uv run python -m examples.chat_api.demo "What is a Lambda function?"
    uv run python -m examples.chat_api.demo

With a prompt it prints one answer; without, it holds a conversation until `exit` or Ctrl-D. The model is the
emulator's mock: it answers every prompt with one line that names the prompt's hash.
"""

import argparse
import json
import sys
import uuid

from ak_constructs.local import deployed
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import log_lines
from ak_constructs.local.signing import CREDENTIALS
from ak_constructs.local.stopping import run
from examples.local.client import RefusedError, chat

LAST_LINES = 5


def main(prompt: str) -> int:
    """Run the whole example; nothing of it is left when this returns or raises."""
    with deployed(["-m", "examples.chat_api.app"]) as running:
        aws, outputs = running.emulator, running.outputs["ChatApi"]
        url = outputs["ChatUrl"]
        print(f"POST {url} (the model is the emulator's mock)\n")
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="*", help="what to ask; without it, a conversation")
    arguments = parser.parse_args()
    run(lambda: main(" ".join(arguments.prompt).strip()))
