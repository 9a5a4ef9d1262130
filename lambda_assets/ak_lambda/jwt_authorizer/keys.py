"""The issuer's keys: fetched when they are needed, fetched again when they are old or one is not among them.

What was read last goes on for a day when the issuer cannot be reached, and no caller can make us ask it often.
"""

import logging
import math
from collections.abc import Callable

from ak_lambda.jwt_authorizer.tokens import Key

FRESH_SECONDS = 600
KEPT_SECONDS = 86_400
REFETCH_SECONDS = 30
RETRY_SECONDS = 5

_log = logging.getLogger("ak_constructs.jwt_authorizer")


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be read, and none are known."""


class Keys:
    """The keys of one issuer, in one environment.

    Attributes:
        load: Reads them, or raises `KeysUnavailableError`.
        clock: Seconds, of which only differences count.
    """

    def __init__(self, load: Callable[[], list[Key]], clock: Callable[[], float]) -> None:
        self.load = load
        self.clock = clock
        self._keys: list[Key] = []
        self._loaded_at = -math.inf
        self._next_try_at = -math.inf
        self._next_refetch_at = -math.inf

    def find(self, kid: str | None, algorithm: str) -> list[Key]:
        """Give the keys with which a token may have been signed, mostly one."""
        is_asked = self._refresh()
        found = self._of(kid, algorithm)
        if found or is_asked or self.clock() < self._next_refetch_at:
            return found
        self._next_refetch_at = self.clock() + REFETCH_SECONDS  # an unknown name: has the issuer changed its keys?
        self._try()
        return self._of(kid, algorithm)

    def _refresh(self) -> bool:
        """Make sure that there are keys, and say whether the issuer was asked just now: that may have taken long."""
        now = self.clock()
        if now < self._loaded_at + FRESH_SECONDS:
            return False
        is_asked = now >= self._next_try_at
        if is_asked:
            self._try()
        if self.clock() >= self._loaded_at + KEPT_SECONDS:
            raise KeysUnavailableError("the keys of the issuer cannot be read")
        return is_asked

    def _try(self) -> None:
        try:
            self._keys = self.load()
        except KeysUnavailableError as error:
            self._next_try_at = self.clock() + (REFETCH_SECONDS if self._keys else RETRY_SECONDS)
            _log.error("keys not read: %s", error, extra={"known": len(self._keys)})
        else:
            self._loaded_at = self.clock()

    def _of(self, kid: str | None, algorithm: str) -> list[Key]:
        named = [key for key in self._keys if key.kid == kid] if kid is not None else self._keys
        if kid is None and len(named) != 1:
            return []
        return [key for key in named if algorithm in key.algorithms]
