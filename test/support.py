"""What several tests need to read templates."""

from typing import Any

import aws_cdk as cdk
from aws_cdk.assertions import Template

from ak_constructs.testing import normalised


def statements(stack: cdk.Stack, role: str, *, effect: str = "Allow") -> list[tuple[tuple[str, ...], Any]]:
    """Give (actions, resources) of what a role is allowed, or denied; its logical id begins so."""
    template = Template.from_stack(stack).to_json()["Resources"]
    found = []
    for resource in template.values():
        if resource["Type"] != "AWS::IAM::Policy":
            continue
        if not any(reference["Ref"].startswith(role) for reference in resource["Properties"]["Roles"]):
            continue
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            if statement["Effect"] == effect:
                found.append((tuple([actions] if isinstance(actions, str) else actions), statement["Resource"]))
    return found


def logical_ids(stack: cdk.Stack) -> dict[str, str]:
    """Give every resource's type by its logical id: changing one replaces a user's resource."""
    return {name: resource["Type"] for name, resource in normalised(stack)["Resources"].items()}


def methods(stack: cdk.Stack) -> dict[tuple[str, str], dict[str, Any]]:
    """Give every method's properties by verb and path."""
    resources = Template.from_stack(stack).to_json()["Resources"]

    def path(reference: dict[str, Any]) -> str:
        if "Fn::GetAtt" in reference:
            return ""
        properties = resources[reference["Ref"]]["Properties"]
        return f"{path(properties['ParentId'])}/{properties['PathPart']}"

    return {
        (properties["HttpMethod"], path(properties["ResourceId"]) or "/"): properties
        for properties in (r["Properties"] for r in resources.values() if r["Type"] == "AWS::ApiGateway::Method")
    }
