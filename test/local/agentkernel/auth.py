"""Agent Kernel's own authorizer with a validator, after its documentation."""

from agentkernel.auth import AuthValidator, ValidationResult
from agentkernel.aws import APIGatewayAuthorizer


class Validator(AuthValidator):
    """Knows one token."""

    def validate(self, token, context=None):
        """Let it in, with a user id in the claims."""
        return ValidationResult(is_valid=token == "right", subject="user", claims={"userId": "u-1"})


handler = APIGatewayAuthorizer(validator=Validator()).handle
