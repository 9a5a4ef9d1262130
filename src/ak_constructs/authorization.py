"""How callers of an API prove who they are."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import aws_cdk as cdk
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_

from ak_constructs._jwt_authorizer import JwtAuthorizer, check_custom, check_list, check_scopes
from ak_constructs._proof import MAX_CACHE_SECONDS, ApiKey, Cognito, Iam, Jwt, LambdaFunction, Proof, Public
from ak_constructs._validation import check_timeout_at_most

DEFAULT_KEY_RATE_LIMIT = 10
DEFAULT_KEY_BURST_LIMIT = 20
DEFAULT_JWT_CACHE = cdk.Duration.minutes(5)


@final
@dataclass(frozen=True, slots=True)
class Authorization:
    """Defines how callers of an API prove who they are, and which proof becomes the agent's `turn.user_id`.

    Made by a factory, so that half of one cannot be written. One value may serve several APIs; each gets an
    authorizer of its own. A `WebSocketAgentApi`, which must know who connects, takes `.jwt()`, `.lambda_function()` and
    `.iam()`.

    Example:
        ```python
        authorization = Authorization.iam()
        of_tokens = Authorization.jwt(issuer="https://issuer.example.com", audience=["agents"], scopes=["chat"])
        ```
    """

    _proof: Proof

    @staticmethod
    def iam(*, end_user_from_body: bool = False) -> "Authorization":
        """Let in callers who sign with SigV4 and whom IAM allows `execute-api:Invoke`.

        The user id is the IAM user's or role's unique id, without the name of a role's session.

        Args:
            end_user_from_body: For trusted backends: the user id is the caller's, a slash, and the `user_id` that the
                body names. Defaults to the caller's alone; a body's `user_id` is then only data.
        """
        return Authorization(Iam(end_user_from_body=end_user_from_body))

    @staticmethod
    def cognito(user_pools: Sequence[cognito.IUserPool], *, scopes: Sequence[str] | None = None) -> "Authorization":
        """Let in callers with a token of one of the user pools in the header `Authorization`.

        The user id is the token's `sub`. API Gateway checks signature, expiry and issuer, and remembers a token's
        result for 300 s.

        Args:
            user_pools: One or more pools.
            scopes: OAuth scopes of which an access token must have one. Defaults to none, and then it takes ID tokens.

        Raises:
            ValueError: No pool is given.
        """
        return Authorization(Cognito(user_pools=tuple(user_pools), scopes=tuple(scopes) if scopes else None))

    @staticmethod
    def jwt(
        *,
        issuer: str | None = None,
        audience: Sequence[str] = (),
        user_claim: str = "sub",
        scopes: Sequence[str] | None = None,
        jwks_url: str | None = None,
        custom: str | os.PathLike[str] | None = None,
        cache_ttl: cdk.Duration | None = None,
        architecture: lambda_.Architecture | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
    ) -> "Authorization":
        """Let in callers with a token of an OpenID Connect issuer: `Authorization: Bearer <token>`.

        A function of ours, `AuthorizerFunction`, reads the issuer's keys over HTTPS and verifies signature (RSA from
        2048 bits, EC, Ed25519; never a shared secret), `iss`, audience, `exp`, `nbf` and `iat`, with 30 s for clocks
        that differ. A bad token gets 401; a good one without the user claim or a scope 403; 503 when no key is known
        and the issuer cannot be reached. Keys are read again after 10 minutes, and when a token names an unknown one,
        then at most every 30 s; when the issuer cannot be reached, the last ones go on for 24 hours. PyJWT is in a
        layer, `JwtLibrary`, which uv installs without Docker.

        The functions behind find `user_id`, `scope` and `claims` (JSON, left out over 4 KiB) in
        `requestContext.authorizer`. Tokens are not looked up anywhere: one that was revoked is good until it expires,
        and one that expires may be good until API Gateway forgets it.

        Args:
            issuer: The tokens' `iss`, to the letter; an https address. None when `custom` alone decides.
            audience: The tokens' `aud`, or, where a token has none, `client_id`, must be one of these.
            user_claim: The claim that is the user id, a text of at most 256 bytes.
            scopes: OAuth scopes all of which every route asks for, in `scope`, `scp` or `scopes`. `add_route(scopes=)`
                asks for more. Defaults to none.
            jwks_url: Where the keys are. Defaults to what `{issuer}/.well-known/openid-configuration` says.
            custom: A folder with `validator.py` and, if it needs any, pinned dependencies, which go before the layer's.
                Its `validate(token=..., context=...)` is asked after our own checks. The context has `path`,
                `http_method`, `headers` and `claims`. It returns True, a dict of further claims, or Agent Kernel's
                `ValidationResult`; anything else, or an exception, is 403. Without an issuer the user id is in those
                claims, or their `subject`.
            cache_ttl: How long API Gateway remembers a result, by token, route and method, and with `custom` by path;
                at most 3600 s. Zero for a validator that looks at anything else. Defaults to 300 s.
            architecture: Of the function and its layer. Defaults to arm64.
            vpc: Where the function runs, for an issuer that only a network of yours reaches. Defaults to none.
            vpc_subnets: Which subnets. Defaults to the private ones.

        Raises:
            ValueError: No issuer and no `custom`, an issuer without audience, an address without https, a malformed
                scope, no `validate` in the folder, or `cache_ttl` is too long.
        """
        check_timeout_at_most("cache_ttl", cache_ttl, MAX_CACHE_SECONDS, "lower it")
        authorizer = JwtAuthorizer(
            issuer=issuer,
            audience=check_list("audience", audience),
            user_claim=user_claim,
            scopes=check_scopes(scopes),
            jwks_url=jwks_url,
            custom=check_custom(custom),
            architecture=architecture,
            vpc=vpc,
            vpc_subnets=vpc_subnets,
        )
        return Authorization(Jwt(authorizer=authorizer, cache_ttl=cache_ttl or DEFAULT_JWT_CACHE))

    @staticmethod
    def lambda_function(
        function: lambda_.FunctionBase | lambda_.IFunction,
        *,
        user_key: str | None,
        token_header: str | None = None,
        cache_ttl: cdk.Duration | None = None,
    ) -> "Authorization":
        """Let in whom a function of yours lets in, `agentkernel`'s `APIGatewayAuthorizer` for one.

        Args:
            function: Takes API Gateway's authorizer event and returns an IAM policy, a principal and a context.
            user_key: The key of that context which holds the user id; without it in the context the caller gets 403.
                None means that the user id is None.
            token_header: The header whose value a TOKEN authorizer is given, instead of the whole request. Without
                the header API Gateway answers 401 by itself. Defaults to a REQUEST authorizer, always asked.
            cache_ttl: How long API Gateway remembers a result, at most 3600 s: by header `Authorization`, path and
                method for REQUEST; by the token alone for TOKEN, so its policy must then cover every route. A
                WebSocket API asks once for each connection. Defaults to not at all: each request asks the function.

        Raises:
            ValueError: `user_key` is no name, or `cache_ttl` is too long.
        """
        return Authorization(
            LambdaFunction(function=function, user_key=user_key, token_header=token_header, cache_ttl=cache_ttl)
        )

    @staticmethod
    def api_key(
        *, rate_limit: int = DEFAULT_KEY_RATE_LIMIT, burst_limit: int = DEFAULT_KEY_BURST_LIMIT
    ) -> "Authorization":
        """Let in callers with an API key in the header `x-api-key`; make one key and a usage plan for it.

        The user id is the key's id. A key proves little: it does not expire, and AWS advises against it as the only
        authorization. Give each caller a key with `api.usage_plan.add_api_key(...)`.

        Args:
            rate_limit: Requests per second for each key, at least 1. Defaults to 10; more are answered with 429.
            burst_limit: Requests at once above that rate, at least 1. Defaults to 20.

        Raises:
            ValueError: A limit is below 1.
        """
        return Authorization(ApiKey(rate_limit=rate_limit, burst_limit=burst_limit))

    @staticmethod
    def public() -> "Authorization":
        """Let everybody in. The user id is None."""
        return Authorization(Public())


def proof_of(authorization: Authorization) -> Proof:
    """Give what callers must prove."""
    if not isinstance(authorization, Authorization):
        raise TypeError(f"authorization must be made by a factory, such as Authorization.iam(), got {authorization!r}")
    return authorization._proof  # noqa: SLF001 - of this module
