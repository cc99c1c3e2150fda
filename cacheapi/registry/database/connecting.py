"""Connecting: which databases there can be.

The default, a file, is SQLite's, and needs Python alone: SQLAlchemy, which takes a fifth of a
second to import, keeps the connections to PostgreSQL and makes the tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cacheapi.registry.database.errors import DatabaseUnusable
from cacheapi.registry.database.sqlite import FILE, SQLite

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine


class Session(Protocol):
    """Statements of SQL, whose parameters are written ``:name``."""

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return what is found, by the names of columns."""

    def run(self, sql: str, *each: Mapping[str, Any]) -> None:
        """Change something, once for each of some parameters."""

    def insert(self, sql: str, values: Mapping[str, Any]) -> int:
        """Insert a row and return its id."""


class Database(Protocol):
    """Where rows are kept; all raise :class:`DatabaseFailed` where it cannot be used.

    :ivar is_shared: whether other machines may use it.
    :ivar like_any: the operator that is ``LIKE`` and takes no notice of the case.
    """

    is_shared: bool
    like_any: str

    def looks(self) -> AbstractContextManager[Session]:
        """Give what reads."""

    def changes(self) -> AbstractContextManager[Session]:
        """Give what changes, in one transaction, committed unless something is raised."""

    def engine(self) -> Engine:
        """Return SQLAlchemy's way to it, for migrations."""

    def dispose(self, *, close: bool = True) -> None:
        """Let go of the connections of this process.

        :param close: whether they are its own; those of a parent process are not closed.
        """


def connect(url: str | None, data_dir: Path) -> Database:
    """Return the database; it is connected to when it is first used.

    :param url: the setting; ``None`` for the file in ``data_dir``, which is made if missing.
    :raises DatabaseUnusable: there can be no such database here.
    """
    if url is None:
        return SQLite(data_dir / FILE)
    parsed = _parse(url)
    if parsed.drivername == "sqlite":
        return SQLite(Path(parsed.database or ""))
    from cacheapi.registry.database.postgresql import PostgreSQL

    try:
        return PostgreSQL(parsed)
    except ImportError as error:
        raise DatabaseUnusable("it needs psycopg: pip install 'psycopg[binary]'") from error


def _parse(url: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # No chain: the error repeats the URL, which may have a password.
        raise DatabaseUnusable("it is no URL of a database.") from None
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def marks(texts: Iterable[Any]) -> tuple[str, dict[str, Any]]:
    """Return the parameters of a list for ``IN (…)``, and their values."""
    values = {f"each_{index}": text for index, text in enumerate(texts)}
    return ", ".join(f":{name}" for name in values), values
