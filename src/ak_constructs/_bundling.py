"""Puts a user's folder and this library's Lambda code side by side, without Docker."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

from ak_constructs._assets import lambda_assets

_FORMAT = "1"  # raise when the same sources would give another asset


def agent_code(entry: Path) -> lambda_.Code:
    """Give the code of an agent: the user's folder with `ak_lambda` beside it."""
    files = {**dict(_files(lambda_assets(), below="ak_lambda")), **dict(_files(entry))}
    return lambda_.Code.from_asset(
        str(entry),
        asset_hash_type=cdk.AssetHashType.CUSTOM,
        asset_hash=_hash(files),
        bundling=cdk.BundlingOptions(
            image=cdk.DockerImage.from_registry("not-used: the folder is put together locally"),
            local=_Copy(files),
        ),
    )


@jsii.implements(cdk.ILocalBundling)
class _Copy:
    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def try_bundle(self, output_dir: str, *_args: object, **_options: object) -> bool:
        for name, source in self._files.items():
            target = Path(output_dir, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        return True


def _files(root: Path, below: str = "") -> Iterator[tuple[str, Path]]:
    """Every file to package with its name in the zip; hidden files (.env, .git, .venv) and bytecode stay out."""
    for path in sorted((root / below).iterdir()):
        name = f"{below}/{path.name}".lstrip("/")
        if path.name.startswith(".") or path.name == "__pycache__" or path.suffix == ".pyc":
            continue
        if path.is_dir():
            yield from _files(root, name)
        else:
            yield name, path


def _hash(files: dict[str, Path]) -> str:
    """Hash names and contents, whatever the checkout's line ends, so that two machines agree."""
    digest = hashlib.sha256(_FORMAT.encode())
    for name in sorted(files):
        content = files[name].read_bytes()
        if b"\0" not in content:
            content = content.replace(b"\r\n", b"\n")
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
