"""Imports our Lambda code in this Python, with every warning an error, and runs the tests of the agent runner.

The runner works in the runtime that a user chooses: `python -m scripts.runner_tests` in each Python that there is.
"""

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Sequence

import pytest

from scripts.project import ROOT

TESTS = [f"test/lambda_assets/test_agent_runner_{name}.py" for name in ("core", "handler")]
IN_LAYERS = {"cryptography", "jwt", "redis"}  # not in Lambda's runtime, and perhaps not here


def main(arguments: Sequence[str]) -> int:
    """Import, test, and give what pytest ends with."""
    sys.path.insert(0, str(ROOT / "lambda_assets"))
    left_out = import_all()
    print(f"Python {sys.version.partition(' ')[0]}: imported, but for want of packages {sorted(left_out) or 'none'}")
    settings = ["-q", "--rootdir", str(ROOT), "--noconftest", "-o", "addopts=", "-p", "no:cacheprovider"]
    return pytest.main([*settings, *arguments, *(str(ROOT / test) for test in TESTS)])


def import_all() -> set[str]:
    """Import every module but commands for people, and give those that need what is in a layer and not here."""
    left_out = set()
    package = importlib.import_module("ak_lambda")
    with warnings.catch_warnings(action="error"):
        for module in pkgutil.walk_packages(package.__path__, "ak_lambda."):
            try:
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if (error.name or "").partition(".")[0] not in IN_LAYERS:
                    raise
                left_out.add(module.name)
    return left_out


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
