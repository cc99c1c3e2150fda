"""The rows of services, API keys and ended sessions, and the number of their last change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, delete, insert, select, update

from cacheapi.registry.database.tables import api_keys, ended_sessions, services, version

Row = Mapping[str, Any]


class Rows(NamedTuple):
    """All that there is at one moment, or a little later.

    :ivar number: of the last change; what is newer has a higher one.
    """

    number: int
    services: Sequence[Row]
    api_keys: Sequence[Row]
    ended_sessions: Sequence[Row] = ()


class Store:
    """The database. Every method raises SQLAlchemy's errors where it cannot be used.

    :param engine: of a database whose tables are up to date.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def number(self) -> int:
        """Return the number of the last change."""
        with self._engine.connect() as connection:
            return int(connection.execute(select(version.c.number)).scalar_one())

    def read(self) -> Rows:
        """Return all rows."""
        with self._engine.connect() as connection:
            # First: rows that change meanwhile are read again with the next number.
            number = int(connection.execute(select(version.c.number)).scalar_one())
            return Rows(
                number,
                _all(connection, services),
                _all(connection, api_keys),
                _all(connection, ended_sessions),
            )

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Make changes in one transaction, which is committed unless something is raised.

        One goes on at a time, on all machines.
        """
        with self._engine.begin() as connection:
            connection.execute(update(version).values(number=version.c.number + 1))
            yield Change(connection)

    def note_use(self, used: Mapping[int, int]) -> None:
        """Keep when API keys were last used: Unix times by id. It is no change to others."""
        with self._engine.begin() as connection:
            for number, when in used.items():
                connection.execute(
                    update(api_keys).where(api_keys.c.id == number).values(last_used=when)
                )


class Change:
    """A transaction that changes rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self, table: Table) -> list[Row]:
        """Return the rows of a table."""
        return _all(self._connection, table)

    def add(self, table: Table, values: Mapping[str, Any]) -> int:
        """Add a row and return its id."""
        done = self._connection.execute(insert(table).values(**values))
        assert done.inserted_primary_key is not None
        return int(done.inserted_primary_key[0])

    def put(self, table: Table, number: int, values: Mapping[str, Any]) -> None:
        """Change the row with this id."""
        self._connection.execute(update(table).where(table.c.id == number).values(**values))

    def remove(self, table: Table, number: int) -> None:
        """Delete the row with this id."""
        self._connection.execute(delete(table).where(table.c.id == number))


def _all(connection: Connection, table: Table) -> list[Row]:
    found = connection.execute(select(table).order_by(table.c.id))
    return [dict(row) for row in found.mappings()]
