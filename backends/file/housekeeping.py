"""What keeps the cache file small: which entries go, and when.

**Eviction.** When the file nears its bound, a sample of its entries is looked at: those of
it that are expired go, or else, if there is none, the least recently used of it. The sample
is of :data:`SPOTS` runs of neighbours at random places, or of all where there are few. So
expired entries go before live ones, and old ones before new ones, nearly always; an index
that told exactly would double what a write costs.

**Recency** is approximate too, so that a read costs no write: a process notes in memory
which entries it read that were last used :data:`GRAIN` seconds before, and its next write
puts the notes into the file. Of a process that only reads, the notes are never written; a
process notes at most :data:`MAX_NOTES` entries between two writes.

**Expiry.** Writes walk through the file, two entries for each that they store, and remove
those that are expired; where these are many, every write walks on.

Every function that takes a connection runs within the caller's transaction.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from backends.file.opening import PAGE_BYTES

GRAIN: Final = 10
MAX_NOTES: Final = 4096
NOTES_A_WRITE: Final = 256
# How many entries a walk looks at, at least, and for how many written it is due.
WALK: Final = 32
WRITES_A_WALK: Final = 16
SPOTS: Final = 8
NEIGHBOURS: Final = 16
EVICTED_AT_ONCE: Final = 16
# A row may split a leaf and an inner page of the table and of the index of keys.
PAGES_A_ROW: Final = 5
SPARE_PAGES: Final = 16

# No state that others share: Python's own generator is everybody's, tests' too.
_RANDOM = secrets.SystemRandom()
_LOOK = (
    "SELECT max(id), count(*), total(expires <= ?) FROM "
    "(SELECT id, expires FROM entries WHERE id > ? ORDER BY id LIMIT ?)"
)
# One query for both ends would read the whole table.
_ENDS = "SELECT (SELECT min(id) FROM entries), (SELECT max(id) FROM entries)"


def pages_for(size: int) -> int:
    """Return how many pages a value of ``size`` bytes takes at most."""
    return size // (PAGE_BYTES - 4) + PAGES_A_ROW


def pages_for_all(sizes: Sequence[int]) -> int:
    """Return how many pages values of such sizes take at most, together."""
    return sum(sizes) // (PAGE_BYTES - 4) + PAGES_A_ROW * len(sizes)


class Housekeeping:
    """Recency, expiry and eviction of the table ``entries``.

    :param max_pages: the bound of the file, in pages.
    :param clock: Unix time in seconds.
    """

    def __init__(self, max_pages: int, clock: Callable[[], float]) -> None:
        self._max_pages = max_pages
        self._clock = clock
        self._notes: set[int] = set()
        self._due = 0
        # By the write under way; and the pages that are free for it as far as it has looked.
        self.evicted = 0
        self._free = 0
        # The last entry that a walk of this process looked at.
        self._reached = 0

    def note(self, row: int) -> None:
        """Note that a row was read, which was not used for :data:`GRAIN` seconds."""
        if len(self._notes) < MAX_NOTES:
            self._notes.add(row)

    def tidy(self, sqlite: sqlite3.Connection, stored: int) -> None:
        """Begin a write that stores so many entries, and do its share."""
        self.evicted = self._free = 0
        if self._notes:
            self._write_notes(sqlite)
        self._due += stored
        if self._due >= WRITES_A_WALK:
            walk = self._due * WALK // WRITES_A_WALK
            self._due = 0
            self._walk(sqlite, walk)

    def make_room_for_one(self, sqlite: sqlite3.Connection, size: int) -> None:
        """Make room for a value of ``size`` bytes; looks anew once what was free may be used."""
        needed = pages_for(size)
        if self._free < needed:
            self._free = self.make_room(sqlite, needed)
        self._free -= needed

    def make_room(self, sqlite: sqlite3.Connection, needed: int) -> int:
        """Evict until ``needed`` pages and a few to spare are free; return how many are."""
        # Whoever asks uses it.
        self._free = 0
        unused = self._max_pages - _pragma(sqlite, "page_count")
        if unused >= needed + SPARE_PAGES:
            return unused - SPARE_PAGES
        free = unused + _pragma(sqlite, "freelist_count")
        if free < needed + SPARE_PAGES:
            while free < needed + 2 * SPARE_PAGES and self._evict(sqlite):
                free = unused + _pragma(sqlite, "freelist_count")
        return free - SPARE_PAGES

    def _write_notes(self, sqlite: sqlite3.Connection) -> None:
        now = int(self._clock())
        notes = [self._notes.pop() for _ in range(min(len(self._notes), NOTES_A_WRITE))]
        sqlite.executemany(
            "UPDATE entries SET used = ? WHERE id = ?", [(now, row) for row in notes]
        )

    def _walk(self, sqlite: sqlite3.Connection, most: int) -> None:
        now = self._clock()
        last, seen, expired = sqlite.execute(_LOOK, (now, self._reached, most)).fetchone()
        if expired:
            sqlite.execute(
                "DELETE FROM entries WHERE id > ? AND id <= ? AND expires <= ?",
                (self._reached, last, now),
            )
        if 4 * expired > seen:
            # The next write walks on.
            self._due = WRITES_A_WALK - 1
        self._reached = last if seen == most else 0

    def _evict(self, sqlite: sqlite3.Connection) -> int:
        """Delete some entries; return how many."""
        sample = self._sample(sqlite)
        now = self._clock()
        victims = [row for row, (expires, _) in sample.items() if expires <= now]
        if not victims:
            # Of those used in the same second, neighbours: only empty pages make room.
            oldest = sorted((used, row) for row, (_, used) in sample.items())
            victims = [row for _, row in oldest[:EVICTED_AT_ONCE]]
            self.evicted += len(victims)
        sqlite.executemany("DELETE FROM entries WHERE id = ?", [(row,) for row in victims])
        return len(victims)

    def _sample(self, sqlite: sqlite3.Connection) -> dict[int, tuple[float, int]]:
        """Return when some entries expire and when they were used, by their rows."""
        first, last = sqlite.execute(_ENDS).fetchone()
        if first is None:
            return {}
        most = SPOTS * NEIGHBOURS
        starts = (
            [(first, most)]
            if last - first < most
            else [(_RANDOM.randint(first, last), NEIGHBOURS) for _ in range(SPOTS)]
        )
        return {
            row: (expires, used)
            for start in starts
            for row, expires, used in sqlite.execute(
                "SELECT id, expires, used FROM entries WHERE id >= ? ORDER BY id LIMIT ?", start
            )
        }


def _pragma(sqlite: sqlite3.Connection, name: str) -> int:
    (number,) = sqlite.execute(f"PRAGMA {name}").fetchone()
    return int(number)
