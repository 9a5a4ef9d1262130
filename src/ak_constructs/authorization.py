"""How callers of an API prove who they are."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._validation import check_at_least, check_matches, check_timeout_at_most

MAX_CACHE_SECONDS = 3600
DEFAULT_KEY_RATE_LIMIT = 10
DEFAULT_KEY_BURST_LIMIT = 20

_CONTEXT_KEY = r"[A-Za-z0-9_.-]+"


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodAuthorization:
    """What a method of an API asks of its callers, as `add_method` takes it.

    Attributes:
        authorization_type: What API Gateway checks.
        authorizer: Who it asks, if not itself.
        scopes: The OAuth scopes of which a token must have one.
        usage_plan: The plan that the API's key belongs to; with one, every method needs a key.
        api_key: That key.
    """

    authorization_type: apigateway.AuthorizationType
    authorizer: apigateway.IAuthorizer | None = None
    scopes: Sequence[str] | None = None
    usage_plan: apigateway.UsagePlan | None = None
    api_key: apigateway.IApiKey | None = None


class Authorization(ABC):
    """Defines how callers of an API prove who they are, and which proof becomes the agent's `turn.user_id`.

    Made by a factory, so that half of one cannot be written. One value may serve several APIs; each gets an
    authorizer of its own.

    Example:
        ```python
        authorization = Authorization.iam()
        ```
    """

    @property
    @abstractmethod
    def identity(self) -> str:
        """The rule by which the runner reads the user id from what API Gateway checked."""

    @abstractmethod
    def define(self, scope: Construct, api: apigateway.RestApi) -> MethodAuthorization:
        """Define what this authorization needs and give what each method asks; called by the API's construct."""

    @staticmethod
    def iam(*, end_user_from_body: bool = False) -> "Authorization":
        """Let in callers who sign with SigV4 and whom IAM allows `execute-api:Invoke`.

        The user id is the IAM user's or role's unique id, without the name of a role's session.

        Args:
            end_user_from_body: For trusted backends: the user id is the caller's, a slash, and the `user_id` that the
                body names. Defaults to the caller's alone; a body's `user_id` is then only data.
        """
        return _Iam(end_user_from_body=end_user_from_body)

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
        return _Cognito(user_pools=tuple(user_pools), scopes=tuple(scopes) if scopes else None)

    @staticmethod
    def lambda_function(
        function: lambda_.IFunction,
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
                method for REQUEST; by the token alone for TOKEN, so its policy must then cover every route. Defaults
                to not at all: each request asks the function.

        Raises:
            ValueError: `user_key` is no name, or `cache_ttl` is too long.
        """
        return _LambdaFunction(function=function, user_key=user_key, token_header=token_header, cache_ttl=cache_ttl)

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
        return _ApiKey(rate_limit=rate_limit, burst_limit=burst_limit)

    @staticmethod
    def public() -> "Authorization":
        """Let everybody in. The user id is None."""
        return _Public()


def check_authorization(given: Authorization | None) -> Authorization:
    """Give what callers must prove; IAM when nothing was said."""
    authorization = given or Authorization.iam()
    if not isinstance(authorization, Authorization):
        raise TypeError(f"authorization must be made by a factory, such as Authorization.iam(), got {authorization!r}")
    return authorization


@dataclass(frozen=True, kw_only=True, slots=True)
class _Iam(Authorization):
    end_user_from_body: bool

    @property
    def identity(self) -> str:
        return "iam-body" if self.end_user_from_body else "iam"

    def define(self, _scope: Construct, _api: apigateway.RestApi) -> MethodAuthorization:
        return MethodAuthorization(authorization_type=apigateway.AuthorizationType.IAM)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cognito(Authorization):
    user_pools: tuple[cognito.IUserPool, ...]
    scopes: tuple[str, ...] | None

    def __post_init__(self) -> None:
        check_at_least("the number of user_pools", len(self.user_pools), 1, "give a pool whose users may call")

    @property
    def identity(self) -> str:
        return "cognito"

    def define(self, scope: Construct, _api: apigateway.RestApi) -> MethodAuthorization:
        return MethodAuthorization(
            authorization_type=apigateway.AuthorizationType.COGNITO,
            authorizer=apigateway.CognitoUserPoolsAuthorizer(
                scope,
                "Authorizer",
                cognito_user_pools=list(self.user_pools),
                results_cache_ttl=cdk.Duration.minutes(5),
            ),
            scopes=self.scopes,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _LambdaFunction(Authorization):
    function: lambda_.IFunction
    user_key: str | None
    token_header: str | None
    cache_ttl: cdk.Duration | None

    def __post_init__(self) -> None:
        if self.user_key is not None:
            check_matches("user_key", self.user_key, _CONTEXT_KEY, "the name of a key of the authorizer's context")
        check_timeout_at_most("cache_ttl", self.cache_ttl, MAX_CACHE_SECONDS, "lower it")

    @property
    def identity(self) -> str:
        return f"lambda:{self.user_key}" if self.user_key else "public"

    def define(self, scope: Construct, _api: apigateway.RestApi) -> MethodAuthorization:
        return MethodAuthorization(
            authorization_type=apigateway.AuthorizationType.CUSTOM, authorizer=self._authorizer(scope)
        )

    def _authorizer(self, scope: Construct) -> apigateway.IAuthorizer:
        cache_ttl = self.cache_ttl or cdk.Duration.seconds(0)
        if self.token_header:
            return apigateway.TokenAuthorizer(
                scope,
                "Authorizer",
                handler=self.function,
                identity_source=apigateway.IdentitySource.header(self.token_header),
                results_cache_ttl=cache_ttl,
            )
        # A policy for one path must not be remembered for another: the key of the cache has both.
        sources = [
            apigateway.IdentitySource.header("Authorization"),
            apigateway.IdentitySource.context("path"),
            apigateway.IdentitySource.context("httpMethod"),
        ]
        return apigateway.RequestAuthorizer(
            scope,
            "Authorizer",
            handler=self.function,
            identity_sources=sources if self.cache_ttl else [],
            results_cache_ttl=cache_ttl,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _ApiKey(Authorization):
    rate_limit: int
    burst_limit: int

    def __post_init__(self) -> None:
        check_at_least("rate_limit", self.rate_limit, 1, "to let nobody in, remove the key")
        check_at_least("burst_limit", self.burst_limit, 1, "to let nobody in, remove the key")

    @property
    def identity(self) -> str:
        return "api_key"

    def define(self, scope: Construct, api: apigateway.RestApi) -> MethodAuthorization:
        key = apigateway.ApiKey(scope, "ApiKey")
        plan = apigateway.UsagePlan(
            scope,
            "UsagePlan",
            throttle=apigateway.ThrottleSettings(rate_limit=self.rate_limit, burst_limit=self.burst_limit),
            api_stages=[apigateway.UsagePlanPerApiStage(api=api, stage=api.deployment_stage)],
        )
        plan.add_api_key(key)
        return MethodAuthorization(authorization_type=apigateway.AuthorizationType.NONE, usage_plan=plan, api_key=key)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Public(Authorization):
    @property
    def identity(self) -> str:
        return "public"

    def define(self, _scope: Construct, _api: apigateway.RestApi) -> MethodAuthorization:
        return MethodAuthorization(authorization_type=apigateway.AuthorizationType.NONE)
