"""Checks that must see through CDK tokens: a value that is only known at deployment passes; and when they are made."""

import re
from collections.abc import Callable

import aws_cdk as cdk
import jsii
from constructs import IValidation


@jsii.implements(IValidation)
class AtSynthesis:
    """Looks again when the app is synthesised, at what was set in the meantime: the order of lines does not matter."""

    def __init__(self, refusals: Callable[[], list[str]]) -> None:
        self._refusals = refusals

    def validate(self) -> list[str]:
        """Give what is wrong."""
        return self._refusals()


def check_matches(name: str, value: str, pattern: str, form: str) -> None:
    """Raise unless the text matches the whole pattern, which the form says in words with an example."""
    _check_type(name, value, str, form)
    if not cdk.Token.is_unresolved(value) and not re.fullmatch(pattern, value):
        raise ValueError(f"{name} must be {form}, got {value!r}")


def check_at_least(name: str, value: float, least: int, remedy: str) -> None:
    """Raise when a number is too small."""
    if not cdk.Token.is_unresolved(value) and value < least:
        raise ValueError(f"{name} must be at least {least}, got {value:g}; {remedy}")


def check_whole(name: str, value: float) -> None:
    """Raise when a count has a part: whoever reads it at run time could not."""
    if not cdk.Token.is_unresolved(value) and value != int(value):
        raise ValueError(f"{name} must be a whole number, got {value:g}; round it")


def check_at_most(name: str, value: float, most: int, remedy: str) -> None:
    """Raise when a number is too large."""
    if not cdk.Token.is_unresolved(value) and value > most:
        raise ValueError(f"{name} must be at most {most}, got {value:g}; {remedy}")


def check_timeout_at_most(name: str, value: cdk.Duration | None, most_seconds: int, remedy: str) -> None:
    """Raise when a duration is longer than AWS allows."""
    if value is not None:
        _check_type(name, value, cdk.Duration, "a cdk.Duration, such as cdk.Duration.minutes(5)")
    if value is not None and not value.is_unresolved() and value.to_seconds() > most_seconds:
        raise ValueError(f"{name} must be at most {most_seconds} s, got {value.to_seconds():g} s; {remedy}")


def check_between(name: str, value: float | None, bounds: tuple[int, int]) -> None:
    """Raise when a number is outside what AWS takes; one that is left out passes."""
    least, most = bounds
    if value is not None and not cdk.Token.is_unresolved(value) and not least <= value <= most:
        raise ValueError(f"{name} must be {least} to {most}, got {value:g}; leave it out or change it")


def check_duration_between(name: str, value: cdk.Duration, bounds: tuple[int, int]) -> None:
    """Raise when a duration is outside what AWS takes."""
    least, most = bounds
    if not value.is_unresolved() and not least <= value.to_seconds() <= most:
        raise ValueError(f"{name} must be {least} to {most} s, got {value.to_seconds():g} s; leave it out or change it")


def check_duration_at_least(name: str, value: cdk.Duration, least_seconds: int, remedy: str) -> None:
    """Raise when a duration is too short."""
    if not value.is_unresolved() and value.to_seconds() < least_seconds:
        raise ValueError(f"{name} must be at least {least_seconds} s, got {value.to_seconds():g} s; {remedy}")


def _check_type(name: str, value: object, type_: type, form: str) -> None:
    """Raise by the argument's name where Python or jsii would only name what they expected."""
    if not isinstance(value, type_):
        raise TypeError(f"{name} must be {form}, got a value of type {type(value).__name__}")
