"""What the lane knows of requests that Flask serves beside it.

Which of them are served on the thread of the event loop, which are about large values and have to
wait for room, and who wants to hear whether a cache that was in trouble has answered.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final

from cacheapi.caching.service import CacheService
from cacheapi.serving.health import Troubles
from cacheapi.serving.largeness import Largeness
from cacheapi.serving.recognition import read_target, service_of
from cacheapi.web.access import Access

# Of what Flask serves on the loop's thread: the bytes of a body, and how many in one turn.
MOST_NEAR: Final = 64 * 1024
NEAR_AT_ONCE: Final = 16

# Methods that store nothing.
READING: Final = frozenset({"GET", "HEAD"})

# The name, in the state of an ASGI request, of what :meth:`Beside.listener` returned.
LISTENER: Final = "cacheapi.listener"
# And of what :meth:`Beside.weigh` returned.
WEIGHT: Final = "cacheapi.weight"


class Beside:
    """What the lane knows of the requests that Flask serves.

    :param access: the application's.
    :param loop: the worker's.
    :param troubles: knows of caches that would hold up the loop.
    :param large: knows of large values.
    """

    def __init__(
        self, access: Access, loop: AbstractEventLoop, troubles: Troubles, large: Largeness
    ) -> None:
        self._access = access
        self._loop = loop
        self._troubles = troubles
        self._large = large
        # How many requests Flask has served on this thread in this turn.
        self._near = 0

    def near(self, target: bytes, size: int) -> CacheService | None:
        """Return the service of a request that Flask may serve on this thread, ``None`` if not.

        It is about one key, small, and calls a backend that the lane itself would call: then the
        way to a thread and back, where two want to run at a time, costs more than all the rest.
        Of one turn it is so many at most.

        :param target: the path of it.
        :param size: of its body, in bytes.
        """
        if self._troubles or size > MOST_NEAR or self._near >= NEAR_AT_ONCE:
            return None
        asked = read_target(target)
        service = None if asked is None else self._access.find(asked.service)
        if asked is None or asked.key is None or service is None or not service.performs_at_once:
            return None
        if self._large.sizes and self._large.size(service, asked.key):
            return None
        if not self._near:
            self._loop.call_soon(self._begin_turn)
        self._near += 1
        return service

    def _begin_turn(self) -> None:
        self._near = 0

    def note_near(self, service: CacheService, started: float, *, stores: bool) -> None:
        """Note that a request that was :meth:`near` is served: if it took long, others are not."""
        self._troubles.look(service.name, started, None, stores=stores)

    def listener(self, target: bytes, *, stores: bool) -> Callable[[float, int], None] | None:
        """Return what wants to hear the seconds and the status of a request that Flask serves."""
        name = service_of(target) if self._troubles else None
        service = None if name is None else self._access.find(name)
        return None if service is None else self._troubles.listener(service.name, stores=stores)

    def weigh(self, target: bytes) -> int:
        """Return the bytes of the value that a request is about, if they are known to be many."""
        asked = read_target(target) if self._large.sizes else None
        service = None if asked is None else self._access.find(asked.service)
        if asked is None or asked.key is None or service is None:
            return 0
        return self._large.likely_size(service, asked.key)
