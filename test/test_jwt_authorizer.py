"""Authorization.jwt(): the authorizer that verifies tokens."""

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from ak_constructs import AgentApi, AgentFunction, Authorization, QueuedAgentPipeline
from ak_constructs._lambda_assets import lambda_assets
from ak_constructs.authorization import proof_of
from ak_constructs.testing import normalised
from test.support import logical_ids, methods, statements

ISSUER = "https://issuer.example.com"
IDS = {
    "ApiAuthorizer787544C1": "AWS::ApiGateway::Authorizer",
    "ApiAuthorizerFunction58BAC900": "AWS::Lambda::Function",
    "ApiAuthorizerFunctionLogs6DAFD55E": "AWS::Logs::LogGroup",
    "ApiAuthorizerFunctionRole2B15643D": "AWS::IAM::Role",
    "ApiAuthorizerFunctionRoleDefaultPolicy80121A3B": "AWS::IAM::Policy",
    "ApiJwtLibrary362A3287": "AWS::Lambda::LayerVersion",
}


def jwt(**changes: Any) -> Authorization:  # noqa: ANN401
    """Make an authorization by the least that must be said, and changes."""
    return Authorization.jwt(**{"issuer": ISSUER, "audience": ["agents"], **changes})


@pytest.fixture
def custom(tmp_path: Path) -> Path:
    """Make a folder with a validator."""
    folder = tmp_path / "custom"
    folder.mkdir()
    (folder / "validator.py").write_text("def validate(token, context):\n    return True\n", encoding="utf-8")
    return folder


def define(stack: cdk.Stack, agent: AgentFunction, authorization: Authorization) -> AgentApi:
    """Define an API."""
    return AgentApi(stack, "Api", agent=agent, authorization=authorization)


def function(stack: cdk.Stack, name: str = "ApiAuthorizerFunction") -> dict[str, Any]:
    """Give the properties of the authorizer's function."""
    functions = Template.from_stack(stack).find_resources("AWS::Lambda::Function")
    (found,) = (each["Properties"] for id_, each in functions.items() if id_.startswith(name))
    properties: dict[str, Any] = found
    return properties


def told(stack: cdk.Stack, name: str = "ApiAuthorizerFunction") -> dict[str, Any]:
    """Give what the function is told."""
    variables: dict[str, Any] = function(stack, name)["Environment"]["Variables"]
    return variables


def authorizer(stack: cdk.Stack) -> dict[str, Any]:
    """Give the one authorizer's properties."""
    (found,) = Template.from_stack(stack).find_resources("AWS::ApiGateway::Authorizer").values()
    properties: dict[str, Any] = found["Properties"]
    return properties


