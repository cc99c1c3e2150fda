"""One exchange with the origin: what is sent, what of the answer is stored, what is left.

An answer that may be stored is collected first and checked to its last byte, so that one
which is cut off is an error and never half an answer. What may not, or is longer than the
limit, is passed on as it comes, in bounded memory.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from cacheapi.responses.calls import CacheDown, Calls
from cacheapi.responses.config import Config
from cacheapi.responses.connection import Answer, Inform
from cacheapi.responses.deciding import (
    ERROR_STATUSES,
    Complete,
    Decision,
    Miss,
    Pass,
    Revalidate,
    on_error,
)
from cacheapi.responses.forwarding import forward
from cacheapi.responses.freshness import current_age, seconds_to_keep
from cacheapi.responses.looking import Looked, variant_of
from cacheapi.responses.messages import Fields, Request, Response, Stored, every
from cacheapi.responses.origin import Origin
from cacheapi.responses.policy import Policy
from cacheapi.responses.store import Ticket
from cacheapi.responses.storing import keep, may_store
from cacheapi.responses.updating import combine, update, update_by_head

# RFC 9110, section 7.6.3.
VIA: Final = "1.1 cacheapi"
# Fields that name the tags of an answer, and what stands between them.
_TAGS: Final = {"surrogate-key": r"\s+", "cache-tag": r"\s*,\s*", "xkey": r"[\s,]+"}
# How long fetches of a URL whose answer nobody else could use go each their own way.
ALONE_SECONDS: Final = 60.0


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request on its way.

    :ivar request: as the rules see it.
    :ivar target: the path and query at the origin.
    :ivar body: its body.
    :ivar inform: gets interim answers.
    """

    request: Request
    target: str
    body: bytes = b""
    inform: Inform | None = None


@dataclasses.dataclass
class Fetched:
    """What came of an exchange.

    :ivar head: the origin's, with all its fields.
    :ivar body: the whole body, or what came of it so far.
    :ivar rest: the answer whose body is to be read on.
    :ivar stored: what was made of it to be stored.
    :ivar reason: why it is not stored; ``None``: it is.
    :ivar validated: whether a 304 made it: then ``body`` is the stored one's.
    """

    head: Response
    body: bytes = b""
    rest: Answer | None = None
    stored: Stored | None = None
    reason: str | None = None
    validated: bool = False

    def close(self) -> None:
        """Give up what was not read."""
        if self.rest is not None:
            self.rest.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        if self.body:
            yield self.body
        if self.rest is not None:
            async for chunk in self.rest.chunks():
                yield chunk


