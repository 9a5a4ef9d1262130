"""What a token's text, its claims and the route come to."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_constructs import _limits
from ak_lambda.jwt_authorizer import core, tokens
from ak_lambda.jwt_authorizer.core import DeniedError
from ak_lambda.jwt_authorizer.tokens import RefusedTokenError
from test.signing import compact, encode, text

NOW = 1_800_000_000.0
ARN = "arn:aws:execute-api:eu-west-1:111122223333:abc/prod/POST/api/v1/chat"
GOOD = {"aud": "agents", "exp": NOW + 60}
RSA = {"kty": "RSA", "kid": "k", "n": encode(b"\xff" * 256), "e": "AQAB"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def rest(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make an event with a token."""
    return {
        "methodArn": ARN,
        "resource": "/api/v1/chat",
        "httpMethod": "POST",
        "headers": {"Authorization": "Bearer t"},
        "requestContext": {"stage": "prod"},
        **changes,
    }


def connect(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make an event of a WebSocket."""
    arn = "arn:aws:execute-api:eu-west-1:111122223333:abc/prod/$connect"
    return {"methodArn": arn, "requestContext": {"eventType": "CONNECT"}, **changes}


@pytest.mark.parametrize(
    "headers",
    [
        {"headers": {"Authorization": "Bearer t"}},
        {"headers": {"AUTHORIZATION": "bEARER   t "}},
        {"headers": {"authorization": "Bearer t"}, "multiValueHeaders": None},
        {"headers": None, "multiValueHeaders": {"Authorization": ["Bearer t", "Bearer t"]}},
        {"headers": {"Authorization": "Bearer other"}, "multiValueHeaders": {"authorization": ["Bearer t"]}},
    ],
)
def test_a_token_is_found_in_whatever_case_its_header_came(headers: dict[str, Any]) -> None:
    """The lists of values go first: a header that was sent twice has but one value elsewhere."""
    assert core.token_of(rest(**headers)) == "t"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"headers": None}, "not exactly one token"),
        ({"headers": {"Authorization": "Bearer a", "authorization": "Bearer b"}}, "not exactly one token"),
        ({"multiValueHeaders": {"Authorization": ["Bearer a", "Bearer b"]}}, "not exactly one token"),
        ({"multiValueHeaders": {"Authorization": None}, "headers": {}}, "not exactly one token"),
        ({"headers": {"Authorization": "t"}}, "no bearer token"),
        ({"headers": {"Authorization": "Basic t"}}, "no bearer token"),
        ({"headers": {"Authorization": "Bearer "}}, "no bearer token"),
        ({"headers": {"Authorization": "Bearer a b"}}, "no bearer token"),
        ({"headers": {"Authorization": "Bearer a, Bearer b"}}, "no bearer token"),
        ({"headers": {"Authorization": None}}, "no bearer token"),
        ({"headers": {"Authorization": f"Bearer {'t' * 8186}"}}, "too large"),
        ({"headers": {"Authorization": "Bearer " + "\u00e9" * 4093}}, "too large"),
    ],
)
def test_anything_else_is_no_token(headers: dict[str, Any], reason: str) -> None:
    """Nor is one of two."""
    with pytest.raises(RefusedTokenError, match=rf"^{reason}$"):
        core.token_of(rest(**headers))


def test_a_rest_api_takes_no_token_from_elsewhere() -> None:
    """An address is logged by everybody on the way."""
    with pytest.raises(RefusedTokenError):
        core.token_of(rest(headers={"sec-websocket-protocol": "bearer, t"}, queryStringParameters={"token": "t"}))


@pytest.mark.parametrize(
    "event",
    [
        connect(headers={"authorization": "Bearer t"}),
        connect(headers={"Sec-WebSocket-Protocol": "bearer, t"}),
        connect(headers={"Sec-WebSocket-Protocol": "bearer,t, chat"}),
        connect(multiValueHeaders={"sec-websocket-protocol": ["bearer", "t"]}),
        connect(queryStringParameters={"token": "t"}),
        connect(headers={"authorization": "Bearer t"}, queryStringParameters={"token": "t"}),
        connect(headers={"authorization": "Bearer t", "sec-websocket-protocol": "chat, superchat"}),
    ],
)
def test_a_websockets_token_may_come_in_three_ways(event: dict[str, Any]) -> None:
    """In more than one only when they agree."""
    assert core.token_of(event) == "t"


@pytest.mark.parametrize(
    "event",
    [
        connect(),
        connect(headers={"sec-websocket-protocol": "bearer"}),
        connect(headers={"sec-websocket-protocol": "bearer, "}),
        connect(headers={"sec-websocket-protocol": "chat, bearer, t"}),
        connect(headers={"sec-websocket-protocol": "bearer, a"}, queryStringParameters={"token": "t"}),
        connect(headers={"authorization": "Basic t"}, queryStringParameters={"token": "t"}),
        connect(queryStringParameters={"token": "t" * 8193}),
    ],
)
def test_a_websocket_without_one_token_has_none(event: dict[str, Any]) -> None:
    """Malformed in one place is not good in another."""
    with pytest.raises(RefusedTokenError):
        core.token_of(event)


def test_a_token_is_read_into_its_parts() -> None:
    """What is signed is its text to the letter."""
    written = compact({"alg": "ES256"}, {"sub": "alice"}, lambda _: b"signature")
    token = tokens.parsed(written)
    assert (token.header, token.claims, token.signature) == ({"alg": "ES256"}, {"sub": "alice"}, b"signature")
    assert token.signed.decode() == written.rpartition(".")[0]


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"null",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\xff"}',
        b'{"a": ' + b"[" * 5000,
        b"{'a': 1}",
        b"\xef\xbb\xbf{}",
        b"",
    ],
)
@pytest.mark.parametrize("part", [0, 1])
def test_what_two_programs_could_read_differently_is_malformed(payload: bytes, part: int) -> None:
    """In the header as in the claims."""
    parts: list[object] = [{"alg": "ES256"}, {"sub": "alice"}]
    parts[part] = payload
    with pytest.raises(RefusedTokenError, match=r"^malformed$"):
        tokens.parsed(compact(parts[0], parts[1], lambda _: b"signature"))


@pytest.mark.parametrize(
    "written", ["", "a", "a.b", "e30.e30.", "e30.e30.a.b", "e30.e30.a=", "e30.e30.a", "e30.e30.ä\n"]
)
def test_three_parts_of_base64url_are_a_token(written: str) -> None:
    """Without padding, line ends or empty parts; an unsigned token has none at its end."""
    with pytest.raises(RefusedTokenError, match=r"^malformed$"):
        tokens.parsed(written)


@given(st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_no_text_makes_reading_fail_otherwise(written: str) -> None:
    """Whatever a stranger sends, he is refused and not the cause of an error."""
    try:
        token = tokens.parsed(written)
    except RefusedTokenError:
        return
    assert isinstance(token.claims, dict)


@given(
    header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x"]), json_values),
    claims=st.dictionaries(st.sampled_from(["aud", "client_id", "exp", "nbf", "iat", "scope", "sub"]), json_values),
)
def test_no_json_makes_checking_fail_otherwise(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """What passes has what it must have."""
    event = rest()
    try:
        tokens.check_header(header)
        tokens.check_claims(claims, audience=["agents"], now=NOW)
        core.check_scopes(claims, event, of_api=["a"], of_routes={})
        user = core.user_id(claims, "sub")
    except (RefusedTokenError, DeniedError):
        return
    assert claims["exp"] > NOW - tokens.LEEWAY_SECONDS
    assert json.dumps(core.allow(event, claims, user))


@pytest.mark.parametrize("algorithm", sorted(frozenset().union(*tokens.ALGORITHMS.values())))
@pytest.mark.parametrize("kind", [{}, {"typ": "JWT"}, {"typ": "at+JWT"}, {"typ": "application/at+jwt"}])
def test_headers_of_signed_tokens_pass(algorithm: str, kind: dict[str, str]) -> None:
    """Access tokens say their own type."""
    tokens.check_header({"alg": algorithm, "kid": "k", **kind})


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({}, "algorithm"),
        ({"alg": None}, "algorithm"),
        ({"alg": ["RS256"]}, "algorithm"),
        ({"alg": "none"}, "algorithm"),
        ({"alg": "NONE"}, "algorithm"),
        ({"alg": "HS256"}, "algorithm"),
        ({"alg": "rs256"}, "algorithm"),
        ({"alg": "ES256K"}, "algorithm"),
        ({"alg": "RS256", "typ": "logout+jwt"}, "type"),
        ({"alg": "RS256", "typ": None}, "type"),
        ({"alg": "RS256", "crit": []}, "critical header"),
        ({"alg": "RS256", "b64": False}, "critical header"),
        ({"alg": "RS256", "kid": 1}, "malformed"),
    ],
)
def test_headers_that_nobody_should_send_are_refused(header: dict[str, Any], reason: str) -> None:
    """Before any key is looked for."""
    with pytest.raises(RefusedTokenError, match=rf"^{reason}$"):
        tokens.check_header(header)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["other", "agents"]},
        {"aud": None, "client_id": "agents"},
        {"exp": NOW - 29.5},
        {"exp": 2**53},
        {"nbf": NOW + 30, "iat": NOW + 30},
    ],
)
def test_claims_for_us_and_for_now_pass(claims: dict[str, Any]) -> None:
    """Clocks may differ by half a minute; who has no audience names its client."""
    merged = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    tokens.check_claims(merged, audience=["agents", "app"], now=NOW)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "others"}, "audience"),
        ({"aud": "agent"}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": {"agents": 1}}, "audience"),
        ({"aud": [["agents"]]}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": "others", "client_id": "agents"}, "audience"),
        ({"aud": [], "client_id": "agents"}, "audience"),
        ({"aud": None, "client_id": "others"}, "audience"),
        ({"exp": None}, "no expiry"),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": -1}, "expired"),
        ({"exp": str(NOW + 60)}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": float("inf")}, "malformed"),
        ({"exp": float("nan")}, "malformed"),
        ({"exp": 10**400}, "malformed"),
        ({"nbf": NOW + 31}, "not valid yet"),
        ({"iat": NOW + 31}, "not valid yet"),
        ({"nbf": "0"}, "malformed"),
        ({"iat": [0]}, "malformed"),
    ],
)
def test_claims_for_others_or_another_time_are_refused(claims: dict[str, Any], reason: str) -> None:
    """None stands for a claim that is left out."""
    merged = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    with pytest.raises(RefusedTokenError, match=rf"^{reason}$"):
        tokens.check_claims(merged, audience=["agents", "app"], now=NOW)


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        (RSA, tokens.ALGORITHMS["RSA", None]),
        ({**RSA, "use": "sig", "key_ops": ["verify"], "alg": "PS256"}, {"PS256"}),
        ({"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}, {"ES256"}),
        ({"kty": "EC", "crv": "P-521", "x": "AQ", "y": "AQ"}, {"ES512"}),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AQ", "d": "secret"}, {"EdDSA"}),
    ],
)
def test_a_key_signs_with_what_its_kind_allows(jwk: dict[str, Any], algorithms: set[str]) -> None:
    """Or with the one that it says; a private part is not kept."""
    key = tokens.usable_key(jwk)
    assert key is not None
    assert key.algorithms == algorithms
    assert key.kid == jwk.get("kid")
    assert "secret" not in str(key)


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        "key",
        {},
        {"kty": "oct", "k": "AQ"},
        {"kty": ["RSA"]},
        {**RSA, "use": "enc"},
        {**RSA, "key_ops": ["encrypt"]},
        {**RSA, "key_ops": 1},
        {**RSA, "alg": "HS256"},
        {**RSA, "alg": "ES256"},
        {**RSA, "alg": None},
        {**RSA, "kid": 1},
        {**RSA, "n": encode(b"\x7f" + b"\xff" * 255)},
        {**RSA, "n": "\u00e4"},
        {**RSA, "n": "a"},
        {**RSA, "e": None},
        {"kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ"},
        {"kty": "EC", "crv": "P-256", "x": "AQ"},
        {"kty": "OKP", "crv": "Ed448", "x": "AQ"},
    ],
)
def test_a_key_that_is_weak_or_for_something_else_is_none(jwk: object) -> None:
    """A shared secret above all."""
    assert tokens.usable_key(jwk) is None


@given(json_values | st.dictionaries(st.sampled_from(["kty", "n", "e", "crv", "x", "kid", "alg", "use"]), json_values))
def test_no_document_makes_reading_a_key_fail(jwk: object) -> None:
    """It is the issuer's, but for all that from a network."""
    assert tokens.usable_key(jwk) is None


@pytest.mark.parametrize("name", ["alice", "auth0|1", "a" * 256, "Zo\u00eb Q"])
def test_the_user_claim_is_the_user(name: str) -> None:
    """As it is written."""
    assert core.user_id({"sub": name}, "sub", "other") == name


@pytest.mark.parametrize(
    "claims", [{}, {"sub": None}, {"sub": 1}, {"sub": ""}, {"sub": "a" * 257}, {"sub": "a\n"}, {"sub": "\ud800"}]
)
def test_without_a_user_claim_nobody_comes_in(claims: dict[str, Any]) -> None:
    """Nor with one that would break a line of a log; a subject stands in only where there is no claim."""
    with pytest.raises(DeniedError, match=r"^user claim$"):
        core.user_id(claims, "sub", None if claims == {} else "subject")
    assert core.user_id({}, "sub", "subject") == "subject"


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "b a"},
        {"scp": ["a", "b"]},
        {"scopes": ["a b"]},
        {"scopes": "a b c"},
        {"scope": "a", "scp": "b"},
    ],
)
def test_scopes_are_found_wherever_issuers_write_them(claims: dict[str, Any]) -> None:
    """As a text or a list."""
    core.check_scopes(claims, rest(), of_api=["a"], of_routes={"POST /api/v1/chat": ["b"]})


