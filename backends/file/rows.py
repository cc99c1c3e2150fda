"""The rows of the cache file as they are read: values, lifetimes, lists of keys.

An expired entry is never read, nor a value that is not whole.

Every function that takes a connection runs within the caller's transaction.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Final
from zlib import crc32

from backends.file.failures import Damaged
from backends.file.housekeeping import GRAIN, Housekeeping
from backends.file.seen import ABSENT, Connection, Row

KEYS_A_QUERY: Final = 512
# Queries for more keys are made for a multiple of so many: each is prepared once.
KEYS_ROUNDED: Final = 8
# Of a listing, for one page: some milliseconds.
LOOKED_AT: Final = 5_000

_NONE: Final[frozenset[bytes]] = frozenset()
_NOTHING: Final[tuple[dict[bytes, Row], Set[bytes]]] = {}, _NONE
_FIND = "SELECT key, checksum, expires, used, id, value FROM entries WHERE expires > ? AND key "


class Rows:
    """What is read of the table ``entries``, under keys and values that are bytes.

    :param max_pages: the bound of the file, in pages.
    :param clock: Unix time in seconds.
    """

    def __init__(self, max_pages: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._housekeeping = Housekeeping(max_pages, clock)
        self.tidy = self._housekeeping.tidy

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

    @staticmethod
    def _there(sqlite: Connection, keys: Sequence[bytes], now: float) -> set[bytes]:
        """Return those of some keys that are there."""
        found: set[bytes] = set()
        for condition, part in _in_parts(keys):
            query = f"SELECT key FROM entries WHERE expires > ? AND key {condition}"  # noqa: S608 (question marks only)
            found.update(key for (key,) in sqlite.execute(query, (now, *part)))
        return found

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


def _read(
    sqlite: Connection, keys: Sequence[bytes], now: float, most: float
) -> tuple[dict[bytes, Row], Set[bytes]]:
    """Return what stands under each key, once it is proven whole; and the keys that were left.

    :param most: as of :meth:`Rows.get_some`.
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


def checksum(key: bytes, value: bytes) -> int:
    """Return what proves that a value is whole, and stands under its key."""
    # Of the key too: a value that stands under another key is damage.
    return crc32(value, crc32(key))
