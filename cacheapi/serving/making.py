"""Answers of the lane that are about large values: made on a thread, and sent by the event loop.

How large a value is shows once its bytes are here. What is then to be done, to see that it is
JSON, to tag it and to write it out, takes some milliseconds a megabyte, in which nobody else would
be served. So a request that met a large value is taken out of its turn; those behind it on its
connection wait for it, and all others go on.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any, Final, Protocol

from backends.errors import Failed
from cacheapi.serving.answers import (
    Act,
    Answered,
    Found,
    Read,
    Sink,
    Taken,
    answer_error,
    answer_read,
    value_sizes,
)
from cacheapi.serving.heavy import Heavy
from cacheapi.serving.threads import Threads
from cacheapi.serving.unsent import Waiting
from cacheapi.web.batch import read_many
from cacheapi.web.errors import ApiError, answer_to, internal, note

# Who met a large value: a plain read, or what asks more of one key.
Maker = Read | Act
# Is told of a request that was answered, with its status and its size, and of what was read.
Told = Callable[[Maker, Answered, Found], None]

_THREADS: Final = 2
# Of the values that wait for a thread, so many bytes are kept; one value may be more.
MOST_KEPT: Final = 8 * 1024 * 1024


class Hands(Protocol):
    """Who does work beside the event loop."""

    def work(
        self, request: Maker, size: int, work: Callable[[], Any], then: Callable[[Any], None]
    ) -> None:
        """Do ``work``, and call ``then`` with its result on the event loop.

        :param size: the bytes that it is about.
        """


class Kept:
    """A connection in whose place an answer is kept, as arguments of :meth:`Sink.answer`."""

    reads = 0
    is_full = False

    def __init__(self, sink: Sink) -> None:
        self.client = sink.client
        self.kept: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def answer(self, *arguments: Any, **more: Any) -> None:
        """Keep an answer."""
        self.kept.append((arguments, more))

    def flush(self) -> None:
        """Do nothing: all is sent later."""

    def end(self) -> None:
        """Do nothing: who has the connection ends it."""


class Here:
    """Work that is done at once, where it is asked for."""

    def work(
        self, request: Maker, size: int, work: Callable[[], Any], then: Callable[[Any], None]
    ) -> None:
        """Do it; see :class:`Hands`."""
        del request, size
        then(work())


class Beneath:
    """Threads of an event loop, on which large values take turns with those that Flask serves.

    :param waiting: is told of what waits for a thread, as of what waits for its client.
    :param heavy: lets in one of a service at a time.
    """

    def __init__(self, waiting: Waiting, heavy: Heavy) -> None:
        self._waiting = waiting
        self._heavy = heavy
        self._threads = Threads(_THREADS, "large")
        self._tasks: set[asyncio.Task[None]] = set()

    def work(
        self, request: Maker, size: int, work: Callable[[], Any], then: Callable[[Any], None]
    ) -> None:
        """Do it on a thread; see :class:`Hands`."""
        task = asyncio.get_running_loop().create_task(self._work(request, size, work, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(
        self, request: Maker, size: int, work: Callable[[], Any], then: Callable[[Any], None]
    ) -> None:
        service, client = request.service.name, request.sink.client
        self._waiting.hold(size, client)
        try:
            await self._heavy.enter(size, service, client, gives=False, takes=False)
            try:
                made = await self._threads.run(work)
            finally:
                self._heavy.leave(size, service)
        finally:
            self._waiting.hold(-size, client)
        then(made)


class Making:
    """The answers of an event loop that are being made.

    :param hands: who makes them.
    :ivar sinks: the connections that wait for one, and what is behind it.
    """

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self.sinks: dict[Sink, list[Taken]] = {}
        # The bytes that are kept of values.
        self._kept = 0
        # Is called with what was behind an answer that has been given.
        self.go_on: Callable[[list[Taken]], None] = lambda _: None

    @property
    def is_full(self) -> bool:
        """Whether no further value may be kept."""
        return self._kept > MOST_KEPT

    def read(self, read: Read, found: Found, told: Told, *, whole: bool) -> int:
        """Have a read answered; return the bytes that it is about.

        :param found: what its keys have, of which some may be bytes. No more of them are kept than
            :data:`MOST_KEPT`; instead they are read anew.
        :param whole: that is all; else they are read anew, as many as one answer may have.
        """
        service, keys = read.service, read.keys
        assert not isinstance(found, ApiError)
        size = sum(value_sizes(map(found.get, keys)))
        whole = whole and not self.is_full
        own = {key: found[key] for key in keys if key in found} if whole else {}

        def finish(made: Read) -> tuple[Answered, Found]:
            values: Found = {
                key: service.read(value) if isinstance(value, bytes) else value
                for key, value in own.items()
            }
            if not whole:
                values = {**read_many(service, keys)}
            return answer_read(made, values), values

        self._make(read, size, size if whole else 0, finish, told)
        return size

    def act(self, act: Act, told: Told) -> None:
        """Have an act finished of whose outcomes some are bytes of large values."""
        outcomes, act.outcomes = act.outcomes, ()

        def finish(made: Act) -> tuple[Answered, Found]:
            read = act.service.read
            own = [read(one) if isinstance(one, bytes) else one for one in outcomes]
            return made.finish(made, own), {}

        size = sum(value_sizes(outcomes))
        self._make(act, size, size, finish, told)

    def _make(
        self,
        request: Any,
        size: int,
        own: int,
        finish: Callable[[Any], tuple[Answered, Found]],
        told: Told,
    ) -> None:
        """Have a request answered by what ``finish`` makes of it.

        :param size: the bytes that it is about.
        :param own: those of them that are kept for it.
        """
        sink = request.sink
        kept = Kept(sink)
        made = copy.copy(request)
        made.sink = kept
        self.sinks[sink] = []
        self._kept += own

        def work() -> tuple[Answered, Found]:
            try:
                return finish(made)
            except ApiError as error:
                return answer_error(made, error), error
            except Failed as error:
                note(error)
                refusal = answer_to(error)
                return answer_error(made, refusal), refusal
            except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
                refusal = internal(error)
                return answer_error(made, refusal), refusal

        def then(result: tuple[Answered, Found]) -> None:
            ((arguments, more),) = kept.kept
            self._kept -= own
            behind = self.sinks.pop(sink, [])
            sink.answer(*arguments, **more)
            # Others may be behind it for longer.
            sink.flush()
            told(made, *result)
            self.go_on(behind)

        self._hands.work(request, size, work, then)
