"""`python -m ak_constructs.local` as a user has it: the wheel in an own environment, an app in an own folder."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ak_constructs.local import rest_chat
from ak_constructs.local.answers import Asked, Screen
from ak_constructs.local.emulator import Emulator
from test.contract.stranger import Stranger
from test.documents import write_files
from test.local.leaks import leaks
from test.local.processes import left_of, running_for

pytestmark = pytest.mark.local
SECONDS = 120
APP = """
import aws_cdk as cdk
from ak_constructs import AgentApi, AgentFunction, AgentQueue, Authorization, QueuedAgentPipeline, WebSocketAgentApi

app = cdk.App()
stack = cdk.Stack(app, "Support", env=cdk.Environment(account="111122223333", region="eu-west-1"))
iam = Authorization.iam()
at_once = AgentFunction(stack, "AtOnce", entry="agents/support")
later = AgentFunction(stack, "Later", entry="agents/support", timeout=cdk.Duration.minutes(1))
queue = AgentQueue(stack, "Queue", agent=later)
urls = {
    "ChatUrl": AgentApi(stack, "Api", agent=at_once, authorization=iam).chat_url,
    "PipelineUrl": QueuedAgentPipeline(stack, "Pipeline", agent=queue, authorization=iam).chat_url,
    "SocketUrl": WebSocketAgentApi(stack, "Socket", agent=queue, authorization=iam).url,
}
for name, url in urls.items():
    cdk.CfnOutput(stack, name, value=url)
app.synth()
"""
AGENT = """
import os
import time


def respond(turn):
    return {"error": "no such order"} if turn.prompt.endswith("fail") else bits(turn)


def bits(turn):
    turn.progress("looks around")
    time.sleep(1.5)
    yield "{word} " + turn.prompt
    yield " in " + os.environ["AWS_REGION"] + os.environ["AWS_CONFIG_FILE"]
"""
AWS_CONFIG = """
[default]
ignore_configured_endpoint_urls = true
[profile production]
credential_process = touch {}
ignore_configured_endpoint_urls = true
"""
PROMPT = "Hello, SECRET"  # which no log may have


@dataclass
class Chat:
    """A conversation on a terminal that is a pipe."""

    process: subprocess.Popen[str]
    stranger: Stranger
    temporary: Path
    home: Path
    seen: str = ""

    def say(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def until(self, text: str) -> str:
        """Read until something is there, and give what was read before it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + SECONDS
        read = ""
        while not read.endswith(text):
            letter = self.process.stdout.read(1)
            assert letter, self.seen
            assert time.monotonic() < deadline, self.seen
            read, self.seen = read + letter, self.seen + letter
        return read

    def address(self, name: str) -> str:
        """Find an output in what was printed."""
        found = re.search(rf"^  {name} +(\S+)$", self.seen, re.MULTILINE)
        assert found, self.seen
        return found[1]


