"""Reads and writes of the SQLite file: transactions, patience, repair.

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
import os
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from backends.errors import Failed, Timeout, Unavailable
from backends.file import freeing
from backends.file.failures import BUSY, is_busy, is_damage, translate
from backends.file.opening import REPAIRS, CacheFile, Open
from backends.file.recent import RECENT
from backends.file.seen import Connection
from backends.pool import Pool

A = TypeVar("A")
T = TypeVar("T")

# Between two attempts to begin a write while another process writes, in seconds.
SHORTEST_PAUSE = 0.00005
LONGEST_PAUSE = 0.002
# Of the log file: so large it is not, unless reads overlap without an end. After so many writes
# its size is looked at; so long, in milliseconds, a write then waits for the reads under way.
LOG_BYTES = 16 * 1024 * 1024
WRITES_A_LOOK = 16
LOG_PATIENCE = 100
# No state that others share: Python's own generator is everybody's, tests' too.
_RANDOM = secrets.SystemRandom()
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


class Database:
    """The cache file.

    :param path: its place; the directory exists.
    :param max_pages: a bound on the file, in pages of :data:`PAGE_BYTES`.
    :param timeout: how long a writer waits for the others, in seconds.
    """

    def __init__(self, path: Path, max_pages: int, timeout: float) -> None:
        self.path = path
        self._file = CacheFile(path, max_pages, timeout)
        self._timeout = timeout
        file = self._file
        pool: Pool[Open] = Pool(lambda: file.connect(pool), _close)
        self._pool = pool
        # Connections are held by whom they are counted by, too.
        weakref.finalize(self, pool.clear)
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

        with self._turn():
            result = self._run(transaction)
            self._writes += 1
            if self._writes % WRITES_A_LOOK == 0:
                self._shorten_log()
            return result

    def clear(self) -> None:
        """Delete everything in one step, however much it is: by an empty file in its place.

        A write that was under way may end in the old file: it is as one that came before.

        :raises Failed: as :meth:`write`.
        """

        def replace(sqlite: Connection) -> None:
            self._patiently(sqlite.execute, "BEGIN IMMEDIATE")
            held = freeing.hold(self.path)
            try:
                self._file.renew()
            finally:
                sqlite.execute("ROLLBACK")
                sqlite.forget()
                self._pool.clear()
                if held is not None:
                    freeing.free(held)

        with self._turn():
            self._run(replace)

    def close(self) -> None:
        """Close this process's idle connections."""
        self._pool.clear()

    def forget_writers(self) -> None:
        """In a forked child: the threads that may have been writing are not here."""
        self._writing = threading.Lock()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the other writers of this process."""
        if not self._writing.acquire(timeout=self._timeout):
            raise Timeout(BUSY)
        try:
            yield
        finally:
            self._writing.release()

    def _run(self, work: Callable[[Connection], T]) -> T:
        for attempts_left in reversed(range(REPAIRS)):
            try:
                connection = self._borrow()
            except sqlite3.Error as error:
                raise translate(error) from error
            except OSError as error:
                raise Unavailable("Connection refused: the cache file cannot be made.") from error
            try:
                result = work(connection.sqlite)
            except sqlite3.Error as error:
                self._pool.discard(connection)
                if not attempts_left or not is_damage(error):
                    raise translate(error) from error
                self._file.set_aside(connection.identity, error)
            except BaseException:
                self._give_back(connection)
                raise
            else:
                self._give_back(connection)
                return result
        raise AssertionError("unreachable")

    def _give_back(self, connection: Open) -> None:
        self._pool.release(connection)
        RECENT.used(connection)

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
                if not is_busy(error) or now - began > self._timeout:
                    raise
            pause = min(max((now - began) / 8, SHORTEST_PAUSE), LONGEST_PAUSE)
            time.sleep(pause * _RANDOM.uniform(0.5, 1))

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

    def _borrow(self) -> Open:
        """Borrow a connection to the file that now stands at the path."""
        while True:
            connection = self._pool.acquire()
            if connection.identity == self._file.identity():
                return connection
            # Another process moved the file aside, or somebody deleted it.
            self._pool.discard(connection)


def _close(connection: Open) -> None:
    RECENT.gone(connection)
    connection.sqlite.close()


def _restart_log(sqlite: Connection) -> None:
    sqlite.execute(f"PRAGMA busy_timeout = {LOG_PATIENCE}")
    sqlite.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    sqlite.execute("PRAGMA busy_timeout = 0")
