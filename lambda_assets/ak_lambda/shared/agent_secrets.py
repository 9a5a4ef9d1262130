"""Keeps an agent's secrets in its environment variables, by the rules of `secret_rules`. No value is ever logged.

    {"OPENAI_API_KEY": {"secret": "<arn>", "field": "openai"}, "TOKEN": {"parameter": "<arn>"}}

A variable is written only when its value is another: a process sees that at most once for each rotation.
"""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from ak_lambda.shared.secret_rules import (
    SECRET,
    SecretError,
    Source,
    UnreadableError,
    Wanted,
    is_due,
    refusal,
    text_of,
    value_of,
    wanted,
)

SECRETS_VARIABLE = "AK_CONSTRUCTS_SECRETS"
CONNECT_SECONDS = 2
READ_SECONDS = 2  # two tries that fail, and the pause between them, must end within the init phase

_log = logging.getLogger("ak_constructs.secrets")


class AgentSecrets:
    """The secrets of this environment.

    Args:
        asked: What the construct wrote.
        fetch: Gives the text of a secret or a parameter, or raises `SecretError`.
        environment: The variables.
        clock: The time in seconds; the wall clock's, which goes on in a snapshot.
    """

    def __init__(
        self,
        asked: str,
        *,
        fetch: Callable[[Source], str],
        environment: MutableMapping[str, str],
        clock: Callable[[], float],
    ) -> None:
        self._wanted = wanted(asked)
        self._fetch = fetch
        self._environment = environment
        self._clock = clock
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._doubted = False

    @property
    def are_there(self) -> bool:
        """Whether all have been read once."""
        return self._read_at is not None

    def bring(self) -> None:
        """Bring the values if it is time; what cannot be read again keeps its last value.

        Raises:
            UnreadableError: Some have no value yet.
        """
        now = self._clock()
        if not is_due(now, read_at=self._read_at, tried_at=self._tried_at, doubted=self._doubted):
            return
        self._tried_at = now
        errors = self._read()
        if not errors:
            self._read_at, self._doubted = now, False
        elif self._read_at is None:
            raise UnreadableError(may_pass=all(error.may_pass for error in errors))

    def doubt(self) -> None:
        """Read again before the next run: one failed, perhaps because a value is no longer right."""
        self._doubted = True

    def _read(self) -> list[SecretError]:
        """Read each source once, set what was read and give what was not; stop where a service is out of reach."""
        texts: dict[Source, str | SecretError] = {}
        errors = []
        for each in self._wanted:
            try:
                self._set(each.name, value_of(each, self._text(each.source, texts)))
            except SecretError as error:
                errors.append(error)
                self._tell(each, error)
                if error.may_pass:
                    break
        return errors

    def _text(self, source: Source, texts: dict[Source, str | SecretError]) -> str:
        if source not in texts:
            try:
                texts[source] = self._fetch(source)
            except SecretError as error:
                texts[source] = error
        found = texts[source]
        if isinstance(found, SecretError):
            raise found
        return found

    def _set(self, name: str, value: str) -> None:
        before = self._environment.get(name)
        if before == value:
            return
        self._environment[name] = value
        if self.are_there:
            _log.info("secret %s has a new value", name)

    def _tell(self, each: Wanted, error: SecretError) -> None:
        level, after = (logging.WARNING, "; its last value goes on") if self.are_there else (logging.ERROR, "")
        _log.log(level, "secret %s: %s%s", each.name, error, after)


def open_secrets() -> AgentSecrets:
    """Open the secrets that the environment names, which may be none. Keep what this gives."""
    return AgentSecrets(os.environ.get(SECRETS_VARIABLE, "{}"), fetch=fetch, environment=os.environ, clock=time.time)


def fetch(source: Source) -> str:
    """Read a secret or a parameter from its service."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an agent without secrets must not pay for it

    from ak_lambda.shared.calls import CallError, calling  # noqa: PLC0415

    def call() -> Any:  # noqa: ANN401
        service = _client(source.service, source.region)
        if source.operation == SECRET:
            return service.get_secret_value(SecretId=source.arn)
        return service.get_parameter(Name=source.arn, WithDecryption=True)

    try:
        with _unlogged():
            response = calling(source.operation, call)
    except CallError as error:
        refused = isinstance(error.__cause__, ClientError)
        raise refusal(
            source, error.code, str(error.__cause__) if refused else "", may_pass=error.throttled or not refused
        ) from None
    return text_of(source, response)


@functools.cache
def _client(service: str, region: str | None) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.client(service, region_name=region, config=config)  # type: ignore[call-overload]


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Keep botocore from logging the answer, which it does where an agent asks for its debug lines."""
    parsers = logging.getLogger("botocore.parsers")
    before = parsers.level
    parsers.setLevel(logging.INFO)
    try:
        yield
    finally:
        parsers.setLevel(before)
