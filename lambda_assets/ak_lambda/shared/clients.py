"""boto3's clients, one each for an environment."""

import functools
import threading
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 6},  # some seconds of throttling are ridden out
    connect_timeout=2,
    read_timeout=10,
    max_pool_connections=10,
    tcp_keepalive=True,
)
# Many calls, one after another: from the first refusal on fewer a second, until no more are refused.
PATIENT = _CONFIG.merge(Config(retries={"mode": "adaptive", "total_max_attempts": 6}))
# A function of the user's, called once: whoever reads the reply calls again, after a rest.
_CALLS = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=25)
_LINKS = Config(signature_version="s3v4")  # S3's links in the newer form: the older one cannot be had everywhere


@functools.cache
def client(service: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Give the client of a service."""
    config = _CONFIG.merge({"s3": _LINKS, "lambda": _CALLS}.get(service, _CONFIG))
    return boto3.client(service, config=config)  # type: ignore[call-overload]


@functools.cache
def waiting_client(service: str, *, wait_seconds: int, connections: int) -> Any:  # noqa: ANN401
    """Give the client of a service for that many calls at once, each made once and waited for."""
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        read_timeout=wait_seconds,
        max_pool_connections=connections,
    )
    return boto3.client(service, config=_CONFIG.merge(config))  # type: ignore[call-overload]


@functools.cache
def patient_client(service: str) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Give the client of a service that slows down by itself when it is throttled."""
    return boto3.client(service, config=PATIENT)  # type: ignore[call-overload]


_making = threading.Lock()


def callback_client(endpoint: str, *, read_seconds: int = 5, attempts: int = 2) -> Any:  # noqa: ANN401 - boto3 makes its classes
    """Give the client that posts to the connections of an endpoint; safe to ask for from several threads."""
    with _making:  # boto3 makes one client at a time
        return _callback_client(endpoint, read_seconds, attempts)


@functools.lru_cache(maxsize=16)
def _callback_client(endpoint: str, read_seconds: int, attempts: int) -> Any:  # noqa: ANN401
    config = Config(
        connect_timeout=1,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=16,
    )
    return boto3.client("apigatewaymanagementapi", endpoint_url=endpoint, config=_CONFIG.merge(config))
