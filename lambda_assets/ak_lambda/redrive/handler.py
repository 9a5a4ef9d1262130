"""The Lambda handler of an `AgentQueue`'s redrive function, which people invoke.

    {"queue": "requests" | "replies", "max_messages": 100}   ->   {"redrive": 3, "answered": 1, ...}

A retry is harmless: a request that was redriven is pending, and is not redriven again.
"""

import logging
import time
import uuid
from typing import Any

from ak_lambda.redrive import core
from ak_lambda.redrive.parked import Redrive
from ak_lambda.shared.clients import client
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import RefusedError
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.requests_table import RequestsTable

TIME_TO_END_MS = 15_000

_log = logging.getLogger("ak_constructs.redrive")


def handler(event: object, context: Any) -> dict[str, Any]:  # noqa: ANN401 - Lambda's own context class
    """Redrive what is parked and say what became of it."""
    try:
        queue, most = core.asked(event)
    except RefusedError as error:
        return {"status_code": error.status, "error": error.message}
    counts = Redrive(
        table=RequestsTable(client("dynamodb"), setting("AK_CONSTRUCTS_REQUESTS_TABLE")),
        parked=Queue(client("sqs"), setting("AK_CONSTRUCTS_PARKED_QUEUE_URL")),
        requests=Queue(client("sqs"), setting("AK_CONSTRUCTS_REQUEST_QUEUE_URL")),
        parked_replies=Queue(client("sqs"), setting("AK_CONSTRUCTS_PARKED_REPLIES_URL")),
        replies=Queue(client("sqs"), setting("AK_CONSTRUCTS_REPLY_QUEUE_URL")),
        retention=int(setting("AK_CONSTRUCTS_RETENTION_SECONDS")),
        now_ms=lambda: int(time.time() * 1000),
        new_id=lambda: str(uuid.uuid4()),
        has_time=lambda: context.get_remaining_time_in_millis() > TIME_TO_END_MS,
    ).run(queue, most)
    _log.info("redriven", extra={"queue": queue, "counts": counts})
    return counts
