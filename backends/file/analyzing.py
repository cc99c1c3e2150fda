"""What fills the cache file, from its table: all of it, or runs of rows at random places.

SQLite has the length of a value at its head, so no value is read. Rows stand in the order in
which they were first stored, which says nothing of what they are.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from typing import Final

from backends.file.database import Database
from backends.file.seen import Connection
from backends.portions import Measured, Portion, name_of

# Of one portion: some milliseconds, in which nobody waits for the file.
ROWS: Final = 1000
# Of one place, where there are more than are to be looked at.
NEIGHBOURS: Final = 20

_RANDOM: Final = secrets.SystemRandom()
_QUERY: Final = (
    "SELECT id, key, expires, length(key) + length(value) FROM entries "
    "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
)
_Rows = list[tuple[int, bytes, float, int]]


def portions(
    database: Database, prefix: bytes, most: int, clock: Callable[[], float]
) -> Iterator[Portion]:
    """Yield what stands in the file under a prefix; the size is that of key and value.

    :param most: about how many rows are looked at.
    :raises Failed: the file cannot be read.
    """
    held, first, end = database.read(_extent)

    def portion(rows: _Rows, whole: bool) -> Portion:
        now = clock()
        entries = [
            Measured(
                name_of(key, len(prefix)), size, None if expires == math.inf else expires - now
            )
            for _, key, expires, size in rows
            if expires > now and key.startswith(prefix)
        ]
        return Portion(entries, len(rows), max(held, len(rows)), whole)

    found = _all(database, first, end) if held <= most else _some(database, first, end, most)
    for rows in found:
        yield portion(rows, False)
    yield portion([], held <= most)


def _extent(sqlite: Connection) -> tuple[int, int, int]:
    (held,) = sqlite.execute("SELECT count(*) FROM entries").fetchone()
    (first,) = sqlite.execute("SELECT min(id) FROM entries").fetchone()
    (last,) = sqlite.execute("SELECT max(id) FROM entries").fetchone()
    return held, first or 0, (last or 0) + 1


def _all(database: Database, start: int, end: int) -> Iterator[_Rows]:
    while start < end:
        lower = start
        rows: _Rows = database.read(
            lambda sqlite: sqlite.execute(_QUERY, (lower, end, ROWS)).fetchall()  # noqa: B023 (called at once)
        )
        if not rows:
            return
        yield rows
        start = rows[-1][0] + 1


def _some(database: Database, first: int, end: int, most: int) -> Iterator[_Rows]:
    """Yield some rows of each of as many equal parts as it takes, from a random place on."""
    spots = math.ceil(most / NEIGHBOURS)
    edges = [first + (end - first) * number // spots for number in range(spots + 1)]
    at_once = ROWS // NEIGHBOURS

    def look(sqlite: Connection, some: range) -> _Rows:
        rows: _Rows = []
        for number in some:
            lower, upper = edges[number], edges[number + 1]
            if lower < upper:
                start = _RANDOM.randrange(lower, max(lower + 1, upper - NEIGHBOURS + 1))
                rows += sqlite.execute(_QUERY, (start, upper, NEIGHBOURS)).fetchall()
        return rows

    for start in range(0, spots, at_once):
        some = range(start, min(start + at_once, spots))
        yield database.read(lambda sqlite: look(sqlite, some))  # noqa: B023 (called at once)
