"""The Lambda handler of a `SharedCapacityProvider`'s version counter, which a schedule runs.

AWS has a quota of versions for each pool and no metric for them. A retry is harmless: it counts again.
"""

import collections
import logging
import time
from typing import Any

from ak_lambda.shared import metrics
from ak_lambda.shared.calls import pages
from ak_lambda.shared.clients import patient_client
from ak_lambda.shared.environment import setting

_log = logging.getLogger("ak_constructs.version_counter")


def handler(_event: object, _context: object) -> dict[str, Any]:
    """Count, write the metric, and say how many there are in which state."""
    name = setting("AK_CONSTRUCTS_CAPACITY_PROVIDER")
    listed = pages(
        patient_client("lambda"),
        "list_function_versions_by_capacity_provider",
        "FunctionVersions",
        CapacityProviderName=name,
    )
    counts = collections.Counter(version["State"] for version in listed)
    metrics.write(
        {"FunctionVersions": (counts.total(), "Count")},
        dimensions={"CapacityProviderName": name},
        now_ms=int(time.time() * 1000),
    )
    _log.info("counted", extra={"capacity_provider": name, "states": dict(counts)})
    return {"function_versions": counts.total(), "states": dict(counts)}
