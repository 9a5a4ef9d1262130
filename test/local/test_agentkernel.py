"""Agent Kernel 0.9.5, unmodified, behind AgentApi: its agent, its custom routes, its authorizer."""

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from ak_constructs.local.deployment import bootstrap, deploy, install_cdk
from ak_constructs.local.emulator import Emulator, emulator
from test.pythons import require_python

pytestmark = pytest.mark.local
IN = {"Authorization": "Bearer right"}


@pytest.fixture(scope="module")
def python() -> str:
    """Find a Python that Agent Kernel runs on."""
    return require_python("3.13", "3.12")


@pytest.fixture(scope="module")
def bases(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run everything on an emulator with that Python, and give the addresses of the APIs below their version."""
    code = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    work = tmp_path_factory.mktemp("agentkernel")
    install_cdk()
    with emulator(work / "emulator.log", base=python) as aws:
        bootstrap(aws, work)
        outputs = deploy(aws, work, app=f"{sys.executable} -m test.local.agentkernel_app {version}")
        yield {name: address(aws, outputs["AgentKernel"][f"{name}Url"]) for name in ("Chat", "Tokens")}


@pytest.fixture
def base(bases: dict[str, str]) -> str:
    """Give the address of the API with Agent Kernel's authorizer."""
    return bases["Chat"]


def address(aws: Emulator, chat_url: str) -> str:
    """Give what the routes have in common."""
    return aws.reachable(chat_url).removesuffix("/chat")


def test_its_agent_answers(base: str) -> None:
    """In its own form, flat and nested."""
    message = {"prompt": "hi", "agent": "echo", "session_id": "s-1"}
    for body in (message, {"request_id": "r-1", "user_id": "u", "body": message}):
        response = httpx.post(f"{base}/chat", json=body, headers=IN, timeout=35)
        assert (response.status_code, response.json()) == (200, {"result": "echo heard hi", "session_id": "s-1"})


def test_its_custom_routes_answer(base: str) -> None:
    """Found by the names that AgentApi gives its handler."""
    assert httpx.get(f"{base}/app", headers=IN).json() == {"agents": ["echo"]}
    assert httpx.post(f"{base}/app_info", json={"a": 1}, headers=IN).json() == {"request": {"a": 1}}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
@pytest.mark.parametrize(("method", "path"), [("POST", "/chat"), ("GET", "/app"), ("POST", "/app_info")])
def test_its_authorizer_keeps_out(base: str, headers: dict[str, str], method: str, path: str) -> None:
    """On every route."""
    response = httpx.request(method, base + path, json={"prompt": "hi", "session_id": "s"}, headers=headers)
    assert (response.status_code, response.json()) == (403, {"error": "not allowed"})


def test_its_validator_decides_in_our_authorizer(bases: dict[str, str]) -> None:
    """By the same class, packaged as `custom`."""
    require_python("3.13")  # the one that our authorizer is packaged for
    message = {"prompt": "hi", "agent": "echo", "session_id": "s-1"}
    asked = [({"authorization": "bearer right"}, 200), ({"Authorization": "Bearer wrong"}, 403), ({}, 401)]
    for headers, status in asked:
        response = httpx.post(f"{bases['Tokens']}/chat", json=message, headers=headers, timeout=35)
        assert response.status_code == status
