"""The agent runner as Lambda calls it."""

import decimal
import importlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ak_lambda.agent_runner import handler as runner
from ak_lambda.agent_runner.agent import loop
from ak_lambda.shared import agent_secrets
from ak_lambda.shared.pings import Environment
from ak_lambda.shared.secret_rules import SecretError, Source
from test.lambda_assets.events import Context, http_api, rest

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Give a function that runs an event with an agent of the given source."""
    monkeypatch.syspath_prepend(tmp_path)
    used: list[str] = []

    def run_once(source: str, event: object) -> dict[str, Any]:
        if not used or used[-1] != source:
            runner._agent.cache_clear()
            module = f"agent_{len(used)}"
            used.append(source)
            (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
            importlib.invalidate_caches()
            monkeypatch.setenv("AK_CONSTRUCTS_AGENT", f"{module}:respond")
        return runner.handler(event, Context())  # type: ignore[arg-type]

    yield run_once
    runner._agent.cache_clear()
    if loop.cache_info().currsize:
        loop().close()
        loop.cache_clear()
    for name in [name for name in sys.modules if name.startswith("agent_")]:
        del sys.modules[name]


def result(response: dict[str, Any]) -> object:
    """Give the result of an HTTP response that went well."""
    assert response["statusCode"] == 200, response
    return json.loads(response["body"])["result"]


@pytest.mark.parametrize(
    "source",
    [
        "def respond(turn):\n    return 'You said ' + turn.prompt",
        "async def respond(turn):\n    return 'You said ' + turn.prompt",
        "def respond(turn):\n    yield 'You said '\n    yield turn.prompt",
        "async def respond(turn):\n    yield 'You said '\n    yield turn.prompt",
        "def respond(turn):\n    return {'result': 'You said ' + turn.prompt}",
        "async def respond(turn):\n    async def say():\n        yield 'You said ' + turn.prompt\n    return say()",
        "class Agent:\n    def __call__(self, turn):\n        return 'You said ' + turn.prompt\nrespond = Agent()",
    ],
)
def test_every_form_of_agent_answers(run: Run, source: str) -> None:
    """Sync, async, generator, dict, object: all the same to the caller, every time."""
    for prompt in ("hi", "again"):
        assert result(run(source, rest({"prompt": prompt}))) == f"You said {prompt}"


def test_the_turn_has_what_the_agent_needs(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """One test for the whole contract."""
    source = """
def respond(turn):
    turn.progress("Fetching data ...")
    return {"result": [turn.prompt, turn.session_id, turn.request_id, turn.user_id, turn.agent, dict(turn.extra),
                       list(turn.history), turn.remaining_ms()]}
"""
    body = {"prompt": "hi", "session_id": "s", "request_id": "r", "agent": "a", "x": 1}
    context = {"identity": {"user": "AIDAEXAMPLE"}}
    response = run(source, rest(body, rule="iam", requestContext=context))
    assert result(response) == ["hi", "s", "r", "AIDAEXAMPLE", "a", {"x": 1}, [], 28_000]
    assert capsys.readouterr() == ("", ""), "what an agent tells its user is not for the log"


def test_all_runs_of_an_environment_share_one_event_loop(run: Run) -> None:
    """A client that an agent keeps stays bound to a loop that lives."""
    source = "import asyncio\nasync def respond(turn):\n    return str(id(asyncio.get_running_loop()))"
    assert result(run(source, rest({"prompt": "1"}))) == result(run(source, rest({"prompt": "2"})))


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_no_run_reads_what_another_set_in_a_context_variable(run: Run, kind: str) -> None:
    """Many libraries keep the current user there."""
    source = f"""
import contextvars
user = contextvars.ContextVar("user", default="nobody")

{kind} respond(turn):
    before = user.get()
    user.set(turn.prompt)
    return before
