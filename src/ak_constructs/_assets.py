"""The only caller of `Code.from_asset` for this library's own Lambda code."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from aws_cdk import aws_lambda as lambda_

from ak_constructs._lambda_assets import lambda_assets
from ak_constructs._local_bundling import let_everybody_read

EXCLUDED = ["**/__pycache__", "**/*.pyc"]  # pip compiles what a wheel brings: the hash must not see it
FOR_PEOPLE = ["README.md", "**/__main__.py"]
OTHERS_READ = 0o004


def own_code() -> lambda_.Code:
    """Give the code of this library's own functions: one zip, no dependency, nothing to bundle."""
    folder = _readable(lambda_assets())
    return lambda_.Code.from_asset(str(folder), exclude=[*EXCLUDED, *FOR_PEOPLE, "*_layer"])


@functools.cache  # each function asks
def _readable(folder: Path) -> Path:
    """Give a folder that Lambda may read: this one, or a copy of it for as long as this process runs."""
    if all(path.stat().st_mode & OTHERS_READ for path in folder.rglob("*.py")):
        return folder
    # It was installed under a umask of 027 or 077. The asset's hash knows no modes.
    private = Path(tempfile.mkdtemp(prefix="ak-constructs-"))  # nobody else gets into it, whatever modes are copied
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    copy = shutil.copytree(folder, private / "code")
    let_everybody_read(private)
    return copy
