"""What an agent is given: one question, and what surrounds it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ak_lambda.shared.requests import Request


class Turn:
    """A question to the agent.

    Attributes:
        prompt: The caller's message, never empty.
        session_id: The conversation.
        request_id: This message.
        user_id: Who is asking, as the authorizer says; None when nobody was asked to prove it.
        agent: Which agent the caller named, or None.
        extra: Every other key of the request. A `user_id` in here is only what the caller claims.
        history: Earlier turns of the session, oldest first; empty without a session store.
    """

    __slots__ = (
        "_progress",
        "_remaining_ms",
        "agent",
        "extra",
        "history",
        "prompt",
        "request_id",
        "session_id",
        "user_id",
    )

    def __init__(self, request: Request, *, remaining_ms: Callable[[], int], progress: Callable[[str], None]) -> None:
        self.prompt = request.prompt
        self.session_id = request.session_id
        self.request_id = request.request_id
        self.user_id = request.user_id
        self.agent = request.agent
        self.extra: Mapping[str, Any] = request.extra
        self.history: Sequence[Mapping[str, Any]] = ()
        self._remaining_ms = remaining_ms
        self._progress = progress

    def progress(self, text: str) -> None:
        """Tell the user what is going on, where the construct in front can show it; elsewhere this does nothing."""
        self._progress(text)

    def remaining_ms(self) -> int:
        """Milliseconds until Lambda ends this run."""
        return self._remaining_ms()
