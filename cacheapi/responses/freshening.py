"""What is stored already and what the origin says of it: a 304, the rest of a part, a HEAD.

RFC 9111, sections 3.4, 4.3.4 and 4.3.5.
"""

from __future__ import annotations

from collections.abc import Callable

from cacheapi.responses.asking import Asked
from cacheapi.responses.budget import Crowded
from cacheapi.responses.calls import CacheDown, Calls
from cacheapi.responses.config import Config
from cacheapi.responses.connection import Answer
from cacheapi.responses.deciding import Complete, Revalidate
from cacheapi.responses.fetched import Fetched, taken
from cacheapi.responses.freshness import seconds_to_keep
from cacheapi.responses.keeping import Keeping
from cacheapi.responses.looking import Looked, variant_of
from cacheapi.responses.messages import Stored
from cacheapi.responses.store import Ticket
from cacheapi.responses.storing import keep
from cacheapi.responses.updating import combine, update, update_by_head


class Freshening:
    """Puts answers of the origin to what one service has stored.

    :param clock: Unix time.
    """

    def __init__(
        self, config: Config, calls: Calls, keeping: Keeping, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._calls = calls
        self._keeping = keeping
        self._clock = clock
        self._policy = config.policy

    async def validated(
        self, asked: Asked, decision: Revalidate, answer: Answer, looked: Looked, ticket: Ticket
    ) -> Fetched | None:
        """Return what a 304 makes of what is stored; ``None`` if it is of no use."""
        async for _ in answer.chunks():
            pass
        old = variant_of(looked, decision.stored)
        made = update(
            decision.stored,
            self._keeping.judged(answer.head),
            asked.request,
            answer.request_time,
            answer.response_time,
            self._policy,
        )
        if made is None or old is None:
            return None
        fetched = Fetched(answer.head, stored=made.stored, reason=made.reason, validated=True)
        try:
            body, fetched.hold = await self._calls.body(old)
            if body is None:
                return None
            fetched.body = body
            if made.outdated:
                await self._calls.run(self._calls.store.remove, ticket, old)
            elif made.reason is None and not await self._calls.run(
                self._calls.store.renew,
                ticket,
                old,
                made.stored,
                seconds_to_keep(made.stored, self._clock()),
            ):
                fetched.reason = "purged"
        except (CacheDown, Crowded):
            return None
        return fetched

    async def after_head(
        self,
        asked: Asked,
        stored: Stored | None,
        answer: Answer,
        looked: Looked,
        ticket: Ticket,
    ) -> None:
        """Let the answer to a HEAD freshen what is stored, or remove it (RFC 9111, 4.3.5)."""
        old = None if stored is None else variant_of(looked, stored)
        if stored is None or old is None or answer.head.status != 200:
            return
        made = update_by_head(
            stored,
            self._keeping.judged(answer.head),
            asked.request,
            answer.request_time,
            answer.response_time,
            self._policy,
        )
        store = self._calls.store
        try:
            if made is None or made.outdated:
                await self._calls.run(store.remove, ticket, old)
            elif made.reason is None:
                seconds = seconds_to_keep(made.stored, self._clock())
                await self._calls.run(store.renew, ticket, old, made.stored, seconds)
        except CacheDown:
            return

    async def completed(
        self, asked: Asked, decision: Complete, answer: Answer, looked: Looked, ticket: Ticket
    ) -> Fetched | None:
        """Return a stored part and its rest as one; ``None`` if they do not fit."""
        old = variant_of(looked, decision.stored)
        if answer.head.status != 206 or old is None:
            if answer.head.status != 200:
                answer.close()
            return None
        fetched = await taken(
            Fetched(answer.head), answer, self._config.max_body, self._calls.budget
        )
        if fetched.rest is not None:
            fetched.close()
            return None
        new = keep(
            asked.request,
            self._keeping.judged(answer.head),
            answer.request_time,
            answer.response_time,
            len(fetched.body),
            self._policy,
        )
        made = None if new is None else combine(decision.stored, new, self._policy)
        try:
            body, fetched.hold = await self._calls.body(old)
        except (CacheDown, Crowded):
            body = None
        if made is None or body is None:
            return None
        sources = (body, fetched.body)
        fetched.body = b"".join(sources[which][start:stop] for which, start, stop in made.pieces)
        fetched.stored = made.stored
        fetched.validated = True
        await self._keeping.save(fetched, made.stored, ticket, list(old.tags))
        return fetched
