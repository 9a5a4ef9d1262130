"""What the roles of a page's stack may do, by its template."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ak_constructs._function import NETWORK_ACTIONS
from scripts.pages.stacks import Defined

_LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
_TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def permissions(defined: Defined, where: str) -> list[tuple[str, str, str]]:
    """Give each role, what it may, and on what: beyond what every function's may, but where a function is the subject.

    With `beyond Chat/Queue` what is done there is left out, since another page says it.
    """
    roots, _, known = where.partition(" beyond ")
    found: dict[tuple[str, str], list[str]] = {}
    for policy in defined.resources:
        if policy.kind != "IAM::Policy":
            continue
        role = defined.by_id[policy.properties["Roles"][0]["Ref"]].path.removesuffix("/Resource")
        root = max((each for each in roots.split() if f"{role}/".startswith(f"{each}/")), key=len, default=None)
        if root is None or any(defined.public(upper) for upper in _between(root, role)):
            continue
        name = role if role == root else role.removeprefix(f"{root}/")
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            actions = _texts(statement["Action"])
            on = [named(defined, root, each) for each in _list(statement["Resource"])]
            on = [each for each in on if not known or not each.startswith(f"`{known}/")]
            expected = where != "AgentRole" and _of_every_function(name, actions, on)
            if statement["Effect"] == "Allow" and on and not expected:
                what = ", ".join(dict.fromkeys(on)) + _condition(statement)
                found.setdefault((f"`{name}`", what), []).extend(actions)
    return [(role, _together(actions), what) for (role, what), actions in found.items()]


def _of_every_function(role: str, actions: Sequence[str], on: Sequence[str]) -> bool:
    """Say whether every function's role has that: its own log, X-Ray, its network."""
    own_log = on == [f"`{role.removesuffix('Role')}Logs`"] and set(actions) == _LOG
    return own_log or (on == ["`*`"] and set(actions) in (_TRACES, set(NETWORK_ACTIONS)))


def _between(root: str, role: str) -> list[str]:
    """Give the paths between a construct and a role below it, where another public construct may be."""
    parts = role.split("/")
    return ["/".join(parts[:length]) for length in range(len(root.split("/")) + 1, len(parts))]


def _together(actions: Sequence[str]) -> str:
    return ", ".join(f"`{action}`" for action in actions)


def _condition(statement: Mapping[str, Any]) -> str:
    keys = [key for test in statement.get("Condition", {}).values() for key in test]
    return f", where {' and '.join(f'`{key}`' for key in keys)} fits" if keys else ""


def named(defined: Defined, root: str, value: Any) -> str:  # noqa: ANN401 - JSON
    """Name a resource of a policy by its id."""
    text = _resolved(defined, root, value)
    text = re.sub(r"^arn:AWS::Partition:[a-z0-9-]+:AWS::Region:AWS::AccountId:", "", text)
    return f"`{text}`"


def _resolved(defined: Defined, root: str, value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str):
        return value
    function, argument = next(iter(value.items()))
    if function == "Fn::Join":
        return str(argument[0]).join(_resolved(defined, root, each) for each in argument[1])
    id_ = argument[0] if function == "Fn::GetAtt" else argument
    if id_ in defined.by_id:
        path = defined.by_id[id_].path.removesuffix("/Resource")
        return path.removeprefix(f"{root}/")
    return str(id_)


def _list(value: Any) -> list[Any]:  # noqa: ANN401
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> list[str]:  # noqa: ANN401
    return [str(each) for each in _list(value)]
