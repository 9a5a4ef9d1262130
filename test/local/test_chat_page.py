"""The chat page in a real browser, and every order of frames that the contract allows."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, expect

from examples.websocket_chat.page_server import served
from test.local.browser import chromium, complaints
from test.local.chat_page import PHONE, Chat, Request
from test.local.fake_websocket_api import TOKEN, FakeApi, Frame

pytestmark = pytest.mark.local
ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one browser for all."""
    with chromium() as running:
        yield running


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """Run an API."""
    with FakeApi().running() as running:
        yield running


def opened(browser: Browser) -> Chat:
    """Make a phone of its own."""
    page = browser.new_context(viewport=PHONE, reduced_motion="reduce").new_page()
    page.clock.install()
    return Chat(page, complaints(page))


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Chat:
    """Give a page for all tests: that of each has an origin of its own, and so nothing of the one before."""
    return opened(browser)


@pytest.fixture
def url(api: FakeApi) -> Iterator[str]:
    """Serve the page."""
    with served(api.config) as address:
        yield address


@pytest.fixture
def chat(phone: Chat, url: str) -> Iterator[Chat]:
    """Open the page; at the end nothing was wrong in its console."""
    phone.complaints.clear()  # of the page before, which may complain until it is left
    phone.visit(url)
    yield phone
    assert phone.complaints == []
    phone.page.goto("about:blank")


def test_the_token_goes_as_a_sub_protocol_and_never_into_an_address(api: FakeApi, chat: Chat) -> None:
    """Others write addresses down."""
    request = chat.ask(api, "Hello")
    assert request.message == request.frame(route="chat", prompt="Hello")
    assert (api.offered, api.paths) == ([f"bearer, {TOKEN}"], ["/prod"])
    assert TOKEN not in chat.page.evaluate("JSON.stringify(Object.entries(sessionStorage)) + location.href")


def test_progress_and_a_growing_text_are_seen_until_the_answer_takes_their_place(api: FakeApi, chat: Chat) -> None:
    """The answer is the truth, whatever the deltas said."""
    request = chat.ask(api, "Hello")
    chat.expect_words("Waiting for the agent")
    request.progress("Fetching data")
    chat.expect_words("Fetching data")
    expect(chat.page.get_by_role("main").get_by_role("status")).to_have_text("Fetching data")
    request.delta(0, "One ")
    chat.expect_text("One ")
    request.delta(1, "two")
    chat.expect_text("One two")
    expect(chat.answers()).to_have_attribute("aria-busy", "true")
    request.answer("One, two, three")
    chat.expect_text("One, two, three")
    expect(chat.answers()).to_have_attribute("aria-busy", "false")
    assert "Fetching data" not in chat.page.get_by_role("main").inner_text()


def test_the_first_answer_counts(api: FakeApi, chat: Chat) -> None:
    """It may come twice, and what came after it is late."""
    request = chat.ask(api, "Hello")
    request.answer("The first")
    request.answer("The second")
    request.delta(0, "late")
    request.progress("late")
    chat.ask(api, "Next")
    chat.expect_text("The first", place=0)
    assert "late" not in chat.answers().first.inner_text()


def test_the_text_of_an_older_attempt_is_dropped(api: FakeApi, chat: Chat) -> None:
    """And what comes late of it is not shown."""
    request = chat.ask(api, "Hello")
    request.delta(0, "Once upon ")
    chat.expect_text("Once upon ")
    request.delta(0, "Long ago ", attempt=2)
    request.delta(1, "a time", attempt=1)
    request.progress("old news", attempt=1)
    request.delta(1, "there was", attempt=2)
    chat.expect_text("Long ago there was")
    request.progress("Trying once more", attempt=3)
    chat.expect_text("")
    assert "old news" not in chat.answers().inner_text()


