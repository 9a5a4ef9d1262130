"""What Lambda's Python runtime does before it loads a handler and the emulator's does not: JSON log lines.

What functions post to connections of WebSocket APIs goes to the emulator, which knows them at addresses of its own.

Where the emulator enforces IAM it also writes down each call that a function makes of AWS, whatever becomes of it.

Python imports a module of this name at start-up when it is on PYTHONPATH, in the emulator's workers too.
"""

import json
import logging
import os
import re
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({})))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            line["stackTrace"] = self.formatException(record.exc_info)
        line.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        return json.dumps(line, default=str)


def _stay_here(params: dict[str, Any], **_others: object) -> None:
    on_aws = re.fullmatch(r"https://([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(/.*)", params["url"])
    if on_aws:
        params["url"] = f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/{on_aws[1]}{on_aws[2]}"


def _write_down(model: Any, **_others: object) -> None:
    called = {
        "function": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        "service": model.service_model.signing_name,
        "operation": model.name,
    }
    with open(os.environ["AK_CONSTRUCTS_CALLS"], "a", encoding="utf-8") as file:  # noqa: PTH123 - every start pays for pathlib
        file.write(json.dumps(called) + "\n")


def watch_calls() -> None:
    """See what the function's own botocore calls; the emulator's worker calls this when that can be imported."""
    from botocore import handlers  # noqa: PLC0415 - the function's own, which is on the path by now

    handlers.BUILTIN_HANDLERS.append(("before-call.apigatewaymanagementapi", _stay_here))
    if "AK_CONSTRUCTS_CALLS" in os.environ:
        handlers.BUILTIN_HANDLERS.append(("before-call", _write_down))


if "_LAMBDA_TIMEOUT" in os.environ:  # in a worker, not in the emulator's server
    _handler = logging.StreamHandler()
    _handler.setFormatter(_JsonFormatter())
    logging.getLogger().addHandler(_handler)
    logging.getLogger().setLevel(logging.INFO)
