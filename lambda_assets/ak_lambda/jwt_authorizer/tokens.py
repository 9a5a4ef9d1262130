"""Reads a token and an issuer's keys, and says what is wrong with them. Plain values in, plain values out."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared.fields import mapping, strict_json

LEEWAY_SECONDS = 30
MIN_RSA_BITS = 2048
MAX_MOMENT = 2**53  # seconds that every JSON parser reads alike; no infinity is below
MAX_DEPTH = 32  # of objects and lists in each other
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ALGORITHMS: Mapping[tuple[str, str | None], frozenset[str]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_ALLOWED = frozenset().union(*ALGORITHMS.values())
_PUBLIC = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}  # never the private part, if one is there
_TYPES = {"jwt", "at+jwt"}  # RFC 9068 has the second one, for access tokens
_SEGMENTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class RefusedTokenError(Exception):
    """No token, or a bad one. The reason is ours and holds nothing of the token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """What a token's text says, what is signed of it, and the signature."""

    header: Mapping[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A public key of the issuer, and what it may have signed with."""

    kid: str | None
    algorithms: frozenset[str]
    jwk: tuple[tuple[str, str], ...]


def parsed(text: str) -> Token:
    """Read a token, nothing of which is to be believed yet."""
    if not _SEGMENTS.fullmatch(text):
        raise RefusedTokenError("malformed")
    signed, _, signature = text.rpartition(".")
    header, _, claims = signed.partition(".")
    try:
        return Token(
            header=_object(header), claims=_object(claims), signed=signed.encode(), signature=_decoded(signature)
        )
    except (ValueError, RecursionError):
        raise RefusedTokenError("malformed") from None


def check_header(header: Mapping[str, Any]) -> None:
    """Refuse what no issuer signs with, and what we would have to understand and do not."""
    algorithm, kind = header.get("alg"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in _ALLOWED:
        raise RefusedTokenError("algorithm")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise RefusedTokenError("type")
    if "crit" in header or "b64" in header:
        raise RefusedTokenError("critical header")
    if not isinstance(header.get("kid", ""), str):
        raise RefusedTokenError("malformed")


def check_claims(claims: Mapping[str, Any], *, audience: Iterable[str], now: float) -> None:
    """Refuse a token that is not for us or not for now."""
    meant = claims["aud"] if "aud" in claims else claims.get("client_id")
    if not set(audience) & set(strings(meant)):
        raise RefusedTokenError("audience")
    expires = _moment(claims, "exp")
    if expires is None:
        raise RefusedTokenError("no expiry")
    if now >= expires + LEEWAY_SECONDS:
        raise RefusedTokenError("expired")
    for name in ("nbf", "iat"):
        begins = _moment(claims, name)
        if begins is not None and begins > now + LEEWAY_SECONDS:
            raise RefusedTokenError("not valid yet")


def usable_key(jwk: object) -> Key | None:
    """Give a key that may have signed tokens, or None."""
    members = mapping(jwk)
    kind = members.get("kty")
    if not isinstance(kind, str) or kind not in _PUBLIC or members.get("use", "sig") != "sig":
        return None
    if "verify" not in strings(members.get("key_ops", "verify")):
        return None
    public = {name: members.get(name) for name in ("kty", *_PUBLIC[kind])}
    kid = members.get("kid")
    if not all(isinstance(value, str) for value in public.values()) or not isinstance(kid, str | None):
        return None
    algorithms = ALGORITHMS.get((kind, public.get("crv")), frozenset())
    if "alg" in members:
        algorithms &= frozenset(strings(members["alg"]))
    if not algorithms or (kind == "RSA" and _bits(str(public["n"])) < MIN_RSA_BITS):
        return None
    return Key(kid=kid, algorithms=algorithms, jwk=tuple((name, str(value)) for name, value in public.items()))


def _object(segment: str) -> dict[str, Any]:
    found = strict_json(_decoded(segment).decode(), _without_duplicates)
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004 - whatever is wrong, the token is
    _check_depth(found, MAX_DEPTH)
    return found


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what two parsers would read differently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _check_depth(value: object, left: int) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise ValueError
        for each in value.values() if isinstance(value, dict) else value:
            _check_depth(each, left - 1)


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_MOMENT:
        raise RefusedTokenError("malformed")
    return value


def strings(value: object) -> list[str]:
    """Give the texts of one text or a list."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _bits(number: str) -> int:
    try:
        return int.from_bytes(_decoded(number), "big").bit_length()
    except ValueError:
        return 0