def test_every_route_but_health_asks_our_function(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And the stage tells the runner where the user is."""
    api = define(stack, agent, jwt())
    api.add_route("GET", "/app", agent)
    asked = {route: method["AuthorizationType"] for route, method in methods(stack).items()}
    assert asked.pop(("GET", "/health")) == "NONE"
    assert set(asked.values()) == {"CUSTOM"}
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGateway::Stage", {"Variables": {"akConstructsIdentity": "lambda:user_id"}}
    )
    assert api.authorizer is not None
    assert api.authorizer_function is api.node.find_child("AuthorizerFunction")


def test_a_result_is_remembered_for_one_token_and_one_route(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Five minutes; its policy speaks of all paths of the route."""
    define(stack, agent, jwt())
    found = authorizer(stack)
    assert (found["Type"], found["AuthorizerResultTtlInSeconds"]) == ("REQUEST", 300)
    assert found["IdentitySource"] == "method.request.header.Authorization,context.resourcePath,context.httpMethod"


@pytest.mark.parametrize("seconds", [0, 3600])
def test_how_long_a_result_is_remembered_may_be_said(stack: cdk.Stack, agent: AgentFunction, seconds: int) -> None:
    """Not at all, too; the header is asked for all the same."""
    define(stack, agent, jwt(cache_ttl=cdk.Duration.seconds(seconds)))
    found = authorizer(stack)
    assert found["AuthorizerResultTtlInSeconds"] == seconds
    assert "header.Authorization" in found["IdentitySource"]


def test_the_function_is_told_what_to_ask_for(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Names that are known only at deployment too."""
    pool = cognito.UserPool(stack, "Pool")
    client = pool.add_client("Client")
    api = define(
        stack,
        agent,
        jwt(
            issuer=pool.user_pool_provider_url,
            audience=[client.user_pool_client_id, "b"],
            user_claim="email",
            scopes=["chat"],
            jwks_url=f"{ISSUER}/keys?v=1",
        ),
    )
    api.add_route("GET", "/items/{id}", agent, scopes=["items/read", "items/list"])
    variables = told(stack)
    assert "Fn::GetAtt" in variables["AK_CONSTRUCTS_ISSUER"]
    begin, _client, end = variables["AK_CONSTRUCTS_AUDIENCE"]["Fn::Join"][1]
    assert (begin, end) == ('["', '", "b"]')
    assert json.loads(variables["AK_CONSTRUCTS_API_SCOPES"]) == ["chat"]
    assert json.loads(variables["AK_CONSTRUCTS_SCOPES"]) == {"GET /api/v1/items/{id}": ["items/read", "items/list"]}
    assert (variables["AK_CONSTRUCTS_USER_CLAIM"], variables["AK_CONSTRUCTS_JWKS_URL"]) == (
        "email",
        f"{ISSUER}/keys?v=1",
    )


def test_by_default_no_scope_is_asked_for(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And the user is the subject."""
    define(stack, agent, jwt()).add_route("GET", "/app", agent, scopes=[])
    assert told(stack) == {
        "AK_CONSTRUCTS_ISSUER": ISSUER,
        "AK_CONSTRUCTS_AUDIENCE": '["agents"]',
        "AK_CONSTRUCTS_USER_CLAIM": "sub",
        "AK_CONSTRUCTS_API_SCOPES": "[]",
        "AK_CONSTRUCTS_SCOPES": "{}",
    }


def test_a_method_without_scopes_is_known_beside_any_that_has_some(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Or it would ask for what ANY asks for."""
    api = define(stack, agent, jwt())
    api.add_route("ANY", "/app", agent, scopes=["a"])
    api.add_route("GET", "/app", agent)
    api.add_route("GET", "/other", agent)
    table = {"ANY /api/v1/app": ["a"], "GET /api/v1/app": []}
    assert json.loads(told(stack)["AK_CONSTRUCTS_SCOPES"]) == table


def test_chat_asks_for_no_more_where_a_route_takes_its_other_methods(stack: cdk.Stack, agent: AgentFunction) -> None:
    """ANY is for what has no method of its own."""
    define(stack, agent, jwt()).add_route("ANY", "/chat", agent, scopes=["admin"])
    table = {"POST /api/v1/chat": [], "ANY /api/v1/chat": ["admin"]}
    assert json.loads(told(stack)["AK_CONSTRUCTS_SCOPES"]) == table


def test_fails_when_the_scopes_are_too_many_for_a_variable(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Lambda's own bound would show at deployment."""
    api = define(stack, agent, jwt())
    with pytest.raises(ValueError, match=r"^the scopes of all routes together must be at most 2048 bytes of JSON, got"):
        api.add_route("GET", "/app", agent, scopes=["a" * 2100])


def test_cognito_asks_for_one_of_a_routes_scopes(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Instead of the API's: with both, one of the API's would do."""
    pool = cognito.UserPool(stack, "Pool")
    api = define(stack, agent, Authorization.cognito([pool], scopes=["chat"]))
    api.add_route("GET", "/app", agent, scopes=["a", "b"])
    found = methods(stack)
    assert found["GET", "/api/v1/app"]["AuthorizationScopes"] == ["a", "b"]
    assert found["POST", "/api/v1/chat"]["AuthorizationScopes"] == ["chat"]


@pytest.mark.parametrize(
    "authorization", [Authorization.iam(), Authorization.public(), Authorization.api_key()], ids=["iam", "none", "key"]
)
def test_fails_when_scopes_are_asked_of_callers_without_tokens(
    stack: cdk.Stack, agent: AgentFunction, authorization: Authorization
) -> None:
    """They would be asked for in vain."""
    api = define(stack, agent, authorization)
    message = r"^scopes must be left out with this authorization, got \['a'\]; tokens with scopes are those of"
    with pytest.raises(ValueError, match=message):
        api.add_route("GET", "/app", agent, scopes=["a"])


def test_the_function_runs_our_code_with_the_library_in_a_layer(stack: cdk.Stack, agent: AgentFunction) -> None:
    """For arm64."""
    define(stack, agent, jwt())
    found = function(stack)
    assert (found["Handler"], found["Runtime"]) == ("ak_lambda.jwt_authorizer.handler.handler", "python3.13")
    assert (found["Architectures"], found["MemorySize"], found["Timeout"]) == (["arm64"], 512, 10)
    assert found["Layers"] == [{"Ref": "ApiJwtLibrary362A3287"}]
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::LayerVersion", {"CompatibleArchitectures": ["arm64"], "CompatibleRuntimes": ["python3.13"]}
    )


def test_another_architecture_gets_another_layer(stack: cdk.Stack, agent: AgentFunction) -> None:
    """A layer of its own, since cryptography is machine code."""
    define(stack, agent, jwt(architecture=lambda_.Architecture.X86_64))
    AgentApi(stack, "Arm", agent=agent, authorization=jwt())
    assert function(stack)["Architectures"] == ["x86_64"]
    layers = Template.from_stack(stack).find_resources("AWS::Lambda::LayerVersion").values()
    assert len({layer["Properties"]["Content"]["S3Key"] for layer in layers}) == 2


def test_a_private_issuer_is_reached_from_a_network(stack: cdk.Stack, agent: AgentFunction) -> None:
    """With the actions that takes, and no more."""
    vpc = ec2.Vpc(stack, "Vpc")
    subnets = vpc.private_subnets[:1]
    define(stack, agent, jwt(vpc=vpc, vpc_subnets=ec2.SubnetSelection(subnets=subnets)))
    assert function(stack)["VpcConfig"]["SubnetIds"] == [stack.resolve(subnets[0].subnet_id)]
    actions = {action for actions, _ in statements(stack, "ApiAuthorizerFunctionRole") for action in actions}
    assert "ec2:CreateNetworkInterface" in actions


def test_the_role_may_write_logs_and_traces_alone(stack: cdk.Stack, agent: AgentFunction) -> None:
    """It asks no service of AWS."""
    define(stack, agent, jwt())
    logs = {"Fn::GetAtt": ["ApiAuthorizerFunctionLogs6DAFD55E", "Arn"]}
    assert statements(stack, "ApiAuthorizerFunctionRole") == [
        (("logs:CreateLogStream", "logs:PutLogEvents"), logs),
        (("xray:PutTraceSegments", "xray:PutTelemetryRecords"), "*"),
    ]


def test_an_issuer_that_cannot_be_reached_is_answered_with_503(stack: cdk.Stack, agent: AgentFunction) -> None:
    """And when to come again; other authorizations have no issuer."""
    define(stack, agent, jwt())
    AgentApi(stack, "Signed", agent=agent)
    responses = Template.from_stack(stack).find_resources("AWS::ApiGateway::GatewayResponse").values()
    bodies = {}
    for response in (each["Properties"] for each in responses if "AUTHORIZER" in each["Properties"]["ResponseType"]):
        assert response["StatusCode"] == "503"
        assert response["ResponseParameters"] == {"gatewayresponse.header.Retry-After": "'5'"}
        assert response["ResponseType"] not in bodies
        bodies[response["ResponseType"]] = json.loads(response["ResponseTemplates"]["application/json"])
    assert bodies == {
        "AUTHORIZER_FAILURE": {"error": "the issuer of the tokens cannot be reached; try again"},
        "AUTHORIZER_CONFIGURATION_ERROR": {"error": "tokens cannot be verified; try again"},
    }


def test_a_queued_pipeline_takes_tokens_too(stack: cdk.Stack, agent: AgentFunction) -> None:
    """On each of its routes."""
    pipeline = QueuedAgentPipeline(stack, "Pipeline", agent=agent, authorization=jwt(scopes=["chat"]))
    asked = {route: method["AuthorizationType"] for route, method in methods(stack).items()}
    assert {route for route, kind in asked.items() if kind != "CUSTOM"} == {("GET", "/health")}
    assert pipeline.authorizer_function is not None
    assert (
        json.loads(function(stack, "PipelineAuthorizerFunction")["Environment"]["Variables"]["AK_CONSTRUCTS_SCOPES"])
        == {}
    )


def test_a_websocket_asks_the_same_function_and_remembers_nothing(stack: cdk.Stack, agent: AgentFunction) -> None:
    """With no identity source: it would ask for all the ways in which a token may come."""
    authorizer = proof_of(jwt()).define_for_websocket(stack)
    integration = integrations.WebSocketLambdaIntegration("Connect", agent)
    apigatewayv2.WebSocketApi(
        stack,
        "Socket",
        connect_route_options=apigatewayv2.WebSocketRouteOptions(integration=integration, authorizer=authorizer),
    )
    Template.from_stack(stack).has_resource_properties(
        "AWS::ApiGatewayV2::Authorizer", {"AuthorizerType": "REQUEST", "IdentitySource": []}
    )
    assert function(stack, "AuthorizerFunction")["Handler"] == "ak_lambda.jwt_authorizer.handler.handler"


def test_a_validator_is_packaged_beside_ours_and_decides_by_the_path(
    stack: cdk.Stack, agent: AgentFunction, custom: Path
) -> None:
    """So a result of one path is not remembered for another."""
    define(stack, agent, jwt(custom=custom))
    assert told(stack)["AK_CONSTRUCTS_VALIDATOR"] == "validator"
    assert authorizer(stack)["IdentitySource"].split(",")[1:] == ["context.path", "context.httpMethod"]
    own = Template.from_stack(stack).find_resources("AWS::Lambda::Function", {"Properties": {"Timeout": 3}})
    ((_, health),) = own.items()
    assert function(stack)["Code"] != health["Properties"]["Code"]


def test_a_validator_alone_needs_no_library(stack: cdk.Stack, agent: AgentFunction, custom: Path) -> None:
    """Nor an issuer; whatever its package needs is its own."""
    define(stack, agent, Authorization.jwt(custom=str(custom)))
    assert set(told(stack)) == {
        "AK_CONSTRUCTS_VALIDATOR",
        "AK_CONSTRUCTS_USER_CLAIM",
        "AK_CONSTRUCTS_API_SCOPES",
        "AK_CONSTRUCTS_SCOPES",
    }
    Template.from_stack(stack).resource_count_is("AWS::Lambda::LayerVersion", 0)


def test_fails_in_its_own_words_when_a_validator_cannot_be_packaged(tmp_path: Path, entry: Path, custom: Path) -> None:
    """Not in a page of CDK's frames."""
    stack = cdk.Stack(cdk.App(analytics_reporting=False, outdir=str(tmp_path / "other.out")), "Stack")
    agent = AgentFunction(stack, "Agent", entry=str(entry))
    (custom / "requirements.txt").write_text("redis==0.0.0\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"(?s)cannot be installed for .*redis==0.0.0"):
        define(stack, agent, Authorization.jwt(custom=custom))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"issuer": None, "audience": ()}, r"issuer must be given, got None; only a validator of yours, custom=, "),
        ({"issuer": "http://issuer.example.com"}, r"issuer must be the tokens' iss, an address such as https://issuer"),
        ({"issuer": f"{ISSUER}/.well-known/jwks.json"}, r"issuer must be the tokens' iss, an address such as https:"),
        ({"issuer": "https://issuer.example.com?a=1"}, r"issuer must be the tokens' iss, an address"),
        ({"issuer": "https://me@issuer.example.com"}, r"issuer must be the tokens' iss, an address"),
        ({"issuer": ""}, r"issuer must be the tokens' iss, an address"),
        ({"audience": []}, r"the number of audiences must be at least 1, got 0; name who the tokens are for"),
        ({"audience": ["a", ""]}, r"audience must be texts that are not empty, got ''"),
        ({"issuer": None}, r"audience must be left out without an issuer, got \('agents',\); give issuer="),
        ({"issuer": None, "audience": (), "jwks_url": ISSUER}, r"jwks_url must be left out without an issuer, got 'h"),
        ({"jwks_url": "http://issuer.example.com/keys"}, r"jwks_url must be an address that begins with https://, got"),
        ({"user_claim": ""}, r"user_claim must be the name of a claim, such as sub, got ''"),
        ({"scopes": ["a b"]}, r"scopes must be a list of scopes, such as \['agents/chat'\], got 'a b'"),
        ({"scopes": [""]}, r"scopes must be a list of scopes"),
        ({"cache_ttl": cdk.Duration.seconds(3601)}, r"cache_ttl must be at most 3600 s, got 3601 s; lower it"),
        ({"custom": "nowhere"}, r"custom must be a folder, got 'nowhere'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_fails_when_an_argument_is_wrong(changes: dict[str, Any], message: str) -> None:
    """When it is written, not when somebody calls."""
    with pytest.raises(ValueError, match=f"^{message}"):
        jwt(**changes)


@pytest.mark.parametrize("name", ["audience", "scopes"])
def test_fails_when_one_text_is_given_for_a_list(name: str) -> None:
    """Each of its letters would be one."""
    with pytest.raises(TypeError, match=rf"^{name} must be a list, got 'agents'; write \['agents'\]$"):
        jwt(**{name: "agents"})


def test_fails_when_the_folder_has_no_validator(custom: Path) -> None:
    """It would show at the first request."""
    (custom / "validator.py").write_text("def check(token): ...\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^custom must name a callable in .*validator.py, got 'validator:validate'"):
        jwt(custom=custom)


@pytest.mark.parametrize("name", ["jwt.py", "cryptography"])
def test_fails_when_the_folder_would_hide_the_library(custom: Path, name: str) -> None:
    """A package goes before its layers; without an issuer there is no library to hide."""
    (custom / name).mkdir()
    hidden = name.partition(".")[0]
    message = rf"^custom must not have the name of a package of the library's, got '{hidden}'; rename it$"
    with pytest.raises(ValueError, match=message):
        jwt(custom=custom)
    Authorization.jwt(custom=custom)


def test_the_layers_have_the_pinned_library_for_each_architecture(tmp_path: Path) -> None:
    """Machine code of the runtime's own version, and no program that only builds."""
    app = cdk.App(outdir=str(tmp_path), analytics_reporting=False)
    for architecture in (lambda_.Architecture.ARM_64, lambda_.Architecture.X86_64):
        proof_of(jwt(architecture=architecture)).define_for_websocket(
            cdk.Stack(app, architecture.name.replace("_", ""))
        )
    app.synth()
    machines = set()
    for asset in (path for path in tmp_path.glob("asset.*") if (path / "python").is_dir()):
        names = {path.name for path in (asset / "python").iterdir()}
        assert {"jwt", "cryptography", "cffi"} <= names
        assert "bin" not in names
        (backend,) = (name for name in names if name.startswith("_cffi_backend"))
        assert backend.startswith("_cffi_backend.cpython-313-")
        machines.add(backend.split("-")[2])
        assert (asset / "python/cryptography/hazmat/bindings/_rust.abi3.so").is_file()
    assert machines == {"aarch64", "x86_64"}


def test_the_pins_are_those_that_tests_and_the_emulator_use() -> None:
    """Tests verify with what is deployed; the emulator's functions take cffi's machine code from its environment."""
    root = Path(__file__).parents[1]

    def pinned(path: Path) -> dict[str, str]:
        lines = path.read_text(encoding="utf-8").replace("\\\n", "").splitlines()
        return dict(line.split()[0].split("==") for line in lines if "==" in line)

    layer = pinned(lambda_assets() / "jwt_layer" / "requirements.txt")
    assert set(layer) == {"pyjwt", "cryptography", "cffi", "pycparser"}
    assert layer.items() <= pinned(root / "constraints.txt").items()
    emulator = pinned(root / "src" / "ak_constructs" / "local" / "requirements.txt")
    assert {name: emulator[name] for name in ("cryptography", "cffi")}.items() <= layer.items()


def test_logical_ids_are_stable(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Changing one replaces a user's resource."""
    define(stack, agent, jwt())
    AgentApi(stack, "Signed", agent=agent)
    ids = logical_ids(stack)
    ours = ("ApiAuthorizer", "ApiJwtLibrary")
    assert {id_: kind for id_, kind in ids.items() if id_.startswith(ours) and "Permission" not in id_} == IDS


def test_snapshot_of_everything_set(
    stack: cdk.Stack, agent: AgentFunction, custom: Path, snapshot: SnapshotAssertion
) -> None:
    """To see what else changes."""
    api = define(
        stack,
        agent,
        jwt(
            user_claim="email",
            scopes=["chat"],
            jwks_url=f"{ISSUER}/keys",
            custom=custom,
            cache_ttl=cdk.Duration.minutes(1),
            architecture=lambda_.Architecture.X86_64,
            vpc=ec2.Vpc(stack, "Vpc", max_azs=1),
        ),
    )
    api.add_route("GET", "/app", agent, scopes=["app"])
    template = normalised(stack)["Resources"]
    ours = {id_: each for id_, each in template.items() if id_.startswith(("ApiAuth", "ApiJwt"))}
    assert ours == snapshot(extension_class=JSONSnapshotExtension)


def test_fails_when_the_validator_is_given_instead_of_its_folder() -> None:
    """It is a function's code, which synthesis packs and never runs."""
    with pytest.raises(TypeError, match=r"^custom must be a folder, got a value of type function$"):
        jwt(custom=lambda token, context: (token, context))
