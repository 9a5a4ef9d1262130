"""The Lambda authorizer of `Authorization.jwt()`, for REST and WebSocket APIs.

A good token gets a policy; a bad one gets 401, which API Gateway does not remember; a good one that may not gets 403.
Without any key of the issuer the function fails, which a REST API answers with 503. A retry is harmless: nothing is
kept between two runs but the issuer's keys.
"""

import copy
import functools
import importlib
import json
import logging
import os
import time
from dataclasses import dataclass
from typing import Any

from ak_lambda.jwt_authorizer import core
from ak_lambda.jwt_authorizer.core import DeniedError
from ak_lambda.jwt_authorizer.keys import Keys
from ak_lambda.jwt_authorizer.tokens import RefusedTokenError
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import mapping

ISSUER_VARIABLE = "AK_CONSTRUCTS_ISSUER"
VALIDATOR_VARIABLE = "AK_CONSTRUCTS_VALIDATOR"

_log = logging.getLogger("ak_constructs.jwt_authorizer")


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationContext:
    """What a validator of the user's is told beside the token; in the shape of Agent Kernel's.

    Attributes:
        path: Of the request.
        http_method: Of the request.
        headers: By lower-case names, and `Authorization`.
        claims: Of the token, verified; none without an issuer.
    """

    path: str | None
    http_method: str | None
    headers: dict[str, Any]
    claims: dict[str, Any]


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Decide about one request."""
    try:
        token = core.token_of(event)
        claims = _verified(token)
        user, claims = _permitted(event, token, claims)
        return core.allow(event, claims, user)
    except RefusedTokenError as error:
        _log.info("token refused: %s", error)
        if core.is_websocket(event):  # which knows no 401
            return core.deny(event)
        raise UnauthorizedError("Unauthorized") from None  # the word by which API Gateway answers 401
    except DeniedError as error:
        _log.info("request denied: %s", error)
        return core.deny(event)


class UnauthorizedError(Exception):
    """The token is bad."""


def _verified(token: str) -> dict[str, Any]:
    """Give the claims of a good token; none when only the user's validator decides."""
    if ISSUER_VARIABLE not in os.environ:
        return {}
    from ak_lambda.jwt_authorizer import verification  # noqa: PLC0415 - it needs a layer, which comes with an issuer

    return verification.verify(
        token,
        keys=_keys(),
        issuer=setting(ISSUER_VARIABLE),
        audience=json.loads(setting("AK_CONSTRUCTS_AUDIENCE")),
        now=time.time(),
    )


def _permitted(event: dict[str, Any], token: str, claims: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Give whose token it is, and its claims, when it may do this."""
    opinion = _asked(event, token, claims)
    if not opinion.allowed:
        raise DeniedError("validator")
    subject = None if claims else opinion.subject
    claims = {**opinion.claims, **claims}  # what is verified goes before what is said
    user = core.user_id(claims, setting("AK_CONSTRUCTS_USER_CLAIM"), subject)
    core.check_scopes(
        claims,
        event,
        of_api=json.loads(setting("AK_CONSTRUCTS_API_SCOPES")),
        of_routes=json.loads(setting("AK_CONSTRUCTS_SCOPES")),
    )
    return user, claims


def _asked(event: dict[str, Any], token: str, claims: dict[str, Any]) -> core.Opinion:
    """Ask the user's validator, if there is one."""
    if VALIDATOR_VARIABLE not in os.environ:
        return core.Opinion(allowed=True)
    headers = mapping(event.get("headers"))
    given = {name.lower(): value for name, value in headers.items()}
    given["Authorization"] = f"Bearer {token}"  # wherever it came from
    context = ValidationContext(
        path=event.get("path"), http_method=event.get("httpMethod"), headers=given, claims=copy.deepcopy(claims)
    )
    try:
        return core.opinion(_validator().validate(token=token, context=context))
    except BaseException as error:  # noqa: BLE001 - SystemExit too: Lambda would log its text
        _log.error("the validator failed", extra={"error_type": type(error).__name__})
        raise DeniedError("validator") from None


@functools.cache
def _keys() -> Keys:
    from ak_lambda.jwt_authorizer import fetching  # noqa: PLC0415 - needed with an issuer only

    fetching.trust()
    load = functools.partial(
        fetching.load_keys,
        issuer=setting(ISSUER_VARIABLE),
        jwks_url=os.environ.get("AK_CONSTRUCTS_JWKS_URL"),
        clock=time.time,
    )
    return Keys(load, time.time)


@functools.cache
def _validator() -> Any:  # noqa: ANN401 - the user's module
    return importlib.import_module(setting(VALIDATOR_VARIABLE))


if ISSUER_VARIABLE in os.environ:
    importlib.import_module("ak_lambda.jwt_authorizer.verification")  # in the init phase, with a full CPU
    _keys()
if VALIDATOR_VARIABLE in os.environ:
    _validator()
