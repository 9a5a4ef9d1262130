"""Who asks: read from what the API in front has checked, never from a body."""

from collections.abc import Mapping
from typing import Any

from ak_lambda.shared.fields import USER_ID, RefusedError, mapping, optional_id

IDENTITY_VARIABLE = "akConstructsIdentity"  # a stage variable: set by the API, out of the caller's reach


def caller(event: Mapping[str, Any], payload: Mapping[str, Any]) -> str | None:
    """Who is asking, by the rule of the API in front; nobody when that asks for no proof."""
    return caller_by(str(mapping(event.get("stageVariables")).get(IDENTITY_VARIABLE, "")), event, payload)


def caller_by(rule_with_key: str, event: Mapping[str, Any], payload: Mapping[str, Any]) -> str | None:
    """Who is asking, by a rule that is known; nobody when it asks for no proof.

    The payload is read by one rule only: `iam-body`, for backends that are trusted to name their end users.
    """
    rule, _, key = rule_with_key.partition(":")
    context = mapping(event.get("requestContext"))
    identity = mapping(context.get("identity"))
    authorizer = mapping(context.get("authorizer"))
    name: object = None  # of a rule of a newer release: let nobody in rather than everybody
    if rule in {"iam", "iam-body"}:
        name = _iam_name(identity)
    elif rule == "cognito":
        name = mapping(authorizer.get("claims")).get("sub")
    elif rule == "lambda":
        name = authorizer.get(key)
    elif rule == "api_key":
        name = identity.get("apiKeyId")
    elif rule in {"", "public"}:
        return None
    if not isinstance(name, str) or not name.strip() or not name.isprintable():  # queues take no others
        raise RefusedError(403, "not allowed: the authorizer passed no user id")
    if rule != "iam-body":
        return name
    end_user = optional_id(payload, "user_id", USER_ID)
    if end_user is None:
        raise RefusedError(400, "user_id must be given: this API is told by its callers whom they speak for")
    return f"{name}/{end_user}"


def _iam_name(identity: Mapping[str, Any]) -> object:
    """The unique id of a user or role; a role's session only where it tells its users apart.

    All users of a Cognito identity pool assume one role, and a federated user is `<account>:<name>`.
    """
    user = identity.get("user")
    if identity.get("cognitoIdentityId"):
        return identity["cognitoIdentityId"]
    return user.partition(":")[0] if isinstance(user, str) and user.startswith("AROA") else user
