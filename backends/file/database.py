"""The SQLite file of the file backend: connections, transactions, damage.

One file in WAL mode, shared by all threads and processes of a machine. Readers never
wait for a writer; writers wait for each other, at most ``timeout``. ``synchronous`` is
OFF: what was acknowledged is in the system's memory and survives a killed process, and no
request ever waits for the disk. A power cut may lose the last moments and damage the file;
each value has a checksum, so what is read after one was once stored under its key.

A file that turns out damaged is moved aside as ``cache.sqlite3.damaged`` and a new one is
started: a cache may lose its entries, it may not give wrong ones or stop the service. The
file of an earlier version is removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import logging
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from backends.errors import Failed, OutOfMemory, Timeout, Unavailable
from backends.file.seen import Connection
from backends.pool import Pool

A = TypeVar("A")
T = TypeVar("T")
log = logging.getLogger(__name__)

PAGE_BYTES = 4096
# How often a file is found damaged, by one call, before the call fails.
REPAIRS = 5
# Between two attempts to begin a write while another process writes, in seconds.
SHORTEST_PAUSE = 0.00005
LONGEST_PAUSE = 0.002
# Of pages, in each connection: a write that finds what it changes here need not read it.
CACHE_BYTES = 8 * 1024 * 1024
# Of the log file: so large it is not, unless reads overlap without an end. After so many writes
# its size is looked at; so long, in milliseconds, a write then waits for the reads under way.
LOG_BYTES = 16 * 1024 * 1024
WRITES_A_LOOK = 16
LOG_PATIENCE = 100
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

_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class Damaged(sqlite3.DatabaseError):
    """The file's content is not what was written to it."""


class Outdated(sqlite3.DatabaseError):
    """The file was written by an earlier version of this module."""


_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _before_fork() -> None:
    # SQLite in a child that inherits a connection believes it holds the parent's locks
    # (sqlite.org/howtocorrupt.html, section 2.6).
    for database in _databases:
        database.close()


def _after_fork_in_child() -> None:
    for database in _databases:
        database.forget_writers()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


@dataclasses.dataclass(slots=True)
class _Open:
    sqlite: Connection
    identity: tuple[int, int] | None


