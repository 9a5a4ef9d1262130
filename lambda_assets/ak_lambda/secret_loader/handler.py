"""The Lambda handler of an `AgentFunction` that has secrets and a handler of the user's own, which this calls.

Every event reaches that handler as it came, and every answer and error leaves as it was. Only when a secret has no
value yet is it not called, and the run fails: it could not even be imported.
"""

import contextlib
import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

from ak_lambda.secret_loader import core
from ak_lambda.shared.agent_secrets import AgentSecrets, open_secrets
from ak_lambda.shared.environment import setting
from ak_lambda.shared.pings import is_ping
from ak_lambda.shared.secret_rules import UnreadableError

HANDLER_VARIABLE = "AK_CONSTRUCTS_HANDLER"


def handler(event: Any, context: Any) -> Any:  # noqa: ANN401 - the user's own
    """Bring the secrets if it is time, and call the user's handler."""
    secrets = _secrets()
    if core.is_retry(event):
        secrets.doubt()
    if not (is_ping(event) and secrets.are_there):
        secrets.bring()
    try:
        answer = _users_handler()(event, context)
    except BaseException:
        secrets.doubt()
        raise
    if core.has_failed(answer):
        secrets.doubt()
    return answer


@functools.cache
def _secrets() -> AgentSecrets:
    return open_secrets()


@functools.cache
def _users_handler() -> Callable[[Any, Any], Any]:
    """Import the user's handler, named as Lambda names one."""
    module, _, name = setting(HANDLER_VARIABLE).rpartition(".")
    found: Callable[[Any, Any], Any] = getattr(importlib.import_module(module.replace("/", ".")), name)
    return found


if HANDLER_VARIABLE in os.environ:
    with contextlib.suppress(UnreadableError):  # the log has said why, and the first request tries again
        _secrets().bring()
        _users_handler()
