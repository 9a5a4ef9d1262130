"""What may come with a request, and what must become of it: attacks, accidents, and callers who are let in.

The table is run against the authorizer's function alone, and against an API that is deployed to the emulator; both with
a real issuer. Each line says who decides it, so that a verifier which accepts or refuses everything is noticed by
exactly those lines that hang on it.
"""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from test.issuer import DISCOVERY, KEYS
from test.signing import compact, encode, hmac_by, text, unsigned
from test.token_world import (
    CHAT,
    GONE,
    HOUR,
    ITEM,
    LONGEST_BYTES,
    MINUTE,
    NOWHERE,
    OTHER_ITEM,
    PUT_ITEM,
    TOOLS,
    Case,
    Route,
    Step,
    World,
)

AS_LONG_AS_THE_LIMIT = "it takes as long as the limit"
LIKE_ANOTHER = "another line like it is tried there"
Make = Callable[[World], str]


def bearer(make: Make) -> Callable[[World], str]:
    """Write a token as the header has it."""
    return lambda world: f"Bearer {make(world)}"


def yes(make: Make, *, user: str = "alice", **more: Any) -> Step:  # noqa: ANN401 - fields of Step
    """Let somebody in."""
    return Step(value=bearer(make), status=200, user=user, **more)


def no(make: Make, status: int = 401, **more: Any) -> Step:  # noqa: ANN401 - fields of Step
    """Refuse."""
    return Step(value=bearer(make), status=status, **more)


def allowed(name: str, make: Make, *, user: str = "alice", route: Route = CHAT) -> Case:
    """Give a line with somebody who is let in."""
    return Case(name=name, steps=[yes(make, user=user, route=route)])


def refused(name: str, make: Make, *, verified: bool = True, **more: Any) -> Case:  # noqa: ANN401 - fields of Case
    """Give a line with a token that is none of ours."""
    return Case(name=name, steps=[no(make)], verified=verified, **more)


def forbidden(name: str, make: Make, *, route: Route = CHAT) -> Case:
    """Give a line with a good token that does not suffice."""
    return Case(name=name, steps=[no(make, 403, route=route)], verified=False)


def header_refused(name: str, make: Make, **more: Any) -> Case:  # noqa: ANN401 - fields of Case
    """Give a line with a header that holds no one token."""
    return Case(name=name, steps=[Step(value=make, status=401)], verified=False, **more)


def unreachable(name: str, trouble: str, *documents: str, alone: str | None = LIKE_ANOTHER) -> Case:
    """Give a line with an issuer whose keys cannot be read, and none are known.

    Each needs an environment of its own, so that only some are tried on the emulator.
    """
    step = no(World.token, 503, before=lambda world: world.issuer.fail(trouble, *documents))
    return Case(name=name, steps=[step], verified=False, alone=alone)


def _doubled(name: str, second: str) -> Make:
    """Sign a payload that says something twice."""
    return lambda world: world.of_payload(text(world.claims())[:-1] + f',"{name}":{second}}}'.encode())


def _padded(size: int) -> Make:
    """Make a good token so long that the header's value has a size."""

    def make(world: World) -> str:
        wanted = size - len("Bearer ")

        def padded(letters: int, more: int) -> str:
            return world.token(header={"typ": "JWT", "pad": "x" * more}, pad="x" * letters)

        room = (wanted - len(padded(0, 0))) * 3 // 4
        for letters, more in itertools.product(range(room - 5, room + 2), range(4)):  # a part has no length of 4n + 1
            token = padded(letters, more)
            if len(token) == wanted:
                return token
        raise AssertionError(size)

    return make


def _signed(key: str, algorithm: str) -> Make:
    return lambda world: world.token(key, algorithm)


