"""Agent Kernel's agent runner, unmodified, behind QueuedAgentPipeline: called as its documentation calls it."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from ak_constructs.local.deployment import bootstrap, deploy, install_cdk
from ak_constructs.local.emulator import Emulator, emulator
from ak_constructs.local.logs import client, log_lines
from test.local.queued_pipeline import until
from test.local.websocket_talk import Talk
from test.pythons import require_python

pytestmark = pytest.mark.local

FINAL_SECONDS = 90  # for what takes a few, on a machine that has other things to do
QUICK_RETRY_SECONDS = 2


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One release of Agent Kernel behind one API.

    Attributes:
        aws: Where it runs.
        version: The release.
        mode: Whether the API waits.
        outputs: The stack's, by their names without version and mode.
    """

    aws: Emulator
    version: str
    mode: str
    outputs: dict[str, str]

    @property
    def url(self) -> str:
        """Where to POST."""
        return self.aws.reachable(self.outputs["Url"])

    def call(self, method: str, url: str, *, user: str = "alice", **options: Any) -> httpx.Response:  # noqa: ANN401
        """Send one request."""
        return httpx.request(method, url, headers={"Authorization": f"Bearer {user}"}, timeout=35, **options)

    def answer(self, body: dict[str, Any], *, user: str = "alice") -> tuple[int, Any]:
        """Send a request and give its answer, asked for as long as it takes."""
        response = self.call("POST", self.url, json=body, user=user)
        deadline = time.monotonic() + FINAL_SECONDS
        while response.status_code == httpx.codes.ACCEPTED and time.monotonic() < deadline:
            time.sleep(0.05)
            response = self.call("GET", self.url, json={"request_id": response.json()["request_id"]}, user=user)
        return response.status_code, response.json()

    def parked(self) -> list[dict[str, Any]]:
        """Take what is parked."""
        received = client("sqs", self.aws).receive_message(
            QueueUrl=self.outputs["Parked"], MessageAttributeNames=["All"], MaxNumberOfMessages=10
        )
        return [dict(each) for each in received.get("Messages", [])]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, dict[str, str]]]:
    """Run everything on an emulator with a Python that Agent Kernel runs on."""
    python = require_python("3.13", "3.12")
    code = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    work = tmp_path_factory.mktemp("agentkernel-queue")
    install_cdk()
    with emulator(work / "emulator.log", base=python) as aws:
        bootstrap(aws, work)
        outputs = deploy(aws, work, app=f"{sys.executable} -m test.local.agentkernel_queue_app {version}")
        yield aws, outputs["AgentKernelQueue"]


@pytest.fixture(scope="module", params=["0.9.5", "0.6.0"])
def version(request: pytest.FixtureRequest) -> str:
    """Name a release of Agent Kernel."""
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=["rest_sync", "rest_async"])
def pipeline(request: pytest.FixtureRequest, deployed: tuple[Emulator, dict[str, str]], version: str) -> Pipeline:
    """Give a release behind an API of one mode."""
    aws, outputs = deployed
    prefix = f"V{version.replace('.', '')}{request.param.replace('_', '')}"
    own = {name.removeprefix(prefix): value for name, value in outputs.items() if name.startswith(prefix)}
    return Pipeline(aws=aws, version=version, mode=request.param, outputs=own)


def test_its_agent_answers_a_flat_and_a_nested_request(pipeline: Pipeline) -> None:
    """As the documentation sends them."""
    message = {"prompt": "hi", "agent": "echo", "session_id": "forms"}
    for body in (message, {"request_id": "nested", "user_id": "u", "body": message}):
        assert pipeline.answer(body) == (200, {"result": "echo heard hi", "session_id": "forms"})


def test_each_mode_answers_a_submission_as_it_should(pipeline: Pipeline) -> None:
    """At once with 202, or with the answer."""
    body = {"prompt": "hi", "agent": "echo", "session_id": "modes", "request_id": "modes-1"}
    response = pipeline.call("POST", pipeline.url, json=body)
    if pipeline.mode == "rest_sync":
        assert (response.status_code, response.json()["result"]) == (200, "echo heard hi")
    else:
        assert response.json() == {"status": "ACCEPTED", "request_id": "modes-1", "session_id": "modes"}
        assert (response.status_code, response.headers["location"]) == (202, "chat/modes-1")


