"""The chat page as a person has it before them."""

import time
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, ViewportSize, expect

from test.local.fake_websocket_api import FakeApi, Frame

SOON_MS = 5_000
PHONE: ViewportSize = {"width": 375, "height": 667}


@dataclass
class Chat:
    """A page in a browser.

    Attributes:
        page: The page.
        complaints: What it complained of.
    """

    page: Page
    complaints: list[str]

    def visit(self, url: str) -> None:
        """Open the page and wait until it is connected."""
        self.page.goto(url)
        self.expect_state("Connected")

    def say(self, prompt: str) -> None:
        """Type a message and press Enter."""
        self.page.get_by_label("Message", exact=True).fill(prompt)
        self.page.keyboard.press("Enter")

    def answers(self) -> Locator:
        """Find the agent's side."""
        return (
            self.page.get_by_role("log")
            .get_by_role("article")
            .filter(has=self.page.get_by_role("heading", name="Agent"))
        )

    def expect_text(self, text: str, *, place: int = -1) -> None:
        """Wait until an answer's text is exactly this."""
        expect(self.answers().nth(place).locator(".text")).to_have_text(text, timeout=SOON_MS)

    def expect_words(self, words: str) -> None:
        """Wait until the last answer says this somewhere."""
        expect(self.answers().last).to_contain_text(words, timeout=SOON_MS)

    def expect_state(self, state: str) -> None:
        """Wait until the connection is told to be in a state."""
        expect(self.page.get_by_role("banner").get_by_role("status")).to_contain_text(state, timeout=SOON_MS)

    def hear(self, api: FakeApi) -> None:
        """Wait until the page has heard all that was sent: what comes last names no request and is shown at once."""
        word = f"heard {time.monotonic_ns()}"
        api.send({"type": "SYSTEM_RESPONSE", "status": "FAILED", "status_code": 404, "message": word})
        expect(self.page.get_by_role("alert")).to_have_text(word, timeout=SOON_MS)

    def ask(self, api: FakeApi, prompt: str) -> "Request":
        """Ask something, and let the service take it."""
        self.say(prompt)
        request = Request(api, api.next())
        request.take()
        expect(self.answers().last).not_to_contain_text("Sending", timeout=SOON_MS)
        return request


@dataclass
class Request:
    """A message that came, and what the service says of it."""

    api: FakeApi
    message: Frame

    def take(self) -> None:
        """Acknowledge it."""
        self.send(type="CHAT_QUEUED", status="PENDING")

    def progress(self, text: str, *, attempt: int = 1) -> None:
        """Say what is being done."""
        self.send(type="PROGRESS", attempt=attempt, progress=text)

    def delta(self, seq: int, text: str, *, attempt: int = 1) -> None:
        """Send a delta."""
        self.send(type="STREAM_CHUNK", attempt=attempt, seq=seq, delta=text, done=False)

    def answer(self, text: str) -> None:
        """Send the whole answer."""
        self.send(type="CHAT_RESPONSE", status_code=200, result=text)

    def refuse(self, status: int, message: str) -> None:
        """Send an error."""
        self.send(type="SYSTEM_RESPONSE", status="FAILED", status_code=status, message=message)

    def frame(self, **frame: Any) -> Frame:  # noqa: ANN401 - frames are any JSON
        """Write a frame about it."""
        return {"request_id": self.message["request_id"], "session_id": self.message["session_id"], **frame}

    def send(self, **frame: Any) -> None:  # noqa: ANN401
        """Send a frame about it."""
        self.api.send(self.frame(**frame))
