"""Connections to cache files by their last use, of all files that a process has open.

A service that is used costs descriptors and memory: two open files and up to
:data:`~backends.file.opening.CACHE_BYTES` of pages for each thread that used it at the same time as
others, and as much again for what was read. So only the connections that were used last keep their
memory, and a few more stay open; whoever comes back to another one opens it anew, which takes a
millisecond.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from backends.file.opening import Open

# That keep what they have read.
WARM: Final = 4
# That stay open: each takes up to five descriptors, and half of those that the system allows are
# enough.
OPEN: Final = 64
_SHARE: Final = 10


def most_open() -> int:
    """Return how many connections may stay open."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OPEN if allowed == resource.RLIM_INFINITY else max(WARM, min(OPEN, allowed // _SHARE))


class Recent:
    """The open connections of a process, those used last at the end; for all threads."""

    def __init__(self) -> None:
        self.warm = WARM
        self.most = most_open()
        self._lock = threading.Lock()
        self._warm: dict[Open, None] = {}
        self._cold: dict[Open, None] = {}
        self._last: Open | None = None
        self._inherited: list[object] = []

    def used(self, connection: Open) -> None:
        """Take note that a connection was used and is idle again; let the oldest ones go."""
        if connection is self._last:
            return
        cooled = closed = None
        with self._lock:
            self._last = connection
            self._cold.pop(connection, None)
            self._warm.pop(connection, None)
            self._warm[connection] = None
            if len(self._warm) > self.warm:
                cooled = next(iter(self._warm))
                del self._warm[cooled]
                self._cold[cooled] = None
            if len(self._warm) + len(self._cold) > self.most and self._cold:
                closed = next(iter(self._cold))
                del self._cold[closed]
        # Whoever works with one of them now will say so when it is idle again.
        if cooled is not None and cooled is not closed and cooled.pool.take(cooled):
            _cool(cooled)
        if closed is not None and closed.pool.take(closed):
            closed.pool.discard(closed)

    def gone(self, connection: Open) -> None:
        """Forget a connection that is closed."""
        with self._lock:
            self._cold.pop(connection, None)
            self._warm.pop(connection, None)
            if self._last is connection:
                self._last = None

    def leave_to_parent(self) -> None:
        """In a forked child: keep what is the parent's, untouched, and begin anew."""
        self._inherited.append((self._warm, self._cold))
        self._lock = threading.Lock()
        self._warm, self._cold, self._last = {}, {}, None


def _cool(connection: Open) -> None:
    """Give back the memory of an idle connection."""
    try:
        connection.sqlite.forget()
        connection.sqlite.execute("PRAGMA shrink_memory")
    except sqlite3.Error:
        connection.pool.discard(connection)
    else:
        connection.pool.put_last(connection)


RECENT: Final = Recent()
os.register_at_fork(after_in_child=RECENT.leave_to_parent)
