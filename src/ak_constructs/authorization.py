"""How callers of an API prove who they are."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_authorizers as apigatewayv2_authorizers
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._jwt_authorizer import JwtAuthorizer, RouteScopes, check_custom, check_list, check_scopes
from ak_constructs._validation import check_at_least, check_matches, check_timeout_at_most

MAX_CACHE_SECONDS = 3600
DEFAULT_KEY_RATE_LIMIT = 10
DEFAULT_KEY_BURST_LIMIT = 20
DEFAULT_JWT_CACHE = cdk.Duration.minutes(5)

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
        function: Our function behind the authorizer.
        route_scopes: What that function is told of each route.
    """

    authorization_type: apigateway.AuthorizationType
    authorizer: apigateway.IAuthorizer | None = None
    scopes: Sequence[str] | None = None
    usage_plan: apigateway.UsagePlan | None = None
    api_key: apigateway.IApiKey | None = None
    function: lambda_.Function | None = None
    route_scopes: RouteScopes | None = None

    def for_route(self, method: str, path: str, scopes: Sequence[str] | None) -> "MethodAuthorization":
        """Give what one route asks, which may be more than the others do."""
        asked = check_scopes(scopes)
        if self.route_scopes:
            self.route_scopes.add(method, path, asked)
        elif asked and self.authorization_type != apigateway.AuthorizationType.COGNITO:
            raise ValueError(
                f"scopes must be left out with this authorization, got {list(asked)}; tokens with scopes are those of "
                "Authorization.jwt() and .cognito()"
            )
        elif asked:
            return replace(self, scopes=asked)
        return self


class Authorization(ABC):
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

    @property
    @abstractmethod
    def identity(self) -> str:
        """The rule by which the runner reads the user id from what API Gateway checked."""

    @abstractmethod
    def define(self, scope: Construct, api: apigateway.RestApi, key: kms.IKey | None) -> MethodAuthorization:
        """Define what this authorization needs and give what each method asks; called by the API's construct."""

    @abstractmethod
    def define_for_websocket(
        self, scope: Construct, key: kms.IKey | None = None
    ) -> apigatewayv2.IWebSocketRouteAuthorizer:
        """Define what authorizes the route `$connect` of a WebSocket API, the only one at which anybody is asked.

        Raises:
            ValueError: This authorization cannot say there who somebody is.
        """

    @property
    def gateway_errors(self) -> Mapping[str, tuple[apigateway.ResponseType, str]]:
        """What API Gateway answers with 503 in words of ours, by the id of the gateway response."""
        return {}

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
        return _Jwt(authorizer=authorizer, cache_ttl=cache_ttl or DEFAULT_JWT_CACHE)

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
                method for REQUEST; by the token alone for TOKEN, so its policy must then cover every route. A
                WebSocket API asks once for each connection. Defaults to not at all: each request asks the function.

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


def check_authorization(given: Authorization) -> Authorization:
    """Give what callers must prove."""
    if not isinstance(given, Authorization):
        raise TypeError(f"authorization must be made by a factory, such as Authorization.iam(), got {given!r}")
    return given


