"""The checks that every construct shares."""

from typing import Any

import aws_cdk as cdk
import pytest

from ak_constructs._validation import (
    check_at_least,
    check_at_most,
    check_duration_at_least,
    check_matches,
    check_timeout_at_most,
    check_whole,
)


def test_a_text_that_matches_as_a_whole_passes() -> None:
    """Letters are letters."""
    check_matches("name", "abc", "[a-z]+", "letters, such as abc")


def test_fails_when_only_a_part_of_the_text_matches() -> None:
    """The message has subject, rule, value and remedy."""
    with pytest.raises(ValueError, match=r"^name must be letters, such as abc, got 'abc1'$"):
        check_matches("name", "abc1", "[a-z]+", "letters, such as abc")


def test_a_number_at_the_bound_passes() -> None:
    """The bound is allowed."""
    check_at_least("count", 1, 1, "raise it")
    check_at_most("count", 1, 1, "lower it")


def test_fails_when_a_number_is_below_its_bound() -> None:
    """The message has subject, rule, value and remedy."""
    with pytest.raises(ValueError, match=r"^count must be at least 1, got 0; raise it$"):
        check_at_least("count", 0, 1, "raise it")


def test_fails_when_a_count_has_a_part() -> None:
    """The message has subject, rule, value and remedy."""
    check_whole("count", 2)
    check_whole("count", cdk.Token.as_number({"Ref": "X"}))
    with pytest.raises(ValueError, match=r"^count must be a whole number, got 2\.5; round it$"):
        check_whole("count", 2.5)


def test_fails_when_a_number_is_above_its_bound() -> None:
    """The message has subject, rule, value and remedy."""
    with pytest.raises(ValueError, match=r"^count must be at most 1, got 2; lower it$"):
        check_at_most("count", 2, 1, "lower it")


def test_a_duration_at_the_bound_and_none_pass() -> None:
    """The bound is allowed, and so is leaving the duration out."""
    check_timeout_at_most("timeout", cdk.Duration.seconds(29), 29, "lower it")
    check_timeout_at_most("timeout", None, 29, "lower it")


def test_fails_when_a_duration_is_over_its_bound() -> None:
    """The message has subject, rule, value and remedy."""
    with pytest.raises(ValueError, match=r"^timeout must be at most 29 s, got 30 s; lower it$"):
        check_timeout_at_most("timeout", cdk.Duration.seconds(30), 29, "lower it")


def test_tokens_pass() -> None:
    """What is known only at deployment cannot be checked now: a number token, for one, is a huge negative number."""
    check_matches("name", cdk.Token.as_string({"Ref": "X"}), "[a-z]+", "letters, such as abc")
    check_at_least("count", cdk.Token.as_number({"Ref": "X"}), 1, "raise it")
    check_at_most("count", cdk.Token.as_number({"Ref": "X"}), -(10**300), "lower it")
    check_timeout_at_most("timeout", cdk.Duration.seconds(cdk.Token.as_number({"Ref": "X"})), 29, "lower it")
    check_duration_at_least("age", cdk.Duration.seconds(cdk.Token.as_number({"Ref": "X"})), 10, "raise it")


def test_a_duration_at_its_least_passes_and_a_shorter_one_does_not() -> None:
    """The message has subject, rule, value and remedy."""
    check_duration_at_least("age", cdk.Duration.seconds(10), 10, "raise it")
    with pytest.raises(ValueError, match=r"^age must be at least 10 s, got 9 s; raise it$"):
        check_duration_at_least("age", cdk.Duration.seconds(9), 10, "raise it")


def test_fails_when_a_text_or_a_duration_is_of_another_type() -> None:
    """The message has the argument's name; Python's own, or jsii's page of frames, would not."""
    with pytest.raises(TypeError, match=r"^issuer must be an address, got a value of type UserPool$"):
        check_matches("issuer", type("UserPool", (), {})(), "[a-z]+", "an address")
    anything: Any = 300
    message = r"^cache_ttl must be a cdk.Duration, such as cdk.Duration.minutes\(5\), got a value of type int$"
    with pytest.raises(TypeError, match=message):
        check_timeout_at_most("cache_ttl", anything, 3600, "lower it")
