"""What CloudFormation cannot change in place, as AWS's own schemas of resources say, which cfn-lint brings."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

REGION = "us-east-1"


@cache
def replacing(kind: str) -> list[str]:
    """Give the pointers of the properties whose change replaces a resource, or may."""
    folder = _folder()
    file = _files(folder).get(kind)
    schema: dict[str, Any] = (
        json.loads((folder / "resources" / f"{file}.json").read_text(encoding="utf-8")) if file else {}
    )
    return sorted({*schema.get("createOnlyProperties", ()), *schema.get("conditionalCreateOnlyProperties", ())})


def _folder() -> Path:
    """Find the schemas; to import cfn-lint would take a second."""
    spec = importlib.util.find_spec("cfnlint")
    return Path(str(spec and spec.origin)).parent / "data" / "schemas"


@cache
def _files(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "providers" / f"{REGION}.json").read_text(encoding="utf-8"))
    return found
