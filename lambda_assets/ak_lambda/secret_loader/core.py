"""Looks at events and answers of a handler that is not ours. Plain values in, plain values out."""

from ak_lambda.shared.answers import SERVER_ERRORS
from ak_lambda.shared.fields import mapping
from ak_lambda.shared.secret_rules import are_repeated


def is_retry(event: object) -> bool:
    """Whether an event has a message of a queue that was received before."""
    records = mapping(event).get("Records")
    return isinstance(records, list) and are_repeated(map(mapping, records))


def has_failed(answer: object) -> bool:
    """Whether a handler says that it failed: by an HTTP status, or by messages that it did not handle."""
    told = mapping(answer)
    status = told.get("statusCode")
    return (isinstance(status, int) and status >= SERVER_ERRORS) or bool(told.get("batchItemFailures"))
