"""What becomes of an answer of the origin: it is stored, or there is a reason why not.

One that may be stored is checked to its last byte first, so that one which is cut off is an
error and never half an answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from cacheapi.responses.asking import Asked
from cacheapi.responses.calls import CacheDown, Calls
from cacheapi.responses.config import Config
from cacheapi.responses.connection import Answer
from cacheapi.responses.fetched import Fetched, taken
from cacheapi.responses.freshness import current_age, seconds_to_keep
from cacheapi.responses.messages import Fields, Response, Stored, every
from cacheapi.responses.store import Ticket
from cacheapi.responses.storing import keep, may_store

# Fields that name the tags of an answer, and what stands between them.
_TAGS: Final = {"surrogate-key": r"\s+", "cache-tag": r"\s*,\s*", "xkey": r"[\s,]+"}
# How long fetches of a URL whose answer nobody else could use go each their own way.
ALONE_SECONDS: Final = 60.0
# For so long it need not be noted again; and of so many it is known that it was.
NOTED_SECONDS: Final = 1.0
MOST_NOTED: Final = 1000


class Keeping:
    """Stores answers of one service.

    :param clock: Unix time.
    """

    def __init__(self, config: Config, calls: Calls, clock: Callable[[], float]) -> None:
        self._config = config
        self._calls = calls
        self._clock = clock
        self._policy = config.policy
        # When it was noted of a URL, by the tickets of fetches.
        self._noted: dict[Ticket, float] = {}

    def judged(self, head: Response) -> Response:
        """Return an answer's head with what parts the answers of a URL by configuration."""
        parting = self._config.parting
        if not parting:
            return head
        return Response(head.status, (*head.fields, ("vary", ", ".join(parting))))

    async def stored(
        self, asked: Asked, answer: Answer, ticket: Ticket, alone: Callable[[Ticket], None]
    ) -> Fetched:
        judged = self.judged(answer.head)
        fetched = Fetched(answer.head)
        fetched.reason = may_store(asked.request, judged, self._policy, answer.response_time)
        if fetched.reason is None and (answer.length or 0) > self._config.max_body:
            fetched.reason = "too-large"
        if fetched.reason is not None:
            if asked.request.method == "GET":
                # Before others are woken, who would wait once more else.
                await self.leave_alone(ticket)
                alone(ticket)
            return await taken(fetched, answer, self._config.max_body, self._calls.budget)
        fetched = await taken(fetched, answer, self._config.max_body, self._calls.budget)
        if fetched.is_crowded:
            # The next fetch may find room: whoever waits for this one may try it.
            fetched.reason = "crowded"
            return fetched
        if fetched.rest is not None:
            fetched.reason = "too-large"
            await self.leave_alone(ticket)
            alone(ticket)
            return fetched
        stored = keep(
            asked.request,
            judged,
            answer.request_time,
            answer.response_time,
            len(fetched.body),
            self._policy,
        )
        if stored is None:
            fetched.reason = "part"
            return fetched
        fetched.stored = stored
        await self.save(fetched, stored, ticket, tags_of(answer.head.fields))
        if stored.lifetime <= current_age(stored, self._clock()) and not stored.while_revalidate:
            # Whoever waited for it could not use it.
            await self.leave_alone(ticket)
        return fetched

    async def save(self, fetched: Fetched, stored: Stored, ticket: Ticket, tags: list[str]) -> None:
        seconds = seconds_to_keep(stored, self._clock())
        try:
            save = self._calls.store.save
            if not await self._calls.run(save, ticket, stored, fetched.body, tags, seconds):
                fetched.reason = "purged"
        except CacheDown:
            fetched.reason = "cache-down"

    async def leave_alone(self, ticket: Ticket) -> None:
        """Have fetches of a URL go each their own way from now on; noted once for all at once."""
        now = self._clock()
        if self._noted.get(ticket, -math.inf) > now - NOTED_SECONDS:
            return
        if len(self._noted) >= MOST_NOTED:
            self._noted.clear()
        self._noted[ticket] = now
        try:
            await self._calls.run(self._calls.store.leave_alone, ticket, ALONE_SECONDS)
        except CacheDown:
            return


def tags_of(fields: Fields) -> list[str]:
    """Return the tags that an answer carries, by ``Surrogate-Key``, ``Cache-Tag`` or ``xkey``."""
    return [
        tag
        for name, between in _TAGS.items()
        for value in every(fields, name)
        for tag in re.split(between, value.strip())
        if tag
    ]
