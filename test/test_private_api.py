"""An API behind one VPC endpoint, resource policies, web ACLs and TLS."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_wafv2 as wafv2
from aws_cdk.assertions import Match, Template

from ak_constructs import AgentApi, AgentFunction, Authorization, QueuedAgentPipeline

ENDPOINT = "vpce-0123456789abcdef0"
HEALTH, PREFLIGHTS = "execute-api:/prod/GET/health", "execute-api:/prod/OPTIONS/*"
API_CLASSES = [AgentApi, QueuedAgentPipeline]
AUTHORIZATIONS: dict[str, tuple[Callable[[cdk.Stack, AgentFunction], Authorization], Any]] = {
    "iam": (lambda _stack, _agent: Authorization.iam(), HEALTH),
    "jwt": (lambda _stack, _agent: Authorization.jwt(issuer="https://i.example.com", audience=["agents"]), HEALTH),
    "lambda": (lambda _stack, agent: Authorization.lambda_function(agent, user_key="userId"), HEALTH),
    "cognito": (lambda stack, _agent: Authorization.cognito([cognito.UserPool(stack, "Pool")]), "execute-api:/*"),
    "api_key": (lambda _stack, _agent: Authorization.api_key(), "execute-api:/*"),
    "public": (lambda _stack, _agent: Authorization.public(), "execute-api:/*"),
}


@pytest.fixture
def vpc_endpoint(stack: cdk.Stack) -> ec2.IInterfaceVpcEndpoint:
    """Import an endpoint."""
    return ec2.InterfaceVpcEndpoint.from_interface_vpc_endpoint_attributes(
        stack, "Endpoint", vpc_endpoint_id=ENDPOINT, port=443
    )


def rest_api(stack: cdk.Stack) -> dict[str, Any]:
    """Give the API's properties."""
    (api,) = Template.from_stack(stack).find_resources("AWS::ApiGateway::RestApi").values()
    properties: dict[str, Any] = api["Properties"]
    return properties


@pytest.mark.parametrize(
    ("cls", "name"), [*((AgentApi, name) for name in AUTHORIZATIONS), (QueuedAgentPipeline, "iam")]
)
def test_a_private_api_refuses_what_does_not_come_by_its_endpoint(
    stack: cdk.Stack,
    agent: AgentFunction,
    vpc_endpoint: ec2.IInterfaceVpcEndpoint,
    cls: type[AgentApi] | type[QueuedAgentPipeline],
    name: str,
) -> None:
    """And lets in the rest only where IAM or the authorizer would not be asked any more if it did."""
    authorization, let_in = AUTHORIZATIONS[name]
    cls(stack, "Api", agent=agent, authorization=authorization(stack, agent), vpc_endpoint=vpc_endpoint)
    api = rest_api(stack)
    assert api["EndpointConfiguration"] == {"Types": ["PRIVATE"], "VpcEndpointIds": [ENDPOINT]}
    everybody = {"Action": "execute-api:Invoke", "Principal": {"AWS": "*"}}
    assert api["Policy"]["Statement"] == [
        {
            **everybody,
            "Effect": "Deny",
            "Resource": "execute-api:/*",
            "Condition": {"StringNotEquals": {"aws:SourceVpce": ENDPOINT}},
        },
        {**everybody, "Effect": "Allow", "Resource": let_in},
    ]


@pytest.mark.parametrize("cls", API_CLASSES)
def test_a_private_apis_address_is_the_alias_that_needs_no_private_dns(
    stack: cdk.Stack,
    agent: AgentFunction,
    vpc_endpoint: ec2.IInterfaceVpcEndpoint,
    cls: type[AgentApi] | type[QueuedAgentPipeline],
) -> None:
    """The names of the API and of the endpoint together, below the stage."""
    api = cls(stack, "Api", agent=agent, vpc_endpoint=vpc_endpoint)
    api_id, stage = stack.resolve(api.api.rest_api_id), stack.resolve(api.api.deployment_stage.stage_name)
    host = f"-{ENDPOINT}.execute-api."
    suffix = {"Ref": "AWS::URLSuffix"}
    for url, path in ((api.url, "/"), (api.chat_url, "/api/v1/chat")):
        parts = ["https://", api_id, host, {"Ref": "AWS::Region"}, ".", suffix, "/", stage, path]
        assert stack.resolve(url) == {"Fn::Join": ["", parts]}


