"""Has a handler of the user's answer keep-warm pings."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ak_lambda.shared.pings import Environment, hold, hold_ms_of, is_ping

_Handler = TypeVar("_Handler", bound=Callable[..., Any])

_environment = Environment()


def answers_ping(handler: _Handler) -> _Handler:
    """Answer pings before the handler, which never hears of them; every other event, whatever it is, reaches it.

        from ak_lambda.keep_warm import answers_ping

        @answers_ping
        def handler(event, context): ...

    The handler may be async. Put it above decorators that trace, log or remember what the handler is called with.
    """
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def answer_async(event: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - it may be anything
            met = _environment.enter()
            if not is_ping(event):
                return await handler(event, *args, **kwargs)
            await asyncio.sleep(hold_ms_of(event) / 1000)
            return met

        return cast(_Handler, answer_async)

    @functools.wraps(handler)
    def answer(event: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        met = _environment.enter()
        if not is_ping(event):
            return handler(event, *args, **kwargs)
        hold(event)
        return met

    return cast(_Handler, answer)
