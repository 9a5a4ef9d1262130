"""Which pages may read an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_lambda.agent_runner import handler as runner
from ak_lambda.health.handler import handler as health
from ak_lambda.shared.cors import cors_headers
from test.lambda_assets.events import Context, rest

ORIGINS = "https://a.example.com,https://b.example.com"
A = "https://a.example.com"


@pytest.mark.parametrize(
    ("variables", "origin", "headers"),
    [
        ({}, A, {}),
        ({"akConstructsCorsOrigins": ORIGINS}, A, {"Access-Control-Allow-Origin": A, "Vary": "Origin"}),
        ({"akConstructsCorsOrigins": ORIGINS}, "https://b.example.com.evil.example", {}),
        ({"akConstructsCorsOrigins": ORIGINS}, "", {}),
        ({"akConstructsCorsOrigins": ORIGINS}, None, {}),
        ({"akConstructsCorsOrigins": ""}, "", {}),
        ({"akConstructsCorsOrigins": "any"}, A, {"Access-Control-Allow-Origin": "*"}),
        (
            {
                "akConstructsCorsOrigins": A,
                "akConstructsCorsCredentials": "true",
                "akConstructsCorsExpose": "Retry-After,Location",
            },
            A,
            {
                "Access-Control-Allow-Origin": A,
                "Vary": "Origin",
                "Access-Control-Allow-Credentials": "true",
                "Access-Control-Expose-Headers": "Retry-After,Location",
            },
        ),
    ],
)
@pytest.mark.parametrize("name", ["Origin", "origin"])
def test_only_the_pages_that_the_api_names_may_read(
    variables: dict[str, str], origin: str | None, headers: dict[str, str], name: str
) -> None:
    """In whatever case the header comes."""
    assert cors_headers({"stageVariables": variables, "headers": {name: origin}}) == headers


@given(variables=st.none() | st.text(), headers=st.none() | st.lists(st.text()))
def test_no_event_breaks_it(variables: object, headers: object) -> None:
    """What is no mapping names no page."""
    assert cors_headers({"stageVariables": variables, "headers": headers}) == {}


def test_answers_refusals_and_health_carry_the_headers() -> None:
    """A page must be able to read why it was refused."""
    event = rest(None, stageVariables={"akConstructsCorsOrigins": A}, headers={"Origin": A})
    for response in (runner.handler(event, Context()), health(event, None)):
        assert response["headers"]["Access-Control-Allow-Origin"] == A
