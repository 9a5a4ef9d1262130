"""The Redis client as a layer of its own, for functions that keep sessions there; installed without Docker."""

import hashlib
from pathlib import Path

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._dependencies import Platform, install
from ak_constructs._lambda_assets import lambda_assets

# The client is pure Python: the tag matters to the installer only, and one layer serves both architectures.
_PLATFORM = Platform(machine="aarch64", python="3.12")
_FORMAT = "1"  # raise when the same pins would give another asset
_RUNTIMES = [
    lambda_.Runtime.PYTHON_3_11,
    lambda_.Runtime.PYTHON_3_12,
    lambda_.Runtime.PYTHON_3_13,
    lambda_.Runtime.PYTHON_3_14,
]


def define_redis_client(scope: Construct, id: str) -> lambda_.LayerVersion:
    """Define the layer, or raise what the installer said."""
    package = RedisClient()
    try:
        return lambda_.LayerVersion(scope, id, code=package.code(), compatible_runtimes=_RUNTIMES)
    except RuntimeError:
        if package.error:
            raise package.error.with_traceback(None) from None
        raise


@jsii.implements(cdk.ILocalBundling)
class RedisClient:
    """redis-py at the pinned version, in the folder that Lambda looks for packages in.

    Attributes:
        error: Why it could not be installed. CDK wraps an error of the bundling in a page of its own frames.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._folder = lambda_assets() / "redis_layer"
        self._pins = self._folder / "requirements.txt"

    def code(self) -> lambda_.Code:
        """Give the code of the layer; CDK calls `try_bundle` when it has no asset of this hash yet."""
        pins = self._pins.read_bytes().replace(b"\r\n", b"\n")
        return lambda_.Code.from_asset(
            str(self._folder),
            asset_hash_type=cdk.AssetHashType.CUSTOM,
            asset_hash=hashlib.sha256(_FORMAT.encode() + pins).hexdigest(),
            bundling=cdk.BundlingOptions(
                image=cdk.DockerImage.from_registry("not-used: the layer is put together locally"), local=self
            ),
        )

    def try_bundle(self, output_dir: str, *_args: object, **_options: object) -> bool:
        """Install the client; never leaves that to Docker, which would only hide why it failed."""
        try:
            install(self._pins, Path(output_dir) / "python", _PLATFORM)
        except Exception as error:
            self.error = error
            raise
        return True
