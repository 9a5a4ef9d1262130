"""Documentation is compared with the code."""

import http
import inspect
import re
import textwrap
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2

import ak_constructs
from ak_constructs import _function, _limits, _rest_api, agent_api, agent_function
from scripts.api_md import API_MD, api_md
from test.support import statements

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RETENTION_DAYS = {"ONE_MONTH": 30}[_function.LOG_RETENTION.name]

# Every number in a public docstring, with what the code has to say about it. HTTP statuses need no entry.
NUMBERS: dict[str, dict[str, float]] = {
    "AgentApi": {
        "29": _limits.API_GATEWAY_INTEGRATION_TIMEOUT_SECONDS,
        "10": _limits.API_GATEWAY_PAYLOAD_MIB,
        "30": RETENTION_DAYS,
        "128": _rest_api.HEALTH_MEMORY_MIB,
        "900": _limits.LAMBDA_TIMEOUT_SECONDS,
        "1": 1,
        "100": agent_api.DEFAULT_RATE_LIMIT,
        "200": agent_api.DEFAULT_BURST_LIMIT,
        "4": agent_api.MAX_BODY_MIB,
    },
    "AgentFunction": {
        "30": RETENTION_DAYS,
        "128": _limits.LAMBDA_MEMORY_MIB[0],
        "10240": _limits.LAMBDA_MEMORY_MIB[1],
        "512": _limits.LAMBDA_STORAGE_MIB[0],
        "262": _limits.LAMBDA_UNZIPPED_BYTES // 1_000_000,
        "1024": agent_function.DEFAULT_MEMORY_MIB,
        "900": _limits.LAMBDA_TIMEOUT_SECONDS,
        "29": agent_function.DEFAULT_TIMEOUT.to_seconds(),
    },
    "Authorization": {},
}
STATUSES = {str(status.value) for status in http.HTTPStatus}


@pytest.mark.parametrize("name", ak_constructs.__all__)
def test_numbers_in_a_docstring_are_those_of_the_code(name: str) -> None:
    """A number that no constant holds must not be written."""
    text = inspect.getdoc(getattr(ak_constructs, name)) or ""
    text = re.sub(r"https?://\S+|`[^`]*`|Python 3\.\d+|arm64|boto3|SigV4", "", text)
    written = set(re.findall(r"\d+", text))
    assert written - STATUSES <= set(NUMBERS[name]), "a number that no constant holds"
    assert set(NUMBERS[name]) <= written, "an entry for a number that is not written"
    assert {number: float(number) for number in NUMBERS[name]} == NUMBERS[name]


def test_api_md_is_up_to_date() -> None:
    """It is written from signatures and docstrings."""
    assert API_MD.read_text(encoding="utf-8") == api_md()


def python_blocks(text: str) -> list[str]:
    """Give the Python code of a Markdown text or a docstring."""
    return [textwrap.dedent(block) for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)]


@pytest.mark.parametrize("name", ak_constructs.__all__)
def test_the_example_in_a_docstring_runs(name: str, stack: cdk.Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stack at hand and the public names imported."""
    monkeypatch.chdir(ROOT)
    blocks = python_blocks(inspect.getdoc(getattr(ak_constructs, name)) or "")
    assert blocks
    names = {public: getattr(ak_constructs, public) for public in ak_constructs.__all__}
    for block in blocks:
        exec(block, {"cdk": cdk, "stack": stack, **names})  # noqa: S102 - our own documentation


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder that has what the README tells the reader to write."""
    blocks = python_blocks(README)
    agents = [block for block in blocks if "def respond(turn)" in block]
    apps = [block for block in blocks if "cdk.App()" in block]
    assert len(agents) == 1
    assert len(apps) == 1
    (tmp_path / "agents" / "support").mkdir(parents=True)
    (tmp_path / "agents" / "support" / "agent.py").write_text(agents[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(apps[0], {"__name__": "__main__"})  # noqa: S102 - our own documentation
    for block in blocks:
        compile(block, "README.md", "exec")


def test_the_readme_names_every_construct_and_only_files_that_exist() -> None:
    """A link that leads nowhere is worse than none."""
    for name in ak_constructs.__all__:
        assert f"`{name}`" in README
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_the_readme_is_short_enough_to_be_read() -> None:
    """Details belong in API.md."""
    assert len(README.splitlines()) <= 250


def test_the_actions_in_a_docstring_are_those_of_the_template(stack: cdk.Stack) -> None:
    """A reviewer reads the one and AWS the other."""
    written = set(re.findall(r"`([a-z0-9-]+:[A-Z]\w+)`", inspect.getdoc(ak_constructs.AgentFunction) or ""))
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    ak_constructs.AgentFunction(stack, "Agent", entry=ROOT / "examples/chat_api/agent", vpc=vpc)
    granted = {action for actions, _ in statements(stack, "AgentRole") for action in actions}
    assert written == granted


def test_every_limit_has_a_source_and_a_date() -> None:
    """So that the next reader can look it up again."""
    source = inspect.getsource(_limits)
    names = [name for name in vars(_limits) if name.isupper()]
    assert names
    for name in names:
        documented = re.search(rf'^{name}: Final = .*\n"""(.*?)"""', source, flags=re.MULTILINE | re.DOTALL)
        assert documented, name
        assert "https://docs.aws.amazon.com/" in documented[1], name
        assert re.search(r"Read \d{4}-\d\d-\d\d", documented[1]), name
