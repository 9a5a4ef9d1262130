"""How callers of an API prove who they are."""

from dataclasses import dataclass

from aws_cdk import aws_apigateway as apigateway


@dataclass(frozen=True, kw_only=True, slots=True)
class Authorization:
    """Defines how callers of an API prove who they are, and which proof becomes the agent's `turn.user_id`.

    Make one with a factory: `Authorization.iam()` or `Authorization.public()`. There is no way to write half of one.

    Attributes:
        authorization_type: What API Gateway checks before it calls the agent.
        identity: The rule by which the runner reads the user id from what API Gateway checked.

    Example:
        ```python
        authorization = Authorization.iam()
        ```
    """

    authorization_type: apigateway.AuthorizationType
    identity: str

    @classmethod
    def iam(cls, *, end_user_from_body: bool = False) -> "Authorization":
        """Let in callers of this AWS account who sign with SigV4 and may `execute-api:Invoke`.

        The user id is the IAM user's or role's unique id, without the name of a role's session.

        Args:
            end_user_from_body: For trusted backends: the user id is the caller's, a slash, and the `user_id` that the
                body names. Defaults to the caller's alone; a body's `user_id` is then only data.
        """
        return cls(
            authorization_type=apigateway.AuthorizationType.IAM,
            identity="iam-body" if end_user_from_body else "iam",
        )

    @classmethod
    def public(cls) -> "Authorization":
        """Let everybody in. The user id is None, and whoever knows a `session_id` may go on with its session."""
        return cls(authorization_type=apigateway.AuthorizationType.NONE, identity="public")