class Exchange:
    """Exchanges with one origin, and its store."""

    def __init__(
        self, config: Config, origin: Origin, calls: Calls, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._origin = origin
        self._calls = calls
        self._clock = clock
        self._policy: Policy = config.policy

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
        alone: Callable[[], None] = lambda: None,
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
                fetched = await self._validated(asked, decision, answer, looked, ticket)
                if fetched is not None:
                    return fetched
                # It said nothing of what is stored: ask for all of it.
                return await self.fetch(asked, Miss(decision.fwd), looked, ticket, alone)
        elif isinstance(decision, Complete):
            fetched = await self._completed(asked, decision, answer, looked, ticket)
            if fetched is not None:
                return fetched
            if head.status != 200:
                return await self.fetch(asked, Miss(decision.fwd), looked, ticket, alone)
        if asked.request.method == "HEAD" and not isinstance(decision, Pass):
            await self._after_head(asked, decision.stored, answer, looked, ticket)
        if head.status in ERROR_STATUSES and on_error(asked.request, decision, self._clock()):
            # What is served instead must not give way to the error.
            return await self._taken(Fetched(head, reason="stale-if-error"), answer)
        return await self._stored(asked, answer, ticket, alone)

    async def write(
        self, asked: Asked, invalidate: Callable[[Response], Awaitable[None]]
    ) -> Fetched:
        """Send a request that may write, and store its answer if that is what a GET gets.

        :param invalidate: is told the answer first: what it makes invalid may be its own URL.
        :raises OriginFailed: there is no answer.
        """
        answer = await self._send(asked, None)
        await invalidate(answer.head)
        head = self._judged(answer.head)
        reason = may_store(asked.request, head, self._policy, answer.response_time)
        if reason is None:
            store = self._calls.store
            try:
                looked = await self._calls.run(store.look, asked.request.target)
                ticket = await self._calls.run(store.begin, asked.request.target, looked)
            except CacheDown:
                reason = "cache-down"
            else:
                return await self._stored(asked, answer, ticket, lambda: None)
        return await self._taken(Fetched(answer.head, reason=reason), answer)

    async def _send(self, asked: Asked, add: Fields | None) -> Answer:
        own = {name for name, _ in self._config.headers}
        fields = [field for field in forward(asked.request, add) if field[0] not in own]
        fields += [*self._config.headers, ("via", VIA)]
        return await self._origin.send(
            asked.request.method, asked.target, tuple(fields), asked.body, asked.inform
        )

    def _judged(self, head: Response) -> Response:
        """Return an answer's head with what parts the answers of a URL by configuration."""
        parting = self._config.parting
        if not parting:
            return head
        return Response(head.status, (*head.fields, ("vary", ", ".join(parting))))

    async def _stored(
        self, asked: Asked, answer: Answer, ticket: Ticket, alone: Callable[[], None]
    ) -> Fetched:
        judged = self._judged(answer.head)
        fetched = Fetched(answer.head)
        fetched.reason = may_store(asked.request, judged, self._policy, answer.response_time)
        if fetched.reason is None and (answer.length or 0) > self._config.max_body:
            fetched.reason = "too-large"
        if fetched.reason is not None:
            if asked.request.method == "GET":
                # Before others are woken, who would wait once more else.
                await self._leave_alone(ticket)
                alone()
            return await self._taken(fetched, answer)
        fetched = await self._taken(fetched, answer)
        if fetched.rest is not None:
            fetched.reason = "too-large"
            await self._leave_alone(ticket)
            alone()
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
        await self._save(fetched, stored, ticket, tags_of(answer.head.fields))
        if stored.lifetime <= current_age(stored, self._clock()) and not stored.while_revalidate:
            # Whoever waited for it could not use it.
            await self._leave_alone(ticket)
        return fetched

    async def _save(
        self, fetched: Fetched, stored: Stored, ticket: Ticket, tags: list[str]
    ) -> None:
        seconds = seconds_to_keep(stored, self._clock())
        try:
            save = self._calls.store.save
            if not await self._calls.run(save, ticket, stored, fetched.body, tags, seconds):
                fetched.reason = "purged"
        except CacheDown:
            fetched.reason = "cache-down"

    async def _taken(self, fetched: Fetched, answer: Answer) -> Fetched:
        """Read the body, if it is not too long to be held; else leave the rest to be read."""
        most = self._config.max_body
        if answer.length is None and fetched.reason is not None:
            # Of no known end, and not for the store: each piece goes on as it comes.
            fetched.rest = answer
            return fetched
        if answer.length is not None and answer.length > most:
            fetched.rest = answer
            return fetched
        body = bytearray()
        chunks = answer.chunks()
        async for chunk in chunks:
            body += chunk
            if len(body) > most:
                fetched.rest = _Resumed(chunks, answer)  # type: ignore[assignment]
                break
        fetched.body = bytes(body)
        return fetched

    async def _leave_alone(self, ticket: Ticket) -> None:
        try:
            await self._calls.run(self._calls.store.leave_alone, ticket, ALONE_SECONDS)
        except CacheDown:
            return

    # What is stored already

    async def _validated(
        self, asked: Asked, decision: Revalidate, answer: Answer, looked: Looked, ticket: Ticket
    ) -> Fetched | None:
        """Return what a 304 makes of what is stored; ``None`` if it is of no use."""
        async for _ in answer.chunks():
            pass
        old = variant_of(looked, decision.stored)
        made = update(
            decision.stored,
            self._judged(answer.head),
            asked.request,
            answer.request_time,
            answer.response_time,
            self._policy,
        )
        if made is None or old is None:
            return None
        fetched = Fetched(answer.head, stored=made.stored, reason=made.reason, validated=True)
        try:
            body = await self._calls.run(self._calls.store.body, old)
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
        except CacheDown:
            return None
        return fetched

    async def _after_head(
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
            self._judged(answer.head),
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

    async def _completed(
        self, asked: Asked, decision: Complete, answer: Answer, looked: Looked, ticket: Ticket
    ) -> Fetched | None:
        """Return a stored part and its rest as one; ``None`` if they do not fit."""
        old = variant_of(looked, decision.stored)
        if answer.head.status != 206 or old is None:
            if answer.head.status != 200:
                answer.close()
            return None
        fetched = await self._taken(Fetched(answer.head), answer)
        if fetched.rest is not None:
            fetched.close()
            return None
        new = keep(
            asked.request,
            self._judged(answer.head),
            answer.request_time,
            answer.response_time,
            len(fetched.body),
            self._policy,
        )
        made = None if new is None else combine(decision.stored, new, self._policy)
        try:
            body = await self._calls.run(self._calls.store.body, old)
        except CacheDown:
            body = None
        if made is None or body is None:
            return None
        sources = (body, fetched.body)
        fetched.body = b"".join(sources[which][start:stop] for which, start, stop in made.pieces)
        fetched.stored = made.stored
        fetched.validated = True
        await self._save(fetched, made.stored, ticket, list(old.tags))
        return fetched


class _Resumed:
    """The rest of a body of which some was read."""

    def __init__(self, chunks: AsyncIterator[bytes], answer: Answer) -> None:
        self._chunks = chunks
        self._answer = answer

    def chunks(self) -> AsyncIterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._answer.close()


def tags_of(fields: Fields) -> list[str]:
    """Return the tags that an answer carries, by ``Surrogate-Key``, ``Cache-Tag`` or ``xkey``."""
    return [
        tag
        for name, between in _TAGS.items()
        for value in every(fields, name)
        for tag in re.split(between, value.strip())
        if tag
    ]
