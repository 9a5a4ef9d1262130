"""Authorization: how callers prove who they are."""

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Match, Template

from ak_constructs import AgentApi, AgentFunction, Authorization
from ak_constructs.authorization import proof_of
from test.support import methods

ROUTES = [("POST", "/api/v1/chat"), ("ANY", "/{proxy+}"), ("ANY", "/"), ("GET", "/api/v1/app")]


@pytest.fixture
def asked(stack: cdk.Stack) -> lambda_.Function:
    """Make a function that decides."""
    return lambda_.Function(
        stack,
        "Asked",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("def handler(event, context): ..."),
    )


def define(stack: cdk.Stack, agent: AgentFunction, authorization: Authorization) -> AgentApi:
    """Define an API with a custom route and hold all its routes but health to the same proof."""
    api = AgentApi(stack, "Api", agent=agent, authorization=authorization)
    api.add_route("GET", "/app", agent)
    found = methods(stack)
    asks = [
        {
            key: found[route].get(key)
            for key in ("AuthorizationType", "AuthorizerId", "ApiKeyRequired", "AuthorizationScopes")
        }
        for route in ROUTES
    ]
    assert all(each == asks[0] for each in asks)
    assert found["GET", "/health"]["AuthorizationType"] == "NONE"
    return api


def rule(stack: cdk.Stack) -> str:
    """Give the rule that the stage tells the runner."""
    (stage,) = Template.from_stack(stack).find_resources("AWS::ApiGateway::Stage").values()
    found: str = stage["Properties"]["Variables"]["akConstructsIdentity"]
    return found


def authorizer(stack: cdk.Stack) -> dict[str, Any]:
    """Give the one authorizer's properties."""
    (found,) = Template.from_stack(stack).find_resources("AWS::ApiGateway::Authorizer").values()
    properties: dict[str, Any] = found["Properties"]
    return properties


def test_fails_when_it_is_not_made_by_a_factory() -> None:
    """Half an authorization cannot be written."""
    with pytest.raises(TypeError, match="_proof"):
        Authorization()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("authorization", "identity"),
    [(Authorization.iam(), "iam"), (Authorization.iam(end_user_from_body=True), "iam-body")],
)
def test_iam_asks_for_a_signature(
    stack: cdk.Stack, agent: AgentFunction, authorization: Authorization, identity: str
) -> None:
    """And the rule says whose id counts."""
    define(stack, agent, authorization)
    assert methods(stack)["POST", "/api/v1/chat"]["AuthorizationType"] == "AWS_IAM"
    assert rule(stack) == identity


def test_public_asks_for_nothing(stack: cdk.Stack, agent: AgentFunction) -> None:
    """By name only."""
    define(stack, agent, Authorization.public())
    assert methods(stack)["POST", "/api/v1/chat"]["AuthorizationType"] == "NONE"
    assert rule(stack) == "public"


def test_cognito_asks_for_a_token_of_the_pools(stack: cdk.Stack, agent: AgentFunction) -> None:
    """An ID token when no scope is named."""
    pool = cognito.UserPool(stack, "Pool")
    api = define(stack, agent, Authorization.cognito([pool]))
    chat = methods(stack)["POST", "/api/v1/chat"]
    assert (chat["AuthorizationType"], rule(stack)) == ("COGNITO_USER_POOLS", "cognito")
    assert "AuthorizationScopes" not in chat
    assert authorizer(stack)["ProviderARNs"] == [stack.resolve(pool.user_pool_arn)]
    assert authorizer(stack)["AuthorizerResultTtlInSeconds"] == 300
    assert api.authorizer is not None


def test_cognito_with_scopes_asks_for_an_access_token(stack: cdk.Stack, agent: AgentFunction) -> None:
    """On every route."""
    define(stack, agent, Authorization.cognito([cognito.UserPool(stack, "Pool")], scopes=["agents/chat"]))
    assert methods(stack)["POST", "/api/v1/chat"]["AuthorizationScopes"] == ["agents/chat"]


def test_fails_when_cognito_has_no_pool() -> None:
    """Nobody could call."""
    with pytest.raises(ValueError, match=r"^the number of user_pools must be at least 1, got 0; give a pool"):
        Authorization.cognito([])


def test_a_lambda_authorizer_is_asked_for_each_request(
    stack: cdk.Stack, agent: AgentFunction, asked: lambda_.Function
) -> None:
    """With the whole request, and nothing is remembered."""
    define(stack, agent, Authorization.lambda_function(asked, user_key="userId"))
    found = authorizer(stack)
    assert (found["Type"], found["AuthorizerResultTtlInSeconds"]) == ("REQUEST", 0)
    assert "IdentitySource" not in found or found["IdentitySource"] == ""
    assert methods(stack)["POST", "/api/v1/chat"]["AuthorizationType"] == "CUSTOM"
    assert rule(stack) == "lambda:userId"


def test_a_remembered_request_is_remembered_by_path_and_method_too(
    stack: cdk.Stack, agent: AgentFunction, asked: lambda_.Function
) -> None:
    """Or a policy for one route would decide about another."""
    define(stack, agent, Authorization.lambda_function(asked, user_key="id", cache_ttl=cdk.Duration.minutes(1)))
    found = authorizer(stack)
    assert found["AuthorizerResultTtlInSeconds"] == 60
    assert found["IdentitySource"] == "method.request.header.Authorization,context.path,context.httpMethod"


def test_a_token_authorizer_is_given_one_header(
    stack: cdk.Stack, agent: AgentFunction, asked: lambda_.Function
) -> None:
    """And nothing is remembered either; a context without user id is none."""
    define(stack, agent, Authorization.lambda_function(asked, user_key=None, token_header="X-Token"))
    found = authorizer(stack)
    assert (found["Type"], found["AuthorizerResultTtlInSeconds"]) == ("TOKEN", 0)
    assert found["IdentitySource"] == "method.request.header.X-Token"
    assert rule(stack) == "public"


