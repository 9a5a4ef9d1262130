"""Where this library's own Lambda code lies; needs nothing but the standard library."""

from pathlib import Path


def lambda_assets() -> Path:
    """Find the folder that becomes the zip's root: inside the installed package, or else beside `src/`.

    It is private there: what runs on Lambda has another import root, so no type checker could read it as ours.
    """
    package = Path(__file__).parent
    installed = package / "_lambda"
    return installed if installed.is_dir() else package.parents[1] / "lambda_assets"
