"""Secrets in an agent's variables: read, kept, read again; and what the services are asked."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber

from ak_constructs._limits import LAMBDA_INIT_SECONDS
from ak_lambda.shared import agent_secrets
from ak_lambda.shared.agent_secrets import AgentSecrets, fetch
from ak_lambda.shared.secret_rules import PARAMETER, SECRET, SecretError, Source, UnreadableError

ARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:openai-AbCdEf"
PARAMETER_ARN = "arn:aws:ssm:us-east-1:111122223333:parameter/token"
ASKED = {
    "KEY": {"secret": ARN, "field": "key"},
    "ORGANISATION": {"secret": ARN, "field": "organisation"},
    "TOKEN": {"parameter": PARAMETER_ARN},
}


class World:
    """A service that somebody rotates secrets in, a clock, and an environment."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.texts: dict[str, str | SecretError] = {}
        self.environment: dict[str, str] = {}
        self.asked: list[str] = []
        self.rotate("1")
        self.secrets = AgentSecrets(
            json.dumps(ASKED), fetch=self.fetch, environment=self.environment, clock=lambda: self.now
        )

    def rotate(self, version: str) -> None:
        """Give all of them new values."""
        self.texts[ARN] = json.dumps({"key": f"HUSH-{version}", "organisation": f"HUSH-o{version}"})
        self.texts[PARAMETER_ARN] = f"HUSH-t{version}"

    def fetch(self, source: Source) -> str:
        """Answer as a service."""
        self.asked.append(source.arn)
        found = self.texts[source.arn]
        if isinstance(found, SecretError):
            raise found
        return found

    def bring(self, *, after: float = 0) -> int:
        """Bring them after some seconds, and count the calls that this took."""
        self.now += after
        self.asked.clear()
        self.secrets.bring()
        return len(self.asked)

    def values(self, version: str) -> dict[str, str]:
        """Give what the environment has when all are of that version."""
        return {"KEY": f"HUSH-{version}", "ORGANISATION": f"HUSH-o{version}", "TOKEN": f"HUSH-t{version}"}


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> Iterator[World]:
    """Make one; whatever happens in it, no value is logged."""
    caplog.set_level(logging.DEBUG)
    yield World()
    assert "HUSH" not in str([vars(record) for record in caplog.records])


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Give level and words of what was logged, once."""
    found = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return found


def test_all_are_there_after_one_call_for_each_secret(world: World) -> None:
    """Two fields of one are read together."""
    assert not world.secrets.are_there
    assert world.bring() == 2
    assert world.secrets.are_there
    assert world.environment == world.values("1")


def test_they_are_read_again_when_they_are_old_and_not_before(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """So that the environment has a rotated value; the log names which changed."""
    world.bring()
    world.rotate("2")
    assert world.bring(after=299) == 0
    assert world.environment == world.values("1")
    assert world.bring(after=1) == 2
    assert world.environment == world.values("2")
    assert said(caplog) == [("INFO", f"secret {name} has a new value") for name in ASKED]
    assert world.bring(after=300) == 2
    assert said(caplog) == [], "nothing changed"


def test_a_variable_is_not_written_again_without_need(world: World) -> None:
    """A library in another thread may be reading the environment."""
    world.bring()
    written: list[str] = []

    class Watched(dict[str, str]):
        def __setitem__(self, name: str, value: str) -> None:
            written.append(name)
            super().__setitem__(name, value)

    world.secrets._environment = Watched(world.environment)
    world.bring(after=300)
    assert written == []


def test_after_a_failed_run_they_are_read_at_most_each_ten_seconds(world: World) -> None:
    """A rotation without overlap costs one failed run; an agent that always fails costs few calls."""
    world.bring()
    world.rotate("2")
    world.secrets.doubt()
    assert world.bring() == world.bring(after=9.9) == 0
    assert world.bring(after=0.1) == 2
    assert world.environment == world.values("2")
    assert world.bring(after=60) == 0, "the doubt is over"


def test_while_a_service_is_out_of_reach_the_last_values_go_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is asked again after ten seconds, and nothing else is asked meanwhile: each try may take seconds."""
    world.bring()
    world.rotate("2")
    world.texts[ARN] = SecretError("is busy", may_pass=True)
    assert world.bring(after=300) == 1
    assert world.environment == world.values("1")
    assert said(caplog) == [("WARNING", "secret KEY: is busy; its last value goes on")]
    assert world.bring(after=9) == 0
    world.rotate("3")
    assert world.bring(after=1) == 2
    assert world.environment == world.values("3")