def write_agent(stranger: Stranger, word: str) -> None:
    """Write the agent."""
    source = AGENT.replace("{word}", word)
    (stranger.folder / "agents" / "support" / "agent.py").write_text(source, encoding="utf-8")


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    """Begin to chat; whatever has become of it, it is killed in the end."""
    stranger = Stranger.install(tmp_path_factory.mktemp("stranger"), extra="local")
    temporary = tmp_path_factory.mktemp("temporary")
    (stranger.folder / "agents" / "support").mkdir()
    (stranger.folder / "app.py").write_text(APP, encoding="utf-8")
    # No environment is active, and the person's own settings lead elsewhere.
    home = tmp_path_factory.mktemp("home")
    (home / ".cache").symlink_to(Path.home() / ".cache")
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(AWS_CONFIG.format(home / "asked"), encoding="utf-8")
    (stranger.folder / "cdk.json").write_text('{"profile": "production"}', encoding="utf-8")
    settings = {"TMPDIR": str(temporary), "HOME": str(home), "HTTP_PROXY": "http://127.0.0.1:9"}
    settings |= {"AWS_PROFILE": "production", "CDK_PROFILE": "production"}
    command = [str(stranger.python), "-u", "-m", "ak_constructs.local", "app.py", "--chat", "--output", "SocketUrl"]
    write_agent(stranger, "You said")
    with subprocess.Popen(
        command,
        cwd=stranger.folder,
        env={**os.environ, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield Chat(process, stranger, temporary, home)
        process.kill()


def files(folder: Path) -> set[str]:
    """Name what lies in a user's folder, but for what Python and the installation leave."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {name for name in names if not name.startswith(("venv", "dist")) and "__pycache__" not in name}


def test_a_strangers_app_is_talked_to_changed_and_talked_to_again(chat: Chat) -> None:
    """By all three kinds of API, from the wheel; its stacks name an account and a region of their own."""
    before = files(chat.stranger.folder)
    chat.until("ends.\nYou:   ")
    assert "Note: 111122223333, eu-west-1 of the app's stacks: here 000000000000, us-east-1\n" in chat.seen
    chat.say(PROMPT)
    assert chat.until("\nYou:   ") == f"       (looks around)\nAgent: You said {PROMPT} in us-east-1/dev/null\nYou:   "
    for name in ("ChatUrl", "PipelineUrl"):
        asked = Asked(address=chat.address(name), prompt=PROMPT, session_id="s")
        assert rest_chat.ask(asked, Screen())["result"] == f"You said {PROMPT} in us-east-1/dev/null"
    write_agent(chat.stranger, "I heard")
    chat.say("")
    assert re.fullmatch(r"cdk deploy \.\.\. [\d.]+ s\nYou:   ", chat.until("\nYou:   "))
    chat.say(PROMPT)
    assert f"\nAgent: I heard {PROMPT} in us-east-1/dev/null\n" in chat.until("\nYou:   ")
    assert files(chat.stranger.folder) == before


def test_a_persons_credentials_are_never_asked_for(chat: Chat) -> None:
    """Neither those of AWS_PROFILE, of CDK_PROFILE, nor of a cdk.json; and no file leads to AWS past the emulator."""
    assert not (chat.home / "asked").exists()


def test_an_agent_that_fails_is_shown_with_its_log(chat: Chat) -> None:
    """What it says to callers, and what its function wrote down; not what was asked."""
    chat.say(f"{PROMPT} and fail")
    said = chat.until("\nYou:   ")
    assert "Error: the API answered " in said
    assert '"error": "no such order"' in said
    assert '  log: {"timestamp": ' in said
    assert PROMPT not in said


def test_an_app_that_is_broken_meanwhile_ends_nothing(chat: Chat) -> None:
    """Its own error is shown, the last of it."""
    (chat.stranger.folder / "app.py").write_text("import aws_cdk\nraise ValueError('not yet')\n", encoding="utf-8")
    chat.say("")
    said = chat.until("You:   ")
    assert "cdk deploy ... failed\nthe app was not deployed:\nTraceback" in said
    assert said.endswith("\nValueError: not yet\nYou:   ")


def test_nothing_is_left_of_a_killed_run_and_no_log_has_a_prompt(chat: Chat) -> None:
    """SIGKILL cannot be handled; the emulator ends with who started it."""
    (log,) = chat.temporary.glob("ak-constructs-*/emulator.log")
    endpoint = re.search(r"AWS_ENDPOINT_URL=(\S+)", chat.seen)
    assert endpoint
    assert leaks(Emulator(endpoint=endpoint[1], log=log)) == []
    assert "SECRET" not in log.read_text(encoding="utf-8")
    assert running_for(str(chat.temporary)), "the test would see nothing"
    chat.process.kill()
    chat.process.wait(10)
    assert left_of(str(chat.temporary)) == []


def test_the_end_to_end_test_of_the_documentation_passes(tmp_path: Path) -> None:
    """In a folder with nothing else; `deployed` cleans up after it."""
    write_files("local.md", tmp_path)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "e2e"]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert left_of(str(temporary)) == []
    assert list(temporary.glob("ak-constructs-*")) == []
