"""When API keys were last used: noted in memory for every request, written now and then."""

from __future__ import annotations

import math
import time
from typing import Final

from cacheapi.registry.database.store import Store
from cacheapi.registry.rights import Caller

SECONDS: Final = 60.0


class Uses:
    """The last uses that are not written yet."""

    def __init__(self) -> None:
        # Since this was last gathered: to note one more may cost no request anything.
        self._noted: set[int] = set()
        self._used: dict[int, int] = {}
        self._written = -math.inf

    def note(self, caller: Caller) -> None:
        """Take note that somebody was here; for all threads."""
        if caller.number is not None:
            self._noted.add(caller.number)

    def gather(self) -> None:
        """Remember when those were here that were noted since this was last asked."""
        now = int(time.time())
        while self._noted:
            self._used[self._noted.pop()] = now

    def write(self, store: Store) -> None:
        """Write them, if there are any and the last time is a minute ago.

        :raises DatabaseFailed: the database cannot be used; they are forgotten.
        """
        now = time.monotonic()
        if self._used and now >= self._written + SECONDS:
            self._written = now
            used, self._used = self._used, {}
            store.note_use(used)
