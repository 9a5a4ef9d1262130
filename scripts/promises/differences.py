"""What of a release's promises another does not keep: whom it breaks, and what to do. Plain values in, plain out."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.contract import Contract, expanded

Read = Callable[[str, Any], Any]

# Of each kind of line that is gone: whom that breaks, and what to do about it.
GONE = {
    "resource": (
        "CloudFormation deletes the deployed resource and makes another: what it holds and its address are lost",
        "give the construct its old id back",
    ),
    "replaces": (
        "CloudFormation replaces the deployed resource, and what it holds is lost",
        "leave the value as it was",
    ),
    "kept": ("what users expect to stay or to go with the stack no longer does", "keep the removal policy"),
    "keys": ("items that are in the table are no longer found, or never forgotten", "keep the old keys too"),
    "setting": (
        "functions between two steps of an update, and code of users that reads it, do not find the variable",
        "keep the old name beside the new one",
    ),
    "action": ("what a function or the agent's own code does is refused", "keep the action"),
    "grant": ("who was granted this is refused", "keep the action"),
    "variable": ("stages that users made of the API do not say who asks", "keep the stage variable's name"),
    "route": ("clients that send to this route are refused", "keep the route beside the new one"),
    "metric": ("dashboards and alarms of users show nothing", "keep the name and the dimensions"),
}
NEW_GRANT = ("callers whose permissions were written by hand are refused", "ask for no more than before")
NEW_KIND = (
    "whoever deploys must be allowed to make a kind of resource that the release before did not have",
    "make it where an argument asks for it only",
)
NEW_NEED = (
    "deployed functions get the new code before the new variable, and fail until then",
    "take a default where it is not set",
)
WRITTEN = (
    "whoever reads it by this name or word does not find it: {name}",
    "write the old one beside the new one until the next release",
)
READ = (
    "what the release before has sent or stored, or its users send, is understood otherwise: {name}",
    "read the old form too",
)


@dataclass(frozen=True, order=True)
class Difference:
    """One promise that is not kept.

    Attributes:
        what: The promise; `accepted.toml` names it so.
        breaks: Whom it breaks, and how.
        remedy: What to do instead.
    """

    what: str
    breaks: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}\n    breaks: {self.breaks}\n    remedy: {self.remedy}"


def differences(old: Contract, new: Contract, read: Read) -> list[Difference]:
    """Compare two releases; `read` is what the newer one makes of what the older has sent."""
    found = [*_constructs(old, new), *_settings(old, new), *_written(old["written"], new["written"])]
    return sorted({*found, *_read(old["read"], read)})


def _constructs(old: Contract, new: Contract) -> Iterator[Difference]:
    before, after = expanded(old["constructs"]), expanded(new["constructs"])
    for construct, uses in before.items():
        seen: dict[tuple[str, str, str], list[str]] = {}
        for use, lines in uses.items():
            now = after.get(construct, {}).get(use)
            found = _lines(lines, now) if now is not None else [(f"use {use}", "whoever uses it so", "keep it")]
            for each in found:
                seen.setdefault(each, []).append(use)
        for (line, breaks, remedy), in_uses in seen.items():
            where = "" if len(in_uses) == len(uses) else f" ({'; '.join(in_uses)})"
            yield Difference(f"{construct}{where}: {line}", breaks, remedy)


def _lines(old: set[str], new: set[str]) -> Iterator[tuple[str, str, str]]:
    there, left = _resources(old), _resources(new)
    for line in old - new:
        kind, subject, *_ = line.split(" ")
        if kind == "resource":
            came = sorted(id_ for id_ in left.keys() - there if left[id_] == there[subject])
            breaks, remedy = GONE[kind]
            yield line, breaks, remedy + (f" (new of its type: {', '.join(came)})" if came else "")
        elif kind in GONE and (subject not in there or subject in left):  # else its resource is gone: said already
            yield line, *GONE[kind]
    granted = {line.split(" ")[1] for line in old if line.startswith("grant ")}
    for line in new - old:
        kind, subject, name, *_ = [*line.split(" "), ""]
        known = any(each.startswith(f"{kind} {subject} {name} ") for each in old)  # said already
        if kind == "replaces" and subject in there and not known:
            yield f"now {line}", *GONE["replaces"]
        if kind == "grant" and subject in granted:
            yield f"now {line}", *NEW_GRANT
    for kind in set(left.values()) - set(there.values()):
        yield f"now makes {kind}", *NEW_KIND


def _resources(lines: Iterable[str]) -> dict[str, str]:
    """Give the types of resources by their ids."""
    return {line.split(" ")[1]: line.split(" ")[2] for line in lines if line.startswith("resource ")}


def _settings(old: Contract, new: Contract) -> Iterator[Difference]:
    """A variable that a function newly needs, and that no deployed function of its kind has."""
    given: dict[str, list[set[str]]] = {}  # by folder, of each of its functions
    for uses in expanded(old["constructs"]).values():
        for lines in uses.values():
            for line in lines:
                if line.startswith("runs "):
                    _, function, folder = line.split(" ")
                    given.setdefault(folder, []).append(
                        {each.split(" ")[2] for each in lines if each.startswith(f"setting {function} ")}
                    )
    for line in set(new["needs"]) - set(old["needs"]):
        _, folder, name = line.split(" ")
        if folder in given and not all(name in names for names in given[folder]):
            yield Difference(f"code: now {line}", *NEW_NEED)


def _written(old: Mapping[str, list[str]], new: Mapping[str, list[str]]) -> Iterator[Difference]:
    for name, lines in old.items():
        for line in set(lines) - set(new.get(name, ())):
            yield Difference(f"{name}: {line}", WRITTEN[0].format(name=name), WRITTEN[1])


def _read(old: Mapping[str, Mapping[str, str]], read: Read) -> Iterator[Difference]:
    for name, each in old.items():
        gives = read(name, json.loads(each["given"]))
        for path, was, now in unlike(json.loads(each["gives"]), gives):
            yield Difference(f"{name}: read{path} {was} as {now}", READ[0].format(name=name), READ[1])


def unlike(old: object, new: object, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Give where two readings differ; what the newer has besides does not count."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, each in old.items():
            yield from unlike(each, new.get(name, "nothing"), f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (each, other) in enumerate(zip(old, new, strict=True)):
            yield from unlike(each, other, f"{path}[{number}]")
    elif old != new:
        yield path, json.dumps(old), json.dumps(new)
