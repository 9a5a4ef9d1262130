"""Where this library's own Lambda code lies; the only caller of `Code.from_asset` for it."""

from pathlib import Path

from aws_cdk import aws_lambda as lambda_

EXCLUDED = ["**/__pycache__", "**/*.pyc"]  # pip compiles what a wheel brings: the hash must not see it


def lambda_assets() -> Path:
    """Find the folder that becomes the zip's root: inside the installed package, or else beside `src/`."""
    package = Path(__file__).parent
    installed = package / "lambda_assets"
    return installed if installed.is_dir() else package.parents[1] / "lambda_assets"


def own_code() -> lambda_.Code:
    """Give the code of this library's own functions: one zip, no dependency, nothing to bundle."""
    return lambda_.Code.from_asset(str(lambda_assets()), exclude=[*EXCLUDED, "README.md", "redis_layer"])
