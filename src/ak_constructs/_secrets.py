"""The secrets that an agent is given by name: what of them a template says, and who may read them."""

from collections.abc import Mapping
from typing import TypeAlias, TypeGuard, cast

import aws_cdk as cdk
import jsii
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from ak_constructs._encryption import let_use, through
from ak_constructs._limits import LAMBDA_RESERVED_NAMES
from ak_constructs._validation import check_matches

AgentSecret: TypeAlias = secretsmanager.ISecret | tuple[secretsmanager.ISecret, str] | ssm.IStringParameter

# As Lambda wants its own: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html, read 2026-11-21
_NAME = "[A-Za-z][A-Za-z0-9_]+"


def check_secrets(
    secrets: Mapping[str, AgentSecret], *, environment: Mapping[str, str], code: lambda_.Code | None
) -> None:
    """Raise where a name cannot be had or a value is no secret; a message never shows a value."""
    if secrets and code is not None:
        raise ValueError(
            "secrets must not be given with code, got both; only a folder has our code beside it: "
            "read them in your own, and let it by secret.grant_read(function)"
        )
    if not isinstance(secrets, Mapping):
        raise TypeError(
            f"secrets must be a dict, of names and secrets, got a value of type {type(secrets).__name__}; name each"
        )
    for name, value in secrets.items():
        check_matches("a name in secrets", name, _NAME, "letters, digits and underscores, such as OPENAI_API_KEY")
        if name.startswith("AK_CONSTRUCTS_") or name in LAMBDA_RESERVED_NAMES:
            owner = "this library" if name.startswith("AK_CONSTRUCTS_") else "Lambda"
            raise ValueError(f"secrets must not take a name that {owner} sets itself, got {name!r}; rename it")
        if name in environment:
            raise ValueError(f"secrets and environment must not set the same name, got {name!r}; leave one out")
        match value:
            case (secret, str(field)) if field and hasattr(secret, "secret_arn"):
                continue
            case _ if hasattr(value, "secret_arn") or hasattr(value, "parameter_arn"):
                continue
        raise ValueError(
            f"secrets must be secrets, parameters or (secret, field), got {type(value).__name__} for {name!r}; "
            "give what Secret.from_... or StringParameter.from_... returns"
        )


def secrets_variable(scope: Construct, secrets: Mapping[str, AgentSecret]) -> str:
    """Write where the values are, and no value."""
    return cdk.Stack.of(scope).to_json_string({name: _place(value) for name, value in secrets.items()})


def grant_secrets(function: lambda_.Function, secrets: Mapping[str, AgentSecret]) -> None:
    """Let a function's role read exactly these."""
    for value in secrets.values():
        secret = value[0] if isinstance(value, tuple) else value
        if _is_parameter(secret):
            _grant_parameter(function, secret)
        else:
            grant_secret(function, cast(secretsmanager.ISecret, secret))


def grant_secret(function: lambda_.Function, secret: secretsmanager.ISecret) -> None:
    """Let a function's role read one secret; CDK's `grant_read` would let it describe that too."""
    # AWS ends an ARN with six characters of its own; one imported by name comes without.
    arn = secret.secret_full_arn or f"{secret.secret_arn}-??????"
    iam.Grant.add_to_principal(grantee=function, actions=["secretsmanager:GetSecretValue"], resource_arns=[arn])
    let_use(secret.encryption_key, function, ["kms:Decrypt"], service="secretsmanager", region=secret.env.region)


def _grant_parameter(function: lambda_.Function, parameter: ssm.IStringParameter) -> None:
    """Let a function's role read one parameter as it is now; `grant_read` would open all its old values too."""
    arn = parameter.parameter_arn
    iam.Grant.add_to_principal(grantee=function, actions=["ssm:GetParameter"], resource_arns=[arn])
    conditions = through("ssm", cdk.Stack.of(function), parameter.env.region)
    parameter.grant_read(_KeyUser(function.grant_principal, conditions))


@jsii.implements(iam.IPrincipal)
class _KeyUser:
    """Takes, of what it is granted, a key under conditions only: a parameter tells nobody else which key it has."""

    assume_role_action = "sts:AssumeRole"  # which nobody asks this for

    def __init__(self, principal: iam.IPrincipal, conditions: Mapping[str, object]) -> None:
        self._principal = principal
        self._conditions = conditions

    @property
    def grant_principal(self) -> iam.IPrincipal:
        return self

    @property
    def policy_fragment(self) -> iam.PrincipalPolicyFragment:
        return self._principal.policy_fragment

    @property
    def principal_account(self) -> str | None:
        return self._principal.principal_account

    def add_to_principal_policy(self, statement: iam.PolicyStatement) -> iam.AddToPrincipalPolicyResult:
        if statement.actions == ["kms:Decrypt"]:
            statement.add_conditions(self._conditions)
            return self._principal.add_to_principal_policy(statement)
        return iam.AddToPrincipalPolicyResult(statement_added=False)


def _place(value: AgentSecret) -> dict[str, str]:
    if isinstance(value, tuple):
        return {"secret": value[0].secret_arn, "field": value[1]}
    if _is_parameter(value):
        return {"parameter": value.parameter_arn}
    return {"secret": cast(secretsmanager.ISecret, value).secret_arn}


def _is_parameter(value: secretsmanager.ISecret | ssm.IStringParameter) -> TypeGuard[ssm.IStringParameter]:
    return hasattr(value, "parameter_arn")
