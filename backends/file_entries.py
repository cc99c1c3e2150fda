"""The rows of the cache file: what is stored, what is expired, what is evicted.

**Eviction.** When the file nears its bound, expired entries go first, then the least
recently used. Recency is approximate, so that a read costs no write: a process notes in
memory which keys it read, and its next write puts the notes into the file. Recency has a
grain of one second; of a process that only reads, the notes are never written; a process
notes at most :data:`MAX_NOTES` keys between two writes.

**Expiry.** An expired entry is never read. Each write removes a few of them.

Every function that takes a connection runs within the caller's transaction.
"""

from __future__ import annotations

import math
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from backends.file_database import PAGE_BYTES, Damaged

MAX_NOTES: Final = 4096
NOTES_A_WRITE: Final = 256
EXPIRED_A_WRITE: Final = 8
EVICTED_AT_ONCE: Final = 8
KEYS_A_QUERY: Final = 500

_INSERT = "INSERT INTO entries (key, value, checksum, expires, used) VALUES (?, ?, ?, ?, ?) "
_OVERWRITE = (
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum, "
    "expires = excluded.expires, used = excluded.used "
)


class Entries:
    """The table ``entries``, under keys and values that are bytes.

    :param max_pages: the bound of the file, in pages.
    :param clock: Unix time in seconds.
    """

    def __init__(self, max_pages: int, clock: Callable[[], float]) -> None:
        self._max_pages = max_pages
        self._clock = clock
        self._notes: set[bytes] = set()

    # Reading

    def get(self, sqlite: sqlite3.Connection, key: bytes) -> bytes | None:
        """Return the value of a key, if it is there and not expired."""
        row = sqlite.execute(
            "SELECT value, checksum, used FROM entries WHERE key = ? AND expires > ?",
            (key, self._clock()),
        ).fetchone()
        return None if row is None else self._checked(key, *row)

    def get_many(
        self, sqlite: sqlite3.Connection, keys: Sequence[bytes]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield those keys that are there, with their values."""
        for start in range(0, len(keys), KEYS_A_QUERY):
            part = keys[start : start + KEYS_A_QUERY]
            marks = ",".join("?" * len(part))
            rows = sqlite.execute(
                "SELECT key, value, checksum, used FROM entries "  # noqa: S608 (question marks only)
                f"WHERE expires > ? AND key IN ({marks})",
                (self._clock(), *part),
            )
            for key, value, checksum, used in rows:
                yield key, self._checked(key, value, checksum, used)

    def remaining_ttl(self, sqlite: sqlite3.Connection, key: bytes) -> float | None:
        """Return the seconds that a key has left, infinity for ever, if it is there."""
        now = self._clock()
        row = sqlite.execute(
            "SELECT expires FROM entries WHERE key = ? AND expires > ?", (key, now)
        ).fetchone()
        return None if row is None else row[0] - now

    def remaining_ttl_many(
        self, sqlite: sqlite3.Connection, keys: Sequence[bytes]
    ) -> Iterator[tuple[bytes, float]]:
        """Yield those keys that are there, with the seconds that each has left."""
        for start in range(0, len(keys), KEYS_A_QUERY):
            part = keys[start : start + KEYS_A_QUERY]
            marks = ",".join("?" * len(part))
            now = self._clock()
            rows = sqlite.execute(
                "SELECT key, expires FROM entries "  # noqa: S608 (question marks only)
                f"WHERE expires > ? AND key IN ({marks})",
                (now, *part),
            )
            for key, expires in rows:
                yield key, expires - now

    def list_keys(
        self, sqlite: sqlite3.Connection, prefix: bytes, limit: int, after: bytes | None
    ) -> list[bytes]:
        """Return keys that start with ``prefix`` and come after ``after``, in byte order."""
        rows = sqlite.execute(
            "SELECT key FROM entries WHERE key >= ? AND key < ? AND key > ? AND expires > ? "
            "ORDER BY key LIMIT ?",
            # No key is empty, so all come after the empty one.
            (prefix, end_of_prefix(prefix), after or b"", self._clock(), limit),
        )
        return [key for (key,) in rows]

    # Writing

    def set(self, sqlite: sqlite3.Connection, key: bytes, value: bytes, ttl: float | None) -> None:
        """Store, overwriting."""
        self._make_room(sqlite, len(value))
        sqlite.execute(_INSERT + _OVERWRITE, (key, *self._columns(value, ttl)))

    def add(self, sqlite: sqlite3.Connection, key: bytes, value: bytes, ttl: float | None) -> bool:
        """Store if the key is absent or expired; return whether it was."""
        self._make_room(sqlite, len(value))
        cursor = sqlite.execute(
            f"{_INSERT} {_OVERWRITE} WHERE entries.expires <= ?",
            (key, *self._columns(value, ttl), self._clock()),
        )
        return cursor.rowcount == 1

    def update(
        self,
        sqlite: sqlite3.Connection,
        key: bytes,
        value: bytes,
        ttl: float | None,
        *,
        expected: bytes | None = None,
    ) -> bool:
        """Store if the key is there (with the value ``expected``, if given)."""
        self._make_room(sqlite, len(value))
        cursor = sqlite.execute(
            "UPDATE entries SET value = ?, checksum = ?, expires = ?, used = ? "
            "WHERE key = ? AND expires > ? AND (? IS NULL OR value = ?)",
            (*self._columns(value, ttl), key, self._clock(), expected, expected),
        )
        return cursor.rowcount == 1

    def touch(self, sqlite: sqlite3.Connection, key: bytes, ttl: float | None) -> bool:
        """Give a new lifetime; return whether the key is there."""
        cursor = sqlite.execute(
            "UPDATE entries SET expires = ? WHERE key = ? AND expires > ?",
            (self._expires(ttl), key, self._clock()),
        )
        return cursor.rowcount == 1

    def overwrite(self, sqlite: sqlite3.Connection, key: bytes, value: bytes) -> None:
        """Give a new value, of about the same size, and leave the lifetime."""
        sqlite.execute(
            "UPDATE entries SET value = ?, checksum = ?, used = ? WHERE key = ?",
            (value, zlib.crc32(value), int(self._clock()), key),
        )

    def delete(
        self, sqlite: sqlite3.Connection, key: bytes, *, expected: bytes | None = None
    ) -> bool:
        """Delete (if the value is ``expected``, if given); return whether it was there."""
        cursor = sqlite.execute(
            "DELETE FROM entries WHERE key = ? AND expires > ? AND (? IS NULL OR value = ?)",
            (key, self._clock(), expected, expected),
        )
        return cursor.rowcount == 1

    def flush(self, sqlite: sqlite3.Connection, prefix: bytes) -> None:
        """Delete all that starts with ``prefix``."""
        if prefix:
            sqlite.execute(
                "DELETE FROM entries WHERE key >= ? AND key < ?", (prefix, end_of_prefix(prefix))
            )
        else:
            # Without a condition SQLite drops all pages at once.
            sqlite.execute("DELETE FROM entries")

    # Housekeeping

    def tidy(self, sqlite: sqlite3.Connection) -> None:
        """Do a write's share: put down which keys were read, remove some expired entries."""
        now = self._clock()
        notes = [self._notes.pop() for _ in range(min(len(self._notes), NOTES_A_WRITE))]
        if notes:
            sqlite.executemany(
                "UPDATE entries SET used = ? WHERE key = ?", [(int(now), key) for key in notes]
            )
        _delete_expired(sqlite, now, EXPIRED_A_WRITE)

    def _make_room(self, sqlite: sqlite3.Connection, size: int) -> None:
        """Evict until a value of ``size`` bytes fits: the expired, then the least recently used."""
        # A few pages more than the value: the tree and the indexes may each split.
        needed = size // (PAGE_BYTES - 4) + 16
        unused = self._max_pages - _pragma(sqlite, "page_count")
        if unused >= needed:
            return
        while unused + _pragma(sqlite, "freelist_count") < needed:
            if _delete_expired(sqlite, self._clock(), EVICTED_AT_ONCE):
                continue
            evicted = sqlite.execute(
                "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY used LIMIT ?)",
                (EVICTED_AT_ONCE,),
            )
            if not evicted.rowcount:
                return

    def _checked(self, key: bytes, value: bytes, checksum: int, used: int) -> bytes:
        """Return a value that was read, once it is proven whole, and note that it was used."""
        if zlib.crc32(value) != checksum:
            raise Damaged("the checksum of a value is wrong")
        if used < int(self._clock()) and len(self._notes) < MAX_NOTES:
            self._notes.add(key)
        return value

    def _columns(self, value: bytes, ttl: float | None) -> tuple[bytes, int, float, int]:
        return value, zlib.crc32(value), self._expires(ttl), int(self._clock())

    def _expires(self, ttl: float | None) -> float:
        return math.inf if ttl is None else self._clock() + max(ttl, 0)


def end_of_prefix(prefix: bytes) -> bytes:
    """Return the end of the range of keys that start with ``prefix``."""
    # UTF-8 never has the byte 0xFF, so it comes after every key of the range.
    return prefix + b"\xff"


def _pragma(sqlite: sqlite3.Connection, name: str) -> int:
    (number,) = sqlite.execute(f"PRAGMA {name}").fetchone()
    return int(number)


def _delete_expired(sqlite: sqlite3.Connection, now: float, most: int) -> int:
    return sqlite.execute(
        "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE expires <= ? LIMIT ?)",
        (now, most),
    ).rowcount
