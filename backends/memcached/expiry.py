"""Lifetimes as memcached takes them: protocol.txt, "Expiration times"."""

from __future__ import annotations

import math
import time
from typing import Final

LONGEST_RELATIVE: Final = 60 * 60 * 24 * 30
# Any absolute time before the server's start: the entry is expired when it is stored.
EXPIRED: Final = LONGEST_RELATIVE + 1
# The server keeps times in 32 bits with a sign; past that it would take one for the past.
LATEST: Final = 2**31 - 1


def expiry(ttl: float | None) -> int:
    """Return memcached's ``exptime`` for a lifetime in seconds."""
    if ttl is None:
        return 0
    if ttl <= 0:
        return EXPIRED
    seconds = math.ceil(ttl)
    if seconds <= LONGEST_RELATIVE:
        return seconds
    end = math.ceil(time.time() + ttl)
    # Past what the server can count to, it stays until it is evicted: nearer to what was
    # asked than an end in 2038.
    return end if end <= LATEST else 0
