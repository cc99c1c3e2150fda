"""Answers of what is stored, as far as there is room to hold their bodies."""

from __future__ import annotations

from collections.abc import Callable

from cacheapi.responses.answers import Answers, Outgoing
from cacheapi.responses.asking import Asked
from cacheapi.responses.cache_status import hit_status
from cacheapi.responses.calls import Calls
from cacheapi.responses.deciding import Decision, Hit, on_error
from cacheapi.responses.looking import Looked, variant_of


class Standing:
    """Gives the stored answers of one service.

    :param clock: Unix time.
    """

    def __init__(self, calls: Calls, answers: Answers, clock: Callable[[], float]) -> None:
        self._calls = calls
        self._answers = answers
        self._clock = clock

    def serve(self, asked: Asked, hit: Hit, body: bytes) -> Outgoing:
        """Return the answer of what is stored."""
        status, result = hit_status(hit.ttl), "hit" if hit.ttl > 0 else "stale"
        return self._answers.stored(asked, hit.stored, hit.age, status, body, result)

    async def find(self, asked: Asked, hit: Hit, looked: Looked) -> Outgoing | None:
        """Return it with the body that is stored; ``None`` if that is gone.

        :raises CacheDown: the store cannot be asked.
        :raises Crowded: there is no room for the body.
        """
        variant = variant_of(looked, hit.stored)
        if variant is None:
            return None
        body, hold = await self._calls.body(variant)
        if body is None:
            return None
        out = self.serve(asked, hit, body)
        out.hold = hold
        return out

    async def find_stale(self, asked: Asked, decision: Decision, looked: Looked) -> Outgoing | None:
        """Return what may be served instead of an error (RFC 5861, section 4), if it can be.

        :raises CacheDown: the store cannot be asked.
        """
        hit = on_error(asked.request, decision, self._clock())
        variant = None if hit is None else variant_of(looked, hit.stored)
        if hit is None or variant is None:
            return None
        found = await self._calls.body_at_hand(variant)
        if found is None:
            return None
        body, hold = found
        status = hit_status(hit.ttl, "stale-if-error")
        return self._answers.stored(asked, hit.stored, hit.age, status, body, "stale", hold)
