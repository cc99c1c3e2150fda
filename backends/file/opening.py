"""The cache file as a file: made, opened, and moved aside when it is damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from backends import owned
from backends.errors import Unavailable
from backends.file.failures import Damaged, Outdated, is_damage
from backends.file.seen import Connection
from backends.pool import Pool

log = logging.getLogger(__name__)

PAGE_BYTES = 4096
# How often a file is found damaged, by one call, before the call fails.
REPAIRS = 5
# Of pages, in each connection: a write that finds what it changes here need not read it.
CACHE_BYTES = 8 * 1024 * 1024
# More than there are different statements, lists of keys by their length among them.
STATEMENTS = 256
SCHEMA_VERSION = 2
# The value comes last: what is looked at without it stands on the row's first page. An index
# more would add half to what a write costs.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    expires REAL NOT NULL,
    used INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL
);
PRAGMA user_version = {SCHEMA_VERSION};
"""


@dataclasses.dataclass(slots=True, eq=False)
class Open:
    """A connection, which file it is to, and where it is when it is idle."""

    sqlite: Connection
    identity: tuple[int, int] | None
    pool: Pool[Open]


class CacheFile:
    """The file at a path, whichever stands there now.

    :param path: its place; the directory exists.
    :param max_pages: a bound on the file, in pages of :data:`PAGE_BYTES`.
    :param timeout: how long SQLite waits for a lock while it opens, in seconds.
    """

    def __init__(self, path: Path, max_pages: int, timeout: float) -> None:
        self.path = path
        self._max_pages = max_pages
        self._timeout = timeout

    def identity(self) -> tuple[int, int] | None:
        """Return which file stands at the path; ``None`` for none."""
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def connect(self, pool: Pool[Open]) -> Open:
        """Open the file, made anew where there is none or it cannot be used.

        :param pool: where the connection will be idle.
        :raises sqlite3.Error: it can be neither opened nor replaced.
        :raises OSError: it cannot be made.
        """
        for attempts_left in reversed(range(REPAIRS)):
            # Whoever opens the file opens its log by name: not while another replaces it.
            with self._guard():
                if self.identity() is None:
                    self._create()
                identity = self.identity()
                sqlite = self._open(self.path)
                try:
                    self._prepare(sqlite)
                except Outdated:
                    sqlite.close()
                    log.warning("The cache file is of an earlier version; starting empty.")
                    self._create()
                    continue
                except sqlite3.Error as error:
                    sqlite.close()
                    if not attempts_left or not is_damage(error):
                        raise
                    damage = error
                else:
                    return Open(sqlite, identity, pool)
            self.set_aside(identity, damage)
        raise AssertionError("unreachable")

    def renew(self) -> None:
        """Put an empty file in place of the one that stands there.

        Who has the other one open goes on with it until the next look at :meth:`identity`;
        the system frees it when the last of them has closed it.
        """
        with self._guard():
            self._create()

    def _open(self, path: Path) -> Connection:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            factory=Connection,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS,
        )

    def _create(self) -> None:
        """Put an empty file in place; it is complete when others first see it."""
        # The log of a file that somebody deleted would be taken for the new one's.
        for suffix in ("-wal", "-shm", ".new", ".new-wal", ".new-shm"):
            _remove(f"{self.path}{suffix}")
        draft = self.path.with_name(f"{self.path.name}.new")
        # Values are nobody else's business; SQLite gives its log files the same mode and owner.
        os.close(owned.opened(draft, os.O_RDWR))
        sqlite = self._open(draft)
        try:
            sqlite.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            sqlite.execute("PRAGMA journal_mode = WAL")
            sqlite.executescript(SCHEMA)
        finally:
            sqlite.close()
        os.rename(draft, self.path)

    def _prepare(self, sqlite: Connection) -> None:
        (version,) = sqlite.execute("PRAGMA user_version").fetchone()
        if 0 < version < SCHEMA_VERSION:
            raise Outdated
        if version != SCHEMA_VERSION:
            raise Damaged(f"the file has schema version {version}, not {SCHEMA_VERSION}")
        sqlite.execute("PRAGMA synchronous = OFF")
        sqlite.execute(f"PRAGMA cache_size = {-CACHE_BYTES // 1024}")
        # Debian's SQLite overwrites with zeros what is deleted.
        sqlite.execute("PRAGMA secure_delete = OFF")
        sqlite.execute(f"PRAGMA max_page_count = {self._max_pages}")
        sqlite.execute("PRAGMA busy_timeout = 0")
        # Else the log file keeps the size of the largest write for ever.
        sqlite.execute(f"PRAGMA journal_size_limit = {4 * 1024 * 1024}")

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Let one thread at a time, of all processes, open or replace the file."""
        with owned.locked(self.path.with_name(f"{self.path.name}.lock")):
            yield

    def set_aside(self, identity: tuple[int, int] | None, error: sqlite3.Error) -> None:
        """Move the damaged file away, unless another process has done so already."""
        try:
            with self._guard():
                if self.identity() != identity:
                    return
                aside = f"{self.path}.damaged"
                for suffix in ("", "-wal", "-shm"):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
        except OSError as reason:
            raise Unavailable(
                "Connection refused: the cache file is damaged and stays in the way."
            ) from reason
        log.error("The cache file was damaged (%s); moved to %s, starting empty.", error, aside)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
