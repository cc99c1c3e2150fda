"""What the lane knows of requests that Flask serves beside it.

Which of them are served on the thread of the event loop, which are about large values and have to
wait for room, and who wants to hear whether a cache that was in trouble has answered.
"""

from __future__ import annotations

import functools
import time
from asyncio import AbstractEventLoop
from typing import Final, NamedTuple, Protocol

from cacheapi.caching.service import CacheService
from cacheapi.serving.health import Troubles, Way
from cacheapi.serving.largeness import LARGE, LARGE_SECONDS, Largeness
from cacheapi.serving.recognition import Fields, read_fields, read_target, service_of
from cacheapi.web.access import Access

# Of what Flask serves on the loop's thread: the bytes of a body, and how many in one turn.
MOST_NEAR: Final = 64 * 1024
# The same of a body that is about several keys: some fifty operations.
MOST_NEAR_MANY: Final = 4 * 1024
NEAR_AT_ONCE: Final = 16
# Who takes more of a thread's time, in seconds, has a thread next time: it is about a large value,
# mostly, whether its answer shows that or not. Of how many keys that is known.
NEAR_SECONDS: Final = 0.002
MOST_KNOWN: Final = 10_000

# What the count of a request is like, for who hears of answers.
_COUNTED: Final = 200

# How long a view that is served there may look for what a list is to have on it.
AT_ONCE_SECONDS: Final = 0.005

# Methods that store nothing.
READING: Final = frozenset({"GET", "HEAD"})

# What asks no cache.
_ASKS_NONE: Final = frozenset({b"/api/v2", b"/api/v2/", b"/health/live"})

# The field that names another method.
TUNNEL: Final = b"x-http-method"

# The name, in the state of an ASGI request, of what :meth:`Beside.listener` returned.
LISTENER: Final = "cacheapi.listener"
# And of what :meth:`Beside.weigh` returned.
WEIGHT: Final = "cacheapi.weight"


class Listener(Protocol):
    """Wants to hear the outcome of a request."""

    def __call__(self, seconds: float, status: int, *, is_counted: bool) -> None:
        """Hear of it."""


class _About(NamedTuple):
    """What a request is about: a service, if any, and one of its keys; empty: several, or none."""

    service: CacheService | None
    key: str

    @property
    def name(self) -> str:
        return "" if self.service is None else self.service.name


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
        # By service and key, whether the last one took long, and until when that is remembered.
        self._known: dict[tuple[str, str], tuple[bool, float]] = {}

    def near(self, target: bytes, headers: Fields, size: int, *, stores: bool) -> str | None:
        """Return whose request Flask may serve on this thread, ``None`` where it may not.

        It is small, and calls a backend as the lane itself would, or none: it is about one key, a
        page of keys of a backend that finds one at once, or a few operations. Then
        the way to a thread and back, where two want to run at a time, costs more than all the rest.
        Of one turn it is so many at most.

        :param target: the path of it.
        :param headers: names in lower case, and values.
        :param size: of its body, in bytes.
        :param stores: whether it may store something.
        :return: the name of its service; empty for none.
        """
        if size > MOST_NEAR or self._near >= NEAR_AT_ONCE:
            return None
        about = self._about(target)
        if about is None or not self._is_short(about, headers, size, stores=stores):
            return None
        if self._troubles and not self._is_well(about.name, headers, stores=stores):
            return None
        if self._takes_long(about):
            return None
        if not self._near:
            self._loop.call_soon(self._begin_turn)
        self._near += 1
        return about.name

    def _about(self, target: bytes) -> _About | None:
        if target in _ASKS_NONE:
            return _About(None, "")
        asked = read_target(target)
        service = None if asked is None else self._access.find(asked.service)
        if asked is None or service is None:
            return None
        return _About(service, asked.key or "")

    def _is_short(self, about: _About, headers: Fields, size: int, *, stores: bool) -> bool:
        """Return whether what a request asks of its cache is done in a few trips."""
        service = about.service
        if service is None:
            # Who has a limit is counted, in another cache.
            return self._access.counts.performs_at_once and not stores
        if about.key:
            return service.performs_at_once
        if any(name == TUNNEL for name, _ in headers):
            # It may empty the service.
            return False
        if stores:
            return service.performs_at_once and 0 < size <= MOST_NEAR_MANY
        return service.lists_at_once

    def _takes_long(self, about: _About) -> bool:
        """Return whether a request may be about much.

        By how long the last one about the same took; where there is none, by what the service had
        a short time ago: it may have more that is large.
        """
        if not self._known and not self._large.sizes:
            return False
        takes_long, until = self._known.get((about.name, about.key), (False, 0.0))
        if time.monotonic() < until:
            return takes_long
        return about.service is not None and bool(self._large.last_size(about.service))

    def note(self, target: bytes, seconds: float, size: int) -> None:
        """Note what a request that Flask served was like.

        :param target: the path of it.
        :param seconds: what it took of its thread's time.
        :param size: the bytes that it brought or stored, as far as that is known.
        """
        takes_long = seconds > NEAR_SECONDS or size > LARGE
        if not takes_long and not self._known and not self._large.sizes:
            return
        about = self._about(target)
        if about is None:
            return
        service, key = about
        if size > LARGE and service is not None and key:
            self._large.note_size(service, key, size)
        named = about.name, key
        has_large = service is not None and self._large.last_size(service)
        if takes_long or named in self._known or has_large:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[named] = takes_long, time.monotonic() + LARGE_SECONDS

    def _is_well(self, name: str, headers: Fields, *, stores: bool) -> bool:
        """Return whether no call for a request would hold up the loop, nor the count before it."""
        if name and self._troubles.way(name, stores=stores) is not Way.LANE:
            return False
        # Not asked for others: it is those who have a limit that find out when it is well again.
        if not self._may_be_counted(headers):
            return True
        return self._troubles.way(self._access.counts.name, stores=True) is Way.LANE

    def _may_be_counted(self, headers: Fields) -> bool:
        said = read_fields(headers, ())
        caller = None if said is None else self._access.who(self._access.digest(said.shown))
        return caller is None or caller.rate is not None

    def _begin_turn(self) -> None:
        self._near = 0

    def note_near(self, name: str, started: float, *, stores: bool) -> None:
        """Note that a request that was :meth:`near` is served: if it took long, others are not.

        :param name: of its service; empty for none.
        """
        if name:
            self._troubles.look(name, started, None, stores=stores)

    def listener(self, target: bytes, *, stores: bool) -> Listener | None:
        """Return what wants to hear the outcome of a request that Flask serves.

        It is told the seconds, the status and whether the request was counted, of a caller who
        has a limit.
        """
        name = service_of(target) if self._troubles else None
        service = None if name is None else self._access.find(name)
        return None if service is None else functools.partial(self._hear, service.name, stores)

    def _hear(
        self, name: str, stores: bool, seconds: float, status: int, *, is_counted: bool
    ) -> None:
        self._troubles.hear(name, stores, seconds, status)
        if is_counted:
            # Nobody else may ever store where the counts are.
            self._troubles.hear(self._access.counts.name, True, seconds, _COUNTED)

    def weigh(self, target: bytes) -> int:
        """Return the bytes of the values that a request is about, if they are known to be many."""
        asked = read_target(target) if self._large.sizes else None
        service = None if asked is None else self._access.find(asked.service)
        if asked is None or service is None:
            return 0
        if asked.key is not None:
            return self._large.likely_size(service, asked.key)
        return sum([self._large.size(service, key) for key in asked.keys or ()])
