"""Makes the frame of a request's final answer, wherever the answer is kept."""

from ak_lambda.shared import frames, messages
from ak_lambda.shared.frames import Frame
from ak_lambda.shared.payloads import ANSWERS, Payloads
from ak_lambda.shared.protocol import Item


def answer_frame(item: Item, payloads: Payloads) -> Frame:
    """Give the frame of a final item: with the answer, or, where that is too large to be pushed, with a link to it."""
    kept = messages.referenced(item["answer"])
    if kept is None:
        return frames.response(item, item["answer"])
    if int(kept["bytes"]) > frames.MAX_PUSHED_BYTES:
        return frames.response(item, None, location=payloads.link(kept))
    return frames.response(item, payloads.whole(item["answer"], folder=ANSWERS))
