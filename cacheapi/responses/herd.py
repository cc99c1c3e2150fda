"""One fetch for all who ask for the same at once, in all workers that share a store.

Who comes first in a worker flies: it takes the lease, or waits for whoever has it elsewhere.
The others of the worker wait for that flight and are woken with what it brought. An answer
that is one client's alone ends the waiting as soon as its head is there, and nobody waits for
that URL again for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from cacheapi.responses import leases
from cacheapi.responses.asking import Asked
from cacheapi.responses.budget import Hold
from cacheapi.responses.calls import CacheDown, Calls
from cacheapi.responses.connection import OriginFailed
from cacheapi.responses.deciding import Hit
from cacheapi.responses.fetched import Fetched
from cacheapi.responses.looking import Looked, variant_of
from cacheapi.responses.messages import Stored
from cacheapi.responses.store import Ticket
from cacheapi.responses.watching import Watch

END_SECONDS: Final = 2.0


class Arrived(NamedTuple):
    """What a flight brought that others may use.

    :ivar stored: the answers that are stored.
    :ivar bodies: the bodies that are at hand, by the ``id`` of what is stored.
    :ivar hold: the right to hold them.
    """

    looked: Looked
    stored: tuple[Stored, ...]
    bodies: dict[int, bytes]
    hold: Hold | None


class Alone(NamedTuple):
    """That each fetches for itself, since the answer is one client's only.

    :ivar ticket: of the fetch that found it out, which is good for theirs: what was purged since
        it began is not stored by it.
    """

    ticket: Ticket


# What waiting ends with: an answer; or none, and each fetches for itself.
Outcome = Arrived | Alone | None
Fetch = Callable[[Looked, Callable[[Ticket], None]], Awaitable[Fetched]]


class Flight:
    """A fetch under way, and what those get who wait for it."""

    def __init__(self) -> None:
        self._settled: asyncio.Future[Outcome | OriginFailed] = (
            asyncio.get_running_loop().create_future()
        )

    def settle(self, outcome: Outcome | OriginFailed) -> None:
        """Wake all who wait, once."""
        if not self._settled.done():
            self._settled.set_result(outcome)

    async def wait(self, seconds: float) -> Outcome:
        """Return what the flight brought; nothing, if it takes too long.

        :raises OriginFailed: the origin failed, and would again.
        """
        try:
            async with asyncio.timeout(seconds):
                outcome = await asyncio.shield(self._settled)
        except TimeoutError:
            return None
        if isinstance(outcome, OriginFailed):
            raise OriginFailed(outcome.status, str(outcome))
        return outcome


class Herd:
    """The flights of one service in this worker.

    :param wait_seconds: the longest that a client waits for another's fetch.
    :param clock: Unix time.
    """

    def __init__(self, calls: Calls, wait_seconds: float, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._watch = Watch(calls)
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[Fetched | Arrived | None]] = set()

    def is_flying(self, key: str) -> bool:
        """Return whether somebody in this worker fetches."""
        return key in self._flights

    async def join(self, key: str) -> Outcome:
        """Wait for the flight of a key.

        :raises OriginFailed: the origin failed.
        """
        return await self._flights[key].wait(self._wait_seconds)

    async def fly(self, key: str, asked: Asked, fetch: Fetch) -> Fetched | Arrived | None:
        """Fetch for all; return what was fetched, or what another worker has stored meanwhile.

        It goes on if this client leaves.

        :raises OriginFailed: the origin failed.
        """
        task = self.start(key, asked, fetch, waits=True)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_close)
            raise

    def start(
        self, key: str, asked: Asked, fetch: Fetch, *, waits: bool
    ) -> asyncio.Task[Fetched | Arrived | None]:
        """Begin a flight.

        :param waits: whether it waits for one elsewhere; else there is nothing to do then.
        """
        flight = self._flights[key] = Flight()
        task = asyncio.get_running_loop().create_task(
            self._fly(key, flight, asked, fetch, waits=waits)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def close(self) -> None:
        """Give up all flights."""
        self._watch.close()
        for task in self._tasks:
            task.cancel()

    async def end(self) -> None:
        """Give up all flights, and return once their leases are given back."""
        self.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=END_SECONDS)

    async def _fly(
        self, key: str, flight: Flight, asked: Asked, fetch: Fetch, *, waits: bool
    ) -> Fetched | Arrived | None:
        try:
            return await self._try(key, flight, asked, fetch, waits=waits)
        except OriginFailed as error:
            flight.settle(error)
            raise
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.settle(None)

    async def _try(
        self, key: str, flight: Flight, asked: Asked, fetch: Fetch, *, waits: bool
    ) -> Fetched | Arrived | None:
        lease: leases.Lease | None = None
        with contextlib.suppress(CacheDown):
            lease = await leases.acquire(self._calls, key)
            if lease is None and not waits:
                return None
            if lease is None:
                lease = await self._wait_elsewhere(key, asked)
        async with leases.held(lease) as let_go:
            looked = Looked(None, None, ())
            with contextlib.suppress(CacheDown):
                # Another one may have stored it since this client looked.
                looked = await self._calls.run(self._calls.store.look, asked.request.target)
                arrived = await self._arrived(asked, looked)
                if arrived is not None and waits:
                    flight.settle(arrived)
                    return arrived

            def alone(ticket: Ticket) -> None:
                flight.settle(Alone(ticket))
                # Others need not wait for the rest of a body that is not theirs.
                let_go()

            fetched = await fetch(looked, alone)
            if fetched.stored is not None and fetched.rest is None:
                bodies = {id(fetched.stored): fetched.body}
                flight.settle(Arrived(looked, (fetched.stored,), bodies, fetched.hold))
            return fetched

    async def _arrived(self, asked: Asked, looked: Looked) -> Arrived | None:
        decision = looked.decide(asked.request, self._clock())
        if not isinstance(decision, Hit) or decision.refresh:
            return None
        variant = variant_of(looked, decision.stored)
        if variant is None:
            return None
        found = await self._calls.body_at_hand(variant)
        if found is None:
            return None
        body, hold = found
        stored = tuple(one.stored for one in looked.variants)
        return Arrived(looked, stored, {id(decision.stored): body}, hold)

    async def _wait_elsewhere(self, key: str, asked: Asked) -> leases.Lease | None:
        """Return the lease once it is given up; nothing, where waiting is of no use any more."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_seconds
        while loop.time() < deadline:
            await self._watch.until_gone(key, deadline - loop.time())
            looked = await self._calls.run(self._calls.store.look, asked.request.target)
            if looked.is_alone(self._clock()):
                return None
            decision = looked.decide(asked.request, self._clock())
            if isinstance(decision, Hit) and not decision.refresh:
                return None
            lease = await leases.acquire(self._calls, key)
            if lease is not None:
                return lease
        return None


def _close(task: asyncio.Task[Fetched | Arrived | None]) -> None:
    if task.cancelled() or task.exception() is not None:
        return
    result = task.result()
    if isinstance(result, Fetched):
        result.close()
