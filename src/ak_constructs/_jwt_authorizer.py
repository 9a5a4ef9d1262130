"""The function that verifies tokens, and what it is told."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._bundling import AgentPackage, platform_of
from ak_constructs._entry import check_defined, check_entry
from ak_constructs._function import ARCHITECTURE, RUNTIME, Surroundings, define_function
from ak_constructs._layer import define_layer
from ak_constructs._local_bundling import telling
from ak_constructs._validation import check_at_least, check_matches

MEMORY_MIB = 512
TIMEOUT = cdk.Duration.seconds(10)
MAX_SCOPES_BYTES = 2048  # half of what all variables of a function may have
VALIDATOR = "validator"

_ADDRESS = r"https://(?!\S*/\.well-known/)[^\s?#@]+"
_ADDRESS_FORM = "the tokens' iss, an address such as https://issuer.example.com"
_SCOPE = r"[\x21\x23-\x5B\x5D-\x7E]+"  # https://www.rfc-editor.org/rfc/rfc6749#section-3.3


@dataclass(frozen=True, kw_only=True, slots=True)
class JwtAuthorizer:
    """What tokens an authorizer takes, and where its function runs."""

    issuer: str | None
    audience: tuple[str, ...]
    user_claim: str
    scopes: tuple[str, ...]
    jwks_url: str | None
    custom: Path | None
    architecture: lambda_.Architecture | None
    vpc: ec2.IVpc | None
    vpc_subnets: ec2.SubnetSelection | None

    def __post_init__(self) -> None:
        check_matches("user_claim", self.user_claim, r"\S+", "the name of a claim, such as sub")
        if self.issuer is None:
            _check_left_out(audience=self.audience, jwks_url=self.jwks_url)
            if self.custom is None:
                raise ValueError("issuer must be given, got None; only a validator of yours, custom=, decides alone")
        else:
            check_matches("issuer", self.issuer, _ADDRESS, _ADDRESS_FORM)
            check_at_least(
                "the number of audiences", len(self.audience), 1, "name who the tokens are for, or every client's do"
            )
            _check_nothing_hides_the_library(self.custom)
        for name in self.audience:
            check_matches("audience", name, r".+", "texts that are not empty")
        if self.jwks_url is not None:
            check_matches("jwks_url", self.jwks_url, r"https://[^\s#@]+", "an address that begins with https://")

    def define(self, scope: Construct, route_scopes: "RouteScopes", *, key: kms.IKey | None) -> lambda_.Function:
        """Define the function, and the layer with the library where there is a signature to verify."""
        architecture = self.architecture or ARCHITECTURE
        platform = platform_of(architecture, RUNTIME)
        package = AgentPackage(self.custom, platform) if self.custom else None
        layers = []
        if self.issuer is not None:
            layers = [
                define_layer(
                    scope,
                    "JwtLibrary",
                    folder="jwt_layer",
                    platform=platform,
                    runtimes=[RUNTIME],
                    architectures=[architecture],
                )
            ]
        with telling(package.bundling if package else None):
            function = define_function(
                scope,
                "AuthorizerFunction",
                handler="ak_lambda.jwt_authorizer.handler.handler",
                memory_size=MEMORY_MIB,
                timeout=TIMEOUT,
                code=package.code() if package else None,
                architecture=architecture,
                layers=layers,
                around=Surroundings(key=key, vpc=self.vpc, vpc_subnets=self.vpc_subnets, security_groups=None),
            )
        function.add_environment("AK_CONSTRUCTS_USER_CLAIM", self.user_claim)
        function.add_environment("AK_CONSTRUCTS_API_SCOPES", json.dumps(self.scopes))
        function.add_environment("AK_CONSTRUCTS_SCOPES", cdk.Lazy.string(route_scopes))
        if self.issuer is not None:
            function.add_environment("AK_CONSTRUCTS_ISSUER", self.issuer)
            function.add_environment("AK_CONSTRUCTS_AUDIENCE", json.dumps(self.audience))
        if self.jwks_url is not None:
            function.add_environment("AK_CONSTRUCTS_JWKS_URL", self.jwks_url)
        if self.custom is not None:
            function.add_environment("AK_CONSTRUCTS_VALIDATOR", VALIDATOR)
        return function


@jsii.implements(cdk.IStableStringProducer)
class RouteScopes:
    """The scopes that each route asks for; routes may be added after the function was defined."""

    def __init__(self) -> None:
        self._routes: dict[str, tuple[str, ...]] = {}

    def add(self, method: str, path: str, scopes: Sequence[str]) -> None:
        """Remember what a route asks for."""
        self._routes[f"{method} {path}"] = tuple(scopes)
        size = len(self.produce())
        if size > MAX_SCOPES_BYTES:
            raise ValueError(
                f"the scopes of all routes together must be at most {MAX_SCOPES_BYTES} bytes of JSON, got {size}; ask "
                "for them in the functions behind, which are told the token's"
            )

    def produce(self) -> str:
        """Give the table when the template is made: what asks for nothing only where ANY beside it asks."""
        asked = {name for name, scopes in self._routes.items() if scopes}
        return json.dumps(
            {
                name: scopes
                for name, scopes in self._routes.items()
                if scopes or f"ANY {name.partition(' ')[2]}" in asked
            },
            separators=(",", ":"),
        )


def check_scopes(scopes: Sequence[str] | None) -> tuple[str, ...]:
    """Give scopes as they may be written in a token."""
    for scope in check_list("scopes", scopes):
        check_matches("scopes", scope, _SCOPE, "a list of scopes, such as ['agents/chat']")
    return tuple(scopes or ())


def check_list(name: str, values: Sequence[str] | None) -> tuple[str, ...]:
    """Give several texts; one alone would be taken letter by letter."""
    if isinstance(values, str):
        raise TypeError(f"{name} must be a list, got {values!r}; write [{values!r}]")
    return tuple(values or ())


def check_custom(custom: str | os.PathLike[str] | None) -> Path | None:
    """Give the folder of the user's validator, which must have one."""
    if custom is None:
        return None
    folder = check_entry(custom, argument="custom")
    check_defined(folder, f"{VALIDATOR}:validate", argument="custom", separator=":", runtime=RUNTIME.name)
    return folder


def _check_left_out(**values: object) -> None:
    for name, value in values.items():
        if value:
            raise ValueError(f"{name} must be left out without an issuer, got {value!r}; give issuer=")


def _check_nothing_hides_the_library(custom: Path | None) -> None:
    """What lies in a function's package goes before its layers."""
    for name in ("jwt", "cryptography", "cffi"):
        if custom and ((custom / name).exists() or (custom / f"{name}.py").exists()):
            raise ValueError(f"custom must not have the name of a package of the library's, got {name!r}; rename it")
