"""AgentApi deployed: what callers get."""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials

from ak_constructs.local.deployment import deploy
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client, log_lines
from ak_constructs.local.signing import signed_headers
from test.lambda_assets.hostile import REFUSED, REFUSED_IDS
from test.local.queued_pipeline import until

pytestmark = pytest.mark.local
CREDENTIALS = Credentials("test", "test")


@pytest.fixture(scope="module")
def outputs(aws: Emulator, work: Path) -> dict[str, str]:
    """Deploy an agent that says what it was given, behind a signed and behind a public API."""
    return deploy(aws, work, app=f"{sys.executable} -m test.local.echo_app")["Echo"]


def call(
    aws: Emulator,
    url: str,
    *,
    method: str = "POST",
    body: object = None,
    headers: Mapping[str, str] | None = None,
    signed: bool = True,
) -> tuple[int, dict[str, Any]]:
    """Call a route and give status and JSON."""
    url = aws.reachable(url)
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    sent = signed_headers(method, url, content, credentials=CREDENTIALS, region="us-east-1") if signed else {}
    response = httpx.request(method, url, content=content, headers={**sent, **(headers or {})}, timeout=35)
    answer: dict[str, Any] = response.json()
    return response.status_code, answer


def test_the_agent_sees_who_signed(aws: Emulator, outputs: dict[str, str]) -> None:
    """And not whom the body claims."""
    status, answer = call(aws, outputs["IamUrl"], body={"prompt": "hi", "session_id": "s", "user_id": "mallory"})
    assert status == 200
    assert answer["session_id"] == "s"
    assert answer["user_id"] == "000000000000"
    assert answer["extra"] == {"user_id": "mallory"}
    assert answer["leaked"] is None, "a person's environment must not reach the functions"


def test_an_unsigned_call_does_not_reach_the_agent(aws: Emulator, outputs: dict[str, str]) -> None:
    """And is answered in our shape."""
    status, answer = call(aws, outputs["IamUrl"], body={"prompt": "hi"}, signed=False)
    assert status == 403
    assert set(answer) == {"error"}


def test_a_public_api_knows_nobody(aws: Emulator, outputs: dict[str, str]) -> None:
    """Whatever the caller claims."""
    status, answer = call(aws, outputs["PublicUrl"], body={"prompt": "hi", "user_id": "mallory"}, signed=False)
    assert (status, answer["user_id"]) == (200, None)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({}, 400, "prompt must be a string, got nothing"),
        ({"prompt": ""}, 400, "prompt must not be empty"),
        ({"prompt": "hi", "session_id": "a b"}, 400, "session_id must match ^[A-Za-z0-9_:.-]{1,128}$"),
        ([1], 400, "body must be a JSON object, got an array"),
        (b"{", 400, "body must be a JSON object, got something that is not JSON"),
        (b"", 400, "body must be a JSON object, got nothing"),
        ({"prompt": "x" * 4_500_000}, 413, "body must be at most 4,194,304 bytes as JSON in the event"),
        ({"prompt": "fail"}, 502, "the agent failed; its log has the type and place of the error"),
    ],
)
def test_errors_have_their_status_and_one_shape(
    aws: Emulator, outputs: dict[str, str], body: object, status: int, error: str
) -> None:
    """Where the gateway would find the fault first, the runner does: the emulator deploys no request validators."""
    got, answer = call(aws, outputs["IamUrl"], body=body)
    assert (got, answer["error"]) == (status, error)


def test_no_hostile_request_is_the_apis_fault(aws: Emulator, outputs: dict[str, str]) -> None:
    """The whole corpus, and what is no HTTP that a client of ours would send."""
    corpus = [body for body in REFUSED.values() if "\ud800" not in body]
    corpus += [body for bodies in REFUSED_IDS.values() for body in bodies]
    url = aws.reachable(outputs["PublicUrl"])
    with httpx.Client(timeout=35) as http, ThreadPoolExecutor(4) as callers:

        def send(body: bytes) -> tuple[int, frozenset[str]]:
            response = http.post(url, content=body, headers={"Content-Type": "text/x-SECRET", "X-SECRET": "SECRET"})
            return response.status_code, frozenset(response.json())

        answers = set(callers.map(send, [each.encode() for each in corpus]))
        assert answers == {(400, frozenset({"error"}))}
        assert send(b'{"prompt": "\xff\xfe\xed\xa0\x80"}')[0] in {200, 400}, "no UTF-8, which a gateway may mend"
        headers = [
            {"Idempotency-Key": "a b"},
            {"Prefer": "wait=" + "9" * 4000},
            {"X-Forwarded-For": "SECRET, " * 500 + "x"},
        ]
        odd = [http.post(url, json={"prompt": "hi"}, headers=each).status_code for each in headers]
        assert odd == [400, 200, 200]


PAGE = "http://127.0.0.1:8000"


