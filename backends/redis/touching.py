"""Values that are read and given a new lifetime, by one command each (Redis 6.2 and later)."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis

from backends.base import MISSING
from backends.errors import BackendError, Failed, NotRead
from backends.redis.errors import Broken
from backends.redis.routes import Route
from backends.redis.wire import pack_get_and_touch

# How long the command is not used after a connection ended at it: a proxy may not know it.
SILENT_SECONDS: Final = 60.0
# More than that are not sent in one go.
MOST_KEYS: Final = 1000
_VALUES: Final = frozenset({bytes, type(None)})


class Touching:
    """Reads with new lifetimes over a route.

    :param failed: makes a backend error of a reply that is an exception.
    """

    def __init__(self, route: Route, failed: Callable[[Exception], BackendError]) -> None:
        self._route = route
        self._failed = failed
        # When the command may be used.
        self._from = 0.0

    def run(self, touches: Sequence[tuple[bytes, int | None]], most: int) -> list[Any]:
        """Do what :meth:`~backends.base.Backend.get_and_touch_many` says.

        :param touches: keys, and their lifetimes in milliseconds; ``None`` for ever.
        :raises Failed: the server did not answer in time.
        """
        if self._from > time.monotonic() or len(touches) > MOST_KEYS:
            return [None] * len(touches)
        commands = [(key, pack_get_and_touch(key, left)) for key, left in touches]
        bound = math.inf if len(commands) == 1 else most
        replies = self._route.run(commands, repeatable=True, most=bound)
        if _VALUES.issuperset(map(type, replies)):
            return [(MISSING, False) if one is None else (one, True) for one in replies]
        if all(isinstance(one, NotRead) for one in replies):
            # The first alone is more.
            return [None] * len(replies)
        return [self._outcomes(one) for one in replies]

    def _outcomes(self, reply: Any) -> tuple[Any, Any] | None:
        if isinstance(reply, NotRead):
            return reply, reply
        if not isinstance(reply, Exception):
            return (MISSING, False) if reply is None else (reply, True)
        if isinstance(reply, Broken) and isinstance(reply.cause, redis.TimeoutError):
            error = self._failed(reply)
            if isinstance(error, Failed) and not error.apart:
                raise error
            return error, error
        if isinstance(reply, Broken):
            self._from = time.monotonic() + SILENT_SECONDS
        elif "getex" in str(reply).lower():
            # An older server does not know it soon, and a user without the right does not have it.
            self._from = sys.maxsize
        return None
