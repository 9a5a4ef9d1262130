"""A real browser for tests of pages."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from test.pythons import missing


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run the machine's own Chromium; without one the test is skipped, or fails in CI."""
    path = shutil.which("chromium") or missing("chromium")
    expect.set_options(timeout=30_000)  # a busy machine's page is slow, not wrong
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path) as browser:
        yield browser


def complaints(page: Page) -> list[str]:
    """Give a list that gets whatever the page complains of from now on: errors, and what its policy forbids."""
    found: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            found.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found