def test_one_that_is_denied_does_not_keep_the_others_back(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Both fields of the denied one are named, and it is asked for once."""
    world.bring()
    world.rotate("2")
    world.texts[ARN] = SecretError("denied")
    assert world.bring(after=300) == 2
    assert world.environment == {**world.values("1"), "TOKEN": "HUSH-t2"}
    levels = [level for level, words in said(caplog) if "denied; its last value goes on" in words]
    assert levels == ["WARNING", "WARNING"]


@pytest.mark.parametrize("may_pass", [True, False])
def test_fails_when_one_has_no_value_yet(world: World, caplog: pytest.LogCaptureFixture, may_pass: bool) -> None:
    """The log says which and why; the next request tries at once, and then goes well."""
    world.texts[PARAMETER_ARN] = SecretError("of no use", may_pass=may_pass)
    for _ in range(2):
        with pytest.raises(UnreadableError, match=r"^the agent's secrets cannot be read; its log says which$") as error:
            world.bring()
        assert error.value.may_pass is may_pass
        assert said(caplog) == [("ERROR", "secret TOKEN: of no use")]
    world.rotate("1")
    assert world.bring() == 2
    assert world.environment == world.values("1")


def test_a_permission_amiss_weighs_more_than_a_busy_service(world: World) -> None:
    """Trying again later would be in vain."""
    world.texts[ARN] = SecretError("denied")
    world.texts[PARAMETER_ARN] = SecretError("is busy", may_pass=True)
    with pytest.raises(UnreadableError) as error:
        world.bring()
    assert not error.value.may_pass


def test_an_agent_without_secrets_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most have none."""
    monkeypatch.delenv("AK_CONSTRUCTS_SECRETS", raising=False)
    monkeypatch.setattr(agent_secrets, "_client", lambda *_arguments: pytest.fail("a client was made"))
    agent_secrets.open_secrets().bring()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Let clients be made without an account."""
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    agent_secrets._client.cache_clear()
    yield {name: agent_secrets._client(name, "us-east-1") for name in ("secretsmanager", "ssm")}
    for name in ("secretsmanager", "ssm"):
        agent_secrets._client(name, "us-east-1").close()
    agent_secrets._client.cache_clear()


def test_secrets_and_parameters_are_read_by_arn_and_decrypted(clients: dict[str, Any]) -> None:
    """In the region that they are in."""
    with Stubber(clients["secretsmanager"]) as stub:
        stub.add_response("get_secret_value", {"ARN": ARN, "Name": "n", "SecretString": "s"}, {"SecretId": ARN})
        assert fetch(Source(SECRET, ARN)) == "s"
    with Stubber(clients["ssm"]) as stub:
        parameter = {"Name": "token", "Type": "SecureString", "Value": "p"}
        asked = {"Name": PARAMETER_ARN, "WithDecryption": True}
        stub.add_response("get_parameter", {"Parameter": parameter}, asked)
        assert fetch(Source(PARAMETER, PARAMETER_ARN)) == "p"
    assert clients["ssm"].meta.region_name == "us-east-1"


@pytest.mark.parametrize(
    ("code", "words", "may_pass", "message"),
    [
        ("AccessDeniedException", "User: x is not authorized", False, f"access denied to {ARN}; grant secretsman"),
        ("AccessDeniedException", "Access to KMS is not allowed", False, f"access denied to the key of {ARN} "),
        ("ResourceNotFoundException", "cannot find it", False, f"{ARN} does not exist or has no value"),
        ("ThrottlingException", "Rate exceeded", True, f"{ARN} cannot be read now (ThrottlingException)"),
    ],
)
def test_a_services_refusal_is_said_in_our_words(
    clients: dict[str, Any], code: str, words: str, may_pass: bool, message: str
) -> None:
    """By what kind it is."""
    with Stubber(clients["secretsmanager"]) as stub:
        stub.add_client_error("get_secret_value", service_error_code=code, service_message=words)
        with pytest.raises(SecretError) as refused:
            fetch(Source(SECRET, ARN))
    assert str(refused.value).startswith(message)
    assert refused.value.may_pass is may_pass
    assert words not in str(refused.value)


def test_a_service_that_does_not_answer_may_later(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as in a network without a way to it."""

    def out_of_reach(**_arguments: object) -> None:
        raise ConnectTimeoutError(endpoint_url="https://secretsmanager.us-east-1.amazonaws.com")

    monkeypatch.setattr(clients["secretsmanager"], "get_secret_value", out_of_reach)
    with pytest.raises(SecretError, match=r"cannot be read now \(ConnectTimeoutError\); the function may have no way"):
        fetch(Source(SECRET, ARN))


def test_trying_in_vain_ends_within_the_init_phase(clients: dict[str, Any]) -> None:
    """Lambda would start the environment once more."""
    config = clients["secretsmanager"].meta.config
    longest_pause = 1  # botocore's standard mode, before its second try
    tries = config.retries["total_max_attempts"]
    assert tries * (config.connect_timeout + config.read_timeout) + (tries - 1) * longest_pause < LAMBDA_INIT_SECONDS


def test_no_debug_line_of_botocore_has_a_value(clients: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It logs what it receives, where somebody asks for all lines; and does so again afterwards."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="botocore.parsers")
    client = clients["secretsmanager"]

    class Raw(io.BytesIO):
        def stream(self, **_arguments: object) -> Iterator[bytes]:
            yield self.read()

    def answer(**_arguments: object) -> AWSResponse:
        body = json.dumps({"ARN": ARN, "Name": "n", "SecretString": "HUSH"}).encode()
        headers: Any = {"content-type": "application/x-amz-json-1.1"}
        return AWSResponse("https://localhost", 200, headers, Raw(body))

    client.meta.events.register("before-send.secrets-manager.GetSecretValue", answer)
    assert fetch(Source(SECRET, ARN)) == "HUSH"
    assert "HUSH" not in caplog.text
    client.get_secret_value(SecretId=ARN)
    assert "HUSH" in caplog.text, "the agent's own calls are its own affair"
