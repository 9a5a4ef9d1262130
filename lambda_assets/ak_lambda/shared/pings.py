"""Which events are keep-warm pings, and what an environment answers to one.

The peers' shapes, as their own code sends and reads them (read 2026-11-21):
https://github.com/jeremydaly/lambda-warmer/blob/main/index.js,
https://github.com/robhowley/lambda-warmer-py/blob/master/lambdawarmer/__init__.py,
https://github.com/juanjoDiaz/serverless-plugin-warmup/blob/master/src/warmer.js, https://pypi.org/project/toastypy/0.0.3/,
https://github.com/aws-educate-tw/terraform-aws-tag-based-lambda-warmer/blob/main/lambda_warmer/lambda_function.py
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from ak_lambda.shared.fields import mapping

KEY = "ak_constructs_ping"

MAX_HOLD_MS = 5000

PEERS_HOLD_MS = 75  # as long as lambda-warmer holds, so that pings sent at once meet different environments

# The key and value that mark a ping of each peer, and what else it puts there; an event with any other key is none.
_PEERS: tuple[tuple[str, object, frozenset[str]], ...] = (
    (
        "warmer",
        True,
        frozenset(
            {
                "concurrency",
                "test",
                "__WARMER_INVOCATION__",
                "__WARMER_CONCURRENCY__",
                "__WARMER_CORRELATIONID__",
                "__WARMER_CORRELATION_ID__",
            }
        ),
    ),
    ("source", "serverless-plugin-warmup", frozenset()),
    ("type", "toasty", frozenset({"toasty_id", "concurrency", "concurrency_index"})),
    ("action", "PREWARM", frozenset()),
)
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html, read 2026-11-21
_SCHEDULED = {"source": "aws.events", "detail-type": "Scheduled Event"}
_OF_SCHEDULED = frozenset({*_SCHEDULED, "version", "id", "account", "time", "region", "resources", "detail"})


def is_ping(event: object) -> bool:
    """Whether an event is a ping and nothing else, ours or a known peer's; whatever the event is."""
    if not isinstance(event, Mapping):
        return False
    if isinstance(event.get(KEY), Mapping):
        return len(event) == 1
    return any(
        event.get(key) == value and type(event[key]) is type(value) and event.keys() <= {key, *others}
        for key, value, others in _PEERS
    )


def is_scheduled(event: Mapping[str, Any]) -> bool:
    """Whether an event is a bare one of an EventBridge schedule, which an agent can only take for a ping.

    A handler of another kind may have work to do on a schedule, so that `is_ping` does not say so.
    """
    return (
        all(event.get(key) == value for key, value in _SCHEDULED.items())
        and event.keys() <= _OF_SCHEDULED
        and not event.get("detail")
    )


def hold_ms_of(event: Mapping[str, Any]) -> int:
    """How long a ping wants its environment held, kept within 0 to 5,000 ms; a peer's does not say."""
    if KEY not in event:
        return PEERS_HOLD_MS
    hold_ms = mapping(event[KEY]).get("hold_ms")
    if not isinstance(hold_ms, int | float) or hold_ms != hold_ms:  # noqa: PLR0124 - not a number
        return 0
    return int(min(max(hold_ms, 0), MAX_HOLD_MS))


def hold(event: Mapping[str, Any]) -> None:
    """Hold the environment for as long as a ping wants: another ping at the same time must meet another."""
    time.sleep(hold_ms_of(event) / 1000)


class Environment:
    """An execution environment, as it knows itself: by an id that is made in its first run.

    Not before: a snapshot of SnapStart's would give it to all that start from it.
    """

    def __init__(self) -> None:
        self._id = ""

    def enter(self) -> dict[str, Any]:
        """Begin a run, and give what the environment answers if it is a ping."""
        cold = not self._id
        self._id = self._id or uuid.uuid4().hex
        return {"environment_id": self._id, "cold": cold}
