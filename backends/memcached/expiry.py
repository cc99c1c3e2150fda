"""Lifetimes as memcached takes and tells them: protocol.txt, "Expiration times".

The server's clock ticks once a second, so what ends at its next tick may have been stored
just before that. And now and then it skips a second: each tick is a little more than a second
after the one before, and tells whole seconds. So all are stored with two seconds more: gone
never before their time, and at most two seconds after it.
"""

from __future__ import annotations

import math
import time
from typing import Final

LONGEST_RELATIVE: Final = 60 * 60 * 24 * 30
# Any absolute time before the server's start: the entry is expired when it is stored.
EXPIRED: Final = LONGEST_RELATIVE + 1
# The server keeps times in 32 bits with a sign; past that it would take one for the past.
LATEST: Final = 2**31 - 1
# The most that the server's clock can advance at one tick, in seconds.
TICK: Final = 2


def expiry(ttl: float | None) -> int:
    """Return memcached's ``exptime`` for a lifetime in seconds."""
    if ttl is None:
        return 0
    if ttl <= 0:
        return EXPIRED
    seconds = math.ceil(ttl) + TICK
    if seconds <= LONGEST_RELATIVE:
        return seconds
    end = math.ceil(time.time() + ttl) + TICK
    # Past what the server can count to, it stays until it is evicted: nearer to what was
    # asked than an end in 2038.
    return end if end <= LATEST else 0


def remaining(told: int) -> int | None:
    """Return the seconds that a value surely has left; ``None`` for ever.

    :param told: what the server says, ``-1`` for ever; a part of it is the current tick.
    """
    return None if told < 0 else max(1, told - TICK)