def test_after_a_gap_the_text_grows_no_more_until_what_is_missing_comes(api: FakeApi, chat: Chat) -> None:
    """Nobody reads a text with holes; deltas may come twice, and to a new connection all come again."""
    request = chat.ask(api, "Hello")
    request.delta(0, "One ")
    request.delta(0, "One ")
    request.delta(2, "three ")
    request.delta(3, "four")
    chat.expect_words("Part of the text was lost on the way")
    chat.expect_text("One ")
    for seq, text in enumerate(("One ", "two ", "three ")):
        request.delta(seq, text)
    chat.expect_text("One two three ")
    assert "lost" not in chat.answers().inner_text()
    request.delta(4, "five")
    chat.expect_words("Part of the text was lost on the way")
    request.answer("One two three four")
    chat.expect_text("One two three four")


def test_a_long_frame_is_joined_of_parts_in_any_order(api: FakeApi, chat: Chat) -> None:
    """Those of two frames at once, too."""
    request = chat.ask(api, "Hello")
    text = json.dumps(request.frame(type="CHAT_RESPONSE", status_code=200, result="€ " * 9000))
    other = json.dumps(request.frame(type="PROGRESS", attempt=1, progress="in parts"))
    frames = [
        {"type": "PART", "part_id": name, "i": i, "n": 3, "data": whole[i * third : (i + 1) * third]}
        for name, whole in (("a", text), ("b", other))
        for third in [len(whole) // 3 + 1]
        for i in (2, 0, 1)
    ]
    order = [0, 3, 1, 4, 5]
    api.send(*(frames[number] for number in order))
    chat.expect_words("in parts")
    api.send(frames[0], frames[2])
    chat.expect_text(("€ " * 9000).strip())


def test_a_lost_connection_comes_again_and_asks_for_the_answer(api: FakeApi, chat: Chat) -> None:
    """What was to be heard in between is in the table."""
    request = chat.ask(api, "Hello")
    request.delta(0, "Half of ")
    chat.expect_text("Half of ")
    api.cut()
    chat.expect_state("Connection lost")
    chat.page.clock.run_for(1000)
    assert api.next() == {"route": "resume", "request_id": request.message["request_id"]}
    request.delta(5, "the end")
    chat.expect_words("Part of the text was lost")
    request.answer("Half of it and the end")
    chat.expect_text("Half of it and the end")
    chat.expect_state("Connected")


def test_a_message_that_was_never_taken_is_sent_again_as_the_same(api: FakeApi, chat: Chat) -> None:
    """Nobody knows whether it arrived."""
    chat.say("Hello")
    first = api.next()
    api.cut()
    chat.expect_state("Connection lost")
    chat.expect_words("Waiting for the connection")
    chat.page.clock.run_for(1000)
    assert api.next() == first


def test_a_connection_that_swallows_a_message_is_replaced(api: FakeApi, chat: Chat) -> None:
    """After as long as API Gateway may take."""
    chat.say("Hello")
    first = api.next()
    chat.page.clock.run_for(29_000)
    assert api.nothing()
    chat.page.clock.run_for(5_000)
    assert api.next() == first


def test_messages_of_a_conversation_go_out_one_after_the_other(api: FakeApi, chat: Chat) -> None:
    """The service takes what comes at once in any order."""
    chat.say("First")
    chat.say("Second")
    first = api.next()
    assert api.nothing()
    Request(api, first).take()
    second = api.next()
    assert (first["prompt"], second["prompt"]) == ("First", "Second")
    assert first["session_id"] == second["session_id"]


def test_what_is_typed_offline_goes_out_later(api: FakeApi, chat: Chat) -> None:
    """And an answer that came in between is asked for."""
    request = chat.ask(api, "Hello")
    chat.page.context.set_offline(True)
    chat.expect_state("You are offline")
    chat.say("Are you there?")
    chat.expect_words("Waiting for the connection")
    chat.page.context.set_offline(False)
    asked, typed = api.next(), api.next()
    assert asked == {"route": "resume", "request_id": request.message["request_id"]}
    assert typed["prompt"] == "Are you there?"


def test_silence_is_broken_by_asking(api: FakeApi, chat: Chat) -> None:
    """An answer may have got lost on its last leg: soon after the last delta, and ever more rarely without any."""
    request = chat.ask(api, "Hello")
    chat.expect_words("Waiting for the agent")
    asks = {"route": "resume", "request_id": request.message["request_id"]}
    chat.page.clock.run_for(31_000)
    assert api.next() == asks
    chat.page.clock.run_for(31_000)
    assert api.nothing()
    chat.page.clock.run_for(31_000)
    assert api.next() == asks
    request.send(type="STREAM_CHUNK", attempt=1, seq=0, delta="All", done=True)
    chat.expect_text("All")
    chat.page.clock.run_for(6_000)
    assert api.next() == asks


def test_it_pings_and_replaces_its_connection_before_the_service_ends_it(api: FakeApi, chat: Chat) -> None:
    """The new one is there before the old one goes, and a silent one is taken for lost."""
    request = chat.ask(api, "Hello")
    request.answer("Hello")
    chat.hear(api)
    chat.page.clock.run_for(5 * 60_000)
    assert api.next() == {"route": "ping"}
    pong = {"type": "SYSTEM_RESPONSE", "status": "SUCCESS", "status_code": 200, "message": "pong"}
    api.send({**pong, "reconnect": False})
    chat.hear(api)
    chat.page.clock.run_for(5 * 60_000)
    assert api.next() == {"route": "ping"}
    assert len(api.offered) == 1
    api.send({**pong, "reconnect": True})
    api.until(lambda: len(api.connections) == 2)
    chat.page.clock.run_for(5_000)
    api.until(lambda: len(api.connections) == 1)
    chat.expect_state("Connected")
    chat.page.clock.run_for(5 * 60_000)
    assert api.next() == {"route": "ping"}
    chat.page.clock.run_for(32_000)
    api.until(lambda: len(api.offered) == 3)


@pytest.mark.parametrize(
    ("status", "words"),
    [(400, "did not understand"), (403, "You may not do this"), (413, "too long"), (418, "could not answer")],
)
def test_a_refusal_is_told_and_the_message_can_be_sent_again(api: FakeApi, chat: Chat, status: int, words: str) -> None:
    """As another one; what the service said and a reference stand below."""
    chat.say("Hello")
    request = Request(api, api.next())
    request.refuse(status, "the service's words")
    chat.expect_words(words)
    chat.expect_words(f"the service's words. Reference: {request.message['request_id']}")
    chat.page.get_by_role("button", name="Send again").click()
    again = api.next()
    assert again["prompt"] == "Hello"
    assert again["request_id"] != request.message["request_id"]
    expect(chat.page.get_by_label("Message", exact=True)).to_be_focused()


def test_a_failed_agent_is_told(api: FakeApi, chat: Chat) -> None:
    """Half a text is not an answer."""
    request = chat.ask(api, "Hello")
    request.delta(0, "Half")
    request.send(type="CHAT_RESPONSE", status="FAILED", status_code=502, error="the agent failed")
    chat.expect_words("The agent could not answer")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"type": "SYSTEM_RESPONSE", "status": "FAILED", "status_code": 503, "message": "busy"}, "The service is busy"),
        ({"message": "Too Many Requests", "connectionId": "c", "requestId": "r"}, "did not take this message"),
    ],
    ids=["ours", "the service's own"],
)
def test_a_busy_service_is_tried_again_and_not_for_ever(api: FakeApi, chat: Chat, frame: Frame, words: str) -> None:
    """With the same request, ever later; the service's own words name none."""
    chat.say("Hello")
    sent = api.next()
    about = {"request_id": sent["request_id"]} if "type" in frame else {}
    for seconds in (2, 4, 8, 16):
        api.send({**frame, **about})
        chat.hear(api)
        chat.page.clock.run_for((seconds + 1) * 1000)
        assert api.next() == sent
    api.send({**frame, **about})
    chat.hear(api)
    chat.page.clock.run_for(33_000)
    chat.expect_words(words)
    assert api.nothing()


