"""Answers `GET /health` without touching the agent, so that a health check never costs a model call."""

import json
import os
from datetime import UTC, datetime
from typing import Any

from ak_lambda.shared.cors import cors_headers


def handler(event: object, _context: object) -> dict[str, Any]:
    """Say that the API is up and what keeps its conversations."""
    health = {
        "status": "healthy",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "runtime": "operational",
        "memory_backend": os.environ.get("AK_CONSTRUCTS_MEMORY_BACKEND", "none"),
    }
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", **cors_headers(event)},
        "body": json.dumps(health),
    }
