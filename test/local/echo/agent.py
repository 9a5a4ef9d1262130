"""An agent that says what it was given."""


def respond(turn):
    """Fail when told so."""
    if turn.prompt == "fail":
        raise KeyError(f"{turn.prompt} {turn.extra}")
    return {
        "result": f"You said {turn.prompt}",
        "request_id": turn.request_id,
        "user_id": turn.user_id,
        "extra": dict(turn.extra),
    }
