"""The Lambda handler of an `AgentQueue`'s dead letters: each still gets an answer.

A retry is harmless: the second reply is ignored, and a second parked copy is redriven once.
"""

import functools
import logging
import os
import time
from typing import Any

from ak_lambda.dead_letter_handler.dead_letters import DeadLetters
from ak_lambda.shared.clients import client
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import mapping
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.record_batch import handled
from ak_lambda.shared.requests_table import RequestsTable

_log = logging.getLogger("ak_constructs.dead_letter_handler")


def handler(event: object, _context: object) -> dict[str, Any]:
    """Handle dead letters in order; one that fails rests longer each time."""
    return handled(mapping(event).get("Records"), dead_letters().handle, dead_letters().dead_letters, _log)


@functools.cache
def dead_letters() -> DeadLetters:
    """Make what dead letters are handled with, once for an environment."""
    return DeadLetters(
        table=RequestsTable(client("dynamodb"), setting("AK_CONSTRUCTS_REQUESTS_TABLE")),
        dead_letters=Queue(client("sqs"), setting("AK_CONSTRUCTS_DEAD_LETTER_QUEUE_URL")),
        replies=Queue(client("sqs"), setting("AK_CONSTRUCTS_REPLY_QUEUE_URL")),
        parked=Queue(client("sqs"), setting("AK_CONSTRUCTS_PARKED_QUEUE_URL")),
        now_ms=lambda: int(time.time() * 1000),
    )


if "AK_CONSTRUCTS_REQUESTS_TABLE" in os.environ:
    dead_letters()  # in the init phase, where Lambda gives the function a full CPU