class Database:
    """The cache file.

    :param path: its place; the directory exists.
    :param max_pages: a bound on the file, in pages of :data:`PAGE_BYTES`.
    :param timeout: how long a writer waits for the others, in seconds.
    """

    def __init__(self, path: Path, max_pages: int, timeout: float) -> None:
        self.path = path
        self._max_pages = max_pages
        self._timeout = timeout
        self._pool = Pool(self._connect, lambda connection: connection.sqlite.close())
        # Threads of one process queue here rather than in SQLite's sleeping back-off.
        self._writing = threading.Lock()
        self._writes = 0
        self._log_bound = LOG_BYTES
        _databases.add(self)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` and return what it returns.

        :raises Failed: the file cannot be read.
        """
        return self._run(lambda sqlite: self._patiently(work, sqlite))

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, which is committed unless it raises.

        :raises Timeout: another program held the file for longer than the time limit.
        :raises OutOfMemory: the disk is full.
        :raises Failed: the file cannot be written.
        """

        def transaction(sqlite: Connection) -> T:
            self._patiently(sqlite.execute, "BEGIN IMMEDIATE")
            try:
                result = work(sqlite)
                sqlite.execute("COMMIT")
            except BaseException:
                if sqlite.in_transaction:
                    sqlite.execute("ROLLBACK")
                raise
            finally:
                sqlite.forget()
            return result

        if not self._writing.acquire(timeout=self._timeout):
            raise Timeout("The cache file is busy: it stayed locked for too long.")
        try:
            result = self._run(transaction)
            self._writes += 1
            if self._writes % WRITES_A_LOOK == 0:
                self._shorten_log()
            return result
        finally:
            self._writing.release()

    def close(self) -> None:
        """Close this process's idle connections."""
        self._pool.clear()

    def forget_writers(self) -> None:
        """In a forked child: the threads that may have been writing are not here."""
        self._writing = threading.Lock()

    def _run(self, work: Callable[[Connection], T]) -> T:
        for attempts_left in reversed(range(REPAIRS)):
            try:
                connection = self._borrow()
            except sqlite3.Error as error:
                raise _translate(error) from error
            except OSError as error:
                raise Unavailable("Connection refused: the cache file cannot be made.") from error
            try:
                result = work(connection.sqlite)
            except sqlite3.Error as error:
                self._pool.discard(connection)
                if not attempts_left or not _is_damage(error):
                    raise _translate(error) from error
                self._set_aside(connection.identity, error)
            except BaseException:
                self._pool.release(connection)
                raise
            else:
                self._pool.release(connection)
                return result
        raise AssertionError("unreachable")

    def _patiently(self, step: Callable[[A], T], argument: A) -> T:
        """Repeat a step that finds the file locked, until the time limit.

        SQLite's own patience sleeps ever longer, up to 100 ms: a process that writes all
        the time would shut the others out. A write takes some 20 to 1,000 µs, and nothing
        that the kernel would wake a waiter with has a time limit: so the pauses are short,
        and an eighth of what was waited already.
        """
        began = None
        while True:
            try:
                return step(argument)
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                began = began or now
                if not _is_busy(error) or now - began > self._timeout:
                    raise
            pause = min(max((now - began) / 8, SHORTEST_PAUSE), LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 (no secret)

    def _shorten_log(self) -> None:
        """Let the next write begin the log anew if it has grown large.

        SQLite does so by itself once a write finds no reader that needs the log, which
        need never happen where many lists are read at the same time. What was written is
        stored, whatever becomes of this.
        """
        try:
            size = os.stat(f"{self.path}-wal").st_size
        except OSError:
            return
        if size < LOG_BYTES:
            self._log_bound = LOG_BYTES
        elif size >= self._log_bound:
            # A reader that hangs shall not be waited for with every look.
            self._log_bound = size + LOG_BYTES
            with contextlib.suppress(Failed):
                self._run(_restart_log)

    def _borrow(self) -> _Open:
        """Borrow a connection to the file that now stands at the path."""
        while True:
            connection = self._pool.acquire()
            if connection.identity == self._identity():
                return connection
            # Another process moved the file aside, or somebody deleted it.
            self._pool.discard(connection)

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _connect(self) -> _Open:
        for attempts_left in reversed(range(REPAIRS)):
            # Whoever opens the file opens its log by name: not while another replaces it.
            with self._guard():
                if self._identity() is None:
                    self._create()
                identity = self._identity()
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
                    if not attempts_left or not _is_damage(error):
                        raise
                    damage = error
                else:
                    return _Open(sqlite, identity)
            self._set_aside(identity, damage)
        raise AssertionError("unreachable")

    def _open(self, path: Path, mode: str = "rw") -> Connection:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
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
        sqlite = self._open(draft, "rwc")
        try:
            # Values are nobody else's business; SQLite gives its log files the same mode.
            os.chmod(draft, 0o600)
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
        descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _set_aside(self, identity: tuple[int, int] | None, error: sqlite3.Error) -> None:
        """Move the damaged file away, unless another process has done so already."""
        try:
            with self._guard():
                if self._identity() != identity:
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


def _restart_log(sqlite: Connection) -> None:
    sqlite.execute(f"PRAGMA busy_timeout = {LOG_PATIENCE}")
    sqlite.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    sqlite.execute("PRAGMA busy_timeout = 0")


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _is_damage(error: sqlite3.Error) -> bool:
    if isinstance(error, Damaged):
        return True
    # A file emptied under us is a valid database without our table.
    return _primary_code(error) in _DAMAGE_CODES or "no such table" in str(error)


def _is_busy(error: sqlite3.Error) -> bool:
    return _primary_code(error) in _BUSY_CODES


def _primary_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _translate(error: sqlite3.Error) -> Failed:
    code = _primary_code(error)
    if code in _BUSY_CODES:
        return Timeout("The cache file is busy: it stayed locked for too long.")
    if code == sqlite3.SQLITE_FULL:
        return OutOfMemory("SERVER_ERROR out of space: the disk of the cache file is full.")
    return Unavailable(
        "Connection refused: the cache file cannot be used; the service's log says why."
    )
