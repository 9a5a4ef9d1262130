"""Every line of the table of tokens, by the function alone with a real issuer; and what the table notices."""

import json
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from ak_lambda.jwt_authorizer import core, fetching, handler, tokens, verification
from test.issuer import DISCOVERY, KEYS, Issuers
from test.rest_gateway import ARN, Answer, Gateway, event
from test.token_cases import AS_LONG_AS_THE_LIMIT, ATTACKS, CASES, LET_IN
from test.token_world import AUDIENCE, CHAT, LONGEST_BYTES, MINUTE, SCOPES, Case, World


@pytest.fixture(scope="module")
def issuers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuers]:
    """Run a server of issuers."""
    with Issuers(tmp_path_factory.mktemp("issuers")).running() as running:
        yield running


@pytest.fixture(scope="module")
def shared(issuers: Issuers) -> World:
    """Make keys once."""
    return World(issuers, "ours")


@pytest.fixture
def world(shared: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Set the authorizer up for an issuer that is as it was, with a clock that tests put ahead."""
    shared.reset()
    routes = {f"{method} {resource}": list(scopes) for (method, resource), scopes in SCOPES.items()}
    for name, value in {
        "SSL_CERT_FILE": str(shared.issuers.authority),
        "AK_CONSTRUCTS_ISSUER": shared.issuer.url,
        "AK_CONSTRUCTS_AUDIENCE": json.dumps(AUDIENCE),
        "AK_CONSTRUCTS_USER_CLAIM": "sub",
        "AK_CONSTRUCTS_API_SCOPES": "[]",
        "AK_CONSTRUCTS_SCOPES": json.dumps(routes),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "time", SimpleNamespace(time=lambda: time.time() + shared.ahead))
    forget()
    yield shared
    forget()


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for what never comes no longer than a test may; all else has the time that it has on Lambda."""
    monkeypatch.setattr(fetching, "TIMEOUT_SECONDS", 0.4)
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 0.6)


def forget() -> None:
    """Make a fresh environment."""
    handler._keys.cache_clear()
    fetching.trust.cache_clear()


def answers(case: Case, world: World) -> list[Answer]:
    """Go through the steps of a line in one environment."""
    gateway = Gateway(handler.handler)
    found = []
    for step in case.steps:
        world.ahead += step.later
        if step.before:
            step.before(world)
        found.append(gateway.ask(step.route, step.name, step.value(world)))
        assert step.fetches in {None, world.issuer.fetched[KEYS]}, found
    return found


