"""The authorizer's function: what its variables switch on, and a validator of the user's."""

import importlib
import json
import logging
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from ak_lambda.jwt_authorizer import fetching, handler, tokens
from ak_lambda.jwt_authorizer.keys import Keys, KeysUnavailableError
from test.rest_gateway import event
from test.signing import ec_key
from test.token_world import CHAT

ISSUER = "https://issuer.example.com"
SIGNED_BY = ec_key("k", "P-256")
Package = Callable[[Callable[..., object]], None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set the function up as `Authorization.jwt(issuer=..., audience=["agents"])` does; its keys are there."""
    for name, value in {
        "AK_CONSTRUCTS_ISSUER": ISSUER,
        "AK_CONSTRUCTS_AUDIENCE": '["agents"]',
        "AK_CONSTRUCTS_USER_CLAIM": "sub",
        "AK_CONSTRUCTS_API_SCOPES": "[]",
        "AK_CONSTRUCTS_SCOPES": "{}",
    }.items():
        monkeypatch.setenv(name, value)
    usable = tokens.usable_key(SIGNED_BY.jwk)
    assert usable is not None
    monkeypatch.setattr(handler, "_keys", lambda: Keys(lambda: [usable], time.time))
    return monkeypatch


def asked(token: str | None = None, **claims: Any) -> dict[str, Any]:  # noqa: ANN401
    """Ask with a token, a good one unless it is given or its claims say otherwise."""
    good = {"iss": ISSUER, "aud": "agents", "sub": "alice", "exp": int(time.time()) + 60}
    token = SIGNED_BY.token({**good, **claims}, "ES256") if token is None else token
    return handler.handler(event(CHAT, {"authorization": f"Bearer {token}"}), None)


def effect(policy: dict[str, Any]) -> str:
    """Give what a policy says."""
    found: str = policy["policyDocument"]["Statement"][0]["Effect"]
    return found


@pytest.fixture
def validator(environment: pytest.MonkeyPatch) -> Package:
    """Package a validator of the user's beside the function."""

    def package(validate: Callable[..., object]) -> None:
        module = ModuleType("validator")
        module.validate = validate  # type: ignore[attr-defined]
        environment.setitem(sys.modules, "validator", module)
        environment.setenv("AK_CONSTRUCTS_VALIDATOR", "validator")
        handler._validator.cache_clear()

    return package


@pytest.mark.usefixtures("environment")
def test_a_good_token_is_let_in() -> None:
    """And its user named."""
    policy = asked()
    assert (effect(policy), policy["principalId"], policy["context"]["user_id"]) == ("Allow", "alice", "alice")


def test_the_user_claim_and_the_scopes_of_the_api_are_as_the_construct_says(environment: pytest.MonkeyPatch) -> None:
    """A claim of another name, and a scope that each route asks for."""
    environment.setenv("AK_CONSTRUCTS_USER_CLAIM", "https://example.com/user")
    environment.setenv("AK_CONSTRUCTS_API_SCOPES", '["chat"]')
    claims = {"https://example.com/user": "bob", "scope": "chat"}
    assert asked(**claims)["context"]["user_id"] == "bob"
    assert effect(asked(**{**claims, "scope": "other"})) == "Deny"
    assert effect(asked(scope="chat")) == "Deny"


def test_a_published_point_that_is_not_on_its_curve_signs_nothing(environment: pytest.MonkeyPatch) -> None:
    """The library says so by an exception of its own."""
    broken = tokens.usable_key({**SIGNED_BY.jwk, "y": SIGNED_BY.jwk["x"]})
    assert broken is not None
    environment.setattr(handler, "_keys", lambda: Keys(lambda: [broken], time.time))
    with pytest.raises(handler.UnauthorizedError, match=r"^Unauthorized$"):
        asked()


def test_a_validator_is_asked_after_our_own_checks(validator: Package) -> None:
    """With the token, the request and the verified claims; what it adds reaches the function behind."""
    seen = []

    def validate(*, token: str, context: handler.ValidationContext) -> dict[str, object]:
        seen.append((token, context))
        context.claims["sub"] = "mallory"
        return {"plan": "gold", "sub": "mallory", "user_id": "mallory"}

    validator(validate)
    policy = asked()
    ((token, context),) = seen
    assert (context.path, context.http_method) == ("/api/v1/chat", "POST")
    assert context.headers["Authorization"] == context.headers["authorization"] == f"Bearer {token}"
    assert context.claims["aud"] == "agents"
    assert policy["context"]["user_id"] == "alice"
    told = json.loads(policy["context"]["claims"])
    assert (told["plan"], told["sub"]) == ("gold", "alice")
    with pytest.raises(handler.UnauthorizedError):
        asked(exp=1)
    assert len(seen) == 1


def nested(levels: int) -> list[object]:
    """Make lists in each other."""
    made: list[object] = []
    for _ in range(levels - 1):
        made = [made]
    return made


@pytest.mark.parametrize("levels", [32, 400, 900])
def test_a_tokens_nesting_is_never_a_failure_of_ours(validator: Package, levels: int) -> None:
    """Which the caller would be told to try again, and the log would have a stack trace of."""
    seen = []

    def validate(**given: object) -> bool:
        seen.append(given)
        return True

    validator(validate)
    assert effect(asked(x=nested(31))) == "Allow"
    good = {"iss": ISSUER, "aud": "agents", "sub": "alice", "exp": int(time.time()) + 60}
    text = json.dumps({**good, "x": 0})[:-2] + "[" * levels + "]" * levels + "}"
    with pytest.raises(handler.UnauthorizedError):
        asked(SIGNED_BY.token(text.encode(), "ES256"))
    assert len(seen) == 1


@pytest.mark.usefixtures("environment")
def test_a_users_name_cannot_write_the_access_log() -> None:
    """Where it stands between quotes; the functions behind get it as it is."""
    name = 'alice","status":"200","x":"\\'
    policy = asked(sub=name)
    assert policy["context"]["user_id"] == name
    assert json.loads(f'{{"principal": "{policy["principalId"]}"}}') == {"principal": name}


@pytest.mark.usefixtures("environment")
def test_the_claims_that_are_passed_on_are_json_for_everybody() -> None:
    """Python would write a number that is too large as Infinity, which nothing else reads."""
    good = {"iss": ISSUER, "aud": "agents", "sub": "alice", "exp": int(time.time()) + 60}
    text = json.dumps({**good, "x": 0})[:-2] + "1e999}"
    with pytest.raises(handler.UnauthorizedError):
        asked(SIGNED_BY.token(text.encode(), "ES256"))


@pytest.mark.parametrize("said", [False, None, "yes"])
def test_a_validator_that_does_not_say_yes_denies(validator: Package, said: object) -> None:
    """One that forgot to return something, too."""
    validator(lambda **_: said)
    assert effect(asked()) == "Deny"


class Text(Exception):  # noqa: N818
    """An error of the user's."""


@pytest.mark.parametrize("error", [Text("secret-token"), SystemExit("secret-token"), TypeError("secret-token")])
def test_a_validator_that_fails_denies(
    validator: Package, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log has the error's type, not its text, which may repeat the token."""

    def validate(**_: object) -> None:
        raise error

    validator(validate)
    with caplog.at_level(logging.INFO):
        assert effect(asked()) == "Deny"
    assert next(record.__dict__.get("error_type") for record in caplog.records) == type(error).__name__
    assert "secret-token" not in caplog.text


def test_a_validator_alone_takes_tokens_of_any_form(environment: pytest.MonkeyPatch, validator: Package) -> None:
    """Without an issuer; the user is in the claims it gives, or is its subject, which a class's default is not."""

    class Result:
        is_valid = True
        claims: dict[str, str] | None = None
        subject = "user"
        model_fields_set: set[str]

        def __init__(self, **values: Any) -> None:  # noqa: ANN401
            self.__dict__.update(values)
            self.model_fields_set = set(values)

    said: list[object] = [
        {"sub": "alice"},
        Result(subject="bob"),
        Result(claims={"sub": "carol"}, subject="bob"),
        Result(),
        True,
    ]
    environment.delenv("AK_CONSTRUCTS_ISSUER")
    validator(lambda **_: said.pop(0))
    policies = [asked("opaque") for _ in range(5)]
    assert [policy.get("context", {}).get("user_id") for policy in policies] == ["alice", "bob", "carol", None, None]


def test_a_subject_does_not_stand_in_for_a_claim_of_the_issuers(
    environment: pytest.MonkeyPatch, validator: Package
) -> None:
    """A token without the user claim is nobody's, whoever else looked at it."""
    validator(lambda **_: {"is_valid": True, "subject": "bob"})
    environment.setenv("AK_CONSTRUCTS_USER_CLAIM", "email")
    assert effect(asked()) == "Deny"
    assert asked(email="alice")["context"]["user_id"] == "alice"


def test_what_is_needed_is_imported_in_the_init_phase(environment: pytest.MonkeyPatch, validator: Package) -> None:
    """Where Lambda gives a full CPU; and nothing else is, and nothing at all is fetched."""
    validator(lambda **_: True)
    environment.setattr(fetching, "load_keys", lambda **_: pytest.fail("fetched"))
    loaded = importlib.reload(handler)
    assert loaded._keys.cache_info().currsize == 1
    assert loaded._validator.cache_info().currsize == 1
    environment.delenv("AK_CONSTRUCTS_ISSUER")
    environment.delenv("AK_CONSTRUCTS_VALIDATOR")
    loaded = importlib.reload(handler)
    assert loaded._keys.cache_info().currsize == loaded._validator.cache_info().currsize == 0


def test_the_address_of_the_keys_may_be_given(environment: pytest.MonkeyPatch) -> None:
    """Then discovery is not asked."""
    importlib.reload(handler)  # with its own keys
    environment.setenv("AK_CONSTRUCTS_JWKS_URL", "http://issuer.example.com/keys")
    with pytest.raises(Exception, match=r"^the keys of the issuer cannot be read$"):
        asked()
    addresses: list[str] = []

    def get(url: str, *_arguments: object) -> dict[str, Any]:
        addresses.append(url)
        return {"keys": [SIGNED_BY.jwk]}

    environment.setattr(fetching, "_get", get)
    handler._keys.cache_clear()
    assert effect(asked()) == "Allow"
    assert addresses == ["http://issuer.example.com/keys"]


def test_a_fetch_that_took_all_its_time_is_given_up() -> None:
    """Between two documents, too."""
    clock = iter([0.0, 7.0])
    with pytest.raises(Exception, match=r"^TimeoutError$"):
        fetching.load_keys(issuer=ISSUER, jwks_url=None, clock=lambda: next(clock))


def test_an_issuer_without_a_usable_key_is_as_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last good ones go on."""
    monkeypatch.setattr(fetching, "_get", lambda *_arguments: {"keys": [{"kty": "oct", "k": "AA"}]})
    with pytest.raises(KeysUnavailableError, match=r"^no usable key$"):
        fetching.load_keys(issuer=ISSUER, jwks_url=f"{ISSUER}/keys", clock=time.time)
