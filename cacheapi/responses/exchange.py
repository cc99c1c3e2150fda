"""One exchange with the origin: what is sent, and what is done with the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from cacheapi.responses.asking import Asked
from cacheapi.responses.calls import CacheDown, Calls
from cacheapi.responses.config import Config
from cacheapi.responses.connection import Answer
from cacheapi.responses.deciding import (
    ERROR_STATUSES,
    Complete,
    Decision,
    Miss,
    Pass,
    Revalidate,
    on_error,
)
from cacheapi.responses.fetched import Fetched, taken
from cacheapi.responses.forwarding import forward
from cacheapi.responses.freshening import Freshening
from cacheapi.responses.keeping import Keeping
from cacheapi.responses.looking import Looked
from cacheapi.responses.messages import Fields, Response
from cacheapi.responses.origin import Origin
from cacheapi.responses.store import Ticket
from cacheapi.responses.storing import may_store

# RFC 9110, section 7.6.3.
VIA: Final = "1.1 cacheapi"


class Exchange:
    """Exchanges with one origin, and its store."""

    def __init__(
        self, config: Config, origin: Origin, calls: Calls, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._origin = origin
        self._calls = calls
        self._clock = clock
        self._keeping = Keeping(config, calls, clock)
        self._freshening = Freshening(config, calls, self._keeping, clock)

    async def pass_on(self, asked: Asked, reason: str) -> Fetched:
        """Send a request as it is, and store nothing.

        :raises OriginFailed: there is no answer.
        """
        answer = await self._send(asked, None)
        return await self._taken(Fetched(answer.head, reason=reason), answer)

    async def fetch(
        self,
        asked: Asked,
        decision: Decision,
        looked: Looked,
        ticket: Ticket,
        alone: Callable[[Ticket], None] = lambda _: None,
    ) -> Fetched:
        """Send what a decision asks for, and store what comes if it may be.

        :param alone: told as soon as it is known that the answer is for this client only.
        :raises OriginFailed: there is no whole answer.
        """
        assert isinstance(decision, (Miss, Revalidate, Complete, Pass))
        answer = await self._send(asked, None if isinstance(decision, Pass) else decision.add)
        head = answer.head
        if isinstance(decision, Revalidate):
            if head.status == 304:
                fetched = await self._freshening.validated(asked, decision, answer, looked, ticket)
                if fetched is not None:
                    return fetched
                # It said nothing of what is stored: ask for all of it.
                return await self.fetch(asked, Miss(decision.fwd), looked, ticket, alone)
        elif isinstance(decision, Complete):
            fetched = await self._freshening.completed(asked, decision, answer, looked, ticket)
            if fetched is not None:
                return fetched
            if head.status != 200:
                return await self.fetch(asked, Miss(decision.fwd), looked, ticket, alone)
        if asked.request.method == "HEAD" and not isinstance(decision, Pass):
            await self._freshening.after_head(asked, decision.stored, answer, looked, ticket)
        if head.status in ERROR_STATUSES and on_error(asked.request, decision, self._clock()):
            # What is served instead must not give way to the error.
            return await self._taken(Fetched(head, reason="stale-if-error"), answer)
        return await self._keeping.stored(asked, answer, ticket, alone)

    async def write(
        self, asked: Asked, invalidate: Callable[[Response], Awaitable[None]]
    ) -> Fetched:
        """Send a request that may write, and store its answer if that is what a GET gets.

        :param invalidate: is told the answer first: what it makes invalid may be its own URL.
        :raises OriginFailed: there is no answer.
        """
        answer = await self._send(asked, None)
        await invalidate(answer.head)
        head = self._keeping.judged(answer.head)
        reason = may_store(asked.request, head, self._config.policy, answer.response_time)
        if reason is None:
            store = self._calls.store
            try:
                looked = await self._calls.run(store.look, asked.request.target)
                ticket = await self._calls.run(store.begin, asked.request.target, looked)
            except CacheDown:
                reason = "cache-down"
            else:
                return await self._keeping.stored(asked, answer, ticket, lambda _: None)
        return await self._taken(Fetched(answer.head, reason=reason), answer)

    async def _taken(self, fetched: Fetched, answer: Answer) -> Fetched:
        return await taken(fetched, answer, self._config.max_body, self._calls.budget)

    async def _send(self, asked: Asked, add: Fields | None) -> Answer:
        own = {name for name, _ in self._config.headers}
        fields = [field for field in forward(asked.request, add) if field[0] not in own]
        fields += [*self._config.headers, ("via", VIA)]
        return await self._origin.send(
            asked.request.method, asked.target, tuple(fields), asked.body, asked.inform
        )