def test_a_message_that_is_too_long_is_not_sent(api: FakeApi, chat: Chat) -> None:
    """It stays to be shortened; the service would hang up."""
    chat.say("€" * 11_000)
    expect(chat.page.get_by_role("alert")).to_have_text("This message is too long to send. Shorten it.")
    expect(chat.page.get_by_label("Message", exact=True)).to_have_value("€" * 11_000)
    assert api.nothing()
    chat.ask(api, "short")
    expect(chat.page.get_by_role("alert")).to_be_empty()


def test_a_huge_answer_is_a_link_where_that_is_safe(api: FakeApi, chat: Chat) -> None:
    """A link is the one thing of an answer that is not only shown."""
    for location in ("https://bucket.s3.amazonaws.com/answers/1?signed", "javascript:alert(1)"):
        chat.ask(api, "Hello").send(type="CHAT_RESPONSE", status_code=200, location=location)
        chat.expect_text("The answer is too long to show here.")
    links = chat.page.get_by_role("link")
    assert [link.get_attribute("href") for link in links.all()] == ["https://bucket.s3.amazonaws.com/answers/1?signed"]


def test_all_that_comes_is_text(api: FakeApi, chat: Chat) -> None:
    """Whoever writes it: the person, the agent, or the service."""
    bad = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    chat.page.on("dialog", lambda _: pytest.fail("it ran"))
    request = chat.ask(api, bad)
    request.progress(bad)
    request.delta(0, bad)
    chat.expect_text(bad)
    request.refuse(400, bad)
    chat.expect_words(f"{bad}. Reference")
    chat.ask(api, "data").send(type="CHAT_RESPONSE", status_code=200, status="PAUSED", form=bad)
    chat.expect_words('"status": "PAUSED"')
    api.send({"type": "SYSTEM_RESPONSE", "status": "FAILED", "status_code": 404, "message": bad})
    expect(chat.page.get_by_role("alert")).to_have_text(bad)
    assert chat.page.locator("main img, main script").count() == 0


