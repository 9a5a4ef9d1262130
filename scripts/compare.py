"""Compares the package with the last release: what breaks its users must be said, or must not be.

    python -m scripts.compare [--against FOLDER] [--package FOLDER]

What `accepted.toml` there lists may break:

    [[accepted]]
    what = "AgentQueue: resource QueueOld* AWS::SQS::Queue"   # as printed; * stands for anything
    why = "..."
    changelog = "words of the line in CHANGELOG.md that tells users what to do"
"""

import argparse
import re
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import griffe
from packaging.version import Version

from scripts import contract
from scripts.project import ROOT, project
from scripts.promises.differences import Difference, differences

RELEASED = ROOT / "test" / "released"
FOR_AGENTS = ("Turn", "answers_ping")  # of ak_lambda, what the code of users' agents sees
BESIDE = ("testing", "local")  # what users import besides the constructs
DEFAULTS = "DEFAULT_"  # how the constants begin that signatures name
REMEDY = "keep the old form beside the new one for a minor release, with a warning: docs/versions.md"
Accepted = Sequence[Mapping[str, str]]


def main(arguments: list[str]) -> int:
    """Print what breaks, and say whether anything does that is not accepted."""
    parser = argparse.ArgumentParser(prog="scripts.compare")
    parser.add_argument("--against", type=Path, default=RELEASED)
    parser.add_argument("--package", type=Path, default=contract.PACKAGE)
    given = parser.parse_args(arguments)
    (wheel,) = given.against.glob("*.whl")
    old = contract.parsed((given.against / "contract.json").read_text(encoding="utf-8"))
    found = [*interface(wheel, given.package.absolute())]
    new = contract.contract(given.package.absolute())
    found += differences(old, new, import_module("scripts.promises.read").read)
    accepted: Accepted = []
    if (file := given.against / "accepted.toml").is_file():
        accepted = tomllib.loads(file.read_text(encoding="utf-8")).get("accepted", [])
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    said = [*judged(found, accepted, changelog), *too_small(wheel.name.split("-")[1], project()["version"], accepted)]
    print("\n".join(said) or f"{len(found)} breaking, all accepted, since {wheel.name}")
    return 1 if said else 0


def interface(wheel: Path, package: Path) -> Iterator[Difference]:
    """Give what of the public names is gone, or has another signature or default."""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        was = Path(folder) / "ak_constructs"
        sides = {"ak_constructs": (was.parent, package.parent)}
        sides["ak_lambda"] = (contract.lambda_assets(was), contract.lambda_assets(package))
        for name, (old, new) in sides.items():
            before, after = (griffe.load(name, search_paths=[each], allow_inspection=False) for each in (old, new))
            names = {*FOR_AGENTS, *BESIDE, *map(str, before.exports or ())}
            for breakage in griffe.find_breaking_changes(before, after):
                if names.intersection(breakage.obj.path.split(".")):
                    yield _broken(breakage.obj.path, breakage.kind.value, *_parameters(breakage))
            if isinstance(before, griffe.Module) and isinstance(after, griffe.Module):
                yield from _defaults(before, after)


def _parameters(breakage: griffe.Breakage) -> Iterator[str]:
    old, new = breakage.old_value, breakage.new_value
    if isinstance(named := old or new, griffe.Parameter):
        yield named.name
    if breakage.kind is griffe.BreakageKind.PARAMETER_CHANGED_DEFAULT:
        yield f"{old.default} is now {new.default}"


def _defaults(before: griffe.Module, after: griffe.Module) -> Iterator[Difference]:
    """Give the constants that signatures name whose values have changed, which griffe does not look at."""
    for name, module in before.modules.items():
        constants = after.modules[name].attributes if name in after.modules else {}
        for constant, old in module.attributes.items():
            new = constants.get(constant)
            if constant.startswith(DEFAULTS) and new and str(new.value) != str(old.value):
                yield _broken(old.path, f"{old.value} is now {new.value}")


def _broken(*what: str) -> Difference:
    return Difference(": ".join(["interface", *what]), "code of users that uses it so", REMEDY)


def judged(found: Iterable[Difference], accepted: Accepted, changelog: str) -> Iterator[str]:
    """Give what breaks and is not accepted, and what is accepted in vain or without a word to users."""
    patterns = [re.compile(".*".join(map(re.escape, each["what"].split("*")))) for each in accepted]
    everything = list(found)
    yield from (str(each) for each in everything if not any(pattern.fullmatch(each.what) for pattern in patterns))
    for each, pattern in zip(accepted, patterns, strict=True):
        if not any(pattern.fullmatch(difference.what) for difference in everything):
            yield f"accepted.toml must list only what breaks, got {each['what']!r}; remove it"
        if not each.get("why") or not each.get("changelog") or each["changelog"] not in changelog:
            yield f"accepted.toml must say why and a line of CHANGELOG.md, of {each['what']!r}; tell users what to do"


def too_small(before: str, now: str, accepted: Accepted) -> Iterator[str]:
    """Refuse a version under which a break comes unexpectedly; what was never final may break."""
    old, new = Version(before), Version(now)
    parts = 1 if old.major else 2
    if accepted and not old.is_prerelease and new.release[:parts] <= old.release[:parts]:
        kind = "major" if old.major else "minor"
        yield f"VERSION must be a new {kind} version after {old}, got {new}; something breaking is accepted"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
