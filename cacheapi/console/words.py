"""Numbers and times in words, as a page shows them."""

from __future__ import annotations

import datetime as dt
from typing import Final

from cacheapi import amounts
from cacheapi.moments import LATEST

# A share of fewer is chance.
FEWEST_READS: Final = 100
NOT_KNOWN: Final = "\N{EN DASH}"
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def size(count: int | None) -> str:
    """Return a number of bytes: ``1.5 MiB``."""
    return NOT_KNOWN if count is None else amounts.size(count)


def count(number: int | None) -> str:
    """Return a whole number in groups of three digits."""
    return NOT_KNOWN if number is None else f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def keys(number: int) -> str:
    """Return how many keys: ``1 key was``, ``5 keys were``."""
    return f"{count(number)} {'key was' if number == 1 else 'keys were'}"


def selected(number: int) -> str:
    """Return how many keys are: ``1 key is selected``."""
    return f"{count(number)} {'key is' if number == 1 else 'keys are'} selected"


def percent(ratio: float | None, digits: int = 1) -> str:
    """Return a share of one: ``97.3 %``, ``<0.1 %``.

    :param digits: behind the point.
    """
    if ratio is None:
        return NOT_KNOWN
    return f"{amounts.share(ratio, digits)}\N{NO-BREAK SPACE}%"


def hit_ratio(hits: int | None, misses: int | None) -> str:
    """Return the share of the reads that hit, and of how many; of few it says nothing."""
    if hits is None or misses is None:
        return NOT_KNOWN
    reads = hits + misses
    many = f"{count(reads)} read{'' if reads == 1 else 's'}"
    if reads < FEWEST_READS:
        return f"{NOT_KNOWN} ({many}; shown from {FEWEST_READS})"
    return f"{percent(hits / reads)} of {many}"


def rate(number: float | None) -> str:
    """Return how often something happens."""
    if number is None:
        return NOT_KNOWN
    return count(round(number)) if number >= 100 or number == int(number) else f"{number:.1f}"


def duration(seconds: float | None) -> str:
    """Return a time span by its two largest units: ``4 min 59 s``; ``None`` is for ever."""
    if seconds is None:
        return "for ever"
    left = max(0, int(seconds))
    parts = []
    for unit, length in _UNITS:
        if left >= length:
            parts.append(f"{left // length} {unit}")
            left %= length
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 s"


def within(bounds: tuple[float, float] | None) -> str:
    """Return between what a wait lies: ``10 to 25 ms``, ``5 ms at most``, ``over 30 s``."""
    if bounds is None:
        return NOT_KNOWN
    lower, upper = bounds
    if upper == float("inf"):
        return f"over {_wait(lower)}"
    if not lower:
        return f"{_wait(upper)} at most"
    low, high = _wait(lower), _wait(upper)
    # One unit is enough where both have the same.
    return f"{low.split()[0] if low.split()[1] == high.split()[1] else low} to {high}"


def _wait(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else f"{seconds:g} s"


def moment(seconds: float | None) -> str:
    """Return a Unix time in UTC, to the minute."""
    if seconds is None:
        return "never"
    return dt.datetime.fromtimestamp(min(seconds, LATEST), dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
