"""The thread that holds on to something."""

import threading
import time

import pytest

from ak_lambda.shared import heartbeat
from ak_lambda.shared.heartbeat import Heartbeat


def test_it_beats_at_once_and_again_until_its_end() -> None:
    """At its interval."""
    beats: list[str | None] = []
    third = threading.Event()

    def beat(text: str | None) -> bool:
        beats.append(text)
        if len(beats) == 3:
            third.set()
        return True

    with Heartbeat(beat, every_seconds=0.01):
        assert third.wait(5)
    count = len(beats)
    time.sleep(0.03)
    assert len(beats) == count, "it has ended"
    assert set(beats) == {None}


def test_it_tells_the_newest_text_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several at once the last."""
    monkeypatch.setattr(heartbeat, "BETWEEN_TEXTS_SECONDS", 0.05)
    beats: list[str | None] = []
    told = threading.Event()

    def beat(text: str | None) -> bool:
        beats.append(text)
        if text:
            told.set()
        return True

    with Heartbeat(beat) as running:
        while not beats:
            time.sleep(0.001)
        running.carry("one")
        running.carry("two")
        assert told.wait(5)
    assert beats == [None, "two"]


def test_a_text_wakes_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before its next beat is due."""
    monkeypatch.setattr(heartbeat, "BETWEEN_TEXTS_SECONDS", 0.001)
    told = threading.Event()

    def beat(text: str | None) -> bool:
        if text:
            told.set()
        return True

    with Heartbeat(beat, every_seconds=60) as running:
        time.sleep(0.05)
        running.carry("x")
        assert told.wait(5)


def test_a_beat_that_fails_is_tried_again_with_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails may pass; the error's words are not logged."""
    monkeypatch.setattr(heartbeat, "AFTER_FAILURE_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "BETWEEN_TEXTS_SECONDS", 0.01)
    beats: list[str | None] = []
    done = threading.Event()

    def beat(text: str | None) -> bool:
        beats.append(text)
        if text and beats.count(text) == 1:
            raise OSError("a secret")
        if text:
            done.set()
        return True

    with Heartbeat(beat) as running:
        running.carry("x")
        assert done.wait(5)
    assert beats[-2:] == ["x", "x"]
    assert "a heartbeat failed" in caplog.text
    assert "a secret" not in caplog.text


def test_it_stops_when_there_is_nothing_to_hold_any_more() -> None:
    """The beat says so."""
    beats: list[str | None] = []

    def beat(text: str | None) -> bool:
        beats.append(text)
        return False

    with Heartbeat(beat, every_seconds=0.001):
        time.sleep(0.02)
    assert beats == [None]
