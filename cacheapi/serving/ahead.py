"""Which reads of a turn go to the cache with the count of its requests, in one trip.

A read has no effect, so it may be sent right behind the count that decides whether its request is
done: what one request too many has read is not told. But nobody is to make a cache work who is
refused. So it is only done for callers who were far from their limits a moment ago.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final

from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Rate
from cacheapi.serving.answers import Read, Taken
from cacheapi.web.rates import Standing

# Who has so many requests left in the window is far from the limit, for so many seconds: only
# others who count as many meanwhile could have it passed.
FAR: Final = 1_000
SECONDS: Final = 1.0
# Of so many callers it is kept.
MOST_KEPT: Final = 1_000


class Ahead:
    """Keeps in mind who is far from a limit.

    :param counts: where requests of callers who have a limit are counted.
    """

    def __init__(self, counts: CacheService) -> None:
        self._counts = counts
        # Until when who is counted under a name is.
        self._far: dict[str, float] = {}

    def reads(self, taken: Sequence[Taken], most: int) -> tuple[CacheService, list[str]] | None:
        """Return what to read with the count of a turn's requests; ``None``: nothing.

        It is all that the turn reads, from the cache that has the counts, or nothing.

        :param most: so many keys at most.
        """
        service = taken[0].service
        if service.backend is not self._counts.backend:
            return None
        now = time.monotonic()
        keys: dict[str, None] = {}
        for request in taken:
            if type(request) is not Read or request.service is not service:
                return None
            if request.limit is not None and self._far.get(request.limit[0], now) <= now:
                return None
            if request.refusal is None:
                keys.update(dict.fromkeys(request.keys))
        return (service, list(keys)) if keys and len(keys) <= most else None

    def learn(
        self, limits: Iterable[tuple[str, Rate]], standings: Iterable[Standing | None]
    ) -> None:
        """Note where callers stand who were counted, the latest last."""
        until = time.monotonic() + SECONDS
        latest = {name: standing for (name, _), standing in zip(limits, standings, strict=True)}
        for name, standing in latest.items():
            if standing is None or standing.left < FAR:
                self._far.pop(name, None)
            else:
                self._far[name] = until
        if len(self._far) > MOST_KEPT:
            self._far.clear()