ALGORITHMS = [
    ("rsa", "RS256"),
    ("rsa", "RS384"),
    ("rsa", "RS512"),
    ("rsa", "PS256"),
    ("rsa", "PS384"),
    ("rsa", "PS512"),
    ("p256", "ES256"),
    ("p384", "ES384"),
    ("p521", "ES512"),
    ("ed25519", "EdDSA"),
]
LET_IN = [
    *[allowed(name, _signed(key, name)) for key, name in ALGORITHMS],
    allowed("a key that names its one algorithm", lambda w: w.token("narrow")),
    allowed("expired, but within the leeway", lambda w: w.token(exp=w.now(-15))),
    allowed("not before a moment that comes within the leeway", lambda w: w.token(nbf=w.now(15))),
    allowed("issued by a clock that is ahead within the leeway", lambda w: w.token(iat=w.now(15))),
    allowed("without the moment it was issued", lambda w: w.token(iat=GONE)),
    allowed("times with fractions", lambda w: w.token(iat=w.now(-1) - 0.5, exp=w.now(99) + 0.5)),
    allowed("an audience among others", lambda w: w.token(aud=["billing", "agents"])),
    allowed("the second of our audiences", lambda w: w.token(aud="mobile-client")),
    allowed("no audience, but a client of ours", lambda w: w.token(aud=GONE, client_id="mobile-client")),
    allowed("the type of an access token", lambda w: w.token(header={"typ": "at+jwt"})),
    allowed("the type JWT", lambda w: w.token(header={"typ": "JWT"})),
    allowed("a user id that is no ASCII", lambda w: w.token(sub="zoë|42"), user="zoë|42"),
    allowed("claims that name our own results", lambda w: w.token(user_id="mallory", principalId="mallory")),
    allowed("a claim of 5 kB", lambda w: w.token(groups="g" * 3800)),
    allowed("a token as long as it may be", _padded(LONGEST_BYTES)),
    allowed("a scope with half a character", lambda w: w.token(scope="a\ud800")),
    allowed("the scope of the route", lambda w: w.token(scope="openid tools:run"), route=TOOLS),
    allowed("the scope in a list", lambda w: w.token(scp=["tools:run"]), route=TOOLS),
    allowed("both scopes of the route", lambda w: w.token(scope="items:write items:read"), route=PUT_ITEM),
    Case(
        name="the scheme in lower case", steps=[Step(value=lambda w: f"bearer {w.token()}", status=200, user="alice")]
    ),
    Case(name="the header in lower case", steps=[yes(World.token, name="authorization")]),
    Case(name="the header in capitals", steps=[yes(World.token, name="AUTHORIZATION")]),
]
ATTACKS = [
    refused("alg none, unsigned", lambda w: compact({"alg": "none", "kid": "rsa-1"}, w.claims(), unsigned)),
    refused("alg nOnE, unsigned", lambda w: compact({"alg": "nOnE", "kid": "rsa-1"}, w.claims(), unsigned)),
    refused("alg none, unsigned, no kid", lambda w: compact({"alg": "none"}, w.claims(), unsigned)),
    refused("alg none over a signed payload", lambda w: w.changed(0, alg="none")),
    refused(
        "HS256 with the public key as its secret",
        lambda w: compact({"alg": "HS256", "kid": "rsa-1"}, w.claims(), hmac_by(w.keys["rsa"].pem)),
    ),
    refused(
        "HS256 with the published JWK as its secret",
        lambda w: compact({"alg": "HS256", "kid": "rsa-1"}, w.claims(), hmac_by(text(w.keys["rsa"].jwk))),
    ),
    refused(
        "HS256 with nothing as its secret",
        lambda w: compact({"alg": "HS256", "kid": "rsa-1"}, w.claims(), hmac_by(b"")),
    ),
    refused(
        "HS256 with a secret that the issuer published",
        lambda w: compact({"alg": "HS256", "kid": "oct"}, w.claims(), hmac_by(w.secret)),
    ),
    refused(
        "HS256 with a kid that is a path to an empty file",
        lambda w: compact({"alg": "HS256", "kid": "../../../../dev/null"}, w.claims(), hmac_by(b"")),
    ),
    refused("a kid that is a path", lambda w: w.token(header={"kid": "../../keys/rsa-1"})),
    refused("a kid that is an address", lambda w: w.by_mallory(kid=f"{w.other.url}/{KEYS}")),
    refused("a kid that is SQL", lambda w: w.token(header={"kid": "x' UNION SELECT 'rsa-1"})),
    refused("a kid that is a number", lambda w: w.token(header={"kid": 1})),
    refused("a kid that is a list", lambda w: w.token(header={"kid": ["rsa-1"]})),
    refused("a kid that is null", lambda w: w.token(header={"kid": None})),
    refused("a kid that nobody knows", lambda w: w.token(header={"kid": "rsa-unknown"})),
    refused("no kid, where the issuer has several keys", lambda w: w.of_header({"alg": "RS256"})),
    refused("a key of RSA for an algorithm of EC", lambda w: w.token("rsa", "ES256")),
    refused("a key of EC for an algorithm of RSA", lambda w: w.token("p256", "RS256")),
    refused("a key on P-256 for ES384", lambda w: w.token("p256", "ES384")),
    refused("a key on P-384 for ES256", lambda w: w.token("p384", "ES256")),
    refused("a key on secp256k1", lambda w: w.token("k256", "ES256K")),
    refused("a key on secp256k1 for ES256", lambda w: w.token("k256", "ES256")),
    refused("a key of Ed25519 for RS256", lambda w: w.token("ed25519", "RS256")),
    refused("a key for RS256 alone, used for PS256", lambda w: w.token("narrow", "PS256")),
    refused("a key for encryption, by its use", lambda w: w.token("enc")),
    refused("a key for encryption, by its operations", lambda w: w.token("wrap")),
    refused("a key that is too short", lambda w: w.token("weak")),
    refused("a key that is broken", lambda w: w.token("rsa", header={"kid": "broken-rsa"})),
    refused("a key that is no point of its curve", lambda w: w.token("p256", "ES256", header={"kid": "broken-ec"})),
    refused("a key that is cut off", lambda w: w.token("ed25519", "EdDSA", header={"kid": "broken-ed25519"})),
    refused("SHA-1", lambda w: w.token("rsa", "RS1")),
    refused("an algorithm nobody has", lambda w: w.token(header={"alg": "XX256"})),
    refused("an algorithm that is a list", lambda w: w.token(header={"alg": ["RS256", "none"]})),
    refused("no algorithm", lambda w: w.of_header({"kid": "rsa-1"})),
    refused("a signature of zeros", lambda w: ".".join([*w.token("p256", "ES256").split(".")[:2], encode(bytes(64))])),
    refused(
        "a signature in the form of certificates",
        lambda w: compact({"alg": "ES256", "kid": "p256"}, w.claims(), w.keys["p256"].signer("ES256", der=True)),
    ),
    refused("a signature left out", lambda w: w.token().rpartition(".")[0] + "."),
    refused("a signature cut off", lambda w: w.token()[:-8]),
    refused("a signature turned round", lambda w: ".".join([*w.token().split(".")[:2], w.token().split(".")[2][::-1]])),
    refused("a signature of another token", lambda w: ".".join([*w.token(sub="bob").split(".")[:2], w.token()[-342:]])),
    refused("a payload changed", lambda w: w.changed(1, sub="mallory")),
    refused("a header changed", lambda w: w.changed(0, kid="rsa-only-rs256")),
    refused("a stranger's key under a known kid", World.by_mallory),
    refused("a key that the token brings", lambda w: w.by_mallory(jwk=w.mallory.jwk)),
    refused(
        "a key that the token brings, without a kid",
        lambda w: w.mallory.token(w.claims(), header={"jwk": w.mallory.jwk, "kid": "mallory"}),
    ),
    Case(
        name="keys at an address that the token brings",
        steps=[no(lambda w: w.by_mallory(kid="mallory", jku=f"{w.other.url}/{KEYS}", x5u=f"{w.other.url}/{KEYS}"))],
    ),
    refused("a certificate that the token brings", lambda w: w.by_mallory(x5c=[encode(w.mallory.pem)])),
    refused("another issuer's token", lambda w: w.mallory.token(w.claims(iss=w.other.url), header={"kid": "rsa-1"})),
    refused("another issuer's key in our issuer's name", lambda w: w.by_mallory(kid="mallory")),
    refused("an extension that must be understood", lambda w: w.token(header={"crit": ["exp"]})),
    refused("a payload that is not encoded", lambda w: w.token(header={"b64": False, "crit": ["b64"]})),
    refused("a payload that is not encoded, which need not be understood", lambda w: w.token(header={"b64": False})),
    refused("a list of extensions that is empty", lambda w: w.token(header={"crit": []})),
    refused("a token of another type", lambda w: w.token(header={"typ": "dpop+jwt"})),
    refused("a type that is no text", lambda w: w.token(header={"typ": 1})),
    refused("an encrypted token", lambda _: ".".join([encode(text({"alg": "RSA-OAEP", "enc": "A256GCM"})), *"abcd"])),
    refused("no token but text", lambda _: "let-me-in"),
    refused("two parts", lambda w: w.token().rpartition(".")[0]),
    refused("four parts", lambda w: f"{w.token()}.e30"),
    refused("letters of the other alphabet", lambda w: w.token().replace(".", ".+/")),
    refused("padding", lambda w: f"{w.token()}=="),
    refused("a header that is a list", lambda w: w.of_header([{"alg": "RS256", "kid": "rsa-1"}])),
    refused("a header that is no JSON", lambda w: w.of_header(b"{")),
    refused("a header that is no text", lambda w: w.of_header(b"\xff\xfe")),
    refused("the algorithm twice", lambda w: w.of_header(b'{"alg":"none","kid":"rsa-1","alg":"RS256"}')),
    refused("a payload that is a list", lambda w: w.of_payload([w.claims()])),
    refused("a payload that is no JSON", lambda w: w.of_payload(b"{")),
    refused("a payload that is no text", lambda w: w.of_payload(b"\xff\xfe")),
    refused("a payload of brackets", lambda w: w.of_payload(b"[" * 5000)),
    refused("the user twice", _doubled("sub", '"mallory"')),
    refused("the expiry twice", _doubled("exp", "9999999999")),
    refused("a nested name twice", _doubled("realm", '{"a":1,"a":2}')),
    refused("no issuer", lambda w: w.token(iss=GONE)),
    refused("the issuer with a slash", lambda w: w.token(iss=f"{w.issuer.url}/")),
    refused("the issuer in a list", lambda w: w.token(iss=[w.issuer.url])),
    refused("an issuer that begins like ours", lambda w: w.token(iss=f"{w.issuer.url}-other")),
    refused("another audience", lambda w: w.token(aud="billing")),
    refused("other audiences", lambda w: w.token(aud=["billing", "agent"])),
    refused("an audience that holds ours", lambda w: w.token(aud="agents-of-others")),
    refused("an audience in capitals", lambda w: w.token(aud="AGENTS")),
    refused("no audience", lambda w: w.token(aud=GONE)),
    refused("an empty list of audiences", lambda w: w.token(aud=[])),
    refused("an audience that is no text", lambda w: w.token(aud=[["agents"]])),
    refused("an audience that is an object", lambda w: w.token(aud={"agents": True})),
    refused("another audience beside a client of ours", lambda w: w.token(aud="billing", client_id="agents")),
    refused("another client", lambda w: w.token(aud=GONE, client_id="billing")),
    refused("expired", lambda w: w.token(exp=w.now(-MINUTE))),
    refused("no expiry", lambda w: w.token(exp=GONE)),
    refused("an expiry in text", lambda w: w.token(exp=str(w.now(HOUR)))),
    refused("an expiry that is true", lambda w: w.token(exp=True)),
    refused("an expiry that is null", lambda w: w.token(exp=None)),
    refused("an expiry that is no number", lambda w: w.of_payload(_with(w, exp="NaN"))),
    refused("an expiry that never comes", lambda w: w.of_payload(_with(w, exp="Infinity"))),
    refused("an expiry that is too large for a number", lambda w: w.of_payload(_with(w, exp="1e999"))),
    refused("an expiry of thousands of digits", lambda w: w.of_payload(_with(w, exp="9" * 4400))),
    refused("an expiry of hundreds of digits", lambda w: w.of_payload(_with(w, exp="9" * 400))),
    refused("not valid yet", lambda w: w.token(nbf=w.now(MINUTE * 2))),
    refused("a beginning in text", lambda w: w.token(nbf="0")),
    refused("a beginning that is true", lambda w: w.token(nbf=True)),
    refused("issued in the future", lambda w: w.token(iat=w.now(MINUTE * 2))),
    refused("issued in text", lambda w: w.token(iat="0")),
    refused("a token of 100 KB", _padded(100_000), verified=False, there=431),
    refused("a token one byte over the limit", _padded(LONGEST_BYTES + 1), verified=False),
    Case(name="no header", steps=[Step(value=lambda _: None, status=401)], verified=False),
    header_refused("a header without a token", lambda _: "Bearer"),
    header_refused("a token without a scheme", World.token),
    header_refused("another scheme", lambda w: f"Basic {w.token()}"),
    header_refused("the scheme twice", lambda w: f"Bearer Bearer {w.token()}"),
    header_refused("two tokens", lambda w: f"Bearer {w.token()} {w.token(sub='bob')}"),
    header_refused("two headers in one", lambda w: f"Bearer {w.token()}, Bearer {w.token(sub='bob')}"),
    forbidden("no user", lambda w: w.token(sub=GONE)),
    forbidden("a user without a name", lambda w: w.token(sub="")),
    forbidden("a user in two lines", lambda w: w.token(sub="alice\nadmin")),
    forbidden("a user with a long name", lambda w: w.token(sub="a" * 257)),
    forbidden("a user who is a number", lambda w: w.token(sub=42)),
    forbidden("a user who is a list", lambda w: w.token(sub=["alice"])),
    forbidden("no scope where the route asks for one", World.token, route=TOOLS),
    forbidden("a scope that begins like the route's", lambda w: w.token(scope="tools:runner tools"), route=TOOLS),
    forbidden("a scope in capitals", lambda w: w.token(scope="TOOLS:RUN"), route=TOOLS),
    forbidden("a scope that is an object", lambda w: w.token(scope={"tools:run": True}), route=TOOLS),
    forbidden("one of two scopes", lambda w: w.token(scope="items:write"), route=PUT_ITEM),
]