@pytest.mark.parametrize("claims", [{}, {"scope": "a"}, {"scope": "ab"}, {"scope": {"a": 1, "b": 1}}, {"scope": "A B"}])
def test_a_token_needs_each_scope_of_the_api_and_of_the_route(claims: dict[str, Any]) -> None:
    """All of them."""
    with pytest.raises(DeniedError, match=r"^scope$"):
        core.check_scopes(claims, rest(), of_api=["a"], of_routes={"POST /api/v1/chat": ["b"]})


@pytest.mark.parametrize(
    ("method", "resource", "is_denied"),
    [
        ("GET", "/any", True),
        ("PUT", "/any", False),
        ("GET", "/items/{id}", True),
        ("POST", "/items/{id}", False),
        ("GET", "/items/1", False),
        ("GET", None, True),
        (None, "/items/{id}", True),
    ],
)
def test_a_route_is_found_by_its_template(method: str | None, resource: str | None, is_denied: bool) -> None:
    """A method of its own goes before ANY, as in API Gateway; what is not known is not allowed."""
    table = {"ANY /any": ["a"], "PUT /any": [], "GET /items/{id}": ["a"]}
    event = rest(httpMethod=method, resource=resource)
    if is_denied:
        with pytest.raises(DeniedError):
            core.check_scopes({}, event, of_api=[], of_routes=table)
    else:
        core.check_scopes({}, event, of_api=[], of_routes=table)


