"""Pushes final answers to the connections of whoever asked.

Not pushed is not lost: the requests table has the answer, and `resume` gives it.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ak_lambda.shared import frames, metrics
from ak_lambda.shared.answer_frames import answer_frame
from ak_lambda.shared.connections import Connections
from ak_lambda.shared.messages import Received
from ak_lambda.shared.payloads import Payloads
from ak_lambda.shared.posting import Posted, Poster
from ak_lambda.shared.protocol import Item

MOST_TRIES = 3  # that bring the reply back, with a rest of some seconds each; until then its session waits
PUSH_MS = 12_000  # of the handler's 30 s: a post begun in the last moment, and made twice, can still fail by itself

_log = logging.getLogger("ak_constructs.response_handler")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushing:
    """What answers are pushed with.

    Attributes:
        connections: Who is connected.
        poster: Posts to them.
        payloads: Where large answers are.
        function: What this function is called, for its metric.
        now_ms: The clock.
        new_id: Makes ids.
    """

    connections: Connections
    poster: Poster
    payloads: Payloads
    function: str
    now_ms: Callable[[], int]
    new_id: Callable[[], str]

    def push(self, reply: Received, item: Item) -> None:
        """Push an answer to every connection of its user.

        Raises:
            Exception: Not every connection that is there got it, and the reply shall come again.
        """
        if not reply.has_audience:
            return
        about: dict[str, object] = {"request_id": reply.request_id, "receives": reply.receives}
        try:
            posted = self._post(str(reply.user_id), item)
        except Exception as error:
            if reply.receives <= MOST_TRIES:
                raise
            self._give_up({**about, "error_type": type(error).__name__})
            return
        about |= {"delivered": posted.delivered, "gone": posted.gone, "failed": posted.failed}
        if not posted.failed:
            _log.info("pushed", extra=about)
        elif reply.receives <= MOST_TRIES:
            raise RuntimeError("not every connection got the answer")
        else:
            self._give_up(about)

    def _give_up(self, about: Mapping[str, object]) -> None:
        _log.error("not delivered", extra=about)
        name = {"FunctionName": self.function}
        metrics.write({"AnswersNotDelivered": (1, "Count")}, dimensions=name, now_ms=self.now_ms())

    def _post(self, user_id: str, item: Item) -> Posted:
        began = self.now_ms()
        connections = self.connections.of_user(user_id, now=began // 1000)
        if not connections:
            return Posted(delivered=0, gone=0, failed=0)
        written = frames.written(answer_frame(item, self.payloads), self.new_id)
        return self.poster.post_all(connections, written, has_time=lambda: self.now_ms() - began < PUSH_MS)
