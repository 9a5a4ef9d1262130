"""A handler of the user's own, called with its secrets in place."""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ak_lambda.secret_loader import core
from ak_lambda.secret_loader import handler as loader
from ak_lambda.shared import agent_secrets
from ak_lambda.shared.secret_rules import SecretError, Source, UnreadableError
from test.lambda_assets.events import Context

# As many do: the client is made when the module is imported, and cannot be made without the key.
USERS = """
import os
client = os.environ["KEY"]
def answer(event, context):
    if event == "fail":
        raise KeyError(event)
    return event if isinstance(event, dict) else [client, os.environ["KEY"], context.aws_request_id]
"""


class Service:
    """What has the secret, in memory, and a clock."""

    def __init__(self) -> None:
        self.text: str | None = "1"
        self.now = 1000.0
        self.calls = 0

    def fetch(self, _source: Source) -> str:
        """Answer."""
        self.calls += 1
        if self.text is None:
            raise SecretError("denied")
        return self.text


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Set what the construct sets, beside a user's handler."""
    (tmp_path / "bots").mkdir()
    (tmp_path / "bots" / "chat.py").write_text(USERS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    service = Service()
    monkeypatch.setattr(agent_secrets, "fetch", service.fetch)
    monkeypatch.setattr(time, "time", lambda: service.now)
    monkeypatch.delenv("KEY", raising=False)
    monkeypatch.setenv("AK_CONSTRUCTS_SECRETS", json.dumps({"KEY": {"secret": "arn"}}))
    monkeypatch.setenv("AK_CONSTRUCTS_HANDLER", "bots/chat.answer")
    yield service
    monkeypatch.delenv("AK_CONSTRUCTS_HANDLER")
    monkeypatch.delenv("KEY", raising=False)
    for name in ("bots", "bots.chat"):
        sys.modules.pop(name, None)
    importlib.reload(loader)


def start() -> Callable[[Any, Any], Any]:
    """Start an environment."""
    importlib.reload(loader)
    return loader.handler


def test_a_handler_is_imported_in_the_init_phase_with_its_secrets(service: Service) -> None:
    """And called with the event and context as they came; what it answers is the answer."""
    handler = start()
    assert "bots.chat" in sys.modules
    assert handler("hi", Context()) == ["1", "1", "lambda-request"]
    assert service.calls == 1


def test_a_rotated_value_is_in_the_environment_later(service: Service) -> None:
    """A client that was made at import keeps the old one."""
    handler = start()
    service.text = "2"
    for after in (100, 100):  # runs that go well ask nobody
        service.now += after
        assert handler("hi", Context()) == ["1", "1", "lambda-request"]
    service.now += 100
    assert handler("hi", Context()) == ["1", "2", "lambda-request"]


def test_without_its_secrets_a_handler_is_not_called(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Not even by a ping; the next request tries again."""
    service.text = None
    handler = start()
    assert "bots.chat" not in sys.modules
    events: list[object] = ["hi", {"ak_constructs_ping": {}}]
    for event in events:
        with pytest.raises(UnreadableError):
            handler(event, Context())
    assert {record.getMessage() for record in caplog.records} == {"secret KEY: denied"}
    service.text = "1"
    assert handler("hi", Context()) == ["1", "1", "lambda-request"]


@pytest.mark.parametrize(
    "event",
    [
        "fail",
        {"statusCode": 500},
        {"batchItemFailures": [{"itemIdentifier": "1"}]},
    ],
    ids=str,
)
def test_after_a_failed_run_the_secrets_are_read_again(service: Service, event: object) -> None:
    """However the handler says that it failed; and its own error is what Lambda sees."""
    handler = start()
    service.now += 10
    if event == "fail":
        with pytest.raises(KeyError, match="fail"):
            handler(event, Context())
    else:
        assert handler(event, Context()) == event
    service.text = "2"
    assert handler("hi", Context())[1] == "2"


def test_a_message_that_comes_again_reads_them_first(service: Service) -> None:
    """Its run may have failed in another environment."""
    handler = start()
    service.now += 10
    service.text = "2"
    handler({"Records": [{"attributes": {"ApproximateReceiveCount": "2"}}]}, Context())
    assert handler("hi", Context())[1] == "2"


def test_a_ping_reads_nothing(service: Service) -> None:
    """It reaches the handler, as without secrets."""
    handler = start()
    service.now += 1000
    ping: dict[str, Any] = {"ak_constructs_ping": {}}
    assert handler(ping, Context()) == ping
    assert service.calls == 1


def test_fails_when_the_handler_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The construct does so."""
    monkeypatch.delenv("AK_CONSTRUCTS_HANDLER", raising=False)
    loader._users_handler.cache_clear()
    with pytest.raises(RuntimeError, match=r"^AK_CONSTRUCTS_HANDLER must be set"):
        loader._users_handler()


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, False),
        ("text", False),
        ({}, False),
        ({"statusCode": 200}, False),
        ({"statusCode": 404}, False),
        ({"statusCode": "500"}, False),
        ({"statusCode": 502}, True),
        ({"batchItemFailures": []}, False),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, True),
    ],
    ids=str,
)
def test_a_handlers_answer_may_say_that_it_failed(answer: object, failed: bool) -> None:
    """In the two forms that Lambda's callers know."""
    assert core.has_failed(answer) is failed


@pytest.mark.parametrize("event", [None, "text", [], {}, {"Records": "x"}, {"Records": [None, {"attributes": {}}]}])
def test_any_event_may_come(event: object) -> None:
    """It is the user's own."""
    assert core.is_retry(event) is False
