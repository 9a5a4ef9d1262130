"""Three kinds of code, never mixed."""

import ast
import sys
from pathlib import Path

import pytest

from ak_constructs import agent_api
from ak_lambda.agent_runner import handler, identity, requests

ROOT = Path(__file__).parents[2]
CONSTRUCTS = sorted((ROOT / "src").rglob("*.py"))
ASSETS = sorted((ROOT / "lambda_assets").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Give the dotted names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def tops(path: Path) -> set[str]:
    """Give the top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", CONSTRUCTS, ids=lambda path: path.name)
def test_constructs_import_cdk_and_the_standard_library_only(path: Path) -> None:
    """Neither boto3 nor the code that runs in Lambda; uv comes with an extra, for those who need it."""
    assert tops(path) <= {"aws_cdk", "constructs", "jsii", "ak_constructs", "uv"} | sys.stdlib_module_names


@pytest.mark.parametrize("path", ASSETS, ids=lambda path: "/".join(path.parts[-2:]))
def test_lambda_code_imports_boto3_and_the_standard_library_only(path: Path) -> None:
    """What the runtime has; only a handler and what is shared may touch AWS, the clock or the environment."""
    allowed = {"ak_lambda", "boto3", "botocore"} | sys.stdlib_module_names
    if path.name != "handler.py" and path.parent.name != "shared":
        allowed -= {"boto3", "botocore", "os", "time", "datetime", "logging", "random", "uuid"}
    assert tops(path) <= allowed


@pytest.mark.parametrize("path", ASSETS, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_function_imports_another(path: Path) -> None:
    """Functions share by `shared/` only."""
    folder = path.parent.name
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "ak_lambda" and len(parts) > 1:
            assert parts[1] in {folder, "shared"}, f"{path} imports {name}"


def test_both_sides_use_the_same_names() -> None:
    """They never import each other, so the names they share are compared here."""
    constructs = "".join(path.read_text(encoding="utf-8") for path in CONSTRUCTS)
    assert f'"{handler.AGENT_VARIABLE}"' in constructs
    assert f'"{identity.IDENTITY_VARIABLE}"' in constructs
    assert handler.handler.__module__ == "ak_lambda.agent_runner.handler"
    assert '"ak_lambda.agent_runner.handler.handler"' in constructs
    assert '"ak_lambda.health.handler.handler"' in constructs
    assert agent_api.MAX_BODY_MIB * 1024 * 1024 == requests.MAX_BODY_BYTES


def test_the_zip_of_our_own_functions_stays_small() -> None:
    """An edit of one function deploys them all: that is cheap as long as the zip is."""
    assert sum(path.stat().st_size for path in ASSETS) < 100_000
