"""Where this library's own Lambda code lies; needs nothing but the standard library."""

from pathlib import Path


def lambda_assets() -> Path:
    """Find the folder that becomes the zip's root: inside the installed package, or else beside `src/`."""
    package = Path(__file__).parent
    installed = package / "lambda_assets"
    return installed if installed.is_dir() else package.parents[1] / "lambda_assets"
