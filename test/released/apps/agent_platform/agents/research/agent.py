# mypy: ignore-errors
"""Takes its time, and is asked by many at once."""

import time

SECONDS = 1.0
MOST_SECONDS = 5.0  # a caller may not hold an environment for as long as it likes


def respond(turn):
    """Take the seconds that the request asks for, up to a bound."""
    time.sleep(min(float(turn.extra.get("seconds", SECONDS)), MOST_SECONDS))
    return f"Thought about {turn.prompt}"