@dataclass(frozen=True, kw_only=True, slots=True)
class _Iam(Authorization):
    end_user_from_body: bool

    @property
    def identity(self) -> str:
        return "iam-body" if self.end_user_from_body else "iam"

    def define(self, _scope: Construct, _api: apigateway.RestApi, _key: kms.IKey | None) -> MethodAuthorization:
        return MethodAuthorization(authorization_type=apigateway.AuthorizationType.IAM)

    def define_for_websocket(
        self, _scope: Construct, _key: kms.IKey | None = None
    ) -> apigatewayv2.IWebSocketRouteAuthorizer:
        if self.end_user_from_body:
            raise ValueError(
                "end_user_from_body must be False for a WebSocket API, got True; who connects says who it is, and "
                "a message's user_id is only data: let each user connect, or give an id by "
                "Authorization.lambda_function()"
            )
        return apigatewayv2_authorizers.WebSocketIamAuthorizer()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cognito(Authorization):
    user_pools: tuple[cognito.IUserPool, ...]
    scopes: tuple[str, ...] | None

    def __post_init__(self) -> None:
        check_at_least("the number of user_pools", len(self.user_pools), 1, "give a pool whose users may call")

    @property
    def identity(self) -> str:
        return "cognito"

    def define(self, scope: Construct, _api: apigateway.RestApi, _key: kms.IKey | None) -> MethodAuthorization:
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

    def define_for_websocket(
        self, _scope: Construct, _key: kms.IKey | None = None
    ) -> apigatewayv2.IWebSocketRouteAuthorizer:
        raise ValueError(
            "authorization must name the app clients for a WebSocket API, got Authorization.cognito(); give "
            "Authorization.jwt(issuer=pool.user_pool_provider_url, audience=[client.user_pool_client_id])"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Jwt(Authorization):
    authorizer: JwtAuthorizer
    cache_ttl: cdk.Duration

    @property
    def identity(self) -> str:
        return "lambda:user_id"

    @property
    def gateway_errors(self) -> Mapping[str, tuple[apigateway.ResponseType, str]]:
        # AWS has a type for an authorizer that fails and one for an authorizer that cannot be asked, and does not say
        # which of them an exception gets; the emulator's authors measured the first.
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html, read
        # 2026-11-21
        types = apigateway.ResponseType
        return {
            "AuthorizerFailed": (
                types.AUTHORIZER_FAILURE,
                "the issuer of the tokens cannot be reached; try again",
            ),
            "AuthorizerNotAsked": (types.AUTHORIZER_CONFIGURATION_ERROR, "tokens cannot be verified; try again"),
        }

    def define(self, scope: Construct, _api: apigateway.RestApi, key: kms.IKey | None) -> MethodAuthorization:
        route_scopes = RouteScopes()
        function = self.authorizer.define(scope, route_scopes, key=key)
        # A result holds for one token and one route, so that its policy may speak of all paths of the route. Who
        # validates may look at the path itself. Without the header API Gateway answers 401 and asks nobody.
        place = "path" if self.authorizer.custom else "resourcePath"
        authorizer = apigateway.RequestAuthorizer(
            scope,
            "Authorizer",
            handler=function,
            identity_sources=[
                apigateway.IdentitySource.header("Authorization"),
                apigateway.IdentitySource.context(place),
                apigateway.IdentitySource.context("httpMethod"),
            ],
            results_cache_ttl=self.cache_ttl,
        )
        return MethodAuthorization(
            authorization_type=apigateway.AuthorizationType.CUSTOM,
            authorizer=authorizer,
            function=function,
            route_scopes=route_scopes,
        )

    def define_for_websocket(
        self, scope: Construct, key: kms.IKey | None = None
    ) -> apigatewayv2.IWebSocketRouteAuthorizer:
        # No identity source: the token may come in three ways, and API Gateway would ask for all of them.
        return apigatewayv2_authorizers.WebSocketLambdaAuthorizer(
            "Authorizer", self.authorizer.define(scope, RouteScopes(), key=key), identity_source=[]
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

    def define(self, scope: Construct, _api: apigateway.RestApi, _key: kms.IKey | None) -> MethodAuthorization:
        return MethodAuthorization(
            authorization_type=apigateway.AuthorizationType.CUSTOM, authorizer=self._authorizer(scope)
        )

    def define_for_websocket(
        self, _scope: Construct, _key: kms.IKey | None = None
    ) -> apigatewayv2.IWebSocketRouteAuthorizer:
        if self.user_key is None:
            raise ValueError(
                "user_key must be given for a WebSocket API, got None; what is pushed is addressed to a user: have the "
                "function put an id into its context, of a guest too"
            )
        if self.token_header is not None:
            raise ValueError(
                f"token_header must be left out for a WebSocket API, got {self.token_header!r}; its authorizers are "
                "given the whole request: read the header in the function"
            )
        return apigatewayv2_authorizers.WebSocketLambdaAuthorizer("Authorizer", self.function, identity_source=[])

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

    def define(self, scope: Construct, api: apigateway.RestApi, _key: kms.IKey | None) -> MethodAuthorization:
        key = apigateway.ApiKey(scope, "ApiKey")
        plan = apigateway.UsagePlan(
            scope,
            "UsagePlan",
            throttle=apigateway.ThrottleSettings(rate_limit=self.rate_limit, burst_limit=self.burst_limit),
            api_stages=[apigateway.UsagePlanPerApiStage(api=api, stage=api.deployment_stage)],
        )
        plan.add_api_key(key)
        return MethodAuthorization(authorization_type=apigateway.AuthorizationType.NONE, usage_plan=plan, api_key=key)

    def define_for_websocket(
        self, _scope: Construct, _key: kms.IKey | None = None
    ) -> apigatewayv2.IWebSocketRouteAuthorizer:
        raise _nobody_known("api_key")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Public(Authorization):
    @property
    def identity(self) -> str:
        return "public"

    def define(self, _scope: Construct, _api: apigateway.RestApi, _key: kms.IKey | None) -> MethodAuthorization:
        return MethodAuthorization(authorization_type=apigateway.AuthorizationType.NONE)

    def define_for_websocket(
        self, _scope: Construct, _key: kms.IKey | None = None
    ) -> apigatewayv2.IWebSocketRouteAuthorizer:
        raise _nobody_known("public")


def _nobody_known(factory: str) -> ValueError:
    """What is pushed is addressed to a user."""
    return ValueError(
        f"authorization must say who connects to a WebSocket API, got Authorization.{factory}(); a function of yours "
        "can give each guest an id of its own: Authorization.lambda_function(function, user_key=...)"
    )
