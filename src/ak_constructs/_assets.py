"""The only caller of `Code.from_asset` for this library's own Lambda code."""

from aws_cdk import aws_lambda as lambda_

from ak_constructs._lambda_assets import lambda_assets

EXCLUDED = ["**/__pycache__", "**/*.pyc"]  # pip compiles what a wheel brings: the hash must not see it
FOR_PEOPLE = ["README.md", "**/__main__.py"]


def own_code() -> lambda_.Code:
    """Give the code of this library's own functions: one zip, no dependency, nothing to bundle."""
    return lambda_.Code.from_asset(str(lambda_assets()), exclude=[*EXCLUDED, *FOR_PEOPLE, "*_layer"])
