"""The demo of the chat page: deployed to the emulator, and used in a real browser."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from playwright.sync_api import Browser, Page, WebSocket, expect

from test.local.browser import chromium, complaints
from test.local.chat_page import PHONE, Chat
from test.local.processes import running_for

pytestmark = pytest.mark.local
ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-u", "-m", "examples.websocket_chat.demo"]
SLOW, END = "What is a queue? pause=0.08", "until it expires."
ANSWER_MS = 30_000


@dataclass(frozen=True)
class Demo:
    """A running demo.

    Attributes:
        process: Its process.
        printed: What it printed until it served the page.
        url: The page.
        folder: Which its processes have in common.
    """

    process: subprocess.Popen[str]
    printed: str
    url: str
    folder: Path

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        """Make a client of the emulator, which posts to connections by the address of the API."""
        socket: str = httpx.get(f"{self.url}config.json").json()["url"]
        endpoint = socket.replace("ws://", "http://")
        if service != "apigatewaymanagementapi":
            endpoint = endpoint.partition("/_aws")[0]
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def connections(self) -> list[str]:
        """Give the ids of the connections in the table."""
        tables = self.client("dynamodb")
        (name,) = [each for each in tables.list_tables()["TableNames"] if "Connections" in each]
        return [row["connection_id"]["S"] for row in tables.scan(TableName=name)["Items"]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run the demo until Ctrl-C; nothing of it is left."""
    folder = tmp_path_factory.mktemp("demo")
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        DEMO, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ctrl-C ends" in line:
                break
        found = re.search(r"Chat in a browser: (\S+)", printed)
        assert found, printed
        yield Demo(process, printed, found[1], folder)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert (process.returncode, rest.strip()) == (130, "stopped")
    assert running_for(str(folder)) == []
    assert [*folder.glob("websocket-chat-*"), *folder.glob("ak-constructs-*")] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all."""
    with chromium() as running:
        yield running


class Heard:
    """What a page sends over each of its connections."""

    def __init__(self, page: Page) -> None:
        self.connections: list[WebSocket] = []
        self.sent: list[str] = []
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        self.connections.append(socket)
        socket.on("framesent", lambda frame: self.sent.append(str(frame)))


def test_the_demo_shows_a_conversation_on_the_terminal(demo: Demo) -> None:
    """Text comes ahead of the answer, and the answer as a whole once."""
    assert re.search(r"^You:   Why does .*\nAgent: You wrote 8 words.*until it expires\.$", demo.printed, re.MULTILINE)
    assert len(re.findall(re.escape(END), demo.printed)) == 1
    first, whole = (int(each.replace(",", "")) for each in re.findall(r"after ([\d,]+) ms", demo.printed))
    assert first < whole
    for step in ("1/4", "2/4", "3/4", "4/4"):
        assert f"{step} " in demo.printed


def test_a_person_loses_nothing_when_the_connection_breaks(demo: Demo, browser: Browser) -> None:
    """Neither when the service ends it in mid-stream, nor when the phone is without a network."""
    context = browser.new_context(viewport=PHONE)
    pages = [Chat(page, complaints(page)) for page in (context.new_page(), context.new_page())]
    one, two = pages
    heard = Heard(one.page)
    for each in pages:
        each.visit(demo.url)
    one.say(SLOW)
    one.expect_words("Reading your message")
    text = one.answers().last.locator(".text")
    expect(text).to_contain_text("You wrote", timeout=ANSWER_MS)
    lengths = [len(text.inner_text())]
    two.say("Hello")
    for _ in range(2):
        one.page.wait_for_function(
            "n => document.querySelector('.answer .text').textContent.length > n", arg=lengths[-1]
        )
        lengths.append(len(text.inner_text()))
    assert lengths == sorted(set(lengths))

    management = demo.client("apigatewaymanagementapi")
    connected = demo.connections()
    assert len(connected) == 2
    for connection_id in connected:
        management.delete_connection(ConnectionId=connection_id)
    one.expect_state("Connection lost")
    one.expect_state("Connected")
    assert [("resume" in each, "pause" in each) for each in heard.sent] == [(False, True), (True, False)]
    one.page.wait_for_function("n => document.querySelector('.answer .text').textContent.length > n", arg=lengths[-1])

    context.set_offline(True)
    one.expect_state("You are offline")
    one.page.wait_for_timeout(500)
    context.set_offline(False)
    one.expect_state("Connected")
    expect(text).to_contain_text(END, timeout=ANSWER_MS)
    expect(two.answers()).to_contain_text(END, timeout=ANSWER_MS)
    assert text.inner_text().count("You wrote 7 words") == 1
    assert len(heard.connections) == 3
    assert [each.answers().count() for each in pages] == [1, 1]
    one.say("And what is a topic?")
    expect(one.answers().last).to_contain_text("This is question 2 of our conversation", timeout=ANSWER_MS)
    assert one.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert [each.complaints for each in pages] == [[], []]
    one.page.screenshot(path=ROOT / ".artifacts" / "websocket_page.png")
