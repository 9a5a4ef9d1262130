"""An issuer whose tokens an API takes, those who sign what they like, and what may be tried with it."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from test.issuer import Issuer, Issuers
from test.signing import Key, compact, ec_key, ed25519_key, encode, rsa_key, text

AUDIENCE = ("agents", "mobile-client")
MINUTE, HOUR = 60, 3600
LONGEST_BYTES = 8192  # of the header's value
GONE: Any = object()  # in place of a claim's value: leave the claim out


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route of the API under test.

    Attributes:
        method: Its method.
        path: What the caller asks for.
        resource: What API Gateway calls it; the path where that has no parameter.
    """

    method: str = "POST"
    path: str = "/api/v1/chat"
    resource: str | None = None


CHAT = Route()
TOOLS = Route(path="/api/v1/tools")
ITEM, OTHER_ITEM = (Route(path=f"/api/v1/items/{name}", resource="/api/v1/items/{id}") for name in ("1", "2"))
PUT_ITEM = Route(method="PUT", path="/api/v1/items/1", resource="/api/v1/items/{id}")
NOWHERE = Route(path="/api/v1/nowhere", resource="/{proxy+}")
SCOPES = {("POST", "/api/v1/tools"): ("tools:run",), ("PUT", "/api/v1/items/{id}"): ("items:read", "items:write")}


