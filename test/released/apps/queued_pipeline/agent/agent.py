# mypy: ignore-errors
"""An agent that works for as long as it is told to, and says what it is doing."""

import time


def respond(turn):
    """Take the seconds that the request asks for."""
    seconds = float(turn.extra.get("seconds", 1))
    steps = max(1, int(seconds))
    for step in range(steps):
        turn.progress(f"step {step + 1} of {steps}")
        time.sleep(seconds / steps)
    return f"Thought for {seconds:g} s about {turn.prompt!r}; this is turn {len(turn.history) + 1} of the conversation"
