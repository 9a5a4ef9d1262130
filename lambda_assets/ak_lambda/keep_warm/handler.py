"""The Lambda handler of a `KeepWarm`'s warmer, which a schedule invokes, or anybody who may.

    {}   ->   {"targets": {"<ARN>": {"wanted", "warm", "cold", "distinct", "throttled", "failed", "unanswered"}}}

A retry is harmless: its pings meet environments that are warm already, and nothing is kept.
"""

import logging
import os
import time
from typing import Any

from ak_lambda.keep_warm import core
from ak_lambda.keep_warm.warming import Warming
from ak_lambda.shared import metrics
from ak_lambda.shared.clients import waiting_client
from ak_lambda.shared.environment import setting

MARGIN_MS = 5000

_log = logging.getLogger("ak_constructs.keep_warm")


def handler(_event: object, context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's own context class
    """Warm all targets, publish how many environments of each are warm, and say so."""
    targets = setting("AK_CONSTRUCTS_WARM_TARGETS").split(",")
    concurrency = int(setting("AK_CONSTRUCTS_WARM_CONCURRENCY"))
    wait_seconds = int(setting("AK_CONSTRUCTS_WARM_WAIT_SECONDS"))
    functions = waiting_client("lambda", wait_seconds=wait_seconds, connections=len(targets) * concurrency)

    def invoke(target: str, payload: bytes) -> tuple[bytes, str | None]:
        answer = functions.invoke(FunctionName=target, InvocationType="RequestResponse", Payload=payload)
        return answer["Payload"].read(), answer.get("FunctionError")

    pinged = Warming(
        invoke=invoke,
        concurrency=concurrency,
        hold_ms=int(setting("AK_CONSTRUCTS_WARM_HOLD_MS")),
        max_hold_ms=int(setting("AK_CONSTRUCTS_WARM_MAX_HOLD_MS")),
        has_time=lambda: context.get_remaining_time_in_millis() > wait_seconds * 1000 + MARGIN_MS,
    ).run(targets)
    result = core.result(pinged, concurrency)
    for target, counts in result["targets"].items():
        # By warmer too: another one, at other hours, may want another number of the same target.
        dimensions = {"Target": target, "Warmer": os.environ["AWS_LAMBDA_FUNCTION_NAME"]}
        metrics.write(core.metrics(counts), dimensions=dimensions, now_ms=int(time.time() * 1000))
        for error in core.errors(pinged[target]):
            _log.error("a target is not warmed", extra={"target": target, "reason": error})
    _log.info("warmed", extra=result)
    return result
