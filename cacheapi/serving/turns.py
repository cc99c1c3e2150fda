"""What the lane has taken and not answered yet.

The requests that arrive in one turn of the event loop are gathered, and answered at its end by
:mod:`~cacheapi.serving.answering`: changes first, in the order in which they came. A request that
comes alone waits for nobody. What is left then is answered in a later turn: the next one, or that
in which there is room for it.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections.abc import Sequence
from typing import Final

from cacheapi.caching.service import CacheService
from cacheapi.registry.rights import Caller, Rate
from cacheapi.serving.answering import Answering
from cacheapi.serving.answers import Sink, Taken

# How long what is to bring a large answer waits, before it is looked whether it has room now.
CROWDED_SECONDS: Final = 0.05

# A service, who asks, and the limit by which their requests are counted.
Known = tuple[CacheService, Caller, tuple[str, Rate] | None]


class Turns:
    """The turns of one event loop.

    :param answering: answers what was taken.
    :ivar load: what the requests of this turn have of what one may have.
    :ivar known: what a name and the digest of an API key stand for, of what was taken in this turn;
        what a turn that took nothing was told ends with it.
    :ivar crowded: what waits for other connections to take their answers, by its own.
    """

    def __init__(self, loop: AbstractEventLoop, answering: Answering) -> None:
        self._loop = loop
        self._answering = answering
        self._taken: list[Taken] = []
        # When the first of those came.
        self._since = 0.0
        self.load = 0
        self.known: dict[tuple[str, bytes], Known] = {}
        # What waits for a connection to take what it was answered before.
        self._waiting: dict[Sink, list[Taken]] = {}
        self.crowded: dict[Sink, list[Taken]] = {}
        self._made = answering.making.sinks
        answering.making.go_on = self._gather_all

    def gather(self, request: Taken) -> None:
        """Have a request answered by the end of this turn."""
        if not self._taken:
            self._loop.call_soon(self.answer)
            self._since = time.monotonic()
        self._taken.append(request)
        self.load += request.load

    def answer(self) -> None:
        """Answer what was taken until now."""
        taken, self._taken = self._taken, []
        self.load = 0
        self.known = {}
        try:
            left = self._answering.answer(taken, self._since)
        except BaseException:
            # Who was not answered would wait for ever.
            for request in taken:
                request.sink.end()
            raise
        crowded = self._answering.crowd.sinks
        for request in left:
            request.sink.flush()
            if request.sink in self._made:
                self._made[request.sink].append(request)
            elif request.sink in crowded:
                if not self.crowded:
                    self._loop.call_later(CROWDED_SECONDS, self._try_again)
                self.crowded.setdefault(request.sink, []).append(request)
            elif request.sink.is_full:
                self._waiting.setdefault(request.sink, []).append(request)
            else:
                self.gather(request)

    def _try_again(self) -> None:
        """Answer what waited for others' large answers to leave."""
        crowded, self.crowded = self.crowded, {}
        for requests in crowded.values():
            for request in requests:
                self.gather(request)

    def go_on(self, sink: Sink) -> None:
        """Answer what waited for earlier answers of a connection to leave."""
        self._gather_all(self._waiting.pop(sink, ()))

    def _gather_all(self, requests: Sequence[Taken]) -> None:
        for request in requests:
            self.gather(request)

    def forget(self, sink: Sink) -> None:
        """Forget what waited for a connection that is gone."""
        self._waiting.pop(sink, None)
        self.crowded.pop(sink, None)
        self._made.pop(sink, None)
