"""Whatever the authorizer is given: only a good token gets in, and nothing of any token is logged."""

import json
import logging
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ak_lambda.jwt_authorizer import handler, tokens
from ak_lambda.jwt_authorizer.keys import Keys
from test.lambda_assets.hostile import ODD, REFUSED, TAKEN, spoilt
from test.signing import ec_key

ISSUER = "https://issuer.example.com"
CANARY = "CANARY"
KEY = ec_key("k", "P-256")
CLAIMS = {"iss": ISSUER, "aud": "agents", "sub": "alice", "exp": 4_000_000_000, "email": CANARY, CANARY: [CANARY]}
GOOD = KEY.token(CLAIMS, "ES256", header={"x": CANARY})

quickly = settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def _issuer(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Set the function up with an issuer whose keys are there."""
    for name, value in {
        "AK_CONSTRUCTS_ISSUER": ISSUER,
        "AK_CONSTRUCTS_AUDIENCE": '["agents"]',
        "AK_CONSTRUCTS_USER_CLAIM": "sub",
        "AK_CONSTRUCTS_API_SCOPES": "[]",
        "AK_CONSTRUCTS_SCOPES": '{"GET /scoped": ["some"]}',
    }.items():
        monkeypatch.setenv(name, value)
    key = tokens.usable_key(KEY.jwk)
    assert key is not None
    monkeypatch.setattr(handler, "_keys", lambda: Keys(lambda: [key], time.time))
    caplog.set_level(logging.INFO)


def event(token: str = GOOD, *, websocket: bool = False) -> dict[str, Any]:
    """Make an authorizer's event as API Gateway sends it."""
    headers = {"Authorization": f"Bearer {token}", "X-Custom": CANARY}
    many = {name: [value] for name, value in headers.items()}
    context = {"eventType": "CONNECT", "routeKey": "$connect"} if websocket else {"httpMethod": "POST"}
    return {
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:1:api/prod/" + ("$connect" if websocket else "POST/api/v1/chat"),
        "resource": "/api/v1/chat",
        "path": "/api/v1/chat",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": many,
        "queryStringParameters": {"token": token} if websocket else {"q": CANARY},
        "requestContext": context,
    }


def outcome(sent: Any, caplog: pytest.LogCaptureFixture) -> str:  # noqa: ANN401
    """Say what became of a request: `Allow`, `Deny` or `401`; and look at the log."""
    caplog.clear()
    try:
        policy = handler.handler(sent, None)
    except handler.UnauthorizedError as error:
        assert str(error) == "Unauthorized"  # noqa: PT017 - one of two right ends
        found = "401"
    else:
        json.dumps(policy)
        statement = policy["policyDocument"]["Statement"][0]
        found = statement["Effect"]
        assert policy.get("context", {"user_id": "alice"})["user_id"]
    logged = json.dumps([{**vars(each), "text": each.getMessage()} for each in caplog.records], default=repr)
    for secret in (CANARY, "eyJ", "alice", "Traceback", GOOD[-20:]):
        assert secret not in logged
    assert all(each.exc_info is None for each in caplog.records)
    return found


@pytest.mark.parametrize("websocket", [False, True])
def test_a_good_token_is_let_in(caplog: pytest.LogCaptureFixture, websocket: bool) -> None:
    """Or all of the below would show nothing."""
    assert outcome(event(websocket=websocket), caplog) == "Allow"
    assert caplog.records == []


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize("name", [*REFUSED, *TAKEN])
def test_a_hostile_text_is_no_token_and_no_claims(caplog: pytest.LogCaptureFixture, name: str, websocket: bool) -> None:
    """As a whole token, as a header and as claims that the issuer itself signed."""
    text = {**REFUSED, **TAKEN}[name].encode(errors="surrogatepass")[:20_000]
    signed = KEY.token(text, "ES256")
    whole = text.decode(errors="replace")
    refused = "Deny" if websocket else "401"
    for token in (signed, f"{whole}.{whole}.{whole}", whole, signed.replace(".", "", 1), f"{signed}.{signed}"):
        assert outcome(event(token, websocket=websocket), caplog) == refused


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize("part", [*event(), "eventType", "Authorization", "token"])
def test_an_odd_part_of_an_event_breaks_nothing(caplog: pytest.LogCaptureFixture, part: str, websocket: bool) -> None:
    """Whatever is there; without the token itself nobody gets in."""
    for odd in [*ODD, [GOOD], {"Authorization": [GOOD]}, {"authorization": 7}]:
        sent = event(websocket=websocket)
        for parent in (sent, sent["headers"], sent["multiValueHeaders"], sent["queryStringParameters"]):
            parent.update({part: odd} if part in parent else {})
        if outcome(sent, caplog) == "Allow":
            assert GOOD in json.dumps(sent)


@quickly
@given(sent=spoilt(event(), 4) | spoilt(event(websocket=True), 4))
def test_a_spoilt_event_lets_in_the_good_token_alone(caplog: pytest.LogCaptureFixture, sent: Any) -> None:  # noqa: ANN401
    """Whatever else is missing or of another type."""
    if outcome(sent, caplog) == "Allow":
        assert GOOD in json.dumps(sent)


@quickly
@given(claims=spoilt(CLAIMS, 2))
def test_spoilt_claims_never_make_somebody_else(caplog: pytest.LogCaptureFixture, claims: dict[str, Any]) -> None:
    """Though the issuer signed them."""
    try:
        token = KEY.token(claims, "ES256")
    except ValueError:  # half a pair, or no number of JSON's
        return
    if outcome(event(token), caplog) == "Allow":
        assert claims["iss"] == ISSUER
        assert "agents" in str(claims.get("aud", claims.get("client_id")))
        assert isinstance(claims["sub"], str)
        assert claims["sub"].isprintable()


@pytest.mark.parametrize("odd", [each for each in ODD if each not in ("é", "a/b")], ids=lambda odd: str(odd)[:20])
def test_a_user_that_is_no_name_is_denied(caplog: pytest.LogCaptureFixture, odd: object) -> None:
    """With a token that is good in all else."""
    assert outcome(event(KEY.token({**CLAIMS, "sub": odd}, "ES256")), caplog) == "Deny"


@quickly
@given(changed=st.integers(0, len(GOOD) - 1), other=st.sampled_from("ABCabc019-_.= \x00é"))
def test_a_token_with_any_character_changed_is_refused(
    caplog: pytest.LogCaptureFixture, changed: int, other: str
) -> None:
    """Wherever it stands; a signature's last character has bits that say nothing."""
    token = GOOD[:changed] + other + GOOD[changed + 1 :]
    if token != GOOD and changed != len(GOOD) - 1:
        assert outcome(event(token), caplog) == "401"
