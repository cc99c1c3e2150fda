"""SQLite: a file of this machine, by Python's own module.

To open it takes a tenth of a millisecond, so that each use opens one: nothing is open where a
process forks, and a file that was put in another's place is seen.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backends import owned
from cacheapi.registry.database.errors import DatabaseUnusable, failing

if TYPE_CHECKING:
    from sqlalchemy import Engine

FILE: Final = "cacheapi.sqlite3"
# How long to wait for another's transaction.
LOCK_SECONDS: Final = 5


class SQLite:
    """A database in a file, which is made if it is missing.

    :raises DatabaseUnusable: it cannot be written.
    """

    is_shared = False
    # It takes no notice of the case as it is, and to lower it takes as long again.
    like_any = "LIKE"

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            owned.folder(path.parent)
            # Made here, so that nobody else may read it.
            os.close(owned.opened(path, os.O_RDWR))
        except OSError as error:
            reason = f"{str(path)!r} cannot be written ({error.strerror})."
            raise DatabaseUnusable(reason) from error

    @contextmanager
    def looks(self) -> Iterator[_Session]:
        with failing(sqlite3.Error), closing(self._opened()) as connection:
            yield _Session(connection)

    @contextmanager
    def changes(self) -> Iterator[_Session]:
        with failing(sqlite3.Error), closing(self._opened()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            # What is not committed is undone where it is closed.
            yield _Session(connection)
            connection.execute("COMMIT")

    def engine(self) -> Engine:
        from sqlalchemy import URL, create_engine
        from sqlalchemy.pool import NullPool

        return create_engine(
            URL.create("sqlite", database=str(self._path)),
            connect_args={"timeout": LOCK_SECONDS},
            hide_parameters=True,
            poolclass=NullPool,
        )

    def dispose(self, *, close: bool = True) -> None:
        """Do nothing: no connection stays open."""

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=LOCK_SECONDS, isolation_level=None)


class _Session:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql, values or {})
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def run(self, sql: str, *each: Mapping[str, Any]) -> None:
        for values in each or ({},):
            self._connection.execute(sql, values)

    def insert(self, sql: str, values: Mapping[str, Any]) -> int:
        number = self._connection.execute(sql, values).lastrowid
        assert number is not None
        return number
