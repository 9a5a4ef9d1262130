# mypy: ignore-errors
"""An agent that says what it is doing and streams its answer; a model's stream goes where `words` is."""

import re
import time

PAUSE_SECONDS = 0.03


def respond(turn):
    """Answer piece by piece. `pause=0.5` in the prompt, or the key `pause` beside it, makes it slow."""
    pause = pause_seconds(turn)
    turn.progress("Reading your message")
    time.sleep(5 * pause)
    turn.progress(f"Looking at {len(turn.history)} earlier questions")
    time.sleep(5 * pause)
    turn.progress("Writing the answer")
    for word in words(turn.prompt, turn.history):  # e.g. the deltas of Bedrock's `converse_stream`
        time.sleep(pause)
        yield word


def words(prompt, history):
    """Make an answer up, since no model is asked."""
    found = re.findall(r"\w+", prompt)
    longest = max(found, key=len, default="")
    answer = f"You wrote {len(found)} words"
    answer += f", of which {longest!r} is the longest. " if longest else ". "
    if history:
        answer += f"This is question {len(history) + 1} of our conversation; before it came {history[-1]['prompt']!r}. "
    answer += (
        "No model was asked for this answer, which is made up word by word so that there is something to stream. "
        "The text that you see growing is sent ahead by the agent while it works. When it has ended, the whole answer "
        "comes by way of a queue and takes the place of what grew. Cut the connection now, and the page will connect "
        "again and ask for the answer, which is kept in a table until it expires."
    )
    return re.findall(r"\S+\s*", answer)


def pause_seconds(turn):
    """Give the pause between two pieces."""
    named = re.search(r"\bpause=(\d+(?:\.\d+)?)", turn.prompt)
    return min(5.0, float(turn.extra.get("pause", named[1] if named else PAUSE_SECONDS)))