def test_a_websocket_has_no_routes_when_it_connects() -> None:
    """The scopes of the API hold there too."""
    core.check_scopes({"scope": "a"}, connect(), of_api=["a"], of_routes={"POST /api/v1/chat": ["b"]})
    with pytest.raises(DeniedError):
        core.check_scopes({}, connect(), of_api=["a"], of_routes={})


@pytest.mark.parametrize(
    ("arn", "resource"),
    [
        (ARN, "arn:aws:execute-api:eu-west-1:111122223333:abc/prod/POST/*"),
        ("arn:aws:execute-api:r:1:abc/prod/GET/", "arn:aws:execute-api:r:1:abc/prod/GET/*"),
    ],
)
def test_a_policy_speaks_of_every_path_of_the_method(arn: str, resource: str) -> None:
    """A result is remembered for one route, whose parameters differ; never of another method, stage or API."""
    event = rest(methodArn=arn)
    for policy, effect in ((core.allow(event, {}, "alice"), "Allow"), (core.deny(event), "Deny")):
        (statement,) = policy["policyDocument"]["Statement"]
        assert statement == {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}


def test_a_websockets_policy_speaks_of_connecting() -> None:
    """That is all there is to allow."""
    event = connect()
    (statement,) = core.allow(event, {}, "alice")["policyDocument"]["Statement"]
    assert statement["Resource"] == event["methodArn"]


