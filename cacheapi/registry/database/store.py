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

from cacheapi.registry.database.connecting import Database, Session, marks
from cacheapi.registry.database.tables import (
    Table,
    api_keys,
    ended_sessions,
    removed,
    services,
)

Row = Mapping[str, Any]

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
    :ivar api_keys: read while they are gone through, from the database they are of: that raises
        its errors.
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
    """The rows. Every method raises ``DatabaseFailed`` where the database cannot be used.

    :param database: whose tables are up to date.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def number(self) -> int:
        """Return the number of the last change."""
        with self._database.looks() as session:
            return _version(session)[0]

    def read(self, since: int = -1) -> Rows:
        """Return what is new since a change; all rows, where that is not known.

        :param since: the number of the last change that the caller knows of.
        """
        with self._database.looks() as session:
            # First: rows that change meanwhile are read again with the next number.
            number, told, untold = _version(session)
            if since == number:
                return Rows(number, [], [], is_whole=False)
            oldest = max(untold, number - CHANGES_NOTED)
            if told == number and oldest <= since < number:
                is_new = "changed > :since"
                return Rows(
                    number,
                    _all(session, services, is_new, since=since),
                    _all(session, api_keys, is_new, since=since),
                    _all(session, ended_sessions, is_new, since=since),
                    _all(session, removed, is_new, since=since),
                    is_whole=False,
                )
            return Rows(
                number, _all(session, services), self._keys(), _all(session, ended_sessions)
            )

    def counts(self) -> tuple[int, int]:
        """Return how many services and API keys there are."""
        with self._database.looks() as session:
            return _count(session, services), _count(session, api_keys)

    def page_of_keys(self, after: int, limit: int, search: str) -> tuple[list[Row], int]:
        """Return API keys by id, and how many there are in all.

        :param after: the id before the first.
        :param search: a part of their names, or what the keys begin with.
        """
        with self._database.looks() as session:
            if not search:
                return _page(session, after, limit), _count(session, api_keys)
            any_case = self._database.like_any
            is_found = f"(name {any_case} :part ESCAPE '/' OR prefix LIKE :start ESCAPE '/')"
            plain = "".join(f"/{each}" if each in "/%_" else each for each in search)
            sought = {"part": f"%{plain}%", "start": f"{plain}%"}
            query = f"SELECT id FROM api_key WHERE {is_found}"
            # Once through all of them, for the page and the count.
            found = _ids(session, query, MOST_FOUND, **sought)
            count = len(found)
            if count == MOST_FOUND:
                rest = f"{is_found} AND id > :last"
                count += _count(session, api_keys, rest, last=found[-1], **sought)
            start = bisect.bisect_right(found, after)
            ids = found[start : start + limit]
            if len(ids) < limit and count > len(found):
                # It begins, or ends, behind those; a page of so many is near.
                ids = _ids(session, f"{query} AND id > :after", limit, after=after, **sought)
            return _among(session, ids), count

    def find(self, table: Table, number: int) -> Row | None:
        """Return the row with an id."""
        with self._database.looks() as session:
            return _find(session, table, number)

    def _keys(self) -> Iterator[Row]:
        """Yield all API keys; a few at a time are in memory, and no transaction is open."""
        last = 0
        while True:
            with self._database.looks() as session:
                found = _page(session, last, ROWS_A_QUERY)
            yield from found
            if len(found) < ROWS_A_QUERY:
                return
            last = found[-1]["id"]

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Make changes in one transaction, which is committed unless something is raised.

        One goes on at a time, on all machines.
        """
        with self._database.changes() as session:
            session.run(
                "UPDATE version SET number = number + 1, told = number + 1, "
                "untold = CASE WHEN told = number THEN untold ELSE number END"
            )
            own = _version(session)[0]
            session.run("DELETE FROM removed WHERE changed <= :last", {"last": own - CHANGES_NOTED})
            yield Change(session, own)

    def note_use(self, used: Mapping[int, int]) -> None:
        """Keep when API keys were last used: Unix times by id. It is no change to others."""
        rows = [{"id": number, "last_used": when} for number, when in used.items()]
        for start in range(0, len(rows), ROWS_A_QUERY):
            # Others wait for no more than so many.
            with self._database.changes() as session:
                session.run(
                    "UPDATE api_key SET last_used = :last_used WHERE id = :id",
                    *rows[start : start + ROWS_A_QUERY],
                )


