"""An agent that says bit by bit what its request asks for, and does something else in the first run if need be."""

import tempfile
import time
from pathlib import Path

from botocore.exceptions import ClientError


def respond(turn):
    """Give a whole answer, or say it bit by bit."""
    do = turn.extra.get("do", {})
    return do["whole"] * do["times"] if "whole" in do else bits(turn, do)


def bits(turn, do):
    """Say each word after a pause; before a given one the first run fails, in a way that may pass."""
    for text in do.get("progress", []):
        turn.progress(text)
        time.sleep(do.get("pause", 0))
    words = [f"{turn.user_id} ", f"{turn.session_id} ", f"said {turn.prompt} ", f"after {len(turn.history)}"]
    for number, word in enumerate(do.get("words", [*words, *do.get("more", [])])):
        if number == do.get("fail_at") and is_first(turn):
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "Converse")
        yield word * do.get("times", 1)
        time.sleep(do.get("pause", 0))
    if "raise" in do:
        raise RuntimeError(do["raise"])


def is_first(turn):
    """Tell whether no run of this request has been here."""
    mark = Path(tempfile.gettempdir()) / f"{turn.request_id}.begun"
    begun = mark.exists()
    mark.touch()
    return not begun