def test_an_answer_is_polled_by_a_body_as_documented_by_path_and_by_query(pipeline: Pipeline) -> None:
    """And it can be read again and again."""
    answer = pipeline.answer({"prompt": "hi", "agent": "echo", "session_id": "polls", "request_id": "polls-1"})
    by_body = pipeline.call("GET", pipeline.url, json={"request_id": "polls-1"})
    by_path = pipeline.call("GET", f"{pipeline.url}/polls-1")
    by_query = pipeline.call("GET", pipeline.url, params={"request_id": "polls-1"})
    assert [(each.status_code, each.json()) for each in (by_body, by_path, by_query)] == [answer] * 3


def test_its_sessions_go_on_in_its_own_store_beside_ours(pipeline: Pipeline) -> None:
    """Its pickled items and our owner share the table and do not meet."""
    counts = [
        pipeline.answer({"prompt": "hi", "do": "count", "agent": "echo", "session_id": session})[1]["result"]
        for session in ("long", "long", "short", "long")
    ]
    assert counts == ["1", "2", "1", "3"]
    items = client("dynamodb", pipeline.aws).scan(TableName=pipeline.outputs["Sessions"])["Items"]
    kept = {item["key"]["S"]: item for item in items if item["session_id"]["S"] == "long"}
    assert kept["owner"]["opened_by"] == {"S": '"alice"'}
    assert all("B" in item["value"] and "expiry_time" in item for name, item in kept.items() if name != "owner")
    assert "turns" in kept


def test_somebody_elses_session_and_answer_are_out_of_reach(pipeline: Pipeline) -> None:
    """What Agent Kernel itself does not check."""
    body = {"prompt": "hi", "agent": "echo", "session_id": "hers", "request_id": "hers-1"}
    assert pipeline.answer(body)[0] == 200
    assert pipeline.answer({**body, "request_id": "his-1"}, user="bob") == (
        403,
        {"error": "session_id belongs to somebody else"},
    )
    assert pipeline.call("GET", f"{pipeline.url}/hers-1", user="bob").status_code == 404


def test_the_agent_is_told_whom_the_authorizer_let_in(pipeline: Pipeline) -> None:
    """And not whom the body claims; 0.6.0 tells its agents nothing of users."""
    body = {"prompt": "hi", "do": "name the user", "agent": "echo", "session_id": "who", "user_id": "bob"}
    told = "nobody said" if pipeline.version == "0.6.0" else "alice"
    assert pipeline.answer(body)[1]["result"] == told


def test_every_other_key_reaches_the_agent(pipeline: Pipeline) -> None:
    """As the context that Agent Kernel makes of it."""
    body = {"prompt": "hi", "do": "list", "agent": "echo", "session_id": "more", "deep": {"a": [1, 2.5, None, "é"]}}
    assert json.loads(pipeline.answer(body)[1]["result"]) == {"deep": {"a": [1, 2.5, None, "é"]}}


def test_an_unknown_agent_is_the_callers_fault_where_the_release_says_so(pipeline: Pipeline) -> None:
    """0.6.0 sends an error without a status, which nobody can tell from a failure."""
    status, body = pipeline.answer({"prompt": "hi", "agent": "nobody", "session_id": "unknown"})
    if pipeline.version == "0.6.0":
        assert (status, body["status"], body["error"]) == (502, "FAILED", "No agent available")
    else:
        assert (status, body) == (400, {"error": "No agent available", "session_id": "unknown"})


def test_an_agent_that_raises_fails_at_once(pipeline: Pipeline) -> None:
    """Agent Kernel itself answers for it, so that it is neither repeated nor parked."""
    body = {"prompt": "hi", "do": "raise", "agent": "echo", "session_id": "raises", "request_id": "raises-1"}
    expected = {"status": "FAILED", "request_id": "raises-1", "error": "out of luck"}
    assert pipeline.answer(body) == (502, expected)
    assert pipeline.parked() == []


