"""The embedded backend: one SQLite file, no server.

Shared by all processes of the machine. What is done with keys stands in :mod:`backends.file.keys`;
here are the settings, and what concerns the whole file. How entries expire and are evicted is said
in :mod:`backends.file.housekeeping`, what happens to a damaged file in
:mod:`backends.file.database`.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from backends import owned
from backends.base import Backend
from backends.capabilities import Capability, Limits, Traits
from backends.errors import Failed, InvalidOption
from backends.file import analyzing, statistics
from backends.file.counters import Counters, Uncounted
from backends.file.database import Database
from backends.file.entries import Entries
from backends.file.keys import KeyCommands
from backends.file.opening import PAGE_BYTES
from backends.file.options import OPTIONS, SERVICE_TYPE
from backends.options import DATA_DIR
from backends.portions import Portion
from backends.probe import Probe, expect
from backends.statistics import ServerStatistics

# The directory of what is apart, and the bound on it in MiB: some 50,000 counts.
APART: Final = "own"
APART_MB: Final = 8


class FileBackend(KeyCommands):
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
    service_type = SERVICE_TYPE
    sets_many_at_once = True
    performs_at_once = True
    lists_at_once = True
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
            owned.folder(directory)
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

    def analyze(self, most: int) -> Iterator[Portion]:
        return analyzing.portions(self._database, self.prefix.encode(), most, self._clock)

    def apart(self) -> Backend:
        """Return a file of its own: its entries, reads and evictions are none of this one's."""
        return FileBackend(
            data_dir=str(self._apart), max_mb=APART_MB, timeout=self._timeout, clock=self._clock
        )

    def uncounted(self) -> Backend:
        """Return the same over the same file, whose reads nobody counts."""
        made = copy.copy(self)
        made._counters = Uncounted()  # noqa: SLF001
        return made

    def probe(self, key: str) -> Probe:
        return _Probe(self, key)

    def close(self) -> None:
        self._database.close()
        self._counters.close()


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
