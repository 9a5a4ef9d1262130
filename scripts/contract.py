"""Prints what a release promises to those who have deployed it: test/released/contract.json.

    python -m scripts.contract [PACKAGE] > contract.json

PACKAGE is the package's folder, of an unpacked wheel or src/ak_constructs, which is the default.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from scripts.project import ROOT

PACKAGE = ROOT / "src" / "ak_constructs"
EVERY = "every use"
EVERY_BUT = "every use but "
JOINED = ("action ", "grant ", "setting ", "variable ")
Contract = dict[str, Any]
Lines = dict[str, dict[str, list[str]]]  # by construct and use


def contract(package: Path) -> Contract:
    """Give everything that a package promises, for this process to hold against another's."""
    sys.path[:0] = [str(package.parent), str(lambda_assets(package))]
    variants, templates, settings, written, read = (
        import_module(f"scripts.promises.{name}") for name in ("variants", "templates", "settings", "written", "read")
    )
    found = import_module("ak_constructs").__file__
    if Path(str(found)).parent.resolve() != package.resolve():
        raise RuntimeError(f"the package must be {package}, got {found}")
    uses: dict[str, dict[str, set[str]]] = {construct: {} for construct in variants.USES}
    with tempfile.TemporaryDirectory() as folder:
        for construct, defines in variants.USES.items():
            for use, define in defines.items():
                find = partial(templates.promised, define, Path(folder))
                if (lines := _promised(find, f"{construct}, {use}")) is not None:
                    uses[construct][use or "alone"] = lines
    return {
        "constructs": factored(uses),
        "needs": sorted(settings.required(lambda_assets(package))),
        "written": {name: sorted(set(written.lines(value))) for name, value in written.written().items()},
        "read": {name: _read(given, read.read(name, given)) for name, given in read.asked().items()},
    }


def lambda_assets(package: Path) -> Path:
    """Give where the package's functions' code is: in a wheel inside of it, in the project beside src."""
    places = [package / "_lambda", package / "lambda_assets", package.parents[1] / "lambda_assets"]
    return next(place for place in places if (place / "ak_lambda").is_dir())


def factored(uses: Mapping[str, Mapping[str, set[str]]]) -> Lines:
    """Write each promise of a construct once, under the uses that make it, and none that an agent alone makes."""
    plain = uses["AgentFunction"]["alone"]
    lines: Lines = {}
    for construct, by_use in uses.items():
        kept = set() if construct == "AgentFunction" else plain
        lines[construct] = {}
        for line in sorted(set().union(*by_use.values()) - kept):
            title = _title([use for use in by_use if line in by_use[use]], list(by_use))
            lines[construct].setdefault(title, []).append(line)
        lines[construct] = {title: _joined(each) for title, each in lines[construct].items()}
        lines[construct]["uses"] = list(by_use)
    return lines


def _joined(lines: Iterable[str]) -> list[str]:
    """Write in one line what has a kind and a subject in common."""
    names: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        kind, subject, name = line.split(" ", 2) if line.startswith(JOINED) else (line, "", "")
        names.setdefault((kind, subject), []).append(name)
    return [" ".join([kind, subject, ", ".join(each)]).strip() for (kind, subject), each in names.items()]


def _split(line: str) -> list[str]:
    if not line.startswith(JOINED):
        return [line]
    kind, subject, names = line.split(" ", 2)
    return [f"{kind} {subject} {name}" for name in names.split(", ")]


def _title(having: list[str], every: list[str]) -> str:
    lacking = [use for use in every if use not in having]
    if not lacking:
        return EVERY
    return EVERY_BUT + "; ".join(lacking) if len(lacking) < len(having) else "; ".join(having)


def expanded(lines: Lines) -> dict[str, dict[str, set[str]]]:
    """Give all that each use promises."""
    uses: dict[str, dict[str, set[str]]] = {}
    for construct, by_title in lines.items():
        uses[construct] = {use: set() for use in by_title["uses"]}
        for title, each in by_title.items():
            named = title.removeprefix(EVERY_BUT).split("; ")
            for use, promised in uses[construct].items():
                if title == EVERY or (use in named) != title.startswith(EVERY_BUT):
                    promised.update(one for line in each for one in _split(line) if title != "uses")
    return uses


def _read(given: object, gives: object) -> dict[str, str]:
    """Write what is read, and what is made of it, in a line each."""
    return {"given": json.dumps(given, sort_keys=True), "gives": json.dumps(gives, sort_keys=True)}


def _promised(find: Callable[[], set[str]], use: str) -> set[str] | None:
    try:
        return find()
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:  # refused: an older one has no such argument
        print(f"not promised: {use}: {error}", file=sys.stderr)
        return None


def parsed(text: str) -> Contract:
    """Read what `written` wrote."""
    found: Contract = json.loads(text)
    return found


def written(found: Contract) -> str:
    """Write a contract so that people can review how it changes: a line for each promise."""
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: Iterable[str]) -> int:
    """Print the contract."""
    package = next((Path(each).absolute() for each in arguments), PACKAGE)
    print(written(contract(package)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
