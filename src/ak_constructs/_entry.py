"""What an agent's folder must have; found at synthesis, before a deployment finds it."""

import ast
import os
import sys
from pathlib import Path


def check_entry(entry: str | os.PathLike[str], *, argument: str = "entry") -> Path:
    """Give the folder, or raise when it is none or hides our code."""
    if not isinstance(entry, str | os.PathLike):
        raise TypeError(f"{argument} must be a folder, got a value of type {type(entry).__name__}")
    folder = Path(entry).resolve()
    if not folder.is_dir():
        raise ValueError(f"{argument} must be a folder, got {str(entry)!r} ({folder}); give the folder of its code")
    if (folder / "ak_lambda").exists():
        raise ValueError(f"{argument} must not have a folder named ak_lambda, {str(entry)!r} has; rename it")
    return folder


def check_defined(folder: Path, value: str, *, argument: str, separator: str, runtime: str) -> None:
    """Raise when a folder has no such module, or the module no such name."""
    module, _, attribute = value.rpartition(separator)
    *packages, name = module.replace("/", ".").split(".")
    path = folder.joinpath(*packages)
    file = path / name / "__init__.py" if (path / name).is_dir() else path / f"{name}.py"
    if not file.is_file() or not _is_spelled(file, folder):
        raise ValueError(
            f"{argument} must name a module in {folder}, got {value!r} but there is no {file.relative_to(folder)}; "
            "name the one that has it"
        )
    try:
        names = _names(ast.parse(file.read_bytes(), str(file)))
    except SyntaxError as error:
        if f"python{sys.version_info.major}.{sys.version_info.minor}" != runtime:
            return  # it may well be right in the version that will run it
        raise ValueError(
            f"{argument} must name a module without errors, got {file}:{error.lineno}: {error.msg}"
        ) from None
    if not names & {attribute.partition(".")[0], "*"}:
        raise ValueError(
            f"{argument} must name a callable in {file}, got {value!r} but nothing there has that name; rename one"
        )


def _is_spelled(file: Path, folder: Path) -> bool:
    """Say whether every name on the way is as in its folder: here capitals may not matter, but in Lambda they do."""
    ways = [file, *file.parents][: len(file.relative_to(folder).parts)]
    return all(way.name in {beside.name for beside in way.parent.iterdir()} for way in ways)


def _names(module: ast.Module) -> set[str]:
    """Every name a module may define, nested ones and `*` too: what it really has shows only on import."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names
