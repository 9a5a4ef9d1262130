"""GET /health."""

import json
from datetime import UTC, datetime, timedelta

from ak_lambda.health.handler import handler


def test_health_says_that_the_api_is_up() -> None:
    """In Agent Kernel's words, with the time in UTC."""
    response = handler({}, None)
    body = json.loads(response["body"])
    age = datetime.now(UTC) - datetime.fromisoformat(body.pop("timestamp"))
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert body == {"status": "healthy", "runtime": "operational", "memory_backend": "none"}
    assert response["statusCode"] == 200
    assert response["headers"] == {"Content-Type": "application/json", "Cache-Control": "no-store"}
