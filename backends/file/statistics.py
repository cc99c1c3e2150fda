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
_SAMPLE: Final = "SELECT expires, length(value) FROM entries WHERE id >= ? ORDER BY id LIMIT ?"


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
    sample = [row for start in starts for row in sqlite.execute(_SAMPLE, start)]
    forever = sum(expires == math.inf for expires, _ in sample)
    without_ttl = round(items * forever / len(sample)) if sample else 0
    largest = max((size for _, size in sample), default=0)
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
        "entries_looked_at": len(sample),
        "entries_without_ttl": without_ttl,
        "largest_value": largest,
        "page_bytes": PAGE_BYTES,
        "pages": pages,
        "unused_pages": unused,
    }
    signs = Signs(keys_without_ttl=without_ttl, largest_value=largest, max_value=max_bytes // 8)
    return ServerStatistics(SERVER, figures, raw, signs=signs)