class World:
    """An issuer whose tokens the API takes, another one, and whoever signs what he likes."""

    def __init__(self, issuers: Issuers, name: str) -> None:
        self.issuers = issuers
        self.keys = {
            "rsa": rsa_key("rsa-1"),
            "narrow": Key("rsa-only-rs256", rsa_key("rsa-2").private, {"alg": "RS256", "use": "sig"}),
            "enc": Key("rsa-enc", rsa_key("rsa-3").private, {"use": "enc"}),
            "wrap": Key("rsa-wrap", rsa_key("rsa-3").private, {"key_ops": ["wrapKey"]}),
            "weak": rsa_key("rsa-weak", 1024),
            "p256": ec_key("p256", "P-256"),
            "p384": ec_key("p384", "P-384"),
            "p521": ec_key("p521", "P-521"),
            "k256": ec_key("k256", "secp256k1"),
            "ed25519": ed25519_key("ed25519"),
        }
        self.secret = b"a secret that somebody published"
        secret = {"kty": "oct", "kid": "oct", "k": encode(self.secret), "alg": "HS256"}
        # No points of their curves, and no numbers: nothing can be verified with these, so nothing is signed by them.
        broken = [
            {**self.keys["rsa"].jwk, "kid": "broken-rsa", "e": "AA"},
            {**self.keys["p256"].jwk, "kid": "broken-ec", "y": encode(bytes(32))},
            {**self.keys["ed25519"].jwk, "kid": "broken-ed25519", "x": "AA"},
            {"kid": "broken", "kty": "RSA", "n": "AQ", "e": "!"},
            {"kid": "number", "kty": "RSA", "n": 3, "e": "AQAB"},
            {"kid": ["list"], **self.keys["p256"].jwk, "x": None},
            {**self.keys["p256"].jwk, "kid": 7},
            {**self.keys["p256"].jwk, "kty": ["EC"]},
        ]
        strange = [secret, {"kty": "none", "kid": "nothing"}, "no key", *broken]
        self.issuer: Issuer = issuers.issuer(name, *self.keys.values(), *strange)
        self.mallory = rsa_key("mallory")
        self.other: Issuer = issuers.issuer(f"{name}-other", self.mallory, Key("rsa-1", self.mallory.private))
        self.ahead = 0
        self._numbers = itertools.count()
        self._published = list(self.issuer.keys)
        self._kept: dict[str, str] = {}

    def reset(self) -> None:
        """Let the issuer be as it was."""
        self.issuer.keys = list(self._published)
        self.issuer.claimed = None
        self.issuer.mend()
        self._kept.clear()
        self.ahead = 0
        self.issuer.fetched.clear()
        self.other.fetched.clear()

    def now(self, seconds: int = 0) -> int:
        """Give a moment by the clock of this world, which tests put ahead."""
        return int(time.time() + self.ahead + seconds)

    def claims(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - claims are any JSON
        """Give what a good token says, with changes."""
        good: dict[str, Any] = {"iss": self.issuer.url, "aud": "agents", "sub": "alice"}
        good |= {"iat": self.now(), "exp": self.now(5 * MINUTE)}
        good["jti"] = f"{next(self._numbers):06}"  # or API Gateway would remember what another line did in this second
        return {name: value for name, value in {**good, **changes}.items() if value is not GONE}

    def token(
        self,
        key: str = "rsa",
        algorithm: str = "RS256",
        *,
        header: dict[str, Any] | None = None,
        **changes: Any,  # noqa: ANN401 - claims are any JSON
    ) -> str:
        """Sign a good token, with changes."""
        return self.keys[key].token(self.claims(**changes), algorithm, header=header)

    def kept(self, name: str, **changes: Any) -> str:  # noqa: ANN401 - claims are any JSON
        """Sign a good token once and give it again: API Gateway remembers what it was told of it."""
        return self._kept.setdefault(name, self.token(jti=name, **changes))

    def by_mallory(self, algorithm: str = "RS256", *, kid: str = "rsa-1", **header: object) -> str:
        """Sign a good payload with a key that the issuer never had."""
        return self.mallory.token(self.claims(), algorithm, header={"kid": kid, **header})

    def of_payload(self, payload: object) -> str:
        """Sign what is no payload."""
        return self.keys["rsa"].token(payload)

    def of_header(self, header: object) -> str:
        """Sign with a header that is none."""
        return compact(header, self.claims(), self.keys["rsa"].signer("RS256"))

    def changed(self, part: int, **changes: object) -> str:
        """Change the header (0) or the payload (1) after signing."""
        parts = self.token().split(".")
        content = {"alg": "RS256", "kid": "rsa-1"} if part == 0 else self.claims()
        parts[part] = encode(text({**content, **changes}))
        return ".".join(parts)

    def publish(self, *keys: str) -> None:
        """Publish these keys alone."""
        self.issuer.keys = [self.keys[name] for name in keys]

    def rotate(self, *, keep: bool) -> None:
        """Publish a new key, with or without the ones before."""
        self.keys["new"] = rsa_key("rsa-new")
        self.issuer.keys = [*(self._published if keep else []), self.keys["new"]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request, and what must become of it.

    Attributes:
        value: Makes the value of the header `Authorization`; with None there is no such header.
        status: What the caller gets.
        user: Whom the agent sees.
        route: Where to.
        name: The header's name, as the caller writes it.
        before: What happens first.
        later: How many seconds pass first.
        fetches: How often the issuer's keys were read by the end of this step, where that matters.
    """

    value: Callable[[World], str | None]
    status: int
    user: str | None = None
    route: Route = CHAT
    name: str = "Authorization"
    before: Callable[[World], object] | None = None
    later: int = 0
    fetches: int | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One line of the table.

    Attributes:
        name: What is tried.
        steps: Requests in turn, to one environment.
        verified: Whether the verifier alone decides; if not, what comes before or after it does.
        alone: Why it is not tried on the emulator.
        there: The status on the emulator where API Gateway's own part differs.
    """

    name: str
    steps: Sequence[Step] = field(repr=False)
    verified: bool = True
    alone: str | None = None
    there: int | None = None

    @property
    def expected(self) -> list[tuple[int, str | None]]:
        """The status of each step, and the user whom the agent sees."""
        return [(step.status, step.user) for step in self.steps]

    @property
    def fresh(self) -> bool:
        """Whether it changes the issuer or counts what it is asked, and so needs an environment of its own."""
        return any(step.before or step.fetches is not None for step in self.steps)