"""
    assert [result(run(source, rest({"prompt": name}))) for name in ("alice", "bob")] == ["nobody", "nobody"]


def test_an_agent_sees_the_context_that_surrounds_the_handler(run: Run) -> None:
    """A tracer that wraps the handler keeps the current span there."""
    source = "import decimal\ndef respond(turn):\n    return str(decimal.getcontext().prec)"
    with decimal.localcontext(prec=7):
        assert result(run(source, rest({"prompt": "hi"}))) == "7"


def test_direct_and_http_api_events_are_answered_in_their_own_form(run: Run) -> None:
    """The same agent behind each."""
    source = "def respond(turn):\n    return turn.prompt"
    assert run(source, {"prompt": "hi", "session_id": "s", "request_id": "r"}) == {
        "result": "hi",
        "session_id": "s",
        "request_id": "r",
    }
    assert result(run(source, http_api({"prompt": "hi"}))) == "hi"
    assert run(source, []) == {"status_code": 400, "error": "event must be an object, got an array"}
    assert run(source, {}) == {"status_code": 400, "error": "prompt must be a string, got nothing"}


def test_a_ping_touches_nothing_but_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sleeps, says which environment it met and whether that was new, and the agent never hears of it."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(runner, "_environment", Environment())
    source = "def respond(turn):\n    raise RuntimeError"
    first = run(source, {"ak_constructs_ping": {"hold_ms": 75}})
    second = run(source, {"ak_constructs_ping": {}})
    assert first == {"environment_id": first["environment_id"], "cold": True}
    assert second == {"environment_id": first["environment_id"], "cold": False}
    assert slept == [0.075, 0]


def test_a_ping_does_not_even_import_the_agent(run: Run) -> None:
    """A warm environment is one that has tried; a ping says nothing about the agent."""
    assert "environment_id" in run("raise RuntimeError", {"ak_constructs_ping": {}})


def test_an_environment_that_answered_before_is_not_cold(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it answered."""
    monkeypatch.setattr(runner, "_environment", Environment())
    source = "def respond(turn):\n    return 'x'"
    run(source, {"prompt": "hi"})
    assert run(source, {"ak_constructs_ping": {}})["cold"] is False


FAILING = """
def respond(turn):
    return helper(turn)

def helper(turn):
    raise ValueError("the prompt was " + turn.prompt)
"""


