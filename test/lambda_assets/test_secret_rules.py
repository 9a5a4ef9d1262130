"""What a service's answer is worth, and when to ask again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_lambda.shared import secret_rules as rules
from ak_lambda.shared.secret_rules import PARAMETER, SECRET, SecretError, Source, Wanted

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:openai-AbCdEf"
KEY = Source(SECRET, ARN)
TOKEN = Source(PARAMETER, "arn:aws:ssm:eu-west-1:111122223333:parameter/agents/token")


def test_what_the_construct_wrote_is_read() -> None:
    """Whole secrets, fields of one, parameters."""
    written = {"A": {"secret": ARN}, "B": {"secret": ARN, "field": "b"}, "C": {"parameter": TOKEN.arn}}
    read = rules.wanted(json.dumps(written))
    assert read == (Wanted("A", KEY, None), Wanted("B", KEY, "b"), Wanted("C", TOKEN, None))
    assert [(each.source.service, each.source.region) for each in read] == [
        ("secretsmanager", "eu-west-1"),
        ("secretsmanager", "eu-west-1"),
        ("ssm", "eu-west-1"),
    ]
    assert rules.wanted("{}") == ()


@pytest.mark.parametrize("arn", ["name", "arn:aws:secretsmanager::111122223333:secret:x"])
def test_a_secret_without_a_region_is_where_the_function_runs(arn: str) -> None:
    """As botocore takes None."""
    assert Source(SECRET, arn).region is None


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("sk-1", None, "sk-1"),
        ("", None, ""),
        (" sk-1\n", None, " sk-1\n"),
        ('{"a": "x"}', None, '{"a": "x"}'),
        ('{"a": "x", "b": 1}', "a", "x"),
        ('{"port": 5432}', "port", "5432"),
        ('{"big": 12345678901234567890.10}', "big", "12345678901234567890.10"),
        ('{"a.b": "x"}', "a.b", "x"),
    ],
)
def test_a_value_is_the_text_or_a_field_of_it(text: str, field: str | None, value: str) -> None:
    """As it is: numbers as they are written."""
    assert rules.value_of(Wanted("NAME", KEY, field), text) == value


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("HUSH", "a", f"{ARN} is not a JSON object, so it has no field a; leave the field out"),
        ('["HUSH"]', "a", f"{ARN} is not a JSON object, so it has no field a; leave the field out"),
        ("[" * 100_000, "a", f"{ARN} is not a JSON object, so it has no field a; leave the field out"),
        ('{"b": "HUSH"}', "a", f"{ARN} has no field a; change the secret, or the field's name"),
        (
            '{"a": {"b": "HUSH"}}',
            "a",
            f"{ARN} has neither a text nor a number in its field a; change the secret, or the field's name",
        ),
        (
            '{"a": null}',
            "a",
            f"{ARN} has neither a text nor a number in its field a; change the secret, or the field's",
        ),
        ("HU\0SH", None, f"{ARN} has a character that no variable can have; change its value"),
        ('{"a": "HUSH\\ud800"}', "a", f"{ARN} has a character that no variable can have; change its value"),
    ],
)
def test_fails_when_a_text_has_no_such_value(text: str, field: str | None, message: str) -> None:
    """The words name the secret and the field, and never quote."""
    with pytest.raises(SecretError) as refused:
        rules.value_of(Wanted("NAME", KEY, field), text)
    assert str(refused.value).startswith(message)
    assert not refused.value.may_pass
    assert "HUSH" not in str(refused.value)


@given(text=st.text(), field=st.none() | st.text())
def test_any_text_is_a_value_or_refused_without_being_quoted(text: str, field: str | None) -> None:
    """Whatever somebody keeps as a secret; and a variable takes what is given."""
    secret = f"{text}-HUSH"
    if field is None and not any(character == "\0" for character in text):
        value = rules.value_of(Wanted("NAME", KEY, field), secret)
        assert value == secret
        return
    with pytest.raises(SecretError) as refused:
        rules.value_of(Wanted("NAME", KEY, field), secret)
    assert "-HUSH" not in str(refused.value)


@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), other=st.text())
def test_any_field_comes_as_it_was_put(value: str, other: str) -> None:
    """However its JSON was written."""
    for ascii_only in (True, False):
        text = json.dumps({"other": other, "field": value}, ensure_ascii=ascii_only)
        assert rules.value_of(Wanted("NAME", KEY, "field"), text) == value


def test_the_text_of_an_answer_is_where_its_service_puts_it() -> None:
    """And bytes are not text."""
    assert rules.text_of(KEY, {"SecretString": "x"}) == "x"
    assert rules.text_of(TOKEN, {"Parameter": {"Value": "y"}}) == "y"
    with pytest.raises(SecretError, match=f"^{ARN} is binary; keep it as text$"):
        rules.text_of(KEY, {"SecretBinary": b"HUSH"})


@pytest.mark.parametrize(
    ("source", "code", "words", "may_pass", "message"),
    [
        (KEY, "AccessDeniedException", "", False, f"access denied to {ARN}; grant secretsmanager:GetSecretValue"),
        (TOKEN, "AccessDeniedException", "", False, f"access denied to {TOKEN.arn}; grant ssm:GetParameter"),
        (
            KEY,
            "AccessDeniedException",
            "Access to KMS is not allowed",
            False,
            f"access denied to the key of {ARN} (AccessDeniedException); grant kms:Decrypt, and enable the key",
        ),
        (
            TOKEN,
            "AccessDeniedException",
            "The ciphertext refers to a customer master key that does not exist",
            False,
            f"access denied to the key of {TOKEN.arn} (AccessDeniedException); grant kms:Decrypt, and enable the key",
        ),
        (
            KEY,
            "DecryptionFailure",
            "",
            False,
            f"access denied to the key of {ARN} (DecryptionFailure); grant kms:Decrypt, and enable the key",
        ),
        (
            KEY,
            "ResourceNotFoundException",
            "",
            False,
            f"{ARN} does not exist or has no value (ResourceNotFoundException); make it, or give it one",
        ),
        (
            TOKEN,
            "ParameterNotFound",
            "",
            False,
            f"{TOKEN.arn} does not exist or has no value (ParameterNotFound); make it, or give it one",
        ),
        (
            KEY,
            "InvalidRequestException",
            "",
            False,
            f"{ARN} cannot be read (InvalidRequestException); secretsmanager:GetSecretValue was refused",
        ),
        (
            KEY,
            "ConnectTimeoutError",
            "",
            True,
            f"{ARN} cannot be read now (ConnectTimeoutError); the function may have no way to secretsmanager",
        ),
        (
            TOKEN,
            "InternalServerError",
            "",
            False,
            f"{TOKEN.arn} cannot be read now (InternalServerError); the function may have no way to ssm, or",
        ),
    ],
)
def test_a_refusal_says_what_to_do(source: Source, code: str, words: str, may_pass: bool, message: str) -> None:
    """In words that a developer finds in the log, never in the service's own."""
    error = rules.refusal(source, code, f"{words} HUSH", may_pass=may_pass)
    assert str(error).startswith(message)
    assert "HUSH" not in str(error)
    assert error.may_pass == ("now" in message)