def test_the_function_behind_is_told_user_scopes_and_claims() -> None:
    """As texts: API Gateway hands nothing else on. No claim can take the user's place."""
    claims = {"sub": "alice", "user_id": "bob", "scp": ["b", "a"], "deep": {"a": [1]}}
    context = core.allow(rest(), claims, "alice")["context"]
    assert context == {"user_id": "alice", "scope": "a b", "claims": json.dumps(claims)}


@pytest.mark.parametrize(
    ("claims", "left"),
    [
        ({"x": "a" * 4087}, {"claims", "scope", "user_id"}),
        ({"x": "a" * 4088}, {"scope", "user_id"}),
        ({"scope": "a" * 1025}, {"claims", "user_id"}),
        ({"scope": "\ud800"}, {"claims", "user_id"}),
    ],
)
def test_what_is_too_long_is_left_out(claims: dict[str, Any], left: set[str]) -> None:
    """The user never is."""
    assert set(core.allow(rest(), claims, "alice")["context"]) == left


def test_the_longest_answer_fits_a_websocket() -> None:
    """With as many characters to escape as JSON has."""
    claims = {"scope": "s" * core.MAX_SCOPE_BYTES, "a": ["" for _ in range(700)]}
    answer = core.allow(connect(), claims, "\U0001f600" * (core.MAX_USER_ID_BYTES // 4))
    assert "claims" in answer["context"]
    assert len(json.dumps(answer, ensure_ascii=False).encode()) <= _limits.API_GATEWAY_WEBSOCKET_AUTHORIZER_BYTES


class Result:
    """What Agent Kernel's validators return."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)

    def __str__(self) -> str:
        return str(vars(self))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (True, core.Opinion(allowed=True)),
        (False, core.Opinion(allowed=False)),
        (None, core.Opinion(allowed=False)),
        ("yes", core.Opinion(allowed=False)),
        (1, core.Opinion(allowed=False)),
        ({}, core.Opinion(allowed=True)),
        ({"plan": "x", "at": {1}}, core.Opinion(allowed=True, claims={"plan": "x", "at": "{1}"})),
        ({"is_valid": False, "plan": "x"}, core.Opinion(allowed=False)),
        ({"is_valid": True, "subject": "s"}, core.Opinion(allowed=True, subject="s")),
        (Result(is_valid=True, subject="s", claims={"a": 1}), core.Opinion(allowed=True, subject="s", claims={"a": 1})),
        (Result(is_valid=True, subject="user", model_fields_set={"is_valid"}), core.Opinion(allowed=True)),
        (Result(is_valid=True, subject=1, claims="no"), core.Opinion(allowed=True)),
        (Result(is_valid="true"), core.Opinion(allowed=False)),
        (Result(is_valid=False, subject="s"), core.Opinion(allowed=False, subject="s")),
        (Result(), core.Opinion(allowed=False)),
    ],
    ids=str,
)
def test_a_validator_says_yes_or_it_is_no(result: object, expected: core.Opinion) -> None:
    """A subject that is only the class's default would make all callers one."""
    assert core.opinion(result) == expected


@pytest.mark.parametrize("claims", [{"a": float("nan")}, {(1, 2): 3}])
def test_claims_that_are_no_json_are_an_error(claims: dict[Any, Any]) -> None:
    """Of the validator's."""
    with pytest.raises((TypeError, ValueError)):
        core.opinion(claims)


def test_the_reasons_for_refusing_hold_nothing_of_the_token() -> None:
    """They are logged."""
    secret = "c2VjcmV0"
    header = {"alg": secret, "typ": secret, "kid": secret}
    token = tokens.parsed(compact(header, {"aud": secret, "exp": secret}, lambda _: base64.b64decode(secret)))
    for check in (
        lambda: tokens.check_header(token.header),
        lambda: tokens.check_claims(token.claims, audience=["a"], now=NOW),
        lambda: tokens.check_claims(
            replace(token, claims={**GOOD, "exp": secret}).claims, audience=["agents"], now=NOW
        ),
        lambda: tokens.parsed(text(secret).decode()),
    ):
        with pytest.raises(RefusedTokenError) as raised:
            check()
        assert secret not in str(raised.value)
