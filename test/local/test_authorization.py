"""Each authorization deployed: a right, a wrong and a missing credential, and the user id that the agent saw."""

import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials

from ak_constructs.local.deployment import deploy
from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client
from ak_constructs.local.signing import signed_headers

pytestmark = pytest.mark.local
PASSWORD = "A-right-passw0rd"


@pytest.fixture(scope="module")
def outputs(aws: Emulator, work: Path) -> dict[str, str]:
    """Deploy an API for each authorization, and a user in the pool."""
    found = deploy(aws, work, app=f"{sys.executable} -m test.local.auth_app")["Auth"]
    users = client("cognito-idp", aws)
    users.admin_create_user(UserPoolId=found["PoolId"], Username="alice")
    users.admin_set_user_password(UserPoolId=found["PoolId"], Username="alice", Password=PASSWORD, Permanent=True)
    user = users.admin_get_user(UserPoolId=found["PoolId"], Username="alice")
    found["Sub"] = next(each["Value"] for each in user["UserAttributes"] if each["Name"] == "sub")
    login = users.admin_initiate_auth(
        UserPoolId=found["PoolId"],
        ClientId=found["ClientId"],
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "alice", "PASSWORD": PASSWORD},
    )
    found["IdToken"] = login["AuthenticationResult"]["IdToken"]
    key = client("apigateway", aws).get_api_key(apiKey=found["KeyId"], includeValue=True)
    found["Key"] = key["value"]
    return found


def ask(aws: Emulator, url: str, headers: dict[str, str], **body: object) -> tuple[int, dict[str, Any]]:
    """Ask as mallory would like to be somebody."""
    message = {"prompt": "hi", "user_id": "mallory", **body}
    response = httpx.post(aws.reachable(url), json=message, headers=headers, timeout=35)
    answer: dict[str, Any] = response.json()
    return response.status_code, answer


def forged(token: str) -> str:
    """Change a token's signature."""
    head, payload, signature = token.split(".")
    return f"{head}.{payload}.{signature[::-1]}"


@pytest.mark.parametrize("api", ["Request", "Token"])
def test_a_lambda_authorizer_decides_and_its_context_names_the_user(
    aws: Emulator, outputs: dict[str, str], api: str
) -> None:
    """As a TOKEN and as a REQUEST authorizer."""
    url = outputs[f"{api}Url"]
    status, answer = ask(aws, url, {"Authorization": "right"})
    assert (status, answer["user_id"]) == (200, "u-1")
    assert ask(aws, url, {"Authorization": "wrong"}) == (403, {"error": "not allowed"})
    missing = {"Request": (403, "not allowed"), "Token": (401, "not allowed: no credentials, or wrong ones")}[api]
    assert ask(aws, url, {}) == (missing[0], {"error": missing[1]})


def test_a_caller_without_the_promised_user_id_is_refused(aws: Emulator, outputs: dict[str, str]) -> None:
    """Allowed by the policy, but nobody."""
    status, answer = ask(aws, outputs["RequestUrl"], {"Authorization": "nameless"})
    assert (status, answer) == (403, {"error": "not allowed: the authorizer passed no user id"})


def test_cognito_lets_in_its_users_by_their_token(aws: Emulator, outputs: dict[str, str]) -> None:
    """And the agent sees the token's subject."""
    url = outputs["CognitoUrl"]
    status, answer = ask(aws, url, {"Authorization": outputs["IdToken"]})
    assert (status, answer["user_id"]) == (200, outputs["Sub"])
    refused = (401, {"error": "not allowed: no credentials, or wrong ones"})
    assert ask(aws, url, {"Authorization": forged(outputs["IdToken"])}) == refused
    assert ask(aws, url, {}) == refused


def test_an_api_key_lets_in_and_its_id_is_the_user(aws: Emulator, outputs: dict[str, str]) -> None:
    """The key itself never reaches the agent as an identity."""
    url = outputs["ApiKeyUrl"]
    status, answer = ask(aws, url, {"x-api-key": outputs["Key"]})
    assert (status, answer["user_id"]) == (200, outputs["KeyId"])
    assert ask(aws, url, {"x-api-key": "wrong"})[0] == 403
    assert ask(aws, url, {})[0] == 403


def test_a_trusted_backend_speaks_for_its_users_under_its_own_name(aws: Emulator, outputs: dict[str, str]) -> None:
    """And must name them."""
    url = aws.reachable(outputs["BackendUrl"])
    for body, expected in (
        (b'{"prompt": "hi", "user_id": "alice"}', (200, "000000000000/alice")),
        (b'{"prompt": "hi", "user_id": "../bob"}', (400, None)),
        (b'{"prompt": "hi"}', (400, None)),
    ):
        headers = signed_headers("POST", url, body, credentials=Credentials("test", "test"), region="us-east-1")
        response = httpx.post(url, content=body, headers=headers)
        assert (response.status_code, response.json().get("user_id")) == expected


@pytest.mark.parametrize(
    ("api", "right"),
    [
        ("Request", {"Authorization": "right"}),
        ("Token", {"Authorization": "right"}),
        ("Cognito", None),
        ("ApiKey", None),
    ],
)
def test_a_custom_route_and_an_unknown_one_ask_for_the_same(
    aws: Emulator, outputs: dict[str, str], api: str, right: dict[str, str] | None
) -> None:
    """No route is a way around."""
    if right is None:
        right = {"Authorization": outputs["IdToken"]} if api == "Cognito" else {"x-api-key": outputs["Key"]}
    base = aws.reachable(outputs[f"{api}Url"]).removesuffix("/chat")
    for path, status in (("/app", 400), ("/nothing", 404)):  # the runner wants a body; the gateway knows no route
        assert httpx.get(base + path, headers=right).status_code == status
        assert httpx.get(base + path).status_code in {401, 403}
