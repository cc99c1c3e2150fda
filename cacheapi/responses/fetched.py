"""What came of an exchange with the origin, its body in bounded memory.

What may be stored is read to its last byte first; what may not, is longer than the limit, or
finds no room beside all others, is passed on as it comes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

from cacheapi.responses.budget import Budget, Crowded, Hold
from cacheapi.responses.connection import Answer
from cacheapi.responses.messages import Response, Stored


@dataclasses.dataclass
class Fetched:
    """What came of an exchange.

    :ivar head: the origin's, with all its fields.
    :ivar body: the whole body, or what came of it so far.
    :ivar rest: the answer whose body is to be read on.
    :ivar stored: what was made of it to be stored.
    :ivar reason: why it is not stored; ``None``: it is.
    :ivar validated: whether a 304 made it: then ``body`` is the stored one's.
    :ivar hold: the right to hold the body.
    :ivar is_crowded: whether there was no room for all of it.
    """

    head: Response
    body: bytes = b""
    rest: Answer | None = None
    stored: Stored | None = None
    reason: str | None = None
    validated: bool = False
    hold: Hold | None = dataclasses.field(default=None, repr=False)
    is_crowded: bool = False

    def close(self) -> None:
        """Give up what was not read."""
        if self.rest is not None:
            self.rest.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; what was yielded of it is held no more."""
        if self.body:
            body, self.body = self.body, b""
            yield body
            del body
        self.hold = None
        if self.rest is not None:
            async for chunk in self.rest.chunks():
                yield chunk


async def taken(fetched: Fetched, answer: Answer, most: int, budget: Budget) -> Fetched:
    """Read the body, if it is not too long to be held; else leave the rest to be read.

    :param most: bytes that are held.
    :param budget: what all bodies have together.
    :raises OriginFailed: it was cut off, is malformed, or stalled.
    """
    if answer.length is None and fetched.reason is not None:
        # Of no known end, and not for the store: each piece goes on as it comes.
        fetched.rest = answer
        return fetched
    if answer.length is not None and answer.length > most:
        fetched.rest = answer
        return fetched
    try:
        fetched.hold = hold = budget.hold(answer.length or 0)
    except Crowded:
        fetched.rest, fetched.is_crowded = answer, True
        return fetched
    body = bytearray()
    chunks = answer.chunks()
    async for chunk in chunks:
        body += chunk
        fetched.is_crowded = not hold.grow_to(len(body))
        if len(body) > most or fetched.is_crowded:
            fetched.rest = _Resumed(chunks, answer)  # type: ignore[assignment]
            break
    fetched.body = bytes(body)
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
