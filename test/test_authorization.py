"""Authorization: how callers prove who they are."""

import dataclasses

import pytest
from aws_cdk import aws_apigateway as apigateway

from ak_constructs import Authorization


@pytest.mark.parametrize(
    ("authorization", "type_", "identity"),
    [
        (Authorization.iam(), apigateway.AuthorizationType.IAM, "iam"),
        (Authorization.iam(end_user_from_body=True), apigateway.AuthorizationType.IAM, "iam-body"),
        (Authorization.public(), apigateway.AuthorizationType.NONE, "public"),
    ],
)
def test_a_factory_sets_what_is_checked_and_whose_id_it_gives(
    authorization: Authorization, type_: apigateway.AuthorizationType, identity: str
) -> None:
    """The check and the rule belong together."""
    assert (authorization.authorization_type, authorization.identity) == (type_, identity)


def test_fails_when_it_is_changed() -> None:
    """It is a value."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Authorization.iam().identity = "public"  # type: ignore[misc]
