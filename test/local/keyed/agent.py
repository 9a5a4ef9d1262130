"""Two forms of an agent that needs secrets when it is imported, and says what they were then and are now."""

import os

AT_IMPORT = os.environ["API_KEY"]


def respond(turn):
    """Fail when told so, as a model does that no longer takes the key."""
    if turn.prompt == "fail":
        raise PermissionError(os.environ["API_KEY"])
    return {"result": "ok", **_seen()}


def answer(_event, _context):
    """Answer Lambda itself."""
    return _seen()


def _seen():
    return {"at_import": AT_IMPORT, "now": os.environ["API_KEY"], "token": os.environ["TOKEN"]}