NEVER: dict[str, Any] = {"read_at": None, "tried_at": None, "doubted": False}


@pytest.mark.parametrize(
    ("now", "state", "due"),
    [
        (1000, {}, True),
        (1000, {"tried_at": 999}, True),
        (1000, {"read_at": 1000, "tried_at": 1000}, False),
        (1299, {"read_at": 1000, "tried_at": 1000}, False),
        (1300, {"read_at": 1000, "tried_at": 1000}, True),
        (1301, {"read_at": 1000, "tried_at": 1300}, False),
        (1310, {"read_at": 1000, "tried_at": 1300}, True),
        (1009, {"read_at": 1000, "tried_at": 1000, "doubted": True}, False),
        (1010, {"read_at": 1000, "tried_at": 1000, "doubted": True}, True),
        (999, {"read_at": 1000, "tried_at": 1000}, True),
        (90_000, {"read_at": 1000, "tried_at": 1000}, True),
    ],
    ids=str,
)
def test_reading_is_due_at_first_when_old_and_after_a_failed_run(now: float, state: dict[str, Any], due: bool) -> None:
    """Not more often than each ten seconds once there are values; a clock that was put back proves nothing."""
    assert rules.is_due(now, **{**NEVER, **state}) is due


@pytest.mark.parametrize(
    ("records", "repeated"),
    [
        ([], False),
        ([{}], False),
        ([{"attributes": {"ApproximateReceiveCount": "1"}}], False),
        ([{"attributes": {"ApproximateReceiveCount": "1"}}, {"attributes": {"ApproximateReceiveCount": "2"}}], True),
        ([{"attributes": {"ApproximateReceiveCount": "12"}}], True),
        ([{"attributes": "of another service"}], False),
    ],
)
def test_a_message_that_comes_again_is_known_by_its_count(records: list[dict[str, Any]], repeated: bool) -> None:
    """Some run of it failed, perhaps in another environment."""
    assert rules.are_repeated(records) is repeated
