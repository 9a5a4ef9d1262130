"""Where an agent's secrets are, what a service's answer is worth, and when to ask again. Plain values only."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared.fields import mapping

REFRESH_SECONDS = 300
BETWEEN_TRIES_SECONDS = 10

SECRET = "GetSecretValue"  # noqa: S105 - the operation
PARAMETER = "GetParameter"

_SERVICES = {SECRET: "secretsmanager", PARAMETER: "ssm"}
_DENIED = "AccessDeniedException"
_ABSENT = frozenset({"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound"})
_KEY = frozenset({"DecryptionFailure", "InvalidKeyId", "KMSAccessDeniedException"})
_PASSING = frozenset({"InternalFailure", "InternalServerError", "InternalServiceError", "ServiceUnavailable"})


class UnreadableError(Exception):
    """The agent cannot run without its secrets; the log has said which.

    Attributes:
        may_pass: Whether a service was busy or out of reach, and not a permission or a secret amiss.
    """

    def __init__(self, *, may_pass: bool) -> None:
        super().__init__("the agent's secrets cannot be read; its log says which")
        self.may_pass = may_pass


class SecretError(Exception):
    """One secret cannot be read; in our own words, which never have a value.

    Attributes:
        may_pass: Whether a service was busy or out of reach.
    """

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


@dataclass(frozen=True, slots=True)
class Source:
    """A secret or a parameter.

    Attributes:
        operation: What reads it.
        arn: Which one.
    """

    operation: str
    arn: str

    @property
    def service(self) -> str:
        """The service that has it."""
        return _SERVICES[self.operation]

    @property
    def region(self) -> str | None:
        """Where it is, which need not be where the function runs."""
        parts = self.arn.split(":")
        return parts[3] or None if len(parts) > 3 else None  # noqa: PLR2004 - arn:partition:service:region

    @property
    def action(self) -> str:
        """What a role needs."""
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A variable of the agent's.

    Attributes:
        name: The variable.
        source: Where its value is.
        field: Which field of a JSON object, if not all of the text.
    """

    name: str
    source: Source
    field: str | None


def wanted(text: str) -> tuple[Wanted, ...]:
    """Read what the construct wrote."""
    return tuple(
        Wanted(
            name,
            Source(PARAMETER, place["parameter"]) if "parameter" in place else Source(SECRET, place["secret"]),
            place.get("field"),
        )
        for name, place in json.loads(text).items()
    )


def text_of(source: Source, response: Mapping[str, Any]) -> str:
    """Give the text that a service answered with."""
    text = response["Parameter"]["Value"] if source.operation == PARAMETER else response.get("SecretString")
    if not isinstance(text, str):
        raise SecretError(f"{source.arn} is binary; keep it as text")
    return text


def value_of(each: Wanted, text: str) -> str:
    """Give a variable's value, which is all of the text or a field of it."""
    value = text if each.field is None else _field(each.source.arn, each.field, text)
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        raise SecretError(f"{each.source.arn} has a character that no variable can have; change its value")
    return value


def _field(arn: str, field: str, text: str) -> str:
    try:
        found = json.loads(text, parse_int=str, parse_float=str)  # numbers as they are written
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SecretError(f"{arn} is not a JSON object, so it has no field {field}; leave the field out")
    value = found.get(field)
    if not isinstance(value, str):
        missing = "has no field" if field not in found else "has neither a text nor a number in its field"
        raise SecretError(f"{arn} {missing} {field}; change the secret, or the field's name")
    return value


def refusal(source: Source, code: str, words: str, *, may_pass: bool) -> SecretError:
    """Say why a service did not answer, and what to do.

    Args:
        source: What was asked for.
        code: The service's, or the name of botocore's error.
        words: The service's, which are looked at and not repeated.
        may_pass: Whether the call was throttled or never got there.
    """
    arn = source.arn
    if may_pass or code in _PASSING:
        way = f"the function may have no way to {source.service}, or that is busy"
        return SecretError(f"{arn} cannot be read now ({code}); {way}", may_pass=True)
    if code in _KEY or (code == _DENIED and ("KMS" in words or "ciphertext" in words)):
        return SecretError(f"access denied to the key of {arn} ({code}); grant kms:Decrypt, and enable the key")
    if code == _DENIED:
        return SecretError(f"access denied to {arn}; grant {source.action}")
    if code in _ABSENT:
        return SecretError(f"{arn} does not exist or has no value ({code}); make it, or give it one")
    return SecretError(f"{arn} cannot be read ({code}); {source.action} was refused")


def is_due(now: float, *, read_at: float | None, tried_at: float | None, doubted: bool) -> bool:
    """Whether to read now, by the wall clock: a snapshot that wakes up later has old values.

    Args:
        now: The time.
        read_at: When all were read, if they ever were.
        tried_at: When the last try began.
        doubted: Whether a run has failed since, perhaps by a value that is no longer right.
    """
    if read_at is None:
        return True
    if tried_at is not None and 0 <= now - tried_at < BETWEEN_TRIES_SECONDS:
        return False
    return doubted or not 0 <= now - read_at < REFRESH_SECONDS


def are_repeated(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a message of a queue was received before: some run of it failed, perhaps in another environment."""
    return any(mapping(each.get("attributes")).get("ApproximateReceiveCount", "1") != "1" for each in records)
