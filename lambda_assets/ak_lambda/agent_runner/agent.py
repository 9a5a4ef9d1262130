"""Finds the user's agent and calls it: waits for what it promises, joins what it yields, says where it failed."""

import contextlib
import contextvars
import functools
import importlib
import inspect
import logging
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from ak_lambda.agent_runner.turn import Turn

_log = logging.getLogger("ak_constructs.agent_runner")


def complete(agent: Callable[[Turn], object], turn: Turn, feed: Callable[[object], None]) -> object:
    """Call an agent, wait for what it promises and join what it yields, which is told as it comes."""
    result: Any = agent(turn)
    if hasattr(result, "__await__"):
        result = _wait(_awaited(result))
    if hasattr(result, "__anext__"):
        return _wait(_joined(result, feed))
    if hasattr(result, "__next__"):
        return "".join(_fed(result, feed))
    return result


def _wait(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
    return loop().run(coroutine, context=contextvars.copy_context())


async def _awaited(result: Any) -> Any:  # noqa: ANN401
    return await result


async def _joined(pieces: Any, feed: Callable[[object], None]) -> str:  # noqa: ANN401
    feed("")
    joined = []
    async for piece in pieces:
        feed(piece)
        joined.append(piece)
    return "".join(joined)


def _fed(pieces: Any, feed: Callable[[object], None]) -> Iterator[Any]:  # noqa: ANN401
    feed("")
    for piece in pieces:
        feed(piece)
        yield piece


def find(name: str, variable: str) -> Callable[[Turn], object]:
    """Import the user's callable, which a variable names as module:callable.

    Raises:
        TypeError: It is no callable of one argument.
    """
    module, _, attribute = name.partition(":")
    found: Any = functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    if not callable(found):
        raise TypeError(f"{variable} must name a callable, {name} is {type(found).__name__}")
    with contextlib.suppress(ValueError):  # not every callable has a signature to look at
        _check_signature(name, inspect.signature(found))
    return found  # type: ignore[no-any-return]


def _check_signature(name: str, signature: inspect.Signature) -> None:
    try:
        signature.bind(None)
    except TypeError:
        raise TypeError(f"the agent must take one argument, the turn, but it is {name}{signature}") from None


@functools.cache
def loop() -> Any:  # noqa: ANN401
    """One event loop an environment: clients that an agent keeps stay bound to a loop that lives.

    A task that a run leaves behind goes on in the next one, in its own context.
    """
    import asyncio  # noqa: PLC0415 - only async agents pay for it

    runner = asyncio.Runner()
    runner.get_loop().set_exception_handler(_task_failed)
    return runner


def _task_failed(_loop: object, context: Mapping[str, Any]) -> None:
    """Log what nobody waited for as a run's own failure: asyncio would log its text and its stack trace."""
    error = context.get("exception")
    frames = frames_of(error) if error is not None else []
    _log.error(
        "a task of the agent failed and nobody waited for it",
        extra={
            "error_type": type(error).__name__,
            "raised_at": place(frames[-1]) if frames else None,
        },
    )


def frames_of(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames below ours that are not of Python's own library: asyncio's, when the agent is async."""
    ours = (f"{__file__.rpartition('/')[0]}/", traceback.__file__.rpartition("/")[0], "<frozen")
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if not frame.filename.startswith(ours) or "site-packages" in frame.filename]


def place(frame: traceback.FrameSummary) -> str:
    """Name the file, the line and the function of a frame."""
    return f"{frame.filename.rpartition('/')[2]}:{frame.lineno} in {frame.name}"