def test_the_authorizers_function_may_be_called_by_its_authorizer_only(
    stack: cdk.Stack, agent: AgentFunction, asked: lambda_.Function
) -> None:
    """Not by every API of the account."""
    define(stack, agent, Authorization.lambda_function(asked, user_key="id"))
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Permission",
        {
            "FunctionName": {"Fn::GetAtt": [Match.string_like_regexp("^Asked"), "Arn"]},
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": {"Fn::Join": ["", Match.array_with([{"Ref": Match.string_like_regexp("^ApiAuthorizer")}])]},
        },
    )


@pytest.mark.parametrize("user_key", ["", "user id", "a:b"])
def test_fails_when_the_user_key_is_no_name(asked: lambda_.Function, user_key: str) -> None:
    """It travels in a stage variable."""
    with pytest.raises(ValueError, match=r"^user_key must be the name of a key of the authorizer's context, got '.*'$"):
        Authorization.lambda_function(asked, user_key=user_key)


def test_fails_when_results_are_remembered_too_long(asked: lambda_.Function) -> None:
    """API Gateway's bound."""
    with pytest.raises(ValueError, match=r"^cache_ttl must be at most 3600 s, got 3601 s; lower it$"):
        Authorization.lambda_function(asked, user_key="id", cache_ttl=cdk.Duration.seconds(3601))


def test_an_api_key_comes_with_a_plan_that_throttles_it(stack: cdk.Stack, agent: AgentFunction) -> None:
    """For this API's stage; further keys can be added to the plan."""
    api = define(stack, agent, Authorization.api_key(rate_limit=3, burst_limit=4))
    chat = methods(stack)["POST", "/api/v1/chat"]
    assert (chat["AuthorizationType"], chat["ApiKeyRequired"], rule(stack)) == ("NONE", True, "api_key")
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::ApiGateway::UsagePlan",
        {
            "Throttle": {"RateLimit": 3, "BurstLimit": 4},
            "ApiStages": [
                {
                    "ApiId": {"Ref": Match.string_like_regexp("^ApiRestApi")},
                    "Stage": {"Ref": Match.string_like_regexp("^ApiRestApiDeploymentStage")},
                }
            ],
        },
    )
    template.resource_count_is("AWS::ApiGateway::ApiKey", 1)
    template.resource_count_is("AWS::ApiGateway::UsagePlanKey", 1)
    assert api.usage_plan is not None
    assert api.api_key is not None


@pytest.mark.parametrize("limit", ["rate_limit", "burst_limit"])
def test_fails_when_a_keys_limit_is_zero(limit: str) -> None:
    """The key would let nobody in."""
    with pytest.raises(ValueError, match=rf"^{limit} must be at least 1, got 0; to let nobody in, remove the key$"):
        Authorization.api_key(**{limit: 0})


def test_one_value_serves_several_apis(stack: cdk.Stack, agent: AgentFunction, asked: lambda_.Function) -> None:
    """Each gets an authorizer of its own."""
    authorization = Authorization.lambda_function(asked, user_key="id")
    AgentApi(stack, "One", agent=agent, authorization=authorization)
    AgentApi(stack, "Two", agent=agent, authorization=authorization)
    Template.from_stack(stack).resource_count_is("AWS::ApiGateway::Authorizer", 2)


def test_a_websocket_asks_who_connects(stack: cdk.Stack, asked: lambda_.Function) -> None:
    """IAM, or a function with the whole request: what is remembered for how long is a matter of REST APIs."""
    assert isinstance(proof_of(Authorization.iam()).define_for_websocket(stack), authorizers.WebSocketIamAuthorizer)
    remembered = Authorization.lambda_function(asked, user_key="id", cache_ttl=cdk.Duration.minutes(1))
    assert isinstance(proof_of(remembered).define_for_websocket(stack), authorizers.WebSocketLambdaAuthorizer)


def test_fails_when_a_websocket_would_not_know_who_connects(stack: cdk.Stack, asked: lambda_.Function) -> None:
    """What is pushed is addressed to a user; each refusal says what to do instead, and nothing is defined."""
    pool = cognito.UserPool.from_user_pool_id(stack, "Pool", "eu-west-1_Users")
    before = len(stack.node.children)
    refused = {
        r"authorization must say who connects to a WebSocket API, got Authorization.public\(\); a function of yours "
        r"can give each guest an id of its own: Authorization.lambda_function\(": Authorization.public(),
        r"authorization must say who connects to a WebSocket API, got Authorization.api_key\(\); a fu": (
            Authorization.api_key()
        ),
        r"authorization must name the app clients for a WebSocket API, got Authorization.cognito\(\); give "
        r"Authorization.jwt\(issuer=pool": Authorization.cognito([pool]),
        r"end_user_from_body must be False for a WebSocket API, got True; who connects says who it is": (
            Authorization.iam(end_user_from_body=True)
        ),
        r"user_key must be given for a WebSocket API, got None; what is pushed is addressed to a user: have the": (
            Authorization.lambda_function(asked, user_key=None)
        ),
        r"token_header must be left out for a WebSocket API, got 'X-Token'; its authorizers are given the whole": (
            Authorization.lambda_function(asked, user_key="id", token_header="X-Token")
        ),
    }
    for message, authorization in refused.items():
        with pytest.raises(ValueError, match=f"^{message}"):
            proof_of(authorization).define_for_websocket(stack)
    assert len(stack.node.children) == before
