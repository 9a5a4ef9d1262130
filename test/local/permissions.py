"""What the roles of deployed stacks may do, what they did, and how to take one permission from one of them."""

import contextlib
import fnmatch
import functools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ak_constructs.local.emulator import Emulator
from ak_constructs.local.logs import client

# Of the operations that IAM calls otherwise; signing names of services likewise.
ACTIONS = {
    "bedrock:Converse": "bedrock:InvokeModel",
    "execute-api:PostToConnection": "execute-api:ManageConnections",
    "lambda:Invoke": "lambda:InvokeFunction",
    "tagging:GetResources": "tag:GetResources",
}
_GENERATED = re.compile(r"(?:.*[-/:])?([A-Za-z]\w*?)[0-9A-Fa-f]{8}-[0-9A-Za-z]+(?:\.fifo)?")


@dataclass(frozen=True, order=True, slots=True)
class Grant:
    """One action of one statement of a role's policy.

    Attributes:
        role: `Stack/Role`, without what CloudFormation makes of the name.
        action: The action.
        resource: The statement's first resource, by the id of its construct.
        arns: All its resources.
    """

    role: str
    action: str
    resource: str
    arns: tuple[str, ...] = field(compare=False, repr=False, default=())

    def covers(self, arn: str) -> bool:
        """Whether a resource is one of its own."""
        return any(fnmatch.fnmatchcase(arn, each) for each in self.arns)

    def __str__(self) -> str:
        return f"{self.role} {self.action} {self.resource}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the emulator decided about a role's call."""

    role: str
    action: str
    resource: str
    allowed: bool


class Permissions:
    """The roles of stacks that are deployed."""

    def __init__(self, aws: Emulator, stacks: Sequence[str]) -> None:
        self._aws = aws
        self._roles = client("iam", aws)
        pages = self._roles.get_paginator("list_roles").paginate()
        found = [role for page in pages for role in page["Roles"] if role["RoleName"].partition("-")[0] in stacks]
        self._names = {_role(role["RoleName"]): role["RoleName"] for role in found}
        self.trusted = {
            _role(role["RoleName"]): role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
            for role in found
        }

    def grants(self) -> list[Grant]:
        """Give all that the roles may do, as their policies say it now."""
        return sorted(
            Grant(role, action, short(_listed(statement["Resource"])[0]), tuple(_listed(statement["Resource"])))
            for role, name in self._names.items()
            for _, document in self._policies(name)
            for statement in document["Statement"]
            for action in _listed(statement["Action"])
        )

    @contextlib.contextmanager
    def without(self, grant: Grant) -> Iterator[None]:
        """Take one permission from one role for a while, and nothing else."""
        name = self._names[grant.role]
        changed = 0
        before = list(self._policies(name))
        for policy, document in before:
            kept = []
            for statement in document["Statement"]:
                actions, arns = _listed(statement["Action"]), tuple(_listed(statement["Resource"]))
                if grant.action in actions and grant.arns == arns:
                    changed += 1
                    actions = [each for each in actions if each != grant.action]
                kept += [{**statement, "Action": actions}] if actions else []
            self._put(name, policy, {**document, "Statement": kept or [_NOTHING]})
        try:
            assert changed == 1, f"{grant} is not there, or more than once"
            yield
        finally:
            for policy, document in before:
                self._put(name, policy, document)

    def decisions(self, since: int = 0) -> list[Decision]:
        """Give what was decided about the roles, oldest first."""
        lines = self._lines("decisions.jsonl")[since:]
        found = []
        for each in map(json.loads, lines):
            role = _role(each["principal"].split("/")[1]) if ":assumed-role/" in each["principal"] else ""
            found.append(Decision(role, each["action"], each["resource"], each["allowed"]))
        return found

    def calls(self) -> set[tuple[str, str]]:
        """Give what functions called, as (role, action), whatever the emulator made of it."""
        found = set()
        for each in map(json.loads, self._lines("calls.jsonl")):
            action = f"{each['service']}:{each['operation']}"
            found.add((self.role_of(each["function"]), ACTIONS.get(action, action)))
        return found

    @functools.cache  # noqa: B019 - as long as the tests
    def role_of(self, function: str) -> str:
        """Give the role of a function, by its name or ARN."""
        configuration = client("lambda", self._aws).get_function_configuration(FunctionName=function)
        return _role(configuration["Role"].rpartition("/")[2])

    def _lines(self, name: str) -> list[str]:
        path = self._aws.log.with_name(name)
        whole, _, _begun = path.read_text(encoding="utf-8").rpartition("\n") if path.exists() else ("", "", "")
        return whole.splitlines()

    def _policies(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        attached = self._roles.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        assert not attached, "a policy that is not the role's own is not looked at here"
        for policy in self._roles.list_role_policies(RoleName=name)["PolicyNames"]:
            yield policy, self._roles.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]

    def _put(self, name: str, policy: str, document: dict[str, Any]) -> None:
        self._roles.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))


_NOTHING = {"Effect": "Allow", "Action": "none:None", "Resource": "*"}


def short(arn: str) -> str:
    """Name a resource by the id of its construct, without what CloudFormation adds."""
    found = arn.split(":", 5)[-1]
    return found.partition("/")[2] if ":execute-api:" in arn else _GENERATED.sub(r"\1", found)


def _role(name: str) -> str:
    return f"{name.partition('-')[0]}/{short(name).removesuffix('Role')}"


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
