"""Finds what a deployment of a new template over an old one would replace or delete.

Which property replaces a resource is asked of CloudFormation's own schemas, as cfn-lint brings them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.promises.schemas import replacing

Template = Mapping[str, Any]
# CDK names these after what is in them, or they are made of it: each new one is there before the old one goes.
MADE_ANEW = {"AWS::ApiGateway::Deployment", "AWS::Lambda::LayerVersion", "AWS::Lambda::Version"}
HASH = re.compile(r"[0-9a-f]{32}$")
KEPT = ("DeletionPolicy", "UpdateReplacePolicy")


def complaints(old: Template, new: Template) -> list[str]:
    """Say of each resource how it would be lost: gone, of another type, replaced, or no longer retained."""
    resources = new["Resources"]
    by_stem = {_stem(name, each): each for name, each in resources.items()}
    found = []
    for name, before in old["Resources"].items():
        after = resources.get(name) or by_stem.get(_stem(name, before))
        if after is None:
            found.append(f"{name} ({before['Type']}) is gone")
        elif after["Type"] != before["Type"]:
            found.append(f"{name} is {after['Type']}, was {before['Type']}")
        else:
            found += [f"{name} {told}" for told in _changes(before, after)]
    return found


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    type_ = before["Type"]
    for policy in KEPT:
        if before.get(policy) != after.get(policy):
            yield f"({type_}) has {policy} {after.get(policy)}, had {before.get(policy)}"
    if type_ in MADE_ANEW:
        return
    for pointer in replacing(type_):
        path = pointer.removeprefix("/properties/").split("/")
        was, is_ = (list(_at(each.get("Properties", {}), path)) for each in (before, after))
        if was != is_:
            yield f"({type_}) would be replaced: {'.'.join(path)} is {is_}, was {was}"


def _at(value: Any, path: list[str]) -> Iterator[Any]:  # noqa: ANN401 - whatever a template has
    """Give each value at a pointer; a star stands for each element."""
    if not path:
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _at(each, path[1:] if path[0] == "*" else path)
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _stem(name: str, resource: Mapping[str, Any]) -> str:
    return HASH.sub("", name) if resource["Type"] in MADE_ANEW else name