def test_a_public_api_has_no_resource_policy(stack: cdk.Stack, agent: AgentFunction) -> None:
    """IAM alone says who may call."""
    AgentApi(stack, "Api", agent=agent)
    api = rest_api(stack)
    assert "Policy" not in api
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_statements_of_your_own_are_deployed(tmp_path: Path, entry: Path) -> None:
    """Also when they are added last: a policy counts from the next deployment of the stage on."""
    names: list[str] = []
    for office in ("192.0.2.0/24", "198.51.100.0/24"):
        stack = cdk.Stack(cdk.App(analytics_reporting=False, outdir=str(tmp_path / f"{len(names)}.out")), "Stack")
        agent = AgentFunction(stack, "Agent", entry=str(entry))
        api = AgentApi(stack, "Api", agent=agent, authorization=Authorization.public())
        api.api.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=["execute-api:Invoke"],
                resources=["execute-api:/*"],
                conditions={"IpAddress": {"aws:SourceIp": office}},
            )
        )
        assert rest_api(stack)["Policy"]["Statement"][0]["Condition"] == {"IpAddress": {"aws:SourceIp": office}}
        (name,) = Template.from_stack(stack).find_resources("AWS::ApiGateway::Deployment")
        names.append(name)
    assert names[0] != names[1]


@pytest.mark.parametrize("cls", API_CLASSES)
def test_every_api_takes_tls_1_2_at_least(
    stack: cdk.Stack, agent: AgentFunction, cls: type[AgentApi] | type[QueuedAgentPipeline]
) -> None:
    """A regional one would take 1.0 otherwise."""
    cls(stack, "Api", agent=agent)
    assert rest_api(stack)["SecurityPolicy"] == "TLS_1_2"


@pytest.mark.parametrize("cls", API_CLASSES)
def test_a_web_acl_looks_at_the_stage(
    stack: cdk.Stack, agent: AgentFunction, cls: type[AgentApi] | type[QueuedAgentPipeline]
) -> None:
    """By its ARN; a resource of the app works too."""
    api = cls(stack, "Api", agent=agent)
    arn = "arn:aws:wafv2:us-east-1:111122223333:regional/webacl/rules/1"
    api.add_web_acl(arn)
    stage = ["arn:", {"Ref": "AWS::Partition"}, ":apigateway:", {"Ref": "AWS::Region"}, "::/restapis/"]
    stage += [stack.resolve(api.api.rest_api_id), "/stages/", stack.resolve(api.api.deployment_stage.stage_name)]
    Template.from_stack(stack).has_resource_properties(
        "AWS::WAFv2::WebACLAssociation", {"ResourceArn": {"Fn::Join": ["", stage]}, "WebACLArn": arn}
    )


def test_fails_when_a_web_acl_is_cloudfronts_or_a_name(stack: cdk.Stack, agent: AgentFunction) -> None:
    """AWS would refuse the association, after the API was made."""
    api = AgentApi(stack, "Api", agent=agent)
    for given in ("rules", "arn:aws:wafv2:us-east-1:111122223333:global/webacl/rules/1"):
        with pytest.raises(ValueError, match=r"^web_acl must be a regional web ACL or its ARN, arn:.*, got '"):
            api.add_web_acl(given)
    with pytest.raises(ValueError, match=r"^web_acl must have the scope REGIONAL, got CLOUDFRONT; "):
        api.add_web_acl(web_acl(stack, "CLOUDFRONT"))


def web_acl(stack: cdk.Stack, scope: str) -> wafv2.CfnWebACL:
    """Define one without rules."""
    seen = wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name="all", sampled_requests_enabled=False
    )
    return wafv2.CfnWebACL(
        stack,
        "Acl",
        scope=scope,
        default_action=wafv2.CfnWebACL.DefaultActionProperty(allow=wafv2.CfnWebACL.AllowActionProperty()),
        visibility_config=seen,
    )


