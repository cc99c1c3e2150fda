"""What of a turn of the lane is answered in a later one.

A connection gets nothing more before it has taken what it was sent, and its requests keep their
order. And while large answers wait for a client, or too many for all of them, no other one is
given: what is taken out of a cache stays there until it has room, and is refused when it has waited
for long; a plain read is refused at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from backends.errors import NotRead
from cacheapi.caching.service import CacheService
from cacheapi.serving.answers import Act, Found, Read, Sink, Taken, value_sizes
from cacheapi.serving.bringing import MOST_KEYS, Bringing
from cacheapi.serving.largeness import Largeness
from cacheapi.serving.unsent import LARGE_ANSWER, MOST_CROWDED_SECONDS, Waiting
from cacheapi.web.errors import ApiError
from cacheapi.web.large import no_room


class Left:
    """What of a turn is to be answered later, each connection's in its order.

    :param sinks: the connections whose requests are.
    """

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self.requests: list[Taken] = []
        self._sinks = set(sinks)

    def add(self, request: Taken) -> None:
        """Leave a request."""
        self.requests.append(request)
        self._sinks.add(request.sink)

    def hold(self, sink: Sink) -> None:
        """Leave what else a connection has asked for."""
        self._sinks.add(sink)

    def holds(self, request: Taken) -> bool:
        """Return whether a request has to wait as well."""
        return request.sink in self._sinks or request.sink.is_full


class Crowd:
    """Says what waits for others.

    :param waiting: the answers that wait for their clients.
    :param large: knows which values are large.
    :param bringing: looks at those of which it is not known.
    :ivar sinks: the connections of what was left in this turn since there was no room for another
        large answer.
    """

    def __init__(self, waiting: Waiting, large: Largeness, bringing: Bringing) -> None:
        self._waiting = waiting
        self._large = large
        self._bringing = bringing
        self.sinks: set[Sink] = set()

    def is_crowded(self, sink: Sink) -> bool:
        """Return whether a connection is given large answers later."""
        return not self._waiting.room().has(sink.client)

    def leave(self, taken: list[Taken], giving: Sequence[Act], left: Left) -> list[Taken]:
        """Return what may be done now of what was taken: all, but for acts whose answers wait.

        What is taken out of a cache shall have room, so where there is none it is looked at first.

        :param giving: the acts whose answers may be large.
        :param left: the others are added to it, and what goes behind them.
        """
        waiting = {one.sink for one in giving if one.sink.is_full}
        room = self._waiting.room()
        crowded = [one for one in giving if not room.has(one.sink.client)]
        if crowded:
            now = time.monotonic()
            large = self._of_large(crowded)
            for one in crowded:
                one.since = min(one.since, now)
                if one.sink in large and now >= one.since + MOST_CROWDED_SECONDS:
                    # Before it is done: what would be taken stays where it is.
                    one.refusal = no_room()
                    large.remove(one.sink)
            self.sinks = large
            waiting |= large
        if not waiting:
            return taken
        gone: set[Sink] = set()
        kept: list[Taken] = []
        for request in taken:
            if request.sink in waiting and isinstance(request, Act) and request.gives:
                gone.add(request.sink)
            if request.sink in gone:
                left.add(request)
            else:
                kept.append(request)
        return kept

    def _of_large(self, giving: Sequence[Act]) -> set[Sink]:
        """Return the connections of acts whose answers are large, or may be for all one look tells.

        An act whose value cannot be read is none of them: it tells why itself.
        """
        unread: set[tuple[CacheService, str]] = set()
        unknown: dict[CacheService, dict[str, None]] = {}
        for one in giving:
            if not self._large.size(one.service, one.keys[0]):
                unknown.setdefault(one.service, {})[one.keys[0]] = None
        for service, keys in unknown.items():
            some, rest = list(keys)[:MOST_KEYS], list(keys)[MOST_KEYS:]
            found = self._bringing.get(service, some)
            if isinstance(found, ApiError):
                continue
            self._large.note(service, found)
            unread.update((service, key) for key in rest)
            unread.update((service, key) for key in some if isinstance(found.get(key), NotRead))
        return {
            one.sink
            for one in giving
            if (one.service, one.keys[0]) in unread or self._large.size(one.service, one.keys[0])
        }

    def refuse(self, read: Read, found: Found) -> None:
        """Give no large answer while too many wait for their clients.

        :raises ApiError: 503.
        """
        if isinstance(found, ApiError) or read.condition is not None:
            return
        size = sum(value_sizes(map(found.get, read.keys)))
        if size > LARGE_ANSWER and self.is_crowded(read.sink):
            raise no_room()