def test_a_failing_agent_is_logged_by_type_and_place_only(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the caller nor the log sees the prompt or a stack trace."""
    caplog.set_level(logging.INFO)
    response = run(FAILING, rest({"prompt": "SECRET", "request_id": "r-1"}))
    assert response["statusCode"] == 502
    assert json.loads(response["body"]) == {
        "status": "FAILED",
        "request_id": "r-1",
        "error": "the agent failed; its log has the type and place of the error",
    }
    record = next(each for each in caplog.records if each.message == "the agent failed")
    assert (record.levelname, record.message) == ("ERROR", "the agent failed")
    assert {name: vars(record)[name] for name in ("request_id", "error_type", "agent_at", "raised_at")} == {
        "request_id": "r-1",
        "error_type": "ValueError",
        "agent_at": "agent_0.py:3 in respond",
        "raised_at": "agent_0.py:6 in helper",
    }
    assert (vars(caplog.records[1])["status"], caplog.records[1].levelname) == (502, "ERROR")
    assert "SECRET" not in str([vars(each) for each in caplog.records])
    assert all(each.exc_info is None for each in caplog.records)


@pytest.mark.parametrize("source", ["async def respond(turn):\n    raise KeyError", "import asyncio\nrespond = int"])
def test_the_place_of_an_error_is_the_agents_own(run: Run, caplog: pytest.LogCaptureFixture, source: str) -> None:
    """Not asyncio's, and nowhere when the agent has no line of Python."""
    run(source, rest({"prompt": "hi"}))
    record = next(each for each in caplog.records if each.message == "the agent failed")
    expected = "agent_0.py:2 in respond" if "async def" in source else None
    assert vars(record)["agent_at"] == expected


@pytest.mark.parametrize(
    "source",
    [
        "def respond(turn):\n    yield 7",
        "async def respond(turn):\n    yield 7",
        "def respond(turn):\n    raise SystemExit(turn.prompt)",
        "import asyncio\nasync def respond(turn):\n    raise asyncio.CancelledError(turn.prompt)",
    ],
)
def test_an_agent_that_breaks_its_contract_has_failed(run: Run, source: str) -> None:
    """Pieces that are no text, or a callable that takes no turn."""
    assert run(source, rest({"prompt": "hi"}))["statusCode"] == 502


def test_a_snapshot_does_not_give_its_id_to_every_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """SnapStart copies a module as it is after its import."""
    monkeypatch.setattr(runner, "_environment", Environment())
    ping: dict[str, Any] = {"ak_constructs_ping": {}}
    one = run("def respond(turn): ...", ping)["environment_id"]
    monkeypatch.setattr(runner, "_environment", Environment())
    assert run("def respond(turn): ...", ping)["environment_id"] != one


def test_each_run_is_logged_with_its_ids_and_no_text(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Enough to follow a request, nothing of what was said."""
    caplog.set_level(logging.INFO)
    source = "import time\ndef respond(turn):\n    time.sleep(0.05)\n    return 'ANSWER'"
    run(source, rest({"prompt": "PROMPT", "request_id": "r", "session_id": "s"}))
    (record,) = caplog.records
    assert (record.message, vars(record)["request_id"], vars(record)["session_id"]) == ("answered", "r", "s")
    assert vars(record)["status"] == 200
    assert 50 <= vars(record)["duration_ms"] <= 60_000
    ours = set(vars(record)) - set(vars(logging.makeLogRecord({}))) - {"message"}
    assert ours == {"request_id", "session_id", "status", "reason", "duration_ms"}
    assert "ANSWER" not in str(vars(record))
    assert "PROMPT" not in str(vars(record))


def test_a_refused_request_is_logged_with_its_reason(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """And with nothing that the caller sent."""
    caplog.set_level(logging.INFO)
    response = run("def respond(turn): ...", rest({"prompt": "SECRET", "session_id": "SECRET SECRET"}))
    assert response["statusCode"] == 400
    (record,) = caplog.records
    assert vars(record)["status"] == 400
    assert vars(record)["reason"] == "session_id must match ^[A-Za-z0-9_:.-]{1,128}$"
    assert "SECRET" not in str(vars(record))


def test_fails_when_the_variable_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable and the construct that sets it."""
    monkeypatch.delenv("AK_CONSTRUCTS_AGENT", raising=False)
    runner._agent.cache_clear()
    with pytest.raises(RuntimeError, match=r"^AK_CONSTRUCTS_AGENT must be set to module:callable; AgentFunction"):
        runner._agent()


def test_fails_when_the_variable_names_no_callable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only the import can show."""
    monkeypatch.setenv("AK_CONSTRUCTS_AGENT", "os:sep")
    runner._agent.cache_clear()
    with pytest.raises(TypeError, match=r"^AK_CONSTRUCTS_AGENT must name a callable, os:sep is str$"):
        runner._agent()


@pytest.mark.parametrize("parameters", ["", "a, b", "*, turn"])
def test_fails_when_the_agent_does_not_take_one_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: str
) -> None:
    """Before the first event, in words that a developer finds in the log."""
    (tmp_path / "wrong_agent.py").write_text(f"def respond({parameters}): ...", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wrong_agent", raising=False)
    monkeypatch.setenv("AK_CONSTRUCTS_AGENT", "wrong_agent:respond")
    runner._agent.cache_clear()
    with pytest.raises(
        TypeError, match=r"^the agent must take one argument, the turn, but it is wrong_agent:respond\("
    ):
        runner._agent()


def test_the_agent_is_imported_before_the_first_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the init phase, where Lambda gives the function a full CPU."""
    monkeypatch.setenv("AK_CONSTRUCTS_AGENT", "os:fspath")
    try:
        importlib.reload(runner)
        assert runner._agent.cache_info().currsize == 1
        assert runner._agent().__name__ == "fspath"
    finally:
        monkeypatch.delenv("AK_CONSTRUCTS_AGENT")
        importlib.reload(runner)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(), body=st.none() | st.text() | st.dictionaries(st.text(), st.text()))
def test_no_event_makes_a_5xx_for_a_callers_fault_or_a_log_line_with_a_prompt(
    run: Run, caplog: pytest.LogCaptureFixture, prompt: str, body: object
) -> None:
    """With an agent that answers everything, whatever is sent is answered or refused."""
    caplog.clear()
    caplog.set_level(logging.INFO)
    secret = f"<{prompt}-SECRET>"
    source = "def respond(turn):\n    return 'ok'"
    for sent in ({"prompt": secret}, {"prompt": secret, "session_id": secret}, body):
        assert run(source, rest(sent))["statusCode"] in {200, 400}
    assert "-SECRET>" not in str([vars(record) for record in caplog.records])


KEYED = "import os\nclient = os.environ['KEY']\ndef respond(turn):\n    return os.environ['KEY']"


class Rotating:
    """What has the agent's secret, in memory, and a clock."""

    def __init__(self) -> None:
        self.text: str | SecretError = "1"
        self.now = 1000.0
        self.calls = 0

    def fetch(self, _source: Source) -> str:
        """Answer."""
        self.calls += 1
        if isinstance(self.text, SecretError):
            raise self.text
        return self.text


@pytest.fixture
def rotating(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rotating]:
    """Give the agent a secret."""
    service = Rotating()
    monkeypatch.setattr(agent_secrets, "fetch", service.fetch)
    monkeypatch.setattr(time, "time", lambda: service.now)
    monkeypatch.delenv("KEY", raising=False)
    monkeypatch.setenv("AK_CONSTRUCTS_SECRETS", json.dumps({"KEY": {"secret": "arn"}}))
    runner._secrets.cache_clear()
    yield service
    runner._secrets.cache_clear()


def test_an_agent_is_imported_with_its_secrets_and_sees_them_rotated(run: Run, rotating: Rotating) -> None:
    """Read once, and again when they are five minutes old."""
    assert [result(run(KEYED, rest({"prompt": "hi"}))) for _ in range(2)] == ["1", "1"]
    assert rotating.calls == 1
    rotating.text = "2"
    rotating.now += 300
    assert result(run(KEYED, rest({"prompt": "hi"}))) == "2"


@pytest.mark.parametrize(
    ("may_pass", "said"),
    [
        (True, (503, "5", "the agent's secrets cannot be read now; try again later")),
        (False, (502, None, "the agent's secrets cannot be read; its log says which")),
    ],
)
def test_without_its_secrets_an_agent_does_not_run(
    run: Run, rotating: Rotating, caplog: pytest.LogCaptureFixture, may_pass: bool, said: tuple[int, str | None, str]
) -> None:
    """The caller learns whether to try again, the log what is amiss; the next request tries again."""
    rotating.text = SecretError("denied", may_pass=may_pass)
    response = run(KEYED, rest({"prompt": "hi"}))
    error = json.loads(response["body"])["error"]
    assert (response["statusCode"], response["headers"].get("Retry-After"), error) == said
    assert [record.getMessage() for record in caplog.records] == ["secret KEY: denied", "answered"]
    rotating.text = "1"
    assert result(run(KEYED, rest({"prompt": "hi"}))) == "1"


PICKY = """
import os
def respond(turn):
    return {"result": "x"} if os.environ["KEY"] == turn.prompt else {"error": "wrong key"}
"""


def test_after_a_failed_run_an_agents_secrets_are_read_again(run: Run, rotating: Rotating) -> None:
    """A rotation without overlap costs one failed run."""
    assert run(PICKY, rest({"prompt": "1"}))["statusCode"] == 200
    rotating.text = "2"
    rotating.now += 10
    assert [run(PICKY, rest({"prompt": "2"}))["statusCode"] for _ in range(2)] == [502, 200]
    assert [run(PICKY, rest({"prompt": "2", "session_id": "a b"}))["statusCode"] for _ in range(2)] == [400, 400]
    rotating.now += 10
    run(PICKY, rest({"prompt": "2"}))
    assert rotating.calls == 2, "a caller's fault is no reason to read"


def test_a_ping_does_not_read_secrets(run: Run, rotating: Rotating) -> None:
    """It touches nothing but the environment."""
    run(KEYED, {"ak_constructs_ping": {}})
    assert rotating.calls == 0


@pytest.mark.parametrize("there", [True, False])
def test_secrets_are_read_before_the_agent_is_imported(
    rotating: Rotating, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """In the init phase, which a secret that is not there does not end: the first request tries again."""
    monkeypatch.setenv("AK_CONSTRUCTS_AGENT", "os:fspath")
    if not there:
        rotating.text = SecretError("denied")
    try:
        importlib.reload(runner)
        assert (rotating.calls, runner._agent.cache_info().currsize) == (1, int(there))
    finally:
        monkeypatch.delenv("AK_CONSTRUCTS_AGENT")
        monkeypatch.delenv("AK_CONSTRUCTS_SECRETS")
        importlib.reload(runner)