def test_a_web_acl_of_the_app_is_named_by_its_arn(stack: cdk.Stack, agent: AgentFunction) -> None:
    """No ARN must be put together by hand."""
    AgentApi(stack, "Api", agent=agent).add_web_acl(web_acl(stack, "REGIONAL"))
    Template.from_stack(stack).has_resource_properties(
        "AWS::WAFv2::WebACLAssociation", {"WebACLArn": {"Fn::GetAtt": ["Acl", "Arn"]}}
    )


@pytest.mark.parametrize("cls", API_CLASSES)
def test_fails_when_an_api_gets_a_second_web_acl(
    stack: cdk.Stack, agent: AgentFunction, cls: type[AgentApi] | type[QueuedAgentPipeline]
) -> None:
    """WAF takes one for each stage."""
    api = cls(stack, "Api", agent=agent)
    api.add_web_acl("arn:aws:wafv2:us-east-1:111122223333:regional/webacl/rules/1")
    message = r"^add_web_acl must be called once, got a second web ACL for Stack/Api; add its rules to the first$"
    with pytest.raises(ValueError, match=message):
        api.add_web_acl("arn:aws:wafv2:us-east-1:111122223333:regional/webacl/rules/2")


def test_a_private_apis_preflights_are_let_in(
    stack: cdk.Stack, agent: AgentFunction, vpc_endpoint: ec2.IInterfaceVpcEndpoint
) -> None:
    """A browser sends them unsigned, to any route."""
    cors = apigateway.CorsOptions(allow_origins=["https://example.com"])
    AgentApi(stack, "Api", agent=agent, cors=cors, vpc_endpoint=vpc_endpoint)
    template = Template.from_stack(stack)
    template.has_resource_properties("AWS::ApiGateway::Method", {"HttpMethod": "OPTIONS", "AuthorizationType": "NONE"})
    allowed = Match.object_like({"Effect": "Allow", "Resource": [HEALTH, PREFLIGHTS]})
    template.has_resource_properties("AWS::ApiGateway::RestApi", {"Policy": {"Statement": Match.array_with([allowed])}})


@pytest.mark.parametrize(
    "request_", ["POST/api/v1/items/OPTIONS/1", "GET/api/v1/items/GET/health", "OPTIONS/api/v1/items/1"]
)
def test_no_request_looks_like_an_open_route_of_a_private_api(
    stack: cdk.Stack, agent: AgentFunction, vpc_endpoint: ec2.IInterfaceVpcEndpoint, request_: str
) -> None:
    """What the policy opens needs no permission of a signer's own: a star takes slashes, and ANY takes OPTIONS."""
    AgentApi(stack, "Api", agent=agent, vpc_endpoint=vpc_endpoint).add_route("ANY", "/items/{a}/{b}", agent)
    (route,) = rest_api(stack)["Policy"]["Statement"][1]["Resource"].split()
    assert fnmatchcase("execute-api:/prod/GET/health", route)
    assert not fnmatchcase(f"execute-api:/prod/{request_}", route)


def test_fails_when_an_endpoint_is_for_another_service_or_none(stack: cdk.Stack, agent: AgentFunction) -> None:
    """Such an API would be deployed, and nobody could reach it."""
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1)
    queues = vpc.add_interface_endpoint("Queues", service=ec2.InterfaceVpcEndpointAwsService.SQS)
    objects: Any = vpc.add_gateway_endpoint("Objects", service=ec2.GatewayVpcEndpointAwsService.S3)
    for name, endpoint in (("sqs", queues), ("s3", objects)):
        with pytest.raises(ValueError, match=rf"^vpc_endpoint must be one for execute-api, got one for {name}; make "):
            AgentApi(stack, f"Api-{name}", agent=agent, vpc_endpoint=endpoint)
    text: Any = "vpce-1"
    with pytest.raises(TypeError, match=r"^vpc_endpoint must be an interface endpoint, got a value of type str; "):
        AgentApi(stack, "Api", agent=agent, vpc_endpoint=text)
