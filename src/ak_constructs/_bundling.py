"""Puts a user's folder and this library's Lambda code side by side, without Docker."""

import hashlib
import os
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from aws_cdk import aws_lambda as lambda_

from ak_constructs._dependencies import Platform, check_size, find_dependencies, install
from ak_constructs._lambda_assets import lambda_assets
from ak_constructs._local_bundling import LocalBundling

_FORMAT = "1"  # raise when the same sources would give another asset
_LEFT_OUT = frozenset({"__pycache__", "node_modules"})


class AgentPackage:
    """The user's folder, its dependencies and `ak_lambda`, side by side.

    Attributes:
        bundling: What puts them together.
    """

    def __init__(self, entry: Path, platform: Platform) -> None:
        self.bundling = LocalBundling(self._bundle)
        self._entry = entry
        self._platform = platform
        self._files = {**dict(_files(lambda_assets(), below="ak_lambda")), **dict(_files(entry))}
        self._pins = find_dependencies(entry)

    def code(self) -> lambda_.Code:
        """Give the code of a function."""
        return self.bundling.code(self._entry, _hash(self._files, self._platform if self._pins else None))

    def _bundle(self, package: Path) -> None:
        if self._pins:
            install(self._pins, package, self._platform)
            _check_names(package, self._files)
        for name, source in self._files.items():
            target = package / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)  # with its mode: a program stays one
        check_size(package)


def platform_of(architecture: lambda_.Architecture, runtime: lambda_.Runtime) -> Platform:
    """Give what dependencies of a function are installed for."""
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[architecture.name]
    return Platform(machine=machine, python=runtime.name.removeprefix("python"))


def _check_names(package: Path, files: dict[str, Path]) -> None:
    """Raise when a file of the user's would overwrite or hide a dependency."""
    installed = {path.name.removesuffix(".py").lower() for path in package.iterdir()}
    for name in sorted({Path(name).parts[0] for name in files}):
        if name.removesuffix(".py").lower() in installed:  # on some machines one folder holds no two such names
            raise ValueError(f"entry must not have the name of a package that it depends on, got {name!r}; rename it")


def _files(root: Path, below: str = "") -> Iterator[tuple[str, Path]]:
    """Every file to package, by its name in the zip; hidden files, bytecode and CDK's own output stay out."""
    for path in sorted((root / below).iterdir()):
        name = unicodedata.normalize("NFC", f"{below}/{path.name}".lstrip("/"))  # macOS may spell é as two characters
        if path.name.startswith(".") or path.name in _LEFT_OUT or path.suffix == ".pyc":
            continue
        if path.is_symlink():
            _check_link(path, root)
        if path.is_dir():
            # CDK's output has a file of the first name in it, a virtual environment one of the second.
            if not ((path / "cdk.out").is_file() or (path / "pyvenv.cfg").is_file()):
                yield from _files(root, name)
        elif path.is_file():
            yield name, path
        else:
            raise ValueError(f"entry must have files and folders only, got {path}; move it elsewhere")


def _check_link(link: Path, root: Path) -> None:
    """Raise when a link would package what lies outside, what is hidden, or itself."""
    target = Path(os.path.realpath(link))  # which, unlike resolve(), takes a link to itself
    inside = target.is_relative_to(root) and not link.is_relative_to(target) and target.exists()
    if not inside or any(part.startswith(".") for part in target.relative_to(root).parts):
        raise ValueError(f"entry must have links to its own visible files only, got {link} -> {target}; copy the file")


def _hash(files: dict[str, Path], platform: Platform | None) -> str:
    """Hash names and contents, whatever the checkout's line ends, so that two machines agree.

    The pins are among the files; the platform counts only where something is installed for it.
    """
    digest = hashlib.sha256(f"{_FORMAT} {platform.tag} {platform.python}".encode() if platform else _FORMAT.encode())
    for name in sorted(files):
        content = files[name].read_bytes()
        if b"\0" not in content:
            content = content.replace(b"\r\n", b"\n")
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
