"""What the cache file says of itself."""

from __future__ import annotations

import math
import sqlite3
from typing import Final

from backends.file_database import PAGE_BYTES
from backends.statistics import Figures, ServerStatistics, Signs

SERVER: Final = "cache file"
# The largest value is looked for among the newest; all would mean to read the whole file.
NEWEST: Final = 1000


def read(sqlite: sqlite3.Connection, now: float, max_bytes: int) -> ServerStatistics:
    """Return the statistics; expired entries, which still take room, are no items."""

    def number(query: str, *arguments: float) -> int:
        (found,) = sqlite.execute(query, arguments).fetchone()
        return int(found or 0)

    pages = number("PRAGMA page_count")
    unused = number("PRAGMA freelist_count")
    items = number("SELECT COUNT(*) FROM entries WHERE expires > ?", now)
    forever = number("SELECT COUNT(*) FROM entries WHERE expires = ?", math.inf)
    largest = number(
        "SELECT MAX(LENGTH(value)) FROM (SELECT value FROM entries ORDER BY id DESC LIMIT ?)",
        NEWEST,
    )
    figures = Figures(curr_items=items, bytes=(pages - unused) * PAGE_BYTES, limit_bytes=max_bytes)
    raw = {
        "entries": items,
        "entries_without_ttl": forever,
        "largest_new_value": largest,
        "page_bytes": PAGE_BYTES,
        "pages": pages,
        "unused_pages": unused,
    }
    signs = Signs(keys_without_ttl=forever, largest_value=largest, max_value=max_bytes // 8)
    return ServerStatistics(SERVER, figures, raw, signs=signs)
