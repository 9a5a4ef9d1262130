"""Reads an issuer's keys over HTTPS, within bounds of time and size."""

import contextlib
import functools
import http.client
import json
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from urllib.parse import urljoin, urlsplit

from ak_lambda.jwt_authorizer.keys import KeysUnavailableError
from ak_lambda.jwt_authorizer.tokens import Key, usable_key

DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_SECONDS = 3.0  # to connect, and for each piece of an answer
TOTAL_SECONDS = 6.0  # for everything
MAX_BYTES = 512 * 1024
MAX_KEYS = 100
MAX_REDIRECTS = 3

_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def load_keys(*, issuer: str, jwks_url: str | None, clock: Callable[[], float]) -> list[Key]:
    """Read the keys that may have signed tokens; there is at least one.

    In a thread: a socket's timeout bounds neither many addresses nor headers, and a run that Lambda ends forgets keys.
    """
    future: Future[list[Key]] = Future()
    threading.Thread(target=_fulfil, args=(future, issuer, jwks_url, clock), daemon=True).start()
    try:
        return future.result(timeout=TOTAL_SECONDS)
    except TimeoutError:
        raise KeysUnavailableError("TimeoutError") from None


def _fulfil(future: Future[list[Key]], issuer: str, jwks_url: str | None, clock: Callable[[], float]) -> None:
    try:
        future.set_result(_load(issuer, jwks_url, clock))
    except BaseException as error:  # noqa: BLE001 - the other thread's
        future.set_exception(error)


def _load(issuer: str, jwks_url: str | None, clock: Callable[[], float]) -> list[Key]:
    ends_at = clock() + TOTAL_SECONDS
    try:
        found = _get(jwks_url or _discovered(issuer, ends_at, clock), ends_at, clock)["keys"]
        usable = [key for key in map(usable_key, found[:MAX_KEYS]) if key]
    except (OSError, http.client.HTTPException, ValueError, TypeError, LookupError, RecursionError) as error:
        raise KeysUnavailableError(type(error).__name__) from None
    if not usable:
        raise KeysUnavailableError("no usable key")
    return usable


def _discovered(issuer: str, ends_at: float, clock: Callable[[], float]) -> str:
    document = _get(issuer.rstrip("/") + DISCOVERY, ends_at, clock)
    if document["issuer"] != issuer:
        raise KeysUnavailableError("discovery names another issuer")
    return str(document["jwks_uri"])


def _get(url: str, ends_at: float, clock: Callable[[], float]) -> Any:  # noqa: ANN401 - any JSON
    for _ in range(1 + MAX_REDIRECTS):
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise KeysUnavailableError("not an https address")
        if clock() >= ends_at:
            break
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS, context=trust())
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "ak-constructs"})
            with connection.getresponse() as response:
                if response.status not in _REDIRECTS:
                    return json.loads(_body(response, ends_at, clock))
                url = urljoin(url, response.headers["Location"])
    else:
        raise KeysUnavailableError("too many redirects")
    raise TimeoutError


def _body(response: http.client.HTTPResponse, ends_at: float, clock: Callable[[], float]) -> bytes:
    if response.status != _OK:
        raise KeysUnavailableError(f"status {response.status}")
    body = b""
    while piece := response.read1(MAX_BYTES):
        body += piece
        if len(body) > MAX_BYTES:
            raise KeysUnavailableError("too large")
        if clock() >= ends_at:
            raise TimeoutError
    return body


@functools.cache
def trust() -> ssl.SSLContext:
    """Read whom to believe: the runtime's authorities, or those that `SSL_CERT_FILE` names."""
    return ssl.create_default_context()
