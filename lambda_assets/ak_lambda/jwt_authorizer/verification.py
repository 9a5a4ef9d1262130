"""Verifies a token: its signature by PyJWT, which a layer brings; the rest by `tokens`, which alone reads it."""

import functools
from collections.abc import Iterable
from typing import Any

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from ak_lambda.jwt_authorizer import tokens
from ak_lambda.jwt_authorizer.keys import Keys
from ak_lambda.jwt_authorizer.tokens import Key, RefusedTokenError, Token

MAX_KEYS_READY = 16


def verify(text: str, *, keys: Keys, issuer: str, audience: Iterable[str], now: float) -> dict[str, Any]:
    """Give the claims of a good token, or raise `RefusedTokenError`."""
    token = tokens.parsed(text)
    tokens.check_header(token.header)
    if token.claims.get("iss") != issuer:  # before any key is asked for
        raise RefusedTokenError("issuer")
    candidates = keys.find(token.header.get("kid"), token.header["alg"])
    if not candidates:
        raise RefusedTokenError("unknown key")
    if not any(_is_signed(token, key) for key in candidates):
        raise RefusedTokenError("signature")
    tokens.check_claims(token.claims, audience=audience, now=now)
    return token.claims


def _is_signed(token: Token, key: Key) -> bool:
    try:
        public = _public_key(key, token.header["alg"])
    except PyJWTError:  # such as a point that is not on its curve
        return False
    return public.Algorithm.verify(token.signed, public.key, token.signature)


@functools.lru_cache(maxsize=MAX_KEYS_READY)
def _public_key(key: Key, algorithm: str) -> PyJWK:
    """Make a key of the algorithm that the token names and the key allows."""
    return PyJWK(dict(key.jwk), algorithm=algorithm)
