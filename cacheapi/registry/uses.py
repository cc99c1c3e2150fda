"""When API keys were last used: noted in memory for every request, written now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Final

from cacheapi.registry.database.store import Store
from cacheapi.registry.rights import Caller

SECONDS: Final = 60.0


class Uses:
    """The last uses that are not written yet."""

    def __init__(self) -> None:
        self._used: dict[int, int] = {}
        self._written = -math.inf

    def gather(self, callers: Iterable[Caller]) -> None:
        """Take note of who was used since this was last asked."""
        now = int(time.time())
        for caller in callers:
            if caller.used:
                caller.used = False
                if caller.number is not None:
                    self._used[caller.number] = now

    def write(self, store: Store) -> None:
        """Write them, if there are any and the last time is a minute ago.

        :raises SQLAlchemyError: the database cannot be used; they are forgotten.
        """
        now = time.monotonic()
        if self._used and now >= self._written + SECONDS:
            self._written = now
            used, self._used = self._used, {}
            store.note_use(used)
