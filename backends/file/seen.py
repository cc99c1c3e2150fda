"""What a connection to the cache file has read since the file last changed.

While nobody writes, a key that is read again costs no query: SQLite tells whether any other
connection has committed since. A write through the connection itself forgets all.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable
from typing import Final

# Of one connection; a process has one for each thread that reads at the same time.
MAX_BYTES: Final = 8 * 1024 * 1024
LARGEST_VALUE: Final = 16 * 1024
# What Python needs for an entry beside the bytes of its key and value.
OVERHEAD: Final = 400


# A row: key, checksum, when it expires, when it was last used, its number, value.
Row = tuple[bytes, int, float, int, int, bytes]
# What stands for no row: one that has expired long ago.
ABSENT: Final[Row] = (b"", 0, -math.inf, 0, 0, b"")


class Connection(sqlite3.Connection):
    """A connection that remembers what was read."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._seen: dict[bytes, Row] = {}
        self._bytes = 0
        self._version: int | None = None
        self._quiet = False

    def seen(self) -> dict[bytes, Row]:
        """Return what is remembered, all of which is still in the file as it was read."""
        if self._seen:
            (version,) = self.execute("PRAGMA data_version").fetchone()
            if version != self._version:
                self.forget()
                self._version = version
        return self._seen

    def remember(self, rows: Iterable[tuple[bytes, Row]]) -> None:
        """Remember what was read after :meth:`seen` was called, by its keys."""
        if not self._quiet:
            # Where each read is followed by a write, it would be in vain.
            self._quiet = True
            return
        for key, row in rows:
            size = len(row[-1])
            if size <= LARGEST_VALUE:
                self._seen[key] = row
                self._bytes += size + len(key) + OVERHEAD
        while self._bytes > MAX_BYTES:
            # The first in goes first.
            key = next(iter(self._seen))
            self._bytes -= len(self._seen.pop(key)[-1]) + len(key) + OVERHEAD

    def forget(self) -> None:
        """Forget all."""
        self._quiet = False
        if self._seen:
            self._seen.clear()
            self._bytes = 0
