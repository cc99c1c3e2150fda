"""The rows of services, API keys and ended sessions, and the number of their last change.

Each row says which change it is of, and what is removed is noted, so that who knows what there was
reads what is new, however much there is. Where that cannot be known it is all of it: an earlier
version of the program has changed something, or so much has changed that it is noted no more.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from cacheapi.registry.database.tables import (
    api_keys,
    ended_sessions,
    removed,
    services,
    version,
)

Row = Mapping[str, Any]

# What every request of an administrator asks; to make a statement takes as long as it does.
_VERSION: Final = select(version)
_COUNTS: Final = {table: select(func.count()).select_from(table) for table in (services, api_keys)}
_PAGE_OF_KEYS: Final = (
    select(api_keys)
    .where(api_keys.c.id > bindparam("after"))
    .order_by(api_keys.c.id)
    .limit(bindparam("most"))
)

# Of so many changes it is noted what they removed.
CHANGES_NOTED: Final = 10_000
# What an id can be, on any database.
MAX_ID: Final = 2**31 - 1
# Ids of so many that a search finds are taken at once.
MOST_FOUND: Final = 1_000
# Rows that are held at once, of many.
ROWS_A_QUERY: Final = 200


class Rows(NamedTuple):
    """What there is at one moment or a little later, or what is new of it since another one.

    :ivar number: of the last change; what is newer has a higher one.
    :ivar api_keys: read while they are gone through, by the engine they are of: that raises
        SQLAlchemy's errors.
    :ivar removed: what is there no more, see :data:`~cacheapi.registry.database.tables.removed`.
        It comes after the other rows.
    :ivar is_whole: whether that is all there is.
    """

    number: int
    services: Sequence[Row]
    api_keys: Iterable[Row]
    ended_sessions: Sequence[Row] = ()
    removed: Sequence[Row] = ()
    is_whole: bool = True

    def gone(self, table: Table) -> Iterator[int]:
        """Yield the ids of what was removed from a table."""
        return (row["number"] for row in self.removed if row["kind"] == table.name)


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

    def read(self, since: int = -1) -> Rows:
        """Return what is new since a change; all rows, where that is not known.

        :param since: the number of the last change that the caller knows of.
        """
        with self._engine.connect() as connection:
            # First: rows that change meanwhile are read again with the next number.
            number, told, untold = connection.execute(_VERSION).one()
            if since == number:
                return Rows(number, [], [], is_whole=False)
            oldest = max(untold, number - CHANGES_NOTED)
            if told == number and oldest <= since < number:
                return Rows(
                    number,
                    _all(connection, services, services.c.changed > since),
                    _all(connection, api_keys, api_keys.c.changed > since),
                    _all(connection, ended_sessions, ended_sessions.c.changed > since),
                    _all(connection, removed, removed.c.changed > since),
                    is_whole=False,
                )
            return Rows(
                number, _all(connection, services), self._keys(), _all(connection, ended_sessions)
            )

    def counts(self) -> tuple[int, int]:
        """Return how many services and API keys there are."""
        with self._engine.connect() as connection:
            return _count(connection, services), _count(connection, api_keys)

    def page_of_keys(self, after: int, limit: int, search: str) -> tuple[list[Row], int]:
        """Return API keys by id, and how many there are in all.

        :param after: the id before the first.
        :param search: a part of their names, or what the keys begin with.
        """
        column = api_keys.c.id
        with self._engine.connect() as connection:
            if search:
                is_found = self._is_found(search)
                # Mostly once through all of them, for the page and the count.
                query = select(column).where(is_found).order_by(column)
                found = connection.execute(query.limit(MOST_FOUND + 1)).scalars().all()
                if len(found) > MOST_FOUND:
                    count = select(func.count()).select_from(api_keys).where(is_found)
                    found_in_all = int(connection.execute(count).scalar_one())
                    # A page of so many is near.
                    near = query.where(column > after).limit(limit)
                    ids = connection.execute(near).scalars().all()
                    return _all(connection, api_keys, column.in_(ids)), found_in_all
                start = bisect.bisect_right(found, after)
                wanted = column.in_(found[start : start + limit])
                return _all(connection, api_keys, wanted), len(found)
            page = connection.execute(_PAGE_OF_KEYS, {"after": after, "most": limit})
            rows: list[Row] = [dict(row) for row in page.mappings()]
            return rows, _count(connection, api_keys)

    def _is_found(self, search: str) -> ColumnElement[bool]:
        name, prefix = api_keys.c.name, api_keys.c.prefix
        # SQLite's LIKE takes no notice of the case as it is, and to lower it takes as long again.
        ignores_case = self._engine.dialect.name == "sqlite"
        contains = name.contains if ignores_case else name.icontains
        return contains(search, autoescape=True) | prefix.startswith(search, autoescape=True)

    def find(self, table: Table, number: int) -> Row | None:
        """Return the row with an id."""
        with self._engine.connect() as connection:
            return _find(connection, table, number)

    def _keys(self) -> Iterator[Row]:
        """Yield all API keys; a few at a time are in memory, and no transaction is open."""
        last = 0
        while True:
            with self._engine.connect() as connection:
                query = select(api_keys).where(api_keys.c.id > last).order_by(api_keys.c.id)
                found = connection.execute(query.limit(ROWS_A_QUERY)).mappings().all()
            yield from map(dict, found)
            if len(found) < ROWS_A_QUERY:
                return
            last = found[-1]["id"]

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Make changes in one transaction, which is committed unless something is raised.

        One goes on at a time, on all machines.
        """
        number, told = version.c.number, version.c.told
        with self._engine.begin() as connection:
            connection.execute(
                update(version).values(
                    number=number + 1,
                    told=number + 1,
                    untold=case((told == number, version.c.untold), else_=number),
                )
            )
            own = int(connection.execute(select(number)).scalar_one())
            connection.execute(delete(removed).where(removed.c.changed <= own - CHANGES_NOTED))
            yield Change(connection, own)

    def note_use(self, used: Mapping[int, int]) -> None:
        """Keep when API keys were last used: Unix times by id. It is no change to others."""
        statement = update(api_keys).where(api_keys.c.id == bindparam("key"))
        rows = [{"key": number, "when": when} for number, when in used.items()]
        for start in range(0, len(rows), ROWS_A_QUERY):
            # Others wait for no more than so many.
            with self._engine.begin() as connection:
                connection.execute(
                    statement.values(last_used=bindparam("when")),
                    rows[start : start + ROWS_A_QUERY],
                )


