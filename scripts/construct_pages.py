"""Fills the marked parts of docs/constructs from templates, docstrings and prices; with --check, fails on others.

A part begins with `<!-- begin: resources Api -->`, or `Tokens beyond Api` for what the one has more than the other, and
ends with `<!-- end -->`. Why a resource is there stands in the page: the script leaves that column as it is.
"""

import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import ak_constructs
from scripts.generated import write
from scripts.pages.bills import in_use
from scripts.pages.costs import Cost, idle, said
from scripts.pages.limits import LIMITS, whose
from scripts.pages.permissions import permissions
from scripts.pages.stacks import PAGES, Defined, Row, page_of, running

OVERVIEW = PAGES / "index.md"
_PART = re.compile(r"(<!-- begin: (\w+) ?([^\n]*?) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def filled(construct: str, text: str, defined: Defined) -> str:
    """Give a page with its parts written anew."""
    writers: Mapping[str, Callable[[str, str], str]] = {
        "resources": lambda where, old: resources(defined, where, whys(old)),
        "permissions": lambda where, _: _permissions(defined, where),
        "defaults": lambda _, __: defaults(construct),
        "limits": lambda _, __: limits(construct),
        "costs": lambda where, _: costs(construct, where, defined),
        "idle": lambda where, _: _bill(idle(defined, where)),
    }
    return _PART.sub(lambda part: f"{part[1]}{writers[part[2]](part[3], part[0])}{part[4]}", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    """Write a table; the last column holds numbers, if that is said."""
    line = "|".join(["---"] * len(head))
    written = [f"| {' | '.join(row)} |\n" for row in rows]
    return f"| {' | '.join(head)} |\n|{line}{':' if numbers else ''}|\n{''.join(written)}"


def whys(old: str) -> dict[str, str]:
    """Give what a page says of each resource, by the ids."""
    rows = [
        line.removeprefix("| ").removesuffix(" |").split(" | ") for line in old.splitlines() if line.startswith("| `")
    ]
    return {row[0]: row[2] for row in rows}


def resources(defined: Defined, where: str, why: Mapping[str, str]) -> str:
    """Write what a construct defines: each child with what belongs to it."""
    root, _, known = where.partition(" beyond ")
    before = {ids(row) for row in defined.rows(known)} if known else set()
    rows = [row for row in defined.rows(root) if ids(row) not in before]
    return table(
        ("id", "what", "why", "kept on destroy"),
        [(ids(row), kinds(row), why.get(ids(row), ""), kept(row)) for row in rows],
    )


def ids(row: Row) -> str:
    """Write the ids of a row."""
    return ", ".join(f"`{id_}`" for id_ in row.ids)


def kinds(row: Row) -> str:
    """Write the types of a row, or which construct it is."""
    if row.construct:
        return f"[`{row.construct}`]({page_of(row.construct).name})"
    counted = Counter(each.kind for each in row.resources)
    return ", ".join(f"{f'{count} ' if count > 1 else ''}`{kind}`" for kind, count in counted.items())


def kept(row: Row) -> str:
    """Say what of a row outlives its stack."""
    if row.construct:
        return "see there"
    stay = dict.fromkeys(each.kind for each in row.resources if each.kept)
    if not stay or all(each.kept for each in row.resources):
        return "yes" if stay else "no"
    return ", ".join(f"`{kind}`" for kind in stay)


def _permissions(defined: Defined, where: str) -> str:
    rows = permissions(defined, where)
    nothing = "Nothing beyond what every function's role has ([AgentFunction](agent-function.md#permissions)).\n"
    return table(("role", "may", "on"), rows) if rows else nothing


def defaults(construct: str) -> str:
    """Write what happens where an argument is left out, as the docstring says it."""
    subject = getattr(ak_constructs, construct)
    documented = {"": inspect.getdoc(subject) or ""}
    if construct == "Authorization":
        factories = [name for name, each in vars(subject).items() if isinstance(each, staticmethod)]
        documented = {name: inspect.getdoc(getattr(subject, name)) or "" for name in factories}
    rows = [
        (f"`{factory}({argument}=)`" if factory else f"`{argument}`", behaviour)
        for factory, text in documented.items()
        for argument, behaviour in _left_out(text)
    ]
    return table(("argument", "left out"), rows)


def _left_out(text: str) -> list[tuple[str, str]]:
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    entries = re.findall(
        r"^    (\w+): (.*?)(?=^    \w|\Z)", section[1] if section else "", flags=re.MULTILINE | re.DOTALL
    )
    found = []
    for argument, said_of_it in entries:
        default = re.search(r"Defaults to (.*?)(?:\.(?=\s[A-Z])|[.]?$)", " ".join(said_of_it.split()))
        if default:
            found.append((argument, default[1]))
    return found


def limits(construct: str) -> str:
    """Write the limits, with their sources."""
    return table(("what", "how much", "whose"), [(each.what, each.value, whose(each)) for each in LIMITS[construct]])


def costs(construct: str, root: str, defined: Defined) -> str:
    """Write two bills: idle, and in use."""
    text = f"{said()}\n\n"
    standing = idle(defined, root)
    if not standing:
        text += "**Idle**: nothing, while nothing is stored.\n"
    else:
        text += f"**Idle**, a month:\n\n{_bill(standing)}"
    example = in_use(defined, construct)
    if example:
        text += f"\n**In use**. {example[0]}\n\n{_bill(example[1])}"
    return text


def _bill(lines: Sequence[Cost]) -> str:
    rows = [(each.what, each.formula, f"{each.dollars:,.2f}") for each in lines]
    total = [("**sum**", "", f"**{sum(each.dollars for each in lines):,.2f}**")] if len(lines) > 1 else []
    return table(("what", "how", "dollars"), rows + total, numbers=True)


def chosen(text: str, dollars: Mapping[str, float]) -> str:
    """Give the overview with what each construct costs idle."""

    def row(found: re.Match[str]) -> str:
        return f"{found[1]} {dollars[found[2]]:,.2f} |"

    part = next(each[0] for each in _PART.finditer(text) if each[2] == "choice")
    return text.replace(part, re.sub(r"^(\|[^|]+\| \[(\w+)\][^|]+\|)[^|]*\|$", row, part, flags=re.MULTILINE))


def standing(text: str, defined: Defined) -> float:
    """Give what the subject of a page costs idle, a month."""
    root = next(each[3] for each in _PART.finditer(text) if each[2] == "costs")
    return sum(each.dollars for each in idle(defined, root))


def main(arguments: list[str]) -> int:
    """Write or check."""
    pages: dict[Path, str] = {}
    dollars = {}
    for construct in ak_constructs.__all__:
        text = page_of(construct).read_text(encoding="utf-8")
        with running(text) as module:
            defined = Defined(module)
        pages[page_of(construct)] = filled(construct, text, defined)
        dollars[construct] = standing(text, defined)
    pages[OVERVIEW] = chosen(OVERVIEW.read_text(encoding="utf-8"), dollars)
    return write(pages, arguments, "uv run python -m scripts.construct_pages")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