class Change:
    """A transaction that changes rows.

    :param number: of the change.
    """

    def __init__(self, session: Session, number: int) -> None:
        self._session = session
        self._number = number

    def all(self, table: Table) -> list[Row]:
        """Return the rows of a table."""
        return _all(self._session, table)

    def keys_with(self, text: str) -> list[Row]:
        """Return the API keys in whose rules a text stands, and maybe others."""
        return _all(self._session, api_keys, "rules LIKE :part", part=f"%{text}%")

    def sessions_until(self, moment: int) -> list[Row]:
        """Return the ended sessions that would have lasted until a moment, or less."""
        return _all(self._session, ended_sessions, "until <= :moment", moment=moment)

    def find(self, table: Table, number: int) -> Row | None:
        """Return the row with an id."""
        return _find(self._session, table, number)

    def services_among(self, names: Sequence[str]) -> set[str]:
        """Return which of some names are those of services."""
        found: set[str] = set()
        for start in range(0, len(names), ROWS_A_QUERY):
            part, values = marks(names[start : start + ROWS_A_QUERY])
            rows = self._session.rows(f"SELECT name FROM service WHERE name IN ({part})", values)
            found.update(row["name"] for row in rows)
        return found

    def add(self, table: Table, values: Mapping[str, Any]) -> int:
        """Add a row and return its id."""
        row = {**values, "changed": self._number}
        names = _columns(row)
        places = ", ".join(f":{name}" for name in names)
        sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})"
        return self._session.insert(sql, row)

    def put(self, table: Table, number: int, values: Mapping[str, Any]) -> None:
        """Change the row with this id."""
        row = {**values, "changed": self._number}
        places = ", ".join(f"{name} = :{name}" for name in _columns(row))
        sql = f"UPDATE {table.name} SET {places} WHERE id = :id"
        self._session.run(sql, {**row, "id": number})

    def remove(self, table: Table, number: int) -> None:
        """Delete the row with this id, if there is one."""
        row = self.find(table, number)
        if row is not None:
            note = {"kind": table.name, "number": number, "digest": row.get("digest")}
            self.add(removed, note)
            self._session.run(f"DELETE FROM {table.name} WHERE id = :id", {"id": number})


def _columns(row: Row) -> list[str]:
    """Return the names of columns, which go into a statement as they are."""
    for name in row:
        if not (name.isascii() and name.isidentifier()):
            raise ValueError(f"{name!r} is no column")
    return list(row)


def _version(session: Session) -> tuple[int, int, int]:
    (row,) = session.rows("SELECT number, told, untold FROM version")
    return row["number"], row["told"], row["untold"]


def _count(session: Session, table: Table, condition: str = "", **values: Any) -> int:
    where = f" WHERE {condition}" if condition else ""
    (row,) = session.rows(f"SELECT count(*) AS number FROM {table.name}{where}", values)
    return int(row["number"])


def _page(session: Session, after: int, limit: int) -> list[Row]:
    condition = "id > :after ORDER BY id LIMIT :most"
    return _all(session, api_keys, condition, after=after, most=limit)


def _ids(session: Session, query: str, limit: int, **values: Any) -> list[int]:
    rows = session.rows(f"{query} ORDER BY id LIMIT :most", {**values, "most": limit})
    return [row["id"] for row in rows]


def _among(session: Session, ids: Sequence[int]) -> list[Row]:
    if not ids:
        return []
    part, values = marks(ids)
    return _all(session, api_keys, f"id IN ({part})", **values)


def _find(session: Session, table: Table, number: int) -> Row | None:
    if number > MAX_ID:
        return None
    return next(iter(_all(session, table, "id = :id", id=number)), None)


def _all(session: Session, table: Table, condition: str = "", **values: Any) -> list[Row]:
    where = f" WHERE {condition}" if condition else ""
    found = session.rows(f"SELECT * FROM {table.name}{where}", values)
    for row in found:
        row.update({name: bool(row[name]) for name in table.truths})
    # Sorted here: a database that shall sort by id might go through all rows for it.
    return sorted(found, key=lambda row: row["id"])
