"""How an answer is fetched: alone, with all who ask for the same, or in the background."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

from cacheapi.responses import entries
from cacheapi.responses.asking import Asked
from cacheapi.responses.calls import Calls
from cacheapi.responses.deciding import (
    Complete,
    Decision,
    Hit,
    Miss,
    Revalidate,
    refresh_decision,
)
from cacheapi.responses.exchange import Exchange
from cacheapi.responses.fetched import Fetched
from cacheapi.responses.forwarding import CONDITIONS
from cacheapi.responses.herd import Alone, Arrived, Fetch, Herd
from cacheapi.responses.looking import Looked
from cacheapi.responses.messages import Request, Response, without
from cacheapi.responses.store import Ticket
from cacheapi.responses.vary import selecting_values

# A fetch by a client's own wish is its own.
_OWN_WAY: Final = frozenset({"range", "authorization"})


class Fetching:
    """The fetches of one service in this worker.

    :param name: the service's.
    :param wait_seconds: the longest that a client waits for another's fetch.
    :param clock: Unix time.
    """

    def __init__(
        self,
        name: str,
        calls: Calls,
        exchange: Exchange,
        wait_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._calls = calls
        self._exchange = exchange
        self._clock = clock
        self._herd = Herd(calls, wait_seconds, clock)

    def close(self) -> None:
        """Give up what is under way."""
        self._herd.close()

    async def end(self) -> None:
        """As :meth:`close`; return once it is gone."""
        await self._herd.end()

    def is_shared(self, asked: Asked, decision: Decision, looked: Looked) -> bool:
        """Whether others who ask for the same could use the answer."""
        request = asked.request
        if request.method != "GET" or isinstance(decision, Complete):
            return False
        if getattr(decision, "fwd", "") not in ("uri-miss", "vary-miss", "stale"):
            return False
        if any(name in _OWN_WAY for name, _ in request.fields):
            return False
        return not looked.is_alone(self._clock())

    async def alone(
        self, asked: Asked, decision: Decision, looked: Looked, ticket: Ticket | None = None
    ) -> Fetched:
        """Fetch for one client.

        :param ticket: of a fetch before; by default one for this.
        :raises OriginFailed: there is no whole answer.
        """
        if ticket is None:
            ticket = await self._calls.run(self._calls.store.begin, asked.request.target, looked)
        return await self._exchange.fetch(asked, decision, looked, ticket)

    async def together(
        self, asked: Asked, decision: Decision, looked: Looked
    ) -> Fetched | Arrived | Alone | None:
        """Fetch for all who ask for the same, or wait for who does.

        :return: what was fetched for this client, or what another's fetch has brought;
            otherwise it brought nothing.
        :raises OriginFailed: there is no whole answer.
        """
        names = looked.variants[0].stored.vary if looked.variants else ()
        key = self._flight_key(asked.request, names)
        if self._herd.is_flying(key):
            return await self._herd.join(key)
        return await self._herd.fly(key, asked, self._fetch(asked, decision))

    def _flight_key(self, request: Request, names: Sequence[str]) -> str:
        """Return the key under which requests share a fetch, by the fields that part variants."""
        return entries.lease_key(
            self._name, request.target, selecting_values(request.fields, names)
        )

    def _fetch(self, asked: Asked, decision: Decision) -> Fetch:
        async def fetch(looked: Looked, alone: Callable[[Ticket], None]) -> Fetched:
            again = looked.decide(asked.request, self._clock())
            if not isinstance(again, (Miss, Revalidate)):
                again = Miss(getattr(decision, "fwd", "stale"))
            ticket = await self._calls.run(self._calls.store.begin, asked.request.target, looked)
            if looked.is_alone(self._clock()):
                # As another worker has found out meanwhile.
                alone(ticket)
            return await self._exchange.fetch(asked, again, looked, ticket, alone)

        return fetch

    def refresh(self, asked: Asked, hit: Hit) -> None:
        """Fetch in the background what was served stale; one does so in all workers."""
        request = asked.request
        fields = without(request.fields, CONDITIONS | {"range", "if-range"})
        own = dataclasses.replace(
            asked, request=Request("GET", request.target, fields), body=b"", inform=None
        )
        key = self._flight_key(own.request, hit.stored.vary)
        if self._herd.is_flying(key):
            return

        async def fetch(looked: Looked, alone: Callable[[Ticket], None]) -> Fetched:
            again = looked.decide(own.request, self._clock())
            if not isinstance(again, Hit):
                decision = again if isinstance(again, (Miss, Revalidate)) else Miss("stale")
            elif again.refresh:
                decision = refresh_decision(again)
            else:
                # Somebody has been faster.
                return Fetched(Response(304))
            ticket = await self._calls.run(self._calls.store.begin, own.request.target, looked)
            fetched = await self._exchange.fetch(own, decision, looked, ticket, alone)
            fetched.close()
            return fetched

        task = self._herd.start(key, own, fetch, waits=False)
        # Its failure is told by the next who asks.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
