"""The Lambda handler of an `AgentQueue`'s replies: gives each request its one final answer.

A retry is harmless: the first reply of a request is the only one that counts.
"""

import functools
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from ak_lambda.response_handler.replies import Replies
from ak_lambda.shared.clients import client
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import mapping
from ak_lambda.shared.payloads import Payloads
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.record_batch import handled
from ak_lambda.shared.requests_table import RequestsTable

_log = logging.getLogger("ak_constructs.response_handler")


def handler(event: object, _context: object) -> dict[str, Any]:
    """Handle replies in order; one that fails rests longer each time."""
    return handled(mapping(event).get("Records"), replies().handle, replies().replies, _log)


@functools.cache
def replies() -> Replies:
    """Make what replies are handled with, once for an environment."""
    return Replies(
        table=RequestsTable(client("dynamodb"), setting("AK_CONSTRUCTS_REQUESTS_TABLE")),
        replies=Queue(client("sqs"), setting("AK_CONSTRUCTS_REPLY_QUEUE_URL")),
        payloads=Payloads(lambda: client("s3"), setting("AK_CONSTRUCTS_PAYLOADS_BUCKET")),
        retention=int(setting("AK_CONSTRUCTS_RETENTION_SECONDS")),
        now_ms=lambda: int(time.time() * 1000),
        tell=[_teller(name) for name in os.environ.get("AK_CONSTRUCTS_REPLY_HANDLERS", "").split(",") if name],
    )


def _teller(function: str) -> Callable[[Mapping[str, Any]], None]:
    """Call a function of the user's with each final answer; what it does not take comes again."""

    def tell(answer: Mapping[str, Any]) -> None:
        response = client("lambda").invoke(FunctionName=function, Payload=json.dumps(answer).encode())
        if response.get("FunctionError"):
            raise RuntimeError("the reply handler failed")

    return tell


if "AK_CONSTRUCTS_REQUESTS_TABLE" in os.environ:
    replies()  # in the init phase, where Lambda gives the function a full CPU
