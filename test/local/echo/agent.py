"""An agent that says what it was given."""

import os

from botocore.exceptions import ClientError


def respond(turn):
    """Fail when told so."""
    if turn.prompt == "throttle":
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": turn.prompt}}, "Converse")
    if turn.prompt == "fail":
        raise KeyError(f"{turn.prompt} {turn.extra}")
    return {
        "result": f"You said {turn.prompt}",
        "request_id": turn.request_id,
        "user_id": turn.user_id,
        "extra": dict(turn.extra),
        "leaked": os.environ.get("NOT_FOR_HANDLERS"),
    }
