"""The Lambda handler of a `QueuedAgentPipeline`'s API: submits requests, waits, and answers polls.

A retry is harmless: the request id says which request is meant, and a request that is there is not begun again.
"""

import functools
import logging
import os
import time
import uuid
from typing import Any

from ak_lambda.request_handler import core
from ak_lambda.request_handler.submissions import Submissions
from ak_lambda.shared.answers import http_response, is_throttle, refused
from ak_lambda.shared.clients import client
from ak_lambda.shared.cors import cors_headers
from ak_lambda.shared.environment import setting
from ak_lambda.shared.fields import RefusedError, mapping
from ak_lambda.shared.payloads import Payloads
from ak_lambda.shared.queues import Queue
from ak_lambda.shared.requests_table import RequestsTable
from ak_lambda.shared.sessions import open_sessions

UNAVAILABLE = 503

_log = logging.getLogger("ak_constructs.request_handler")


def handler(sent: object, _context: object) -> dict[str, Any]:
    """Answer a POST or a GET of the chat route."""
    started = time.perf_counter()
    request_id = None
    event = mapping(sent)
    method = "GET" if event.get("httpMethod") == "GET" else "POST"
    try:
        if method == "GET":
            said = core.asked(event)
            request_id = core.asked_id(said)
            reply = submissions().look_up(event, said)
        else:
            submission = core.submission(event, lambda: str(uuid.uuid4()))
            request_id = submission.request.request_id
            reply = submissions().submit(event, submission)
    except RefusedError as error:
        reply = refused(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, its words and its trace are for nobody
        reply = core.unavailable(request_id, "throttled" if is_throttle(error) else type(error).__name__)
    _log.log(
        logging.ERROR if reply.status == UNAVAILABLE else logging.INFO,
        "answered",
        extra={
            "request_id": request_id,
            "method": method,
            "status": reply.status,
            "reason": reply.reason,
            "duration_ms": round((time.perf_counter() - started) * 1000),
        },
    )
    return http_response(reply, cors_headers(event))


@functools.cache
def submissions() -> Submissions:
    """Make what requests are submitted with, once for an environment."""
    sessions = open_sessions()
    if sessions is None:
        raise RuntimeError("a session store must be attached; QueuedAgentPipeline does so")
    return Submissions(
        table=RequestsTable(client("dynamodb"), setting("AK_CONSTRUCTS_REQUESTS_TABLE")),
        requests=Queue(client("sqs"), setting("AK_CONSTRUCTS_REQUEST_QUEUE_URL")),
        payloads=Payloads(lambda: client("s3"), setting("AK_CONSTRUCTS_PAYLOADS_BUCKET")),
        sessions=sessions,
        retention=int(setting("AK_CONSTRUCTS_RETENTION_SECONDS")),
        default_wait_ms=core.GATEWAY_MS if os.environ.get("AK_CONSTRUCTS_MODE") == "rest_sync" else 0,
        takes_large=setting("AK_CONSTRUCTS_TAKES_LARGE") == "true",
        now_ms=lambda: int(time.time() * 1000),
        rest=time.sleep,
    )


if "AK_CONSTRUCTS_REQUESTS_TABLE" in os.environ:
    submissions()  # in the init phase, where Lambda gives the function a full CPU
