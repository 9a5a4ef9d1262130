"""Which environment variables of ours each function cannot do without, read from its code."""

import ast
from functools import cache
from pathlib import Path

BEGINNING = "AK_CONSTRUCTS_"


def required(lambda_assets: Path) -> set[str]:
    """Give a line for each function's folder and variable: `needs FOLDER NAME`."""
    root = lambda_assets / "ak_lambda"
    return {
        f"needs {handler.parent.name} {name}"
        for handler in root.glob("*/handler.py")
        for module in _reached(lambda_assets, handler)
        for name in _asked(module)
    }


def _reached(lambda_assets: Path, handler: Path) -> set[Path]:
    """Give the modules that a handler imports, at once or later."""
    found: set[Path] = set()
    left = [handler]
    while left:
        module = left.pop()
        if module in found:
            continue
        found.add(module)
        for node in ast.walk(_parsed(module)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ak_lambda"):
                names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
                files = [lambda_assets.joinpath(*name.split(".")).with_suffix(".py") for name in names]
                left += [file for file in files if file.is_file()]
    return found


def _asked(module: Path) -> set[str]:
    """Give the variables without which a module raises: `os.environ[NAME]`, and what is called with NAME alone."""
    tree = _parsed(module)
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        asked: ast.expr | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            asked = node.slice
        elif isinstance(node, ast.Call) and len(node.args) == 1 and isinstance(node.func, ast.Name):
            asked = node.args[0]
        name = constants.get(asked.id) if isinstance(asked, ast.Name) else getattr(asked, "value", None)
        if isinstance(name, str) and name.startswith(BEGINNING):
            found.add(name)
    return found


@cache
def _parsed(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))