def test_runs_that_never_reply_are_parked_after_five_receives(pipeline: Pipeline) -> None:
    """More than the three of its own configuration file, after which it would give up without a dead letter.

    One is killed; the other's answer is more than a message holds, so that Agent Kernel cannot send it.
    """
    url = pipeline.outputs["RequestQueue"]
    client("sqs", pipeline.aws).set_queue_attributes(
        QueueUrl=url, Attributes={"VisibilityTimeout": str(QUICK_RETRY_SECONDS)}
    )
    bodies = {
        wish: {
            "prompt": "hi",
            "do": wish,
            "agent": "echo",
            "session_id": wish,
            "request_id": wish,
            "characters": 1 << 20,
        }
        for wish in ("die", "grow")
    }
    for body in bodies.values():
        headers = {"Authorization": "Bearer alice", "Prefer": "respond-async"}
        assert httpx.post(pipeline.url, json=body, headers=headers).status_code == 202
    error = "no run finished: each was killed, ran out of memory or ran out of time"
    for wish, body in bodies.items():
        assert pipeline.answer(body) == (502, {"status": "FAILED", "request_id": wish, "error": error})
    parked = {each["MessageAttributes"]["request_id"]["StringValue"]: each for each in pipeline.parked()}
    assert {wish: json.loads(each["Body"])["do"] for wish, each in parked.items()} == {"die": "die", "grow": "grow"}

    def runs() -> list[str]:
        lines = [line["message"] for line in log_lines(pipeline.aws, pipeline.outputs["LogGroup"])]
        return [line for line in lines if line.startswith("Processing message") and "'grow'" in line]

    # A run logs when it ends: on a busy machine some end after the message has become visible again, and is parked.
    until(lambda: len(runs()) >= 5, seconds=60)
    assert len(runs()) == 5


@pytest.mark.parametrize("mode", ["async", "stream"])
def test_its_agent_answers_at_a_websocket(deployed: tuple[Emulator, dict[str, str]], mode: str) -> None:
    """A flat and a nested message; to both tabs, and nobody else; what it streams comes in pieces, and whole."""
    aws, outputs = deployed
    url = aws.reachable(outputs[f"Socket{mode}Url"])
    message = {"prompt": "hi", "agent": "echo", "session_id": f"socket-{mode}", "do": "count"}
    with contextlib.ExitStack() as open_ones:
        asking, other, bob = (
            Talk(open_ones.enter_context(connect(url, additional_headers={"Authorization": f"Bearer {user}"})))
            for user in ("alice", "alice", "bob")
        )
        asking.send(route="chat", **message)
        asking.send(route="chat", request_id=f"nested-{mode}", user_id="bob", body=message)
        for talk in (asking, other):
            frames = [*talk.until("CHAT_RESPONSE"), *talk.until("CHAT_RESPONSE")]
            first, second = [frame for frame in frames if frame["type"] == "CHAT_RESPONSE"]
            assert [each["result"].strip() for each in (first, second)] == ["1", "2"]
            assert (second["request_id"], second["session_id"]) == (f"nested-{mode}", f"socket-{mode}")
            for answer in (first, second):
                chunks = [
                    frame
                    for frame in frames
                    if frame["type"] == "STREAM_CHUNK" and frame["request_id"] == answer["request_id"]
                ]
                assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
                assert "".join(chunk.get("delta", "") for chunk in chunks) == (
                    answer["result"] if mode == "stream" else ""
                )
                assert [chunk["done"] for chunk in chunks][-1:] == ([True] if mode == "stream" else [])
        assert asking.ask(route="resume", request_id=second["request_id"]) == second
        asking.send(route="chat", **{**message, "do": "raise"})
        failed = asking.until("CHAT_RESPONSE")[-1]
        assert (failed["status"], failed["status_code"]) == ("FAILED", 502)
        assert bob.is_quiet()
