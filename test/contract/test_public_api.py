"""The shape that every public name keeps."""

import inspect

import pytest
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

import ak_constructs

# Handed unchanged to the L2 below; they do not count as our own.
PASSED_ON = set(inspect.signature(lambda_.Function.__init__).parameters) - {"code", "handler", "runtime"}
PASSED_ON |= {"operator_role", "scaling_options"} & set(inspect.signature(lambda_.CapacityProvider.__init__).parameters)
PASSED_ON |= {"domain_mapping"} & set(inspect.signature(apigatewayv2.WebSocketStage.__init__).parameters)
PASSED_ON |= {"cors", "key"}  # `RestApi` has the one as `default_cors_preflight_options`, each L2 the other its own way
CONSTRUCTS = [
    cls for cls in (getattr(ak_constructs, name) for name in ak_constructs.__all__) if issubclass(cls, Construct)
]


def test_names_are_imported_when_they_are_used() -> None:
    """And only those that exist."""
    assert dir(ak_constructs) == sorted(ak_constructs.__all__)
    with pytest.raises(AttributeError, match=r"^module 'ak_constructs' has no attribute 'Nothing'$"):
        _ = ak_constructs.Nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", CONSTRUCTS)
def test_a_construct_takes_scope_id_and_keywords(cls: type[Construct]) -> None:
    """About seven of its own, typed, none of them a bag."""
    _self, scope, id_, *rest = inspect.signature(cls.__init__).parameters.values()
    assert (scope.name, id_.name) == ("scope", "id")
    assert {parameter.kind for parameter in rest} == {inspect.Parameter.KEYWORD_ONLY}
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in rest)
    assert len([parameter for parameter in rest if parameter.name not in PASSED_ON]) <= 7


@pytest.mark.parametrize("name", ak_constructs.__all__)
def test_a_public_name_is_documented(name: str) -> None:
    """What it defines, every argument, an example, and the sources of what it says about AWS."""
    cls = getattr(ak_constructs, name)
    text = inspect.getdoc(cls) or ""
    assert text.startswith("Defines ")
    assert "Example:" in text
    if not issubclass(cls, Construct):
        return
    for section in ("**Resources**", "**Permissions**", "**Not included**", "Args:", "Raises:", "Sources:"):
        assert section in text, section
    for parameter in list(inspect.signature(cls.__init__).parameters)[1:]:
        assert f"\n    {parameter}: " in text, parameter


@pytest.mark.parametrize("cls", CONSTRUCTS)
def test_a_public_attribute_is_documented(cls: type[Construct]) -> None:
    """Children are the escape hatch: a reader must find them."""
    text = inspect.getdoc(cls) or ""
    source = inspect.getsource(cls.__init__)
    attributes = [
        line.split("self.")[1].split(":")[0].split(" ")[0] for line in source.splitlines() if " self." in line
    ]
    for attribute in {name for name in attributes if name.isidentifier() and not name.startswith("_")}:
        assert f"\n    {attribute}: " in text, attribute
