"""An agent with a session store: whose a session is, what was said in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ak_lambda.agent_runner import handler as runner
from ak_lambda.shared.messages import ToSend
from ak_lambda.shared.requests import queued_request
from test.lambda_assets.events import Context, rest
from test.lambda_assets.fakes import FakeSessions, record

SOURCE = """
def respond(turn):
    if turn.prompt == "dict":
        return {"answer": 42}
    if turn.prompt == "fail":
        return {"error": "no"}
    turn.progress("thinking")
    return f"{turn.prompt} after " + ", ".join(f"{each['prompt']}={each['answer']}" for each in turn.history)
"""


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSessions]:
    """Put an agent with a conversation in place."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "conversing.py").write_text(SOURCE, encoding="utf-8")
    monkeypatch.setenv("AK_CONSTRUCTS_AGENT", "conversing:respond")
    fake = FakeSessions()
    monkeypatch.setattr(runner, "_sessions", lambda: fake)
    runner._agent.cache_clear()
    yield fake
    runner._agent.cache_clear()


def ask(prompt: str, **more: str) -> tuple[int, Any]:
    """Ask the agent directly."""
    response = runner.handler(rest({"prompt": prompt, "session_id": "s", **more}), Context())
    return response["statusCode"], json.loads(response["body"])


def test_the_store_is_the_one_that_the_construct_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that has none imports nothing for it."""
    runner._sessions.cache_clear()
    assert runner._sessions() is None
    runner._sessions.cache_clear()
    for name, value in {"HISTORY_TURNS": "5", "SESSIONS_TABLE": "t", "SESSIONS_TTL_SECONDS": "9"}.items():
        monkeypatch.setenv(f"AK_CONSTRUCTS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert runner._sessions() is not None
    runner._sessions.cache_clear()


@pytest.mark.usefixtures("sessions")
def test_the_agent_sees_what_was_said_before() -> None:
    """Text as text, anything else as JSON; a failure is no turn."""
    # Turns of one millisecond are in the order of their ids.
    assert ask("one", request_id="1")[1]["result"] == "one after "
    assert ask("dict", request_id="2")[1]["answer"] == 42
    assert ask("fail", request_id="3")[0] == 502
    assert ask("two", request_id="4")[1]["result"] == 'two after one=one after , dict={"answer": 42, "session_id": "s"}'


def test_a_session_of_somebody_else_is_closed(sessions: FakeSessions) -> None:
    """The agent is not asked."""
    sessions.owners["s"] = "alice"
    assert ask("hi") == (403, {"error": "session_id belongs to somebody else"})
    assert sessions.turns == {}


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ThrottlingException", 503, "the session store is busy; try again later"),
        ("AccessDenied", 502, "the session store failed"),
    ],
)
def test_without_its_conversation_the_agent_does_not_run(
    sessions: FakeSessions, caplog: pytest.LogCaptureFixture, code: str, status: int, error: str
) -> None:
    """It would answer as if nothing had been said."""
    sessions.claim = lambda *_, **__: (_ for _ in ()).throw(ClientError({"Error": {"Code": code}}, "GetItem"))  # type: ignore[method-assign]
    got, body = ask("hi", request_id="r")
    assert (got, body) == (status, {"error": error, "request_id": "r"})
    assert "the session store failed" in caplog.text


def test_an_answer_that_cannot_be_remembered_is_still_given(
    sessions: FakeSessions, caplog: pytest.LogCaptureFixture
) -> None:
    """Better than a second run."""
    sessions.add_turn = lambda *_, **__: (_ for _ in ()).throw(OSError("SECRET"))  # type: ignore[method-assign]
    assert ask("hi")[0] == 200
    assert "the turn is not kept" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_repeated_run_does_not_see_its_own_turn(sessions: FakeSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """It overwrites it: its name is that of the request."""

    def handle(self: Any, one: dict[str, Any]) -> bool:  # noqa: ANN401
        request = queued_request(one["body"], request_id="r", session_id="s", user_id=None)
        answers.append(self.run(request, told.append, 1000, None).body)
        return True

    answers: list[Any] = []
    told: list[str] = []
    monkeypatch.setattr("ak_lambda.agent_runner.queued.QueuedRuns.handle", handle)
    for name in ("REQUESTS_TABLE", "REQUEST_QUEUE_URL", "REPLY_QUEUE_URL", "PAYLOADS_BUCKET"):
        monkeypatch.setenv(f"AK_CONSTRUCTS_{name}", "x")
    for name in ("RETENTION_SECONDS", "MAX_RECEIVE_COUNT"):
        monkeypatch.setenv(f"AK_CONSTRUCTS_{name}", "5")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    message = record(ToSend('{"prompt": "hi"}', {}, "s", "r"))
    for _ in range(2):
        runner.handler({"Records": [message]}, Context())
    assert [answer["result"] for answer in answers] == ["hi after ", "hi after "]
    assert told == ["thinking", "thinking"]
    assert list(sessions.turns["s"]) == ["turn#0000000001000#r"]