def unlike(world: World, cases: Sequence[Case] = CASES) -> set[str]:
    """Give the lines that do not hold."""
    found = set()
    for case in cases:
        world.reset()
        forget()
        try:
            holds = answers(case, world) == case.expected
        except AssertionError:
            holds = False
        if not holds:
            found.add(case.name)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_line_holds(
    world: World, case: Case, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the log repeats nothing of a token; nor is an address that a token names ever asked."""
    if case.alone == AS_LONG_AS_THE_LIMIT:
        hurry(monkeypatch)
    assert answers(case, world) == case.expected
    for record in caplog.records:
        assert "eyJ" not in record.getMessage()
        assert record.exc_info is None
    assert not world.other.fetched


def test_the_table_is_as_long_as_it_should_be() -> None:
    """And each of its lines has a name of its own."""
    assert len({case.name for case in CASES}) == len(CASES) >= 40


def accept(token: str, **_options: object) -> dict[str, Any]:
    """Believe every token."""
    try:
        return tokens.parsed(token).claims
    except tokens.RefusedTokenError:
        return {"sub": "alice"}


def refuse(_token: str, **_options: object) -> dict[str, Any]:
    """Believe none."""
    raise tokens.RefusedTokenError("mutant")


def test_a_verifier_that_believes_everything_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each attack that the verifier alone stops, and by no caller who may come in."""
    monkeypatch.setattr(verification, "verify", accept)
    assert unlike(world, ATTACKS) == {case.name for case in ATTACKS if case.verified}
    assert unlike(world, LET_IN) == set()


def test_a_verifier_that_believes_nothing_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each caller who may come in or is told that a good token does not suffice, and by no attack."""
    monkeypatch.setattr(verification, "verify", refuse)
    insufficient = {case.name for case in ATTACKS if case.steps[0].status == 403}
    assert unlike(world, [*LET_IN, *ATTACKS]) == {case.name for case in LET_IN} | insufficient


def test_two_headers_that_differ_are_no_token(world: World) -> None:
    """Whichever of them somebody in between would have looked at."""
    request = event(CHAT, {"Authorization": f"Bearer {world.token()}"})
    request["multiValueHeaders"]["authorization"] = [f"Bearer {world.token(sub='bob')}"]
    with pytest.raises(handler.UnauthorizedError, match=r"^Unauthorized$"):
        handler.handler(request, None)


def test_the_longest_header_is_what_the_table_takes_it_for() -> None:
    """Or its line beside the limit would not be beside it."""
    assert core.MAX_HEADER_BYTES == LONGEST_BYTES


def test_an_issuer_whose_certificate_nobody_trusts_is_not_asked(
    world: World, issuers: Issuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sits in between would write the keys."""
    monkeypatch.setenv("SSL_CERT_FILE", str(issuers.strangers))
    assert Gateway(handler.handler).ask(CHAT, "Authorization", f"Bearer {world.token()}") == (503, None)
    assert not world.issuer.fetched


@pytest.mark.parametrize("document", [DISCOVERY, KEYS])
def test_an_issuer_that_never_comes_to_an_answer_costs_no_more_than_the_limit(
    world: World, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its words comes in time. A run that Lambda ends would forget the keys that it knew."""
    gateway, token = Gateway(handler.handler), world.token()
    assert gateway.ask(CHAT, "Authorization", f"Bearer {token}") == (200, "alice")
    world.ahead = MINUTE * 15
    world.issuer.fail("stalling", document)
    hurry(monkeypatch)
    began = time.monotonic()
    assert gateway.ask(CHAT, "Authorization", f"Bearer {world.token()}") == (200, "alice")
    assert fetching.TOTAL_SECONDS <= time.monotonic() - began < fetching.TOTAL_SECONDS + 2
    assert world.issuer.fetched[document] == 2


def connect(world: World, token: str, form: str) -> dict[str, Any]:
    """Connect to a WebSocket API with a token in one of the places where one may be, or in several."""
    places: dict[str, dict[str, Any]] = {
        "header": {"headers": {"Authorization": f"Bearer {token}"}},
        "subprotocol": {"headers": {"Sec-WebSocket-Protocol": f"bearer, {token}"}},
        "query": {"queryStringParameters": {"token": token}},
        "lists": {"headers": {}, "multiValueHeaders": {"authorization": [f"bearer {token}"]}},
        "several": {
            "headers": {"authorization": f"Bearer {token}"},
            "queryStringParameters": {"token": world.token(sub="bob")},
        },
        "several in the query": {
            "headers": {},
            "queryStringParameters": {"token": token},
            "multiValueQueryStringParameters": {"token": [world.token(sub="bob"), token]},
        },
        "lists in the query": {"headers": {}, "multiValueQueryStringParameters": {"token": [token]}},
        "several alike": {
            "headers": {"authorization": f"Bearer {token}"},
            "queryStringParameters": {"token": token},
        },
        "none": {"headers": {}},
    }
    routed = {"routeKey": "$connect", "eventType": "CONNECT", "connectionId": "c"}
    return {"type": "REQUEST", "methodArn": f"{ARN}/$connect", "requestContext": routed, **places[form]}


@pytest.mark.parametrize("form", ["header", "subprotocol", "query", "lists", "lists in the query", "several alike"])
def test_a_token_opens_a_websocket_from_each_of_its_places(world: World, form: str) -> None:
    """And names the user."""
    policy = handler.handler(connect(world, world.token(), form), None)
    (statement,) = policy["policyDocument"]["Statement"]
    assert (statement["Effect"], statement["Resource"]) == ("Allow", f"{ARN}/$connect")
    assert policy["context"]["user_id"] == "alice"


@pytest.mark.parametrize("form", ["header", "subprotocol", "query"])
def test_no_attack_opens_a_websocket(world: World, form: str) -> None:
    """Each line of the table with a token that is refused is denied there too, without an exception."""
    for case in ATTACKS:
        value = case.steps[0].value(world) or ""
        token = value.removeprefix("Bearer ")
        by_scope_alone = case.steps[0].route != CHAT
        needs_the_scheme = "scheme" in case.name or " " in token
        fits_without_the_scheme = form == "query" and case.name == "a token one byte over the limit"
        if by_scope_alone or needs_the_scheme or fits_without_the_scheme:
            continue
        policy = handler.handler(connect(world, token, form), None)
        assert policy["policyDocument"]["Statement"][0]["Effect"] == "Deny", case.name
        assert "context" not in policy, case.name


@pytest.mark.parametrize("form", ["several", "several in the query", "none"])
def test_two_tokens_that_differ_or_none_open_no_websocket(world: World, form: str) -> None:
    """It is not for us to choose."""
    policy = handler.handler(connect(world, world.token(), form), None)
    assert policy["policyDocument"]["Statement"][0]["Effect"] == "Deny"


def test_a_websocket_without_any_key_of_the_issuer_is_a_failure(world: World) -> None:
    """Not a refusal: the client may try again."""
    world.issuer.fail("down")
    with pytest.raises(Exception, match="keys"):
        handler.handler(connect(world, world.token(), "header"), None)