class Change:
    """A transaction that changes rows.

    :param number: of the change.
    """

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number

    def all(self, table: Table, *conditions: ColumnElement[bool]) -> list[Row]:
        """Return the rows of a table that meet all conditions."""
        return _all(self._connection, table, *conditions)

    def find(self, table: Table, number: int) -> Row | None:
        """Return the row with an id."""
        return _find(self._connection, table, number)

    def among(self, column: ColumnElement[str], texts: Sequence[str]) -> set[str]:
        """Return which of some texts stand in a column."""
        found: set[str] = set()
        for start in range(0, len(texts), ROWS_A_QUERY):
            part = texts[start : start + ROWS_A_QUERY]
            found.update(self._connection.execute(select(column).where(column.in_(part))).scalars())
        return found

    def add(self, table: Table, values: Mapping[str, Any]) -> int:
        """Add a row and return its id."""
        done = self._connection.execute(insert(table).values(**values, changed=self._number))
        assert done.inserted_primary_key is not None
        return int(done.inserted_primary_key[0])

    def put(self, table: Table, number: int, values: Mapping[str, Any]) -> None:
        """Change the row with this id."""
        self._connection.execute(
            update(table).where(table.c.id == number).values(**values, changed=self._number)
        )

    def remove(self, table: Table, number: int) -> None:
        """Delete the row with this id, if there is one."""
        row = self.find(table, number)
        if row is not None:
            note = {"kind": table.name, "number": number, "digest": row.get("digest")}
            self._connection.execute(insert(removed).values(**note, changed=self._number))
            self._connection.execute(delete(table).where(table.c.id == number))


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(_COUNTS[table]).scalar_one())


def _find(connection: Connection, table: Table, number: int) -> Row | None:
    if number > MAX_ID:
        return None
    return next(iter(_all(connection, table, table.c.id == number)), None)


def _all(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> list[Row]:
    found = connection.execute(select(table).where(*conditions)).mappings()
    # Sorted here: a database that shall sort by id might go through all rows for it.
    return sorted(map(dict, found), key=lambda row: row["id"])