def test_a_page_that_the_api_names_may_call_and_read(aws: Emulator, outputs: dict[str, str]) -> None:
    """Preflight, answer, refusal of ours and refusal of the gateway's."""
    url = aws.reachable(outputs["PublicUrl"])
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(url, headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, PAGE)
    for body in ({"prompt": "hi"}, {}):
        answered = httpx.post(url, json=body, headers={"Origin": PAGE})
        assert answered.headers["access-control-allow-origin"] == PAGE
        assert answered.headers["access-control-expose-headers"] == "Retry-After"
    other = httpx.post(url, json={"prompt": "hi"}, headers={"Origin": "http://localhost:9000"})
    assert "access-control-allow-origin" not in other.headers


def test_a_busy_service_behind_the_agent_is_503_and_says_when_to_try_again(
    aws: Emulator, outputs: dict[str, str]
) -> None:
    """With botocore's own error."""
    response = httpx.post(aws.reachable(outputs["PublicUrl"]), json={"prompt": "throttle"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["error"] == "a service that the agent uses is busy; try again later"


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/nothing"), ("GET", "/api/v1/chat"), ("GET", "/")])
def test_unknown_routes_are_404_for_those_who_may_call(
    aws: Emulator,
    outputs: dict[str, str],
    method: str,
    path: str,
    signed: bool,
) -> None:
    """Nobody else learns which routes there are."""
    url = outputs["IamUrl"].replace("/api/v1/chat", path)
    status, answer = call(aws, url, method=method, signed=signed)
    not_signed = {"error": "not allowed: the request is not signed"}
    assert (status, answer) == ((404, {"error": "no such route"}) if signed else (403, not_signed))


def test_health_is_open_and_never_calls_the_agent(aws: Emulator, outputs: dict[str, str]) -> None:
    """Load balancers and people ask it."""
    url = outputs["IamUrl"].replace("/api/v1/chat", "/health")
    status, answer = call(aws, url, method="GET", signed=False)
    assert (status, answer["status"], answer["memory_backend"]) == (200, "healthy", "none")


def test_the_function_can_be_invoked_directly(aws: Emulator, outputs: dict[str, str]) -> None:
    """By another function or a workflow."""
    payload = json.dumps({"prompt": "hi", "user_id": "alice", "request_id": "direct-1"})
    response = client("lambda", aws).invoke(FunctionName=outputs["Function"], Payload=payload.encode())
    answer = json.load(response["Payload"])
    assert (answer["user_id"], answer["request_id"]) == ("alice", "direct-1")


def test_a_users_own_http_api_may_stand_in_front(aws: Emulator, outputs: dict[str, str]) -> None:
    """In the other payload format; nobody vouches for a user then."""
    response = httpx.post(aws.reachable(outputs["HttpUrl"]), json={"prompt": "hi", "user_id": "mallory"})
    assert (response.status_code, response.json()["result"], response.json()["user_id"]) == (200, "You said hi", None)


def test_a_ping_meets_an_environment_and_no_agent(aws: Emulator, outputs: dict[str, str]) -> None:
    """The second meets a warm one."""
    functions = client("lambda", aws)
    ping = json.dumps({"ak_constructs_ping": {"hold_ms": 10}}).encode()
    answers = [json.load(functions.invoke(FunctionName=outputs["Function"], Payload=ping)["Payload"]) for _ in range(2)]
    assert all(set(answer) == {"environment_id", "cold"} for answer in answers)
    assert answers[1]["cold"] is False


def test_a_thousand_requests_get_a_thousand_right_answers(aws: Emulator, outputs: dict[str, str]) -> None:
    """At concurrency 20, each prompt unique and its answer a function of it, each request in the log once."""
    prompts = [f"prompt {number} {'x' * (number % 50)}" for number in range(1000)]
    with httpx.Client(timeout=60) as http, ThreadPoolExecutor(20) as callers:

        def ask(prompt: str) -> dict[str, Any]:
            response = http.post(aws.reachable(outputs["PublicUrl"]), json={"prompt": prompt})
            answer: dict[str, Any] = response.json()
            return answer

        answers = list(callers.map(ask, prompts))
    assert [answer["result"] for answer in answers] == [f"You said {prompt}" for prompt in prompts]
    request_ids = {answer["request_id"] for answer in answers}
    assert len(request_ids) == 1000

    def logged() -> list[str]:
        answered = [line["request_id"] for line in log_lines(aws, outputs["Logs"]) if line["message"] == "answered"]
        return [request_id for request_id in answered if request_id in request_ids]

    # A busy emulator drops a line that comes over 50 ms after its answer; it never makes one up.
    until(lambda: len(set(logged())) > 990)
    assert len(logged()) == len(set(logged())), "no request ran twice"


def test_the_log_has_no_prompt(aws: Emulator, outputs: dict[str, str]) -> None:
    """Nor an answer, nor a stack trace, in any line of any function's log."""
    call(aws, outputs["IamUrl"], body={"prompt": "fail", "secret": "SECRET-1"})
    call(aws, outputs["IamUrl"], body={"prompt": "SECRET-2"})
    lines = log_lines(aws, outputs["Logs"])
    assert "KeyError" in {line["error_type"] for line in lines if line["message"] == "the agent failed"}
    text = json.dumps(lines)
    for secret in ("SECRET-1", "SECRET-2", "You said", "Traceback"):
        assert secret not in text
