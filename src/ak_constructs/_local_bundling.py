"""Puts assets together without Docker, and says in their own words why one could not be."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_


@jsii.implements(cdk.ILocalBundling)
class LocalBundling:
    """Puts one asset together.

    Attributes:
        error: Why it could not be. CDK wraps an error of the bundling in a page of its own frames.
    """

    def __init__(self, make: Callable[[Path], None]) -> None:
        self.error: Exception | None = None
        self._make = make

    def code(self, folder: Path, asset_hash: str) -> lambda_.Code:
        """Give the code; CDK calls `try_bundle` when it has no asset of this hash yet."""
        return lambda_.Code.from_asset(
            str(folder),
            asset_hash_type=cdk.AssetHashType.CUSTOM,
            asset_hash=asset_hash,
            bundling=cdk.BundlingOptions(
                image=cdk.DockerImage.from_registry("not-used: the asset is put together locally"), local=self
            ),
        )

    def try_bundle(self, output_dir: str, *_args: object, **_options: object) -> bool:
        """Put it together; never leaves that to Docker, which would only hide why it failed."""
        try:
            self._make(Path(output_dir))
            let_everybody_read(Path(output_dir))
        except Exception as error:
            self.error = error
            raise
        return True


def let_everybody_read(asset: Path) -> None:
    """Make modes those that Lambda needs, whatever the umask here; a program stays one.

    https://repost.aws/knowledge-center/lambda-deployment-package-errors, read 2026-11-21
    """
    for path in asset.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


@contextlib.contextmanager
def telling(bundling: LocalBundling | None) -> Iterator[None]:
    """Raise the error of a bundling, if there is one, as it was."""
    try:
        yield
    except RuntimeError:
        if bundling and bundling.error:
            raise bundling.error.with_traceback(None) from None
        raise
