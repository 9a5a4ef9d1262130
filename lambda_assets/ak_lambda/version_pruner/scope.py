"""Finds the functions that a scope names."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ak_lambda.shared.functions_api import FunctionsApi, unqualified
from ak_lambda.version_pruner.pruning import Targets

KINDS = ("functions", "capacity_provider", "tags")


def parsed(text: str) -> dict[str, Any]:
    """Read a scope: a JSON object with exactly one of the kinds, and not an empty one: every function has no tags."""
    scope = json.loads(text)
    if not isinstance(scope, dict) or len(scope) != 1 or next(iter(scope)) not in KINDS or not all(scope.values()):
        raise ValueError(f"a scope must be an object with exactly one of {', '.join(KINDS)}, got {text}")
    return scope


def targets(
    scope: Mapping[str, Any], functions: FunctionsApi, tagged: Callable[[Mapping[str, str]], frozenset[str]]
) -> Targets:
    """Give the functions, each with the only versions in question or None for all of them."""
    if "capacity_provider" in scope:
        return functions.on_capacity_provider(scope["capacity_provider"])
    named = tagged(scope["tags"]) if "tags" in scope else map(unqualified, scope["functions"])
    return dict.fromkeys(named)
