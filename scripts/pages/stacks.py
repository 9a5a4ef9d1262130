"""Runs the code of a page of docs/constructs, and says what its stack has."""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import aws_cdk as cdk
from aws_cdk.assertions import Template
from constructs import IConstruct

import ak_constructs
from scripts.cases import QUICK
from scripts.project import ROOT

PAGES = ROOT / "docs" / "constructs"
SUFFIXES = ("Role", "Logs", "DepthAlarm", "AgeAlarm")  # of what stands beside a child and belongs to it
_BLOCK = re.compile(r"```python(?: title=\"([^\"]+)\")?\n(.*?)```", flags=re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of a template.

    Attributes:
        path: Where it is, below the stack.
        kind: Its type, without `AWS::`.
        kept: Whether it outlives its stack.
        properties: What the template says of it.
    """

    path: str
    kind: str
    kept: bool
    properties: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A child of a construct, with what belongs to it.

    Attributes:
        ids: The child's id, then those beside it.
        resources: All of them.
        construct: The public construct that it is, if it is one.
    """

    ids: Sequence[str]
    resources: Sequence[Resource]
    construct: str | None


class Defined:
    """What the code of a page defined."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.stack: cdk.Stack = module.stack
        template = Template.from_stack(self.stack).to_json()
        self.by_id = dict(self._resources(template["Resources"]))
        self.resources = list(self.by_id.values())

    def _resources(self, template: Mapping[str, Any]) -> Iterator[tuple[str, Resource]]:
        for id_, each in template.items():
            path = each["Metadata"]["aws:cdk:path"].removeprefix(f"{self.stack.node.path}/")
            kept = str(each.get("DeletionPolicy", "")).startswith("Retain")
            kind = each["Type"].removeprefix("AWS::")
            yield id_, Resource(path=path, kind=kind, kept=kept, properties=each.get("Properties", {}))

    def below(self, root: str) -> list[Resource]:
        """Give the resources of a construct; those of the whole stack for a dot."""
        return [each for each in self.resources if root == "." or each.path.startswith(f"{root}/")]

    def public(self, path: str) -> str | None:
        """Give the name of the public construct that is there, if one is."""
        found: IConstruct | None = self.stack
        for part in path.split("/"):
            found = found.node.try_find_child(part) if found is not None else None
        names = [each.__name__ for each in type(found).__mro__]
        return next((name for name in names if name in ak_constructs.__all__), None)

    def rows(self, root: str) -> list[Row]:
        """Give a construct's children, each with what belongs to it, in the order in which they are defined."""
        children: dict[str, list[Resource]] = {}
        for each in self.below(root):
            child = (each.path if root == "." else each.path.removeprefix(f"{root}/")).partition("/")[0]
            children.setdefault(child, []).append(each)
        owner = {child: _owner(child, children) for child in children}
        grouped: dict[str, list[str]] = {}
        for child in sorted(children, key=lambda each: owner[each] != each):
            grouped.setdefault(owner[child], []).append(child)
        order = list(dict.fromkeys(owner[child] for child in children))
        return [
            Row(
                ids=grouped[child],
                resources=[each for id_ in grouped[child] for each in children[id_]],
                construct=None if root == "." else self.public(f"{root}/{child}"),
            )
            for child in order
        ]


def _owner(child: str, children: Mapping[str, object]) -> str:
    """Give the child beside which another stands, or itself."""
    owners = (child.removesuffix(suffix) for suffix in SUFFIXES if child.endswith(suffix))
    return next((each for each in owners if each in children), child)


def blocks(text: str) -> list[tuple[str, str]]:
    """Give the Python code of a page, each with its file's name or none."""
    return [(name, code) for name, code in _BLOCK.findall(text)]


def page_of(construct: str) -> Path:
    """Give the page of a public construct."""
    return PAGES / f"{re.sub(r'(?<!^)(?=[A-Z])', '-', construct).lower().replace('web-socket', 'websocket')}.md"


@contextmanager
def running(text: str) -> Iterator[ModuleType]:
    """Run a page's app, and what the page adds to it, in a folder with the agent of the first page."""
    agent = dict(blocks(page_of("AgentFunction").read_text(encoding="utf-8")))["agents/support/agent.py"]
    module = ModuleType("app")
    with tempfile.TemporaryDirectory() as folder, chdir(folder), mock.patch.dict(sys.modules, app=module):
        Path("agents/support").mkdir(parents=True)
        Path("agents/support/agent.py").write_text(agent, encoding="utf-8")
        with mock.patch.object(cdk, "App", _app_in(f"{folder}/cdk.out")):
            for name, code in blocks(text):
                if name in ("", "app.py"):
                    exec(compile(code, name or "page", "exec"), vars(module))  # noqa: S102 - our own documentation
        yield module


def _app_in(folder: str) -> Any:  # noqa: ANN401 - in place of a class
    """Give what makes an app that installs nothing and is synthesized only once all is defined."""
    make = cdk.App

    def app(**arguments: Any) -> cdk.App:  # noqa: ANN401
        made = make(outdir=folder, **QUICK, **arguments)
        made.synth = lambda **_: None  # type: ignore[assignment,method-assign]
        return made

    return app
