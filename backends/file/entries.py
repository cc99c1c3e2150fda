"""What is stored in the cache file, changed and deleted; what is read of it: :mod:`.rows`.

When an expired entry is removed, and what is evicted, is said in
:mod:`backends.file.housekeeping`.

Every function that takes a connection runs within the caller's transaction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Set
from typing import Final, NamedTuple
from zlib import crc32

from backends.file.housekeeping import GRAIN, pages_for, pages_for_all
from backends.file.rows import Rows, checksum, end_of_prefix
from backends.file.seen import Connection, Row

# Of a flush, in one transaction: other writers wait for no more.
DELETED_AT_ONCE: Final = 1_000

_INSERT = "INSERT INTO entries (key, expires, used, checksum, value) VALUES (?, ?, ?, ?, ?) "
_OVERWRITE = (
    "ON CONFLICT (key) DO UPDATE SET expires = excluded.expires, used = excluded.used, "
    "checksum = excluded.checksum, value = excluded.value "
)
_SET = _INSERT + _OVERWRITE
_UPDATE = (
    "UPDATE entries SET expires = ?, used = ?, checksum = ?, value = ? "
    "WHERE key = ? AND expires > ? "
)
_ADD = _SET + "WHERE entries.expires <= ?"


class Pair(NamedTuple):
    """What is to be stored, with its lifetime in seconds."""

    key: bytes
    value: bytes
    ttl: float | None


class Entries(Rows):
    """The table ``entries``, under keys and values that are bytes."""

    @property
    def evicted(self) -> int:
        """How many entries the write under way has evicted, which had not expired."""
        return self._housekeeping.evicted

    def set_many(
        self, sqlite: Connection, pairs: Sequence[tuple[bytes, bytes, float | None]]
    ) -> None:
        """Store in order, overwriting."""
        rows = _rows(pairs, self._clock())
        for part in self._parts(sqlite, [len(row[-1]) for row in rows]):
            sqlite.executemany(_SET, rows[part])

    def add_many(
        self, sqlite: Connection, pairs: Sequence[tuple[bytes, bytes, float | None]]
    ) -> list[bool]:
        """Do :meth:`add` for different keys; return the outcome of each."""
        if len(pairs) == 1:
            return [self.add(sqlite, Pair(*pairs[0]))]
        there = self._there(sqlite, [key for key, _, _ in pairs], self._clock())
        self.set_many(sqlite, [pair for pair in pairs if pair[0] not in there] if there else pairs)
        return [key not in there for key, _, _ in pairs]

    def update_many(
        self, sqlite: Connection, pairs: Sequence[tuple[bytes, bytes, float | None]]
    ) -> list[bool]:
        """Do :meth:`update` in order; return the outcome of each."""
        now = self._clock()
        stored = _rows(pairs, now)
        if min([row[1] for row in stored]) <= now:
            # What is given no time is not there for who comes behind.
            return [self.update(sqlite, Pair(*pair)) for pair in pairs]
        rows = [(end, used, check, value, key, now) for key, end, used, check, value in stored]
        outcomes: list[bool] = []
        for part in self._parts(sqlite, [len(value) for _, value, _ in pairs]):
            some = rows[part]
            if sqlite.executemany(_UPDATE, some).rowcount == len(some):
                outcomes += [True] * len(some)
                continue
            # What was there is there.
            keys = [key for *_, key, _ in some]
            there = self._there(sqlite, keys, now)
            outcomes += [key in there for key in keys]
        return outcomes

    def _parts(self, sqlite: Connection, sizes: Sequence[int]) -> Iterator[slice]:
        """Yield parts of what is stored once there is room for each, by the sizes of values."""
        start = 0
        while start < len(sizes):
            room = self._housekeeping.make_room(sqlite, pages_for(sizes[start]))
            end = len(sizes)
            if pages_for_all(sizes[start:]) > room:
                end = start
                while end < len(sizes):
                    room -= pages_for(sizes[end])
                    if room < 0 and end > start:
                        break
                    end += 1
            yield slice(start, end)
            start = end

    def add(self, sqlite: Connection, pair: Pair) -> bool:
        """Store if the key is absent or expired; return whether it was."""
        now = self._clock()
        self._make_room(sqlite, pair)
        return sqlite.execute(_ADD, (*_row(pair, now), now)).rowcount == 1

    def update(self, sqlite: Connection, pair: Pair, *, expected: bytes | None = None) -> bool:
        """Store if the key is there (with the value ``expected``, if given)."""
        now = self._clock()
        self._make_room(sqlite, pair)
        key, *columns = _row(pair, now)
        cursor = sqlite.execute(
            _UPDATE + "AND (? IS NULL OR value = ?)",
            (*columns, key, now, expected, expected),
        )
        return cursor.rowcount == 1

    def touch(self, sqlite: Connection, key: bytes, ttl: float | None) -> bool:
        """Give a new lifetime; return whether the key is there."""
        now = self._clock()
        cursor = sqlite.execute(
            "UPDATE entries SET expires = ? WHERE key = ? AND expires > ?",
            (_expires(ttl, now), key, now),
        )
        return cursor.rowcount == 1

    def get_and_touch(
        self, sqlite: Connection, touches: Sequence[tuple[bytes, float | None]], most: float
    ) -> tuple[dict[bytes, bytes], Set[bytes]]:
        """Return values, and give each its new lifetime, the last of those of a key.

        :param most: as of :meth:`get_some`, whose values and keys are returned.
        """
        now = self._clock()
        found, unread = self.rows(sqlite, list(dict(touches)), most)
        sqlite.executemany(
            "UPDATE entries SET expires = ? WHERE id = ?",
            [(_expires(ttl, now), found[key][4]) for key, ttl in touches if key in found],
        )
        for _, _, _, used, row, _ in found.values():
            if used <= now - GRAIN:
                self._housekeeping.note(row)
        return {key: row[5] for key, row in found.items()}, unread

    def overwrite(self, sqlite: Connection, rows: Sequence[tuple[Row, bytes]]) -> None:
        """Give rows that are there new values, of about the same size, and leave the lifetimes."""
        used = int(self._clock())
        sqlite.executemany(
            "UPDATE entries SET used = ?, checksum = ?, value = ? WHERE id = ?",
            [(used, checksum(row[0], value), value, row[4]) for row, value in rows],
        )

    def delete(self, sqlite: Connection, key: bytes, *, expected: bytes | None = None) -> bool:
        """Delete (if the value is ``expected``, if given); return whether it was there."""
        cursor = sqlite.execute(
            "DELETE FROM entries WHERE key = ? AND expires > ? AND (? IS NULL OR value = ?)",
            (key, self._clock(), expected, expected),
        )
        return cursor.rowcount == 1

    def delete_some(self, sqlite: Connection, prefix: bytes) -> bool:
        """Delete some of what starts with ``prefix``; return whether there is more."""
        cursor = sqlite.execute(
            "DELETE FROM entries WHERE id IN "
            "(SELECT id FROM entries WHERE key >= ? AND key < ? ORDER BY key LIMIT ?)",
            (prefix, end_of_prefix(prefix), DELETED_AT_ONCE),
        )
        return cursor.rowcount == DELETED_AT_ONCE

    def _make_room(self, sqlite: Connection, pair: Pair) -> None:
        self._housekeeping.make_room_for_one(sqlite, len(pair.value))


def _row(pair: Pair, now: float) -> tuple[bytes, float, int, int, bytes]:
    key, value, ttl = pair
    return key, _expires(ttl, now), int(now), checksum(key, value), value


def _rows(
    pairs: Sequence[tuple[bytes, bytes, float | None]], now: float
) -> list[tuple[bytes, float, int, int, bytes]]:
    """Return what :func:`_row` does, of each; mostly all have the same lifetime."""
    used = int(now)
    ends = {ttl: _expires(ttl, now) for ttl in {ttl for _, _, ttl in pairs}}
    return [(key, ends[ttl], used, crc32(value, crc32(key)), value) for key, value, ttl in pairs]


def _expires(ttl: float | None, now: float) -> float:
    return math.inf if ttl is None else now + max(ttl, 0)
