"""Makes calls of AWS, and says what went wrong without AWS's own words, which name things."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from ak_lambda.shared.answers import is_throttle

MAX_PAGES = 10_000
TOO_MANY_REQUESTS = 429

_T = TypeVar("_T")


class CallError(Exception):
    """A call that AWS refused or that did not reach it; its words are its operation and its code, and no more.

    Attributes:
        operation: What was asked.
        code: What kind of refusal.
        throttled: Whether it was asked too often.
        gone: Whether there is no such thing.
        edge_replica: Whether it is a Lambda@Edge function that still has replicas.
    """

    def __init__(self, operation: str, code: str, *, throttled: bool = False, edge_replica: bool = False) -> None:
        super().__init__(f"{operation}: {code}")
        self.operation = operation
        self.code = code
        self.throttled = throttled
        self.gone = code == "ResourceNotFoundException"
        self.edge_replica = edge_replica


def calling(operation: str, call: Callable[[], _T]) -> _T:
    """Make a call."""
    try:
        return call()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        raise CallError(
            operation,
            code,
            throttled=is_throttle(error) or status == TOO_MANY_REQUESTS,
            edge_replica="replicated function" in str(error),
        ) from error
    except BotoCoreError as error:
        raise CallError(operation, type(error).__name__) from error


def pages(client: Any, operation: str, member: str, **arguments: object) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Give the items of all pages; botocore itself refuses to follow the same marker twice.

    A page that does not even have an empty list says nothing, and nothing is not none.
    """
    named = "".join(word.title() for word in operation.split("_"))
    each = iter(client.get_paginator(operation).paginate(**arguments))
    for _ in range(MAX_PAGES):
        page = calling(named, lambda: next(each, None))
        if page is None:
            return
        if member not in page:
            raise CallError(named, "IncompleteAnswer")
        yield from page[member]
    raise CallError(named, "TooManyPages")
