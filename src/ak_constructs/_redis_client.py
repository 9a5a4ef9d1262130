"""The Redis client as a layer of its own, for functions that keep sessions there."""

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ak_constructs._dependencies import Platform
from ak_constructs._layer import define_layer

# The client is pure Python: the tag matters to the installer only, and one layer serves both architectures.
_PLATFORM = Platform(machine="aarch64", python="3.12")
_RUNTIMES = [
    lambda_.Runtime.PYTHON_3_11,
    lambda_.Runtime.PYTHON_3_12,
    lambda_.Runtime.PYTHON_3_13,
    lambda_.Runtime.PYTHON_3_14,
]


def define_redis_client(scope: Construct, id: str) -> lambda_.LayerVersion:
    """Define the layer, or raise what the installer said."""
    return define_layer(scope, id, folder="redis_layer", platform=_PLATFORM, runtimes=_RUNTIMES)
