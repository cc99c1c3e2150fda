"""The rows of the cache file: what is stored, and what of it is read.

An expired entry is never read. When it is removed, and what is evicted, is said in
:mod:`backends.file.housekeeping`.

Every function that takes a connection runs within the caller's transaction.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Final, NamedTuple
from zlib import crc32

from backends.file.failures import Damaged
from backends.file.housekeeping import GRAIN, Housekeeping, pages_for, pages_for_all
from backends.file.seen import ABSENT, Connection, Row

KEYS_A_QUERY: Final = 512
# Queries for more keys are made for a multiple of so many: each is prepared once.
KEYS_ROUNDED: Final = 8
# Of a listing, for one page: some milliseconds.
LOOKED_AT: Final = 5_000
# Of a flush, in one transaction: other writers wait for no more.
DELETED_AT_ONCE: Final = 1_000

_NONE: Final[frozenset[bytes]] = frozenset()
_NOTHING: Final[tuple[dict[bytes, Row], Set[bytes]]] = {}, _NONE
_FIND = "SELECT key, checksum, expires, used, id, value FROM entries WHERE expires > ? AND key "
_INSERT = "INSERT INTO entries (key, expires, used, checksum, value) VALUES (?, ?, ?, ?, ?) "
_OVERWRITE = (
    "ON CONFLICT (key) DO UPDATE SET expires = excluded.expires, used = excluded.used, "
    "checksum = excluded.checksum, value = excluded.value "
)
_SET = _INSERT + _OVERWRITE
_ADD = _SET + "WHERE entries.expires <= ?"


class Pair(NamedTuple):
    """What is to be stored, with its lifetime in seconds."""

    key: bytes
    value: bytes
    ttl: float | None


class Entries:
    """The table ``entries``, under keys and values that are bytes.

    :param max_pages: the bound of the file, in pages.
    :param clock: Unix time in seconds.
    """

    def __init__(self, max_pages: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._housekeeping = Housekeeping(max_pages, clock)
        self.tidy = self._housekeeping.tidy

    @property
    def evicted(self) -> int:
        """How many entries the write under way has evicted, which had not expired."""
        return self._housekeeping.evicted

    # Reading

    def get(self, sqlite: Connection, key: bytes) -> bytes | None:
        """Return the value of a key, if it is there and not expired."""
        found, _ = self.get_some(sqlite, (key,), math.inf)
        return found.get(key)

    def get_some(
        self, sqlite: Connection, keys: Iterable[bytes], most: float
    ) -> tuple[dict[bytes, bytes], Set[bytes]]:
        """Return the values of those keys that are there, and note that they were used.

        :param most: once what is read has more bytes than this, the rest is left.
        :return: the values, and the keys that were left.
        """
        now = self._clock()
        stale = now - GRAIN
        found: dict[bytes, bytes] = {}
        seen = sqlite.seen()
        unseen = [key for key in keys if key not in seen]
        read, unread = _read(sqlite, unseen, now, most) if unseen else _NOTHING
        for key in keys:
            if unread and key in unread:
                continue
            _, _, expires, used, row, value = read[key] if key in read else seen[key]
            if expires > now:
                found[key] = value
                if used <= stale:
                    self._housekeeping.note(row)
        if read:
            sqlite.remember(read.items())
        return found, unread

    def rows(
        self, sqlite: Connection, keys: Sequence[bytes], most: float
    ) -> tuple[dict[bytes, Row], Set[bytes]]:
        """Return the rows of those keys that are there, for who gives them new values.

        :param most: as of :meth:`get_some`.
        :return: the rows, and the keys that were left.
        """
        read, unread = _read(sqlite, keys, self._clock(), most)
        return {key: row for key, row in read.items() if row is not ABSENT}, unread

    def remaining_ttl(self, sqlite: Connection, key: bytes) -> float | None:
        """Return the seconds that a key has left, infinity for ever, if it is there."""
        now = self._clock()
        row = sqlite.execute(
            "SELECT expires FROM entries WHERE key = ? AND expires > ?", (key, now)
        ).fetchone()
        return None if row is None else row[0] - now

    def remaining_ttl_many(self, sqlite: Connection, keys: Sequence[bytes]) -> dict[bytes, float]:
        """Return the seconds that each key has left that is there."""
        now = self._clock()
        left: dict[bytes, float] = {}
        for condition, part in _in_parts(keys):
            query = f"SELECT key, expires - ? FROM entries WHERE expires > ? AND key {condition}"  # noqa: S608 (question marks only)
            left.update(sqlite.execute(query, (now, now, *part)))
        return left

    def describe(self, sqlite: Connection, keys: Sequence[bytes]) -> dict[bytes, tuple[float, int]]:
        """Return the seconds left and the bytes of the value, of each key that is there.

        SQLite has the length of a value at its head: no value is read.
        """
        now = self._clock()
        found: dict[bytes, tuple[float, int]] = {}
        for condition, part in _in_parts(keys):
            query = f"SELECT key, expires - ?, length(value) FROM entries WHERE expires > ? AND key {condition}"  # noqa: S608,E501 (question marks only)
            for key, left, size in sqlite.execute(query, (now, now, *part)):
                found[key] = left, size
        return found

    def list_keys(
        self, sqlite: Connection, prefix: bytes, limit: int, after: bytes | None
    ) -> tuple[list[bytes], bytes | None]:
        """Return keys that start with ``prefix`` and come after ``after``, in byte order.

        Looks at :data:`LOOKED_AT` entries at most, so that a page takes no longer where most
        are expired: it may then have fewer keys than there are, or none.

        :return: the keys, ``limit`` at most, and after which key to go on; ``None``: that is
            all.
        """
        # One lower bound: of two, SQLite seeks to the one, and steps over all up to the other.
        lower, compare = (prefix, ">=") if after is None or after < prefix else (after, ">")
        rows = sqlite.execute(
            f"SELECT key, expires FROM entries WHERE key {compare} ? AND key < ? "  # noqa: S608
            "ORDER BY key LIMIT ?",
            (lower, end_of_prefix(prefix), LOOKED_AT + 1),
        )
        now = self._clock()
        # Mostly none of them has ended.
        first = rows.fetchmany(limit + 1)
        keys = [key for key, expires in first[:limit] if expires > now]
        if len(keys) == min(len(first), limit) and limit < LOOKED_AT:
            return keys, keys[-1] if len(first) > limit else None
        keys, last = [], b""
        for number, (key, expires) in enumerate(itertools.chain(first, rows)):
            if len(keys) == limit or number == LOOKED_AT:
                return keys, last
            last = key
            if expires > now:
                keys.append(key)
        return keys, None

    # Writing

    def set_many(
        self, sqlite: Connection, pairs: Sequence[tuple[bytes, bytes, float | None]]
    ) -> None:
        """Store in order, overwriting."""
        now = self._clock()
        used = int(now)
        # Mostly all have the same.
        ends = {ttl: _expires(ttl, now) for ttl in {ttl for _, _, ttl in pairs}}
        rows = [
            (key, ends[ttl], used, crc32(value, crc32(key)), value) for key, value, ttl in pairs
        ]
        start = 0
        while start < len(rows):
            room = self._housekeeping.make_room(sqlite, pages_for(len(rows[start][-1])))
            end = len(rows)
            if pages_for_all([len(row[-1]) for row in rows[start:]]) > room:
                end = start
                while end < len(rows):
                    room -= pages_for(len(rows[end][-1]))
                    if room < 0 and end > start:
                        break
                    end += 1
            sqlite.executemany(_SET, rows[start:end])
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
            "UPDATE entries SET expires = ?, used = ?, checksum = ?, value = ? "
            "WHERE key = ? AND expires > ? AND (? IS NULL OR value = ?)",
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
            [(used, _checksum(row[0], value), value, row[4]) for row, value in rows],
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


def _read(
    sqlite: Connection, keys: Sequence[bytes], now: float, most: float
) -> tuple[dict[bytes, Row], Set[bytes]]:
    """Return what stands under each key, once it is proven whole; and the keys that were left.

    :param most: as of :meth:`Entries.get_some`.
    """
    read = dict.fromkeys(keys, ABSENT)
    size = 0
    for condition, part in _in_parts(keys):
        rows = sqlite.execute(_FIND + condition, (now, *part))
        for row in rows:
            key, value = row[0], row[5]
            if crc32(value, crc32(key)) != row[1]:
                raise Damaged("the checksum of a value is wrong")
            read[key] = row
            size += len(value)
            if size > most:
                # The next one would be loaded to be told.
                rows.close()
                left = {key for key, row in read.items() if row is ABSENT}
                return {key: read[key] for key in read.keys() - left}, left
    return read, _NONE


def _in_parts(keys: Sequence[bytes]) -> Iterator[tuple[str, Sequence[bytes]]]:
    """Yield conditions and what to put into them, for keys that may be more than fit."""
    if len(keys) == 1:
        yield "= ?", keys
        return
    for start in range(0, len(keys), KEYS_A_QUERY):
        part = list(keys[start : start + KEYS_A_QUERY])
        if len(part) > KEYS_ROUNDED:
            # The last key again changes nothing.
            part += [part[-1]] * (-len(part) % KEYS_ROUNDED)
        yield f"IN ({','.join('?' * len(part))})", part


def end_of_prefix(prefix: bytes) -> bytes:
    """Return the end of the range of keys that start with ``prefix``."""
    # UTF-8 never has the byte 0xFF, so it comes after every key of the range.
    return prefix + b"\xff"


def _row(pair: Pair, now: float) -> tuple[bytes, float, int, int, bytes]:
    key, value, ttl = pair
    return key, _expires(ttl, now), int(now), _checksum(key, value), value


def _expires(ttl: float | None, now: float) -> float:
    return math.inf if ttl is None else now + max(ttl, 0)


def _checksum(key: bytes, value: bytes) -> int:
    # Of the key too: a value that stands under another key is damage.
    return crc32(value, crc32(key))