def _with(world: World, **raw: str) -> bytes:
    """Write a payload whose values are put in as they are."""
    kept = json.dumps(world.claims(**dict.fromkeys(raw, GONE)))[:-1]
    return (kept + "".join(f', "{name}": {value}' for name, value in raw.items()) + "}").encode()


def _flood(world: World) -> str:
    return world.token(header={"kid": f"unknown-{time.monotonic_ns()}"})


ACCIDENTS = [
    unreachable("the issuer is down", "down", alone=None),
    unreachable("discovery is down", "down", DISCOVERY),
    unreachable("the keys are down", "down", KEYS),
    unreachable("the issuer has an error", "error", KEYS),
    unreachable("the keys are gone", "gone", KEYS),
    unreachable("discovery is a page for people", "garbage", DISCOVERY),
    unreachable("the keys are a page for people", "garbage", KEYS),
    unreachable("the keys are a list", "list", KEYS),
    unreachable("the keys are no text", "binary", KEYS),
    unreachable("the keys are brackets", "deep", KEYS),
    unreachable("the keys are huge", "huge", KEYS, alone=None),
    unreachable("the keys come too slowly", "slow", KEYS, alone=AS_LONG_AS_THE_LIMIT),
    unreachable("the keys come a byte at a time", "dripping", KEYS, alone=AS_LONG_AS_THE_LIMIT),
    unreachable("discovery sends on without end", "looping", DISCOVERY),
    unreachable("the keys' address sends on to a plain one", "downgraded", KEYS, alone=None),
    unreachable("the keys' address sends on to a file", "to_file", KEYS),
    unreachable("discovery names a plain address", "plain", DISCOVERY),
    unreachable("discovery names a file", "of_file", DISCOVERY, alone=None),
    Case(
        name="discovery speaks for another issuer",
        steps=[no(World.token, 503, before=lambda w: setattr(w.issuer, "claimed", w.other.url))],
        verified=False,
    ),
    Case(
        name="the issuer has no key",
        steps=[no(World.token, 503, before=lambda w: w.issuer.keys.clear())],
        verified=False,
        alone=LIKE_ANOTHER,
    ),
    Case(
        name="no kid, where the issuer has one key",
        steps=[yes(lambda w: w.of_header({"alg": "RS256"}), before=lambda w: w.publish("rsa"))],
        alone="it needs no API",
    ),
    Case(
        name="the keys rotate in mid-flight",
        steps=[
            yes(World.token, fetches=1),
            yes(lambda w: w.token("new"), before=lambda w: w.rotate(keep=True), fetches=2),
            yes(lambda w: w.token(jti="2"), fetches=2),
        ],
    ),
    Case(
        name="a key that is withdrawn is known no longer than keys are fresh",
        steps=[
            yes(World.token, fetches=1),
            no(World.token, before=lambda w: w.rotate(keep=False), later=11 * MINUTE, fetches=2),
        ],
        alone="minutes pass",
    ),
    Case(
        name="unknown kids ask the issuer once, not each time",
        steps=[yes(World.token, fetches=1), no(_flood, fetches=2), *[no(_flood, fetches=2)] * 3],
    ),
    Case(
        name="the issuer goes down, and its last keys are good for a day",
        steps=[
            yes(World.token, fetches=1),
            yes(World.token, before=lambda w: w.issuer.fail("down"), later=11 * MINUTE),
            yes(World.token, later=22 * HOUR),
            no(World.token, 503, later=3 * HOUR),
            yes(World.token, before=lambda w: w.issuer.mend(), later=MINUTE),
        ],
        alone="a day passes",
    ),
    Case(
        name="a stranger's kid during an outage",
        steps=[
            yes(World.token),
            no(_flood, before=lambda w: w.issuer.fail("down")),
            yes(lambda w: w.token(jti="2")),
        ],
    ),
    Case(
        name="the issuer comes back",
        steps=[
            no(World.token, 503, before=lambda w: w.issuer.fail("down")),
            yes(World.token, before=lambda w: w.issuer.mend(), later=31),
        ],
        alone="half a minute passes",
    ),
    Case(
        name="a result that is remembered for one route lets nobody into another",
        steps=[
            yes(lambda w: w.kept("r")),
            no(lambda w: w.kept("r"), 403, route=TOOLS),
            yes(lambda w: w.kept("r"), route=ITEM),
            no(lambda w: w.kept("r"), 403, route=PUT_ITEM),
            no(lambda w: w.kept("r"), 403, route=TOOLS),
            yes(lambda w: w.kept("r")),
        ],
        verified=False,
    ),
    Case(
        name="a refusal that is remembered for one route keeps nobody out of another",
        steps=[no(lambda w: w.kept("s"), 403, route=TOOLS), yes(lambda w: w.kept("s"))],
        verified=False,
    ),
    Case(
        name="a result that is remembered for one item serves the others of its route",
        steps=[yes(lambda w: w.kept("i"), route=ITEM), yes(lambda w: w.kept("i"), route=OTHER_ITEM)],
    ),
    Case(
        name="a result that is remembered is one user's",
        steps=[
            yes(lambda w: w.kept("a")),
            yes(lambda w: w.kept("b", sub="bob"), user="bob"),
            yes(lambda w: w.kept("a")),
        ],
    ),
    Case(name="a route that is nowhere", steps=[Step(value=bearer(World.token), status=404, route=NOWHERE)]),
    Case(
        name="a route that is nowhere, for a stranger",
        steps=[no(World.by_mallory, route=NOWHERE)],
    ),
]
CASES: list[Case] = [*LET_IN, *ATTACKS, *ACCIDENTS]
