"""What Lambda's Python runtime does before it loads a handler and the emulator's does not: JSON log lines.

Python imports a module of this name at start-up when it is on PYTHONPATH, in the emulator's workers too.
"""

import json
import logging
import os
from datetime import UTC, datetime

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


if "_LAMBDA_TIMEOUT" in os.environ:  # in a worker, not in the emulator's server
    _handler = logging.StreamHandler()
    _handler.setFormatter(_JsonFormatter())
    logging.getLogger().addHandler(_handler)
    logging.getLogger().setLevel(logging.INFO)
