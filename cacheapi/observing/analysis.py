"""What fills a service: its entries by the prefixes of their keys, from all or from a sample."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from backends.errors import NotNow
from backends.portions import Measured
from cacheapi.caching.reserved import is_reserved
from cacheapi.caching.service import CacheService
from cacheapi.observing.prefixes import DEPTH, SEPARATOR, Group, Prefixes

# About how many entries are looked at: some 100 ms of work, each share is right to a percent or so.
USUAL: Final = 10_000
MOST: Final = 100_000
# Who can be shown no progress looks at more each time, from some milliseconds of work on.
FIRST: Final = 1000
GROWTH: Final = 10
# What is left then is not looked at.
SECONDS: Final = 10.0
# Between two portions the servers are let alone as long as the last one took, at most so long.
PAUSE_SECONDS: Final = 0.05
# What the product's own entries are, for people.
OWN: Final = "answers of APIs, counts of rate limits and marks of tags"
BUSY: Final = "Another analysis is under way; try again in a few seconds."

Moved = Callable[[int, int], None]

_under_way = threading.Lock()


class Busy(NotNow):
    """Another analysis is under way in this process."""


class Analysis(NamedTuple):
    """What was found out.

    :ivar prefixes: of users' entries.
    :ivar own: what the product keeps for itself, which is no user's.
    :ivar looked_at: how many entries were, other programs' too.
    :ivar held: how many the servers have, other programs' too, about.
    :ivar is_complete: all were looked at, so the figures are no estimates.
    :ivar notes: what the figures lack, in a sentence each.
    """

    prefixes: Prefixes
    own: Group
    looked_at: int
    held: int
    is_complete: bool
    notes: tuple[str, ...]

    @property
    def factor(self) -> float:
        """How many entries each that was looked at stands for."""
        if self.is_complete or not self.looked_at:
            return 1.0
        return max(1.0, self.held / self.looked_at)


def analyze(
    service: CacheService,
    most: int = USUAL,
    *,
    depth: int = DEPTH,
    separator: str = SEPARATOR,
    seconds: float = math.inf,
    moved: Moved = lambda _, __: None,
) -> Analysis:
    """Look through a service; a process does one at a time.

    :param most: about how many entries are looked at.
    :param seconds: once these are over, no more are.
    :param moved: is told after each portion how many were looked at, and how many there are.
    :raises Unsupported: the backend cannot, or its servers refuse.
    :raises Busy: another one is under way.
    """
    if not _under_way.acquire(blocking=False):
        raise Busy(BUSY)
    try:
        return _look(service, most, Prefixes(depth, separator), seconds, moved)
    finally:
        _under_way.release()


def _look(
    service: CacheService, most: int, prefixes: Prefixes, seconds: float, moved: Moved
) -> Analysis:
    looked_at = held = 0
    own, whole = Group(), False
    notes: tuple[str, ...] = ()
    portions = service.backend.analyze(most)
    ends = time.monotonic() + seconds
    started = time.monotonic()
    for portion in portions:
        prefixes.add(_of_users(portion.entries, own))
        looked_at += portion.looked_at
        held, whole, notes = portion.held, portion.whole, portion.notes
        moved(looked_at, held)
        now = time.monotonic()
        if now > ends:
            break
        if portion.looked_at:
            time.sleep(min(now - started, PAUSE_SECONDS))
        started = time.monotonic()
    return Analysis(prefixes, own, looked_at, max(held, looked_at), whole, notes)


def _of_users(entries: Iterable[Measured], own: Group) -> Iterator[Measured]:
    """Yield users' entries, and count the product's own."""
    for entry in entries:
        if is_reserved(entry.key):
            own.add(entry.size, entry.ttl)
        else:
            yield entry


def shown(service: CacheService, analysis: Analysis) -> dict[str, Any]:
    """Return what a client sees; where not all was looked at, numbers are estimates."""
    factor, total = analysis.factor, analysis.prefixes.total
    return {
        "name": service.name,
        "type": service.type,
        "complete": analysis.is_complete,
        "looked_at": analysis.looked_at,
        "held": analysis.held,
        **_group(total, factor, total),
        "own": _amount(analysis.own, factor),
        "prefixes": [
            {"prefix": prefix, **_group(group, factor, total)}
            for prefix, group in analysis.prefixes.told()
        ],
        "largest": _largest(analysis.prefixes.largest()),
        "notes": list(analysis.notes),
    }


def _amount(group: Group, factor: float) -> dict[str, int]:
    return {"keys": round(group.keys * factor), "bytes": round(group.bytes * factor)}


def _group(group: Group, factor: float, total: Group) -> dict[str, Any]:
    return {
        **_amount(group, factor),
        "share": round(group.bytes / total.bytes, 4) if total.bytes else 0.0,
        "lifetimes": {name: round(number * factor) for name, number in group.lifetimes.items()},
    }


def _largest(entries: Iterable[Measured]) -> list[dict[str, Any]]:
    return [
        {"key": key, "bytes": size, "ttl": None if ttl is None else math.ceil(ttl)}
        for key, size, ttl in entries
    ]
