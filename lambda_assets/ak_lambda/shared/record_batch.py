"""Handles the records of a queue in order and says which ones come back."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ak_lambda.shared.fields import json_type, mapping
from ak_lambda.shared.messages import receives_of
from ak_lambda.shared.protocol import backoff_seconds
from ak_lambda.shared.queues import Queue


def handled(
    records: object,
    handle: Callable[[Mapping[str, Any]], object],
    queue: Queue,
    log: logging.Logger,
    *,
    rest_seconds: Callable[[int], int] = backoff_seconds,
) -> dict[str, Any]:
    """Handle each record; one that fails, or is answered with False, keeps all later ones of its session back.

    Args:
        records: As an event source mapping hands them over; of anything else people who may invoke are told.
        handle: Handles one; False brings it back when the handler said, an exception after a rest.
        queue: Where they came from.
        log: Told what was raised, by its type alone: its words may quote a prompt.
        rest_seconds: For how long a record that raised rests, by how often it has been received.
    """
    if not isinstance(records, list):
        return {"status_code": 400, "error": f"Records must be an array, got {json_type(records)}"}
    kept: list[dict[str, str]] = []
    sessions: set[str] = set()
    for record in map(mapping, records):
        message_id = str(record.get("messageId"))
        session = str(mapping(record.get("attributes")).get("MessageGroupId", message_id))
        if session in sessions or not _handled(record, handle, queue, log, rest_seconds):
            sessions.add(session)
            kept.append({"itemIdentifier": message_id})
    return {"batchItemFailures": kept}


def _handled(
    record: Mapping[str, Any],
    handle: Callable[[Mapping[str, Any]], object],
    queue: Queue,
    log: logging.Logger,
    rest_seconds: Callable[[int], int],
) -> bool:
    receives = receives_of(record)
    try:
        return handle(record) is not False
    except Exception as error:  # noqa: BLE001 - whatever it is, the message must not be lost
        about = {"message_id": record.get("messageId"), "receives": receives, "error_type": type(error).__name__}
        log.error("a message comes back", extra=about)  # noqa: TRY400 - the error's words may quote a prompt
    try:
        queue.hide(record["receiptHandle"], rest_seconds(receives))
    except Exception as error:  # noqa: BLE001 - then it comes back when the queue's own time is over
        log.warning("a message could not be put back", extra={"error_type": type(error).__name__})
    return False
