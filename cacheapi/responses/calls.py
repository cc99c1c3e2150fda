"""The store, called from an event loop: on threads, and not at all while it is down.

After a call that failed no other is made until a try in the background has succeeded. So a
cache that is down costs the first requests a wait, and the others nothing. What writes have made
invalid meanwhile is purged before the cache is used again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from backends.errors import BackendError, Failed, ValueTooLarge
from cacheapi.caching.reserved import RESPONSE
from cacheapi.responses.budget import Budget, Crowded, Hold
from cacheapi.responses.entries import Variant
from cacheapi.responses.store import Store
from cacheapi.responses.timing import CACHE, waiting

T = TypeVar("T")

log = logging.getLogger(__name__)

THREADS: Final = 8
# A large body that is stored waits so long for room beside others.
ROOM_SECONDS: Final = 1.0
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 2.0
# URLs that are remembered while the store is down: some 100 KB, 8 MB at most.
MOST_OWED: Final = 1000
# Written and read back to see whether the cache is there again.
_PROBE: Final = f"{RESPONSE}probe"
_PROBE_TTL: Final = 60.0


class CacheDown(Exception):
    """The store cannot be used now; ``str()`` says why."""


class Calls:
    """Calls of one store; for one event loop.

    :ivar store: whose methods are called.
    :ivar budget: what bodies may take, those of all services together.
    """

    def __init__(
        self, store: Store, threads: ThreadPoolExecutor, budget: Budget | None = None
    ) -> None:
        self.store = store
        self.budget = budget or Budget()
        self._threads = threads
        self._failure: str | None = None
        self._trying: asyncio.Task[None] | None = None
        # URLs whose answers have become invalid and are there still.
        self._owed: dict[str, None] = {}
        self._owes_all = False

    @property
    def is_down(self) -> bool:
        """Whether calls fail at once."""
        return self._failure is not None

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do blocking work on the store.

        :raises CacheDown: it is down, or was not up to this.
        """
        if self._failure is not None:
            raise CacheDown(self._failure)
        loop = asyncio.get_running_loop()
        try:
            with waiting(CACHE):
                return await loop.run_in_executor(self._threads, work, *arguments)
        except ValueTooLarge as error:
            raise CacheDown(str(error)) from error
        except Failed as error:
            self.cut_off(str(error))
            raise CacheDown(str(error)) from error
        except BackendError as error:
            raise CacheDown(str(error)) from error

    async def body(self, variant: Variant) -> tuple[bytes | None, Hold]:
        """Return the body of what is stored, ``None`` if it is gone, and the right to hold it.

        :raises CacheDown: as of :meth:`run`.
        :raises Crowded: there is no room for it.
        """
        hold = await self.budget.wait(variant.stored.length, ROOM_SECONDS)
        return await self.run(self.store.body, variant), hold

    async def body_at_hand(self, variant: Variant) -> tuple[bytes, Hold] | None:
        """Do as :meth:`body`, and return nothing where it is gone or there is no room for it."""
        try:
            body, hold = await self.body(variant)
        except Crowded:
            return None
        return None if body is None else (body, hold)

    def owe_purge(self, target: str) -> None:
        """Purge a URL as soon as the store can be used again, and use it for nothing before.

        After :data:`MOST_OWED` of them it is all of the service.
        """
        if len(self._owed) >= MOST_OWED:
            self._owed, self._owes_all = {}, True
        elif not self._owes_all:
            self._owed[target] = None
        self.cut_off("a purge failed")

    def close(self) -> None:
        """Stop trying."""
        if self._trying is not None:
            self._trying.cancel()

    def cut_off(self, failure: str) -> None:
        """Take the store for down, until a try has succeeded."""
        if self._failure is None:
            log.error("The cache of answers cannot be used: %s", failure)
            self._failure = failure
            self._trying = asyncio.get_running_loop().create_task(self._try())

    async def _try(self) -> None:
        pause = FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                await loop.run_in_executor(self._threads, self._probe)
                while self._owed or self._owes_all:
                    await loop.run_in_executor(self._threads, self._settle)
            except BackendError:
                continue
            self._failure = None
            log.warning("The cache of answers can be used again.")
            return

    def _probe(self) -> None:
        self.store.backend.set(_PROBE, b"%d" % time.time_ns(), _PROBE_TTL)
        self.store.backend.get(_PROBE)

    def _settle(self) -> None:
        # What comes to be owed meanwhile is owed still after that.
        if self._owes_all:
            self._owes_all = False
            try:
                self.store.purge_all()
            except BackendError:
                self._owes_all = True
                raise
        for target in list(self._owed):
            self._owed.pop(target, None)
            try:
                self.store.purge_url(target)
            except BackendError:
                self._owed[target] = None
                raise