def test_strange_frames_do_no_harm(api: FakeApi, chat: Chat) -> None:
    """A page must outlive a service that changes."""
    request = chat.ask(api, "Hello")
    for text in (
        "",
        "no JSON",
        "null",
        "[]",
        "7",
        '{"type": "PART"}',
        '{"type": "PART", "n": 1e9, "i": 0, "data": ""}',
    ):
        api.connections[0].send(text)
    api.send({"type": "NEW"}, request.frame(type="NEW"), {"type": "PART", "part_id": "p", "i": 0, "n": 1, "data": "{"})
    request.answer("Still here")
    chat.expect_text("Still here")


def test_a_reload_loses_nothing(api: FakeApi, chat: Chat) -> None:
    """Phones do it by themselves."""
    first = chat.ask(api, "First")
    first.answer("The first answer")
    second = chat.ask(api, "Second")
    chat.expect_text("The first answer", place=0)
    chat.expect_words("Waiting for the agent")
    chat.page.reload()
    assert api.next() == {"route": "resume", "request_id": second.message["request_id"]}
    second.answer("The second answer")
    chat.expect_text("The second answer")
    chat.expect_text("The first answer", place=0)
    third = chat.ask(api, "Third")
    assert third.message["session_id"] == first.message["session_id"]


def test_two_tabs_hear_the_same_and_show_their_own(api: FakeApi, url: str, chat: Chat) -> None:
    """Every connection of a user gets every frame."""
    one, two = chat, Chat(chat.page.context.new_page(), chat.complaints)
    two.visit(url)
    first, second = one.ask(api, "First"), two.ask(api, "Second")
    assert first.message["session_id"] != second.message["session_id"]
    first.answer("To the first")
    second.answer("To the second")
    one.expect_text("To the first")
    two.expect_text("To the second")
    assert (one.answers().count(), two.answers().count()) == (1, 1)
    two.page.close()


