"""Packages that our functions need and the runtime has not, as a layer of their own; installed without Docker."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._dependencies import Platform, install
from ak_constructs._lambda_assets import lambda_assets
from ak_constructs._local_bundling import LocalBundling, telling

_FORMAT = "2"  # raise when the same pins would give another asset


def define_layer(
    scope: Construct,
    id: str,
    *,
    folder: str,
    platform: Platform,
    runtimes: Sequence[lambda_.Runtime],
    architectures: Sequence[lambda_.Architecture] | None = None,
) -> lambda_.LayerVersion:
    """Define a layer of what a folder of `lambda_assets` pins, or raise what the installer said."""
    source = lambda_assets() / folder
    pins = source / "requirements.txt"
    bundling = LocalBundling(lambda output: install(pins, output / "python", platform))
    with telling(bundling):
        return lambda_.LayerVersion(
            scope,
            id,
            code=bundling.code(source, _hash(pins, platform)),
            compatible_runtimes=list(runtimes),
            compatible_architectures=list(architectures) if architectures else None,
        )


def _hash(pins: Path, platform: Platform) -> str:
    made_for = f"{_FORMAT} {platform.tag} {platform.python}\n".encode()
    return hashlib.sha256(made_for + pins.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
