"""What the cache file says of itself.

Entries are counted as memcached counts them: an expired one until it is removed. What would
mean to read the whole file is told from a sample of the entries, or from all where they are
few.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
import time
from typing import Final

from backends.file.counters import Totals
from backends.file.opening import PAGE_BYTES
from backends.statistics import Figures, ServerStatistics, Signs

SERVER: Final = "cache file"
# The sample: runs of neighbours at random places.
SPOTS: Final = 32
NEIGHBOURS: Final = 64

# No state that others share: Python's own generator is everybody's, tests' too.
_RANDOM = secrets.SystemRandom()
# How many there are, how many of them for ever, and the largest. No value is read.
_SAMPLE: Final = (
    "SELECT count(*), coalesce(sum(expires = ?), 0), coalesce(max(size), 0) FROM "
    "(SELECT expires, length(value) AS size FROM entries WHERE id >= ? ORDER BY id LIMIT ?)"
)


def read(sqlite: sqlite3.Connection, totals: Totals | None, max_bytes: int) -> ServerStatistics:
    """Return the statistics.

    :param totals: what was counted, if it is known.
    """

    def number(query: str) -> int:
        (found,) = sqlite.execute(query).fetchone()
        return int(found or 0)

    pages = number("PRAGMA page_count")
    unused = number("PRAGMA freelist_count")
    items = number("SELECT count(*) FROM entries")
    first, last = number("SELECT min(id) FROM entries"), number("SELECT max(id) FROM entries")
    starts = (
        [(first, items)]
        if items <= SPOTS * NEIGHBOURS
        else [(_RANDOM.randint(first, last), NEIGHBOURS) for _ in range(SPOTS)]
    )
    samples = [sqlite.execute(_SAMPLE, (math.inf, *start)).fetchone() for start in starts]
    looked_at, forever = (sum(sample[index] for sample in samples) for index in (0, 1))
    without_ttl = round(items * forever / looked_at) if looked_at else 0
    largest = max(size for _, _, size in samples)
    figures = Figures(curr_items=items, bytes=(pages - unused) * PAGE_BYTES, limit_bytes=max_bytes)
    if totals is not None:
        figures = figures._replace(
            get_hits=totals.hits,
            get_misses=totals.misses,
            evictions=totals.evictions,
            bytes_read=totals.stored,
            bytes_written=totals.read,
            uptime=max(0, int(time.time()) - totals.since),
        )
    raw = {
        "entries": items,
        "entries_looked_at": looked_at,
        "entries_without_ttl": without_ttl,
        "largest_value": largest,
        "page_bytes": PAGE_BYTES,
        "pages": pages,
        "unused_pages": unused,
    }
    signs = Signs(keys_without_ttl=without_ttl, largest_value=largest, max_value=max_bytes // 8)
    return ServerStatistics(SERVER, figures, raw, signs=signs)
