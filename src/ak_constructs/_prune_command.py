"""The command `ak-prune`: the code that a `VersionPruner` runs in Lambda, in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec

from ak_constructs._lambda_assets import lambda_assets

PACKAGES = ("boto3", "rich")


def main() -> int:
    """Run the command with the arguments of this one; give its exit code."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        needs = " and ".join(missing)
        print(f"ak-prune needs {needs}: pip install 'ak-constructs[prune]'", file=sys.stderr)  # noqa: T201
        return 2
    path = os.pathsep.join(filter(None, [str(lambda_assets()), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", "ak_lambda.version_pruner", *sys.argv[1:]]
    try:
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode  # noqa: S603
    except KeyboardInterrupt:  # the process was told as well
        return 130
