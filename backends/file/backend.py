"""The embedded backend: one SQLite file, no server.

Shared by all processes of the machine. A read is one query, a write one transaction. How
entries expire and are evicted is said in :mod:`backends.file.housekeeping`, what happens to
a damaged file in :mod:`backends.file.database`.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from backends.base import MISSING, Backend, Found, Item, Missing, count_from
from backends.capabilities import Capability, Limits, Traits
from backends.errors import (
    BackendError,
    Failed,
    InvalidCursor,
    InvalidOption,
    ValueTooLarge,
)
from backends.file import statistics
from backends.file.counters import Counters
from backends.file.database import Database
from backends.file.entries import Entries, Pair
from backends.file.opening import PAGE_BYTES
from backends.file.options import OPTIONS
from backends.file.seen import Connection
from backends.options import DATA_DIR
from backends.probe import Probe, expect
from backends.statistics import ServerStatistics

T = TypeVar("T")

# The directory of what is apart, and the bound on it in MiB: some 50,000 counts.
APART: Final = "own"
APART_MB: Final = 8
# Some 25 ms of work; another writer waits for a second.
ITEMS_A_WRITE: Final = 1000


class FileBackend(Backend):
    """A cache in ``<data_dir>/cache.sqlite3``.

    :param data_dir: the directory; made if missing, readable by its owner only.
    :param max_mb: bound on the file's size in MiB. SQLite's log beside it is usually under
        4 MiB, and some 16 MiB where reads never pause. A value may take an eighth of the
        bound at most.
    :param timeout: how long a write waits for other writers, in seconds.
    :param clock: Unix time in seconds; for tests.
    """

    driver = "file"
    label = "the file backend"
    service_name = "local"
    service_type = "cache_local"
    sets_many_at_once = True
    performs_at_once = True
    options = OPTIONS
    traits = Traits(
        title="Embedded file",
        description="A cache in one file on a local disk; needs no server.",
        needs="nothing",
        shared_by="the processes of one machine",
        eviction="expired, then least recently used, by samples",
        persistence="values are still there",
        replication="none",
        data_types="JSON values",
        max_value="an eighth of `CACHE_FILE_MAX_MB`",
    )
    capabilities = frozenset(Capability)
    limits = Limits(max_key_bytes=1024)

    def __init__(
        self,
        *,
        data_dir: str,
        max_mb: int = 256,
        prefix: str = "",
        timeout: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(prefix=prefix)
        max_bytes = max_mb * 1024 * 1024
        self.limits = dataclasses.replace(self.limits, max_value_bytes=max_bytes // 8)
        directory = Path(data_dir)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidOption(
                f"{DATA_DIR.variable}: {data_dir!r} is no directory and cannot be made one."
            ) from error
        self._apart = directory / APART
        self._timeout, self._clock = timeout, clock
        self._database = Database(directory / "cache.sqlite3", max_bytes // PAGE_BYTES, timeout)
        self._entries = Entries(max_bytes // PAGE_BYTES, clock)
        self._counters = Counters(directory / "cache.sqlite3.counters")
        self._read_statistics = lambda sqlite: statistics.read(
            sqlite, self._counters.totals(), max_bytes
        )

    # Reading

    def get(self, key: str) -> bytes | Missing:
        return self._counted(self.peek(key))

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        prefix = self.prefix
        names = {(prefix + key).encode(): key for key in keys}
        found = self._database.read(lambda sqlite: self._entries.get_many(sqlite, names))
        hits = len(found)
        size = sum(map(len, found.values()))
        self._counters.add(hits=hits, misses=len(names) - hits, read=size)
        return {names[stored]: value for stored, value in found.items()}

    def list_keys(
        self, prefix: str, limit: int, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """Return keys in the order of their bytes; a cursor is the last key of its page."""
        first = self._stored(prefix)
        after = None if cursor is None else _decode_cursor(cursor)
        found, last = self._database.read(
            lambda sqlite: self._entries.list_keys(sqlite, first, limit, after)
        )
        own = len(self.prefix.encode())
        page = [stored[own:].decode() for stored in found]
        return page, None if last is None else _encode_cursor(last)

    def get_with_token(self, key: str) -> Found | Missing:
        """Return the value, which is its own token: what matters is what is stored."""
        value = self.get(key)
        return MISSING if value is MISSING else Found(value, value)

    def remaining_ttl(self, key: str) -> float | Missing | None:
        stored = self._stored(key)
        left = self._database.read(lambda sqlite: self._entries.remaining_ttl(sqlite, stored))
        if left is None:
            return MISSING
        return None if left == math.inf else left

    def remaining_ttl_many(self, keys: Iterable[str]) -> dict[str, float | None]:
        names = {self._stored(key): key for key in keys}
        found = self._database.read(
            lambda sqlite: self._entries.remaining_ttl_many(sqlite, list(names))
        )
        return {names[key]: None if left == math.inf else left for key, left in found.items()}

    # Writing

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        pair = self._pair(Item(key, value, ttl))
        self._write(lambda sqlite: self._entries.set_many(sqlite, [pair]), pair)

    def set_many(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        """Store so many in one transaction that other writers need not wait for all.

        Where the file cannot be written, nothing of that transaction is stored, and the
        rest is not tried.
        """
        outcomes: list[Literal[True] | BackendError] = []
        for start in range(0, len(items), ITEMS_A_WRITE):
            try:
                outcomes += self._store(items[start : start + ITEMS_A_WRITE])
            except BackendError as error:
                outcomes += [error] * (len(items) - start)
                break
        return outcomes

    def _store(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        """Store in one transaction what is not too large."""
        pairs: list[Pair] = []
        outcomes: list[Literal[True] | BackendError] = []
        for item in items:
            try:
                pairs.append(self._pair(item))
            except ValueTooLarge as error:
                outcomes.append(error)
            else:
                outcomes.append(True)
        self._write(lambda sqlite: self._entries.set_many(sqlite, pairs), *pairs)
        return outcomes

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        pair = self._pair(Item(key, value, ttl))
        return self._write(lambda sqlite: self._entries.add(sqlite, pair), pair)

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        return self.compare_and_set(key, value, None, ttl)

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        pair = self._pair(Item(key, value, ttl))
        return self._write(lambda sqlite: self._entries.update(sqlite, pair, expected=token), pair)

    def touch(self, key: str, ttl: float | None) -> bool:
        stored = self._stored(key)
        return self._write(lambda sqlite: self._entries.touch(sqlite, stored, ttl))

    def increment(self, key: str, delta: int) -> int | Missing:
        """Count in one transaction, on 64 bits with a sign."""
        stored = self._stored(key)

        def count(sqlite: Connection) -> int | Missing:
            value = self._entries.get(sqlite, stored)
            if value is None:
                return MISSING
            number = count_from(value, delta, self.limits)
            self._entries.overwrite(sqlite, stored, str(number).encode())
            return number

        return self._write(count)

    def delete(self, key: str) -> bool:
        stored = self._stored(key)
        return self._write(lambda sqlite: self._entries.delete(sqlite, stored))

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        """Delete all in one transaction; if the file cannot be written, none is deleted."""
        stored = [self._stored(key) for key in keys]
        try:
            return self._write(lambda sqlite: [self._entries.delete(sqlite, key) for key in stored])
        except BackendError as error:
            return [error] * len(keys)

    def compare_and_delete(self, key: str, token: Any) -> bool:
        stored = self._stored(key)
        return self._write(lambda sqlite: self._entries.delete(sqlite, stored, expected=token))

    def get_and_delete(self, key: str) -> bytes | Missing:
        stored = self._stored(key)

        def take(sqlite: Connection) -> bytes | None:
            value = self._entries.get(sqlite, stored)
            if value is not None:
                self._entries.delete(sqlite, stored)
            return value

        return self._counted(self._write(take))

    def flush(self) -> None:
        """Delete all at once; with a prefix in steps, between which others write."""
        prefix = self.prefix.encode()
        if not prefix:
            self._database.clear()
            return
        while self._write(lambda sqlite: self._entries.delete_some(sqlite, prefix)):
            pass

    def stats(self, section: str | None = None) -> list[ServerStatistics]:
        try:
            return [self._database.read(self._read_statistics)]
        except Failed as error:
            return [ServerStatistics(statistics.SERVER, None, {}, str(error))]

    def apart(self) -> Backend:
        """Return a file of its own: its entries, reads and evictions are none of this one's."""
        return FileBackend(
            data_dir=str(self._apart), max_mb=APART_MB, timeout=self._timeout, clock=self._clock
        )

    def probe(self, key: str) -> Probe:
        return _Probe(self, key)

    def peek(self, key: str) -> bytes | None:
        """Return the value or ``None``; unlike :meth:`get`, nobody counts it."""
        stored = self._stored(key)
        return self._database.read(lambda sqlite: self._entries.get(sqlite, stored))

    def close(self) -> None:
        self._database.close()
        self._counters.close()

    def _counted(self, value: bytes | None) -> bytes | Missing:
        """Return what a read found."""
        if value is None:
            self._counters.add(misses=1)
            return MISSING
        self._counters.add(hits=1, read=len(value))
        return value

    def _write(self, work: Callable[[Connection], T], *pairs: Pair) -> T:
        """Do ``work``, which stores ``pairs`` if any, in one transaction."""

        def transaction(sqlite: Connection) -> tuple[T, int]:
            self._entries.tidy(sqlite, len(pairs))
            return work(sqlite), self._entries.evicted

        result, evicted = self._database.write(transaction)
        if pairs:
            self._counters.add(stored=sum([len(pair.value) for pair in pairs]), evictions=evicted)
        return result

    def _pair(self, item: Item) -> Pair:
        """Return what is stored, unless it is too large."""
        key, value, ttl = item
        limit = self.limits.max_value_bytes or 0
        if len(value) > limit:
            raise ValueTooLarge(
                f"SERVER_ERROR object too large for cache: {len(value)} bytes, where "
                f"{limit} are allowed (an eighth of CACHE_FILE_MAX_MB). "
                "What was stored under this key stays."
            )
        return Pair(self._stored(key), value, ttl)


class _Probe(Probe):
    """Steps whose reads are not counted; what they store is, as bytes."""

    backend: FileBackend

    def connect(self) -> None:
        expect(self.backend.peek(self.key) is None)

    def read(self) -> None:
        expect(self.backend.peek(self.key) == self.value)

    def delete(self) -> None:
        expect(self.backend.delete(self.key))
        expect(self.backend.peek(self.key) is None)


def _encode_cursor(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def _decode_cursor(cursor: str) -> bytes:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise InvalidCursor("The cursor is not one that this service gave.") from error