def test_a_refused_connection_is_explained_and_tried_again(api: FakeApi, chat: Chat) -> None:
    """A browser is not told why, so the page names what helps."""
    api.refusing = True
    api.cut()
    now = chat.page.get_by_role("button", name="Try now")
    for tried in (2, 3, 4):
        expect(now).to_be_visible()
        for _moment in range(20):  # a refusal may come after the clock had run
            if len(api.offered) >= tried:
                break
            chat.page.clock.run_for(31_000)
            time.sleep(0.5)
        api.until_offered(tried)
    chat.expect_state("Cannot connect. Still trying. If this lasts, sign in again.")
    assert len(api.offered) <= 12
    api.refusing = False
    now.click()
    chat.expect_state("Connected")
    expect(now).to_be_hidden()
    assert all("403" in each for each in chat.complaints)  # the browser's own, of each refusal
    chat.complaints.clear()


def test_the_keyboard_is_enough(api: FakeApi, chat: Chat) -> None:
    """The focus is in the input and stays there; every button can be reached."""
    page = chat.page
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Two")
    page.keyboard.press("Enter")
    request = Request(api, api.next())
    assert request.message["prompt"] == "One\nTwo"
    request.refuse(400, "no")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    expect(page.get_by_label("Message", exact=True)).to_be_empty()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Send again")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("log")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_and_by_a_screen_reader(
    api: FakeApi, chat: Chat, scheme: Literal["light", "dark"]
) -> None:
    """Nothing is wider than the screen, and axe finds nothing; a picture of it is kept."""
    page = chat.page
    page.emulate_media(color_scheme=scheme)
    chat.ask(api, "What is a queue? " * 20).answer("x" * 2000 + "\nhttps://example.com/" + "y" * 300)
    chat.ask(api, "And then?").send(type="CHAT_RESPONSE", status="FAILED", status_code=502, error="e" * 300)
    working = chat.ask(api, "What is a WebSocket?")
    working.progress("Fetching data")
    working.delta(0, "A connection that stays open, by which ")
    chat.expect_words("Fetching data")
    box = page.get_by_role("log")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert box.evaluate("log => log.scrollWidth - log.clientWidth") == 0
    assert box.evaluate("log => log.scrollHeight - log.clientHeight - log.scrollTop") < 2, "the newest is in view"
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document)")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20
    artifacts = ROOT / ".artifacts"
    artifacts.mkdir(exist_ok=True)
    page.screenshot(path=artifacts / f"chat_page_{scheme}.png")


def test_a_phones_keyboard_hides_the_newest_only_from_who_reads_what_is_old(api: FakeApi, chat: Chat) -> None:
    """It makes the page smaller."""
    page, box = chat.page, chat.page.get_by_role("log")
    rest = "log => log.scrollHeight - log.clientHeight - log.scrollTop"
    chat.ask(api, "What is a queue?").answer("line\n" * 60)
    chat.expect_text("line\n" * 60)
    page.set_viewport_size({"width": PHONE["width"], "height": 400})
    api.until(lambda: box.evaluate("log => log.clientHeight") < 400 and box.evaluate(rest) < 2)
    box.evaluate("log => { log.scrollTop -= 1; log.style.maxHeight = '100px'; }")  # it opens as an answer scrolls
    api.until(lambda: box.evaluate("log => log.clientHeight") == 100 and box.evaluate(rest) < 2)
    seen = "new Promise(done => log.addEventListener('scroll', () => done(), { once: true }))"
    box.evaluate(f"log => {{ const seen = {seen}; log.scrollTop -= 100; return seen; }}")
    old = box.evaluate("log => log.scrollTop")
    box.evaluate("log => { log.style.maxHeight = '60px'; }")
    page.screenshot()  # for which the page is drawn
    assert box.evaluate("log => log.scrollTop") == old


def test_the_token_is_served_to_no_other_site(api: FakeApi) -> None:
    """Else one that has its name lead to this machine would read it."""
    with served(api.config) as url:
        own = httpx.get(f"{url}config.json")
        assert own.json() == api.config()
        assert own.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in own.headers
        assert httpx.get(f"{url}config.json", headers={"Host": "evil.example.com:80"}).status_code == 403
        assert httpx.get(f"{url}..%2fapp.py").status_code == 404
