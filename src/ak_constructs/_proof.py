"""What each authorization is to an API: what it defines, what a method asks, how the user id is read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_authorizers as apigatewayv2_authorizers
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._jwt_authorizer import JwtAuthorizer, RouteScopes, check_scopes
from ak_constructs._validation import check_at_least, check_matches, check_timeout_at_most

MAX_CACHE_SECONDS = 3600

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


class Proof(ABC):
    """What callers of an API must prove."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Iam(Proof):
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
class Cognito(Proof):
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
class Jwt(Proof):
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
class LambdaFunction(Proof):
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
class ApiKey(Proof):
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
class Public(Proof):
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
