# mypy: ignore-errors
"""Answers at once; what its callers notice is a cold start."""


def respond(turn):
    """Repeat what was said."""
    return f"You said {turn.prompt}"
