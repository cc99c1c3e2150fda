"""Reads of many keys: by one command where that can tell all, else by one for each key.

One MGET costs the server and this side less, but it tells of a key that has no value neither
whether it is absent nor whether it is of another type, and refuses all for one. So then keys are
read by a GET each, in one go; and so are those of the next reads, since they are often alike.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from backends.errors import BackendError, NotRead
from backends.redis.errors import Broken, code_of
from backends.redis.routes import Route
from backends.redis.wire import pack_read

# How many reads of many keys are of each apart, after one that had to be.
READS_APART: Final = 32
# More keys than that are not asked for by one command.
MOST_KEYS: Final = 1000
# What a server says that is about no key.
_EVERYBODYS: Final = {"NOAUTH", "LOADING", "BUSY", "MASTERDOWN", "READONLY"}

Read = bytes | BackendError | None


class Reads:
    """Reads of many keys over a route.

    :param apart: reads each key by a command of its own, within a bound in bytes.
    :param failed: makes a backend error of a reply that is an exception.
    """

    def __init__(
        self,
        route: Route,
        apart: Callable[[Sequence[bytes], float], list[Any]],
        failed: Callable[[Exception], BackendError],
    ) -> None:
        self._route = route
        self._read_apart = apart
        self._failed = failed
        # How many reads are left that are of each key apart.
        self._apart = 0

    def read(self, keys: Sequence[bytes], most: int | None = None) -> list[Read]:
        """Return the values of keys in order; ``None`` for absence, or why it is not known.

        :param most: as of :meth:`~backends.base.Backend.get_each`.
        """
        bound = math.inf if most is None or len(keys) == 1 else most
        if 1 < len(keys) <= MOST_KEYS and self._route.across_keys and not self._is_apart():
            values = self._read_at_once(keys, bound)
            if values is not None:
                return values
        values = self._read_apart(keys, bound)
        if values and all(isinstance(value, NotRead) for value in values):
            # The first alone is more.
            values[0] = self._read_apart(keys[:1], math.inf)[0]
        return values

    def _is_apart(self) -> bool:
        if self._apart:
            self._apart -= 1
        return self._apart > 0

    def _read_at_once(self, keys: Sequence[bytes], most: float) -> list[Read] | None:
        """Return what :meth:`read` does, unless one command does not do."""
        (reply,) = self._route.run([pack_read(keys)], repeatable=True, most=most)
        if isinstance(reply, list) and len(reply) == len(keys):
            if None in reply:
                self._apart = READS_APART
                missing = [index for index, value in enumerate(reply) if value is None]
                again = self._read_apart([keys[index] for index in missing], most)
                for index, value in zip(missing, again, strict=True):
                    reply[index] = value
            return reply
        if isinstance(reply, Broken) or code_of(reply) in _EVERYBODYS:
            return [self._failed(reply)] * len(keys)
        # A user without the right to MGET will not have it soon.
        self._apart = sys.maxsize if "mget" in str(reply).lower() else READS_APART
        return None
