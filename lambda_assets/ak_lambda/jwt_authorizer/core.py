"""Decides what a request, its token's claims and a validator's opinion come to. Plain values in, plain values out."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ak_lambda.jwt_authorizer.tokens import RefusedTokenError, strings
from ak_lambda.shared.fields import mapping

MAX_HEADER_BYTES = 8192
MAX_USER_ID_BYTES = 256
# API Gateway takes 8 KB of a WebSocket's authorizer, and the claims are escaped once more on the way.
MAX_CLAIMS_BYTES = 4096
MAX_SCOPE_BYTES = 1024
_OPINION = ("is_valid", "subject", "claims")  # as Agent Kernel's ValidationResult has them
_BEARER = re.compile(r"bearer +([^\s,]+) *", re.IGNORECASE)
_TOKEN = re.compile(r"[^\s,]+")


class DeniedError(Exception):
    """A good token that may not do this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What a validator of the user's says of a token."""

    allowed: bool
    subject: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)


def is_websocket(event: Mapping[str, Any]) -> bool:
    """Whether somebody connects to a WebSocket API."""
    return mapping(event.get("requestContext")).get("eventType") == "CONNECT"


def token_of(event: Mapping[str, Any]) -> str:
    """Give the one token of a request; two that differ are none."""
    given = [_bearer(value) for value in _header(event, "authorization")]
    if is_websocket(event):
        given += [*_subprotocol(event), *_query(event)]
    if len(set(given)) != 1:
        raise RefusedTokenError("not exactly one token")
    return given[0]


def opinion(result: object) -> Opinion:
    """Read what a validator of the user's returned; what is not said is no."""
    if isinstance(result, bool):
        return Opinion(allowed=result)
    if isinstance(result, Mapping) and "is_valid" not in result:
        return Opinion(allowed=True, claims=_plain(result))
    said = result if isinstance(result, Mapping) else {name: getattr(result, name, None) for name in _OPINION}
    subject = said.get("subject")
    if "subject" not in getattr(result, "model_fields_set", ("subject",)):
        subject = None  # a default, such as Agent Kernel's "user", would make all callers one
    return Opinion(
        allowed=said.get("is_valid") is True,
        subject=subject if isinstance(subject, str) else None,
        claims=_plain(mapping(said.get("claims"))),
    )


def user_id(claims: Mapping[str, Any], user_claim: str, subject: str | None = None) -> str:
    """Give whose token it is."""
    name = claims.get(user_claim, subject)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise DeniedError("user claim")
    if len(name.encode()) > MAX_USER_ID_BYTES:
        raise DeniedError("user claim")
    return name


def check_scopes(
    claims: Mapping[str, Any], event: Mapping[str, Any], *, of_api: Iterable[str], of_routes: Mapping[str, list[str]]
) -> None:
    """Refuse a token without every scope that the API and the route ask for."""
    required = set(of_api)
    if of_routes and not is_websocket(event):
        required |= set(_route_scopes(event, of_routes))
    if not required <= scopes(claims):
        raise DeniedError("scope")


def scopes(claims: Mapping[str, Any]) -> set[str]:
    """Give the scopes of a token, in whichever claim its issuer writes them."""
    found: set[str] = set()
    for name in ("scope", "scp", "scopes"):
        for value in strings(claims.get(name)):
            found.update(value.split(" "))
    return found - {""}


def allow(event: Mapping[str, Any], claims: Mapping[str, Any], user: str) -> dict[str, Any]:
    """Let the caller in, and tell the function behind who it is."""
    context = {"claims": json.dumps(claims), "scope": " ".join(sorted(scopes(claims)))}
    bounds = {"claims": MAX_CLAIMS_BYTES, "scope": MAX_SCOPE_BYTES}
    kept = {name: value for name, value in context.items() if len(value) <= bounds[name] and value.isascii()}
    # The access log has the principal between quotes.
    return {**_policy(event, json.dumps(user)[1:-1], "Allow"), "context": {**kept, "user_id": user}}


def deny(event: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse the caller."""
    return _policy(event, "denied", "Deny")


def _policy(event: Mapping[str, Any], principal: str, effect: str) -> dict[str, Any]:
    """Speak of all paths of a method: a result is remembered for one token and one route, whatever its parameters."""
    api, stage, method, *_ = [*str(event.get("methodArn")).split("/", 3), "", ""]
    resource = f"{api}/{stage}/{method}" if is_websocket(event) else f"{api}/{stage}/{method}/*"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"principalId": principal, "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def _route_scopes(event: Mapping[str, Any], of_routes: Mapping[str, list[str]]) -> list[str]:
    resource, method = event.get("resource"), event.get("httpMethod")
    if not isinstance(resource, str) or not isinstance(method, str):
        raise DeniedError("no route")
    return of_routes.get(f"{method} {resource}", of_routes.get(f"ANY {resource}", []))


def _header(event: Mapping[str, Any], name: str) -> list[str]:
    """Give every value of a header, in whatever case its name came."""
    lists = mapping(event.get("multiValueHeaders"))
    found = [many for key, many in lists.items() if key.lower() == name and isinstance(many, list)]
    values = [value for many in found for value in many]
    if not values:
        values = [value for key, value in mapping(event.get("headers")).items() if key.lower() == name]
    if any(len(str(value).encode(errors="replace")) > MAX_HEADER_BYTES for value in values):
        raise RefusedTokenError("too large")
    return [str(value) for value in values]


def _bearer(value: str) -> str:
    found = _BEARER.fullmatch(value)
    if not found:
        raise RefusedTokenError("no bearer token")
    return found[1]


def _subprotocol(event: Mapping[str, Any]) -> list[str]:
    """Give the token of `bearer, <token>`: a browser can set no other header of a WebSocket."""
    named = [each.strip() for value in _header(event, "sec-websocket-protocol") for each in value.split(",")]
    if named[:1] != ["bearer"]:
        return []
    if not all(_TOKEN.fullmatch(each) for each in named[1:2]) or len(named) == 1:
        raise RefusedTokenError("no bearer token")
    return [named[1]]


def _query(event: Mapping[str, Any]) -> list[str]:
    values = mapping(event.get("multiValueQueryStringParameters")).get("token")
    if not isinstance(values, list):  # which has all, where the other has one
        value = mapping(event.get("queryStringParameters")).get("token")
        values = [] if value is None else [value]
    if any(len(str(value).encode(errors="replace")) > MAX_HEADER_BYTES for value in values):
        raise RefusedTokenError("too large")
    return [str(value) for value in values]


def _plain(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Give claims as JSON has them, or raise."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(claims), default=str, allow_nan=False))
    return plain
