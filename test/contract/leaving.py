"""What docs/leaving.md says stays after `cdk destroy`, and the commands that it gives, as a computer reads them."""

import re
import shlex
from pathlib import Path

from botocore import xform_name
from botocore.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "leaving.md"
ROW = re.compile(r"^\| `(\w+)` \| `([^`]+)` \| `(AWS::\w+::\w+)` \|", re.MULTILINE)
DELETES = re.compile(r"^\| `(AWS::\w+::\w+)` \| (`aws [^`]+`|[^|]+?) \|$", re.MULTILINE)


def kept() -> set[tuple[str, str, str]]:
    """Give construct, id below it and type of each resource that stays."""
    return set(ROW.findall(PAGE.read_text(encoding="utf-8")))


def commands() -> dict[str, list[str]]:
    """Give the words of the command that deletes a resource of a type, in the order to delete in; none need not be."""
    found = DELETES.findall(PAGE.read_text(encoding="utf-8"))
    return {type_: shlex.split(text.strip("`"))[1:] if text.startswith("`aws ") else [] for type_, text in found}


def query(page: str = PAGE.stem) -> str:
    """Give the only `--query` of a page."""
    (found,) = re.findall(r'--query "([^"]+)"', PAGE.with_stem(page).read_text(encoding="utf-8"))
    return str(found)


def attributes(table: str) -> set[str]:
    """Give the names of the attributes that items of a table have."""
    text = PAGE.read_text(encoding="utf-8").partition(f"**{table}**")[2].partition("\n\n**")[0]
    return {name for row in re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}


def call(words: list[str], physical_id: str) -> tuple[str, str, dict[str, str]]:
    """Turn a command into service, operation and arguments of boto3; raise where there is no such command."""
    service, command, *options = words
    model = Session().get_service_model(service)
    (operation,) = (name for name in model.operation_names if xform_name(name, "-") == command)
    shape = model.operation_model(operation).input_shape
    assert shape
    names = {xform_name(name, "-"): name for name in shape.members}
    arguments = {names[each.removeprefix("--")]: value for each, value in zip(options[::2], options[1::2], strict=True)}
    return (
        service,
        xform_name(operation),
        {name: value.replace("NAME", physical_id) for name, value in arguments.items()},
    )
