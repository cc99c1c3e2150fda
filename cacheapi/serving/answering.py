"""What the lane answers in one turn of the event loop.

Changes go first, by :mod:`~cacheapi.serving.performing`: what is gathered came at the same time,
and of one connection no change is gathered behind a read. Plain reads follow, by
:mod:`~cacheapi.serving.bringing`. What is too much for one turn, or has to wait for clients, is
left for another, by :mod:`~cacheapi.serving.leaving`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from backends.errors import NotRead
from cacheapi.caching.service import CacheService
from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.tail.watch import Tail
from cacheapi.serving.answers import (
    Act,
    Answered,
    Found,
    Read,
    Store,
    Taken,
    answer_error,
    answer_read,
    answer_store,
)
from cacheapi.serving.bringing import TURN_BYTES, Bringing
from cacheapi.serving.counting import count
from cacheapi.serving.health import Troubles
from cacheapi.serving.largeness import LARGE, Largeness
from cacheapi.serving.leaving import Crowd, Left
from cacheapi.serving.performing import Performing
from cacheapi.serving.tailing import tell
from cacheapi.serving.unsent import Waiting
from cacheapi.web.errors import ApiError

_READS: Final = frozenset({Read})


def _lacks(read: Read, found: Mapping[CacheService, Found]) -> bool:
    """Return whether a value was left for another call."""
    values = found.get(read.service, {})
    return not isinstance(values, ApiError) and any(
        isinstance(values.get(key), NotRead) for key in read.keys
    )


class Answering:
    """Answers what was taken.

    :param troubles: learns of calls that failed or took long.
    :param tally: where answers are counted, if anywhere.
    :param counts: where requests of callers who have a limit are.
    :param waiting: the answers that wait for their clients.
    :param large: is told which values are large.
    :param tail: what who watches is told by, if anything.
    :ivar crowd: says what waits for large answers of others.
    """

    def __init__(
        self,
        troubles: Troubles,
        tally: Tally | None,
        counts: CacheService,
        waiting: Waiting,
        large: Largeness,
        tail: Tail | None = None,
    ) -> None:
        self._tail = tail
        self._troubles = troubles
        self._tally = tally
        self._large = large
        self._performing = Performing(troubles, counts, large.note)
        self._bringing = Bringing(troubles)
        self.crowd = Crowd(waiting, large, self._bringing)

    def answer(self, taken: list[Taken], since: float) -> list[Taken]:
        """Answer what was taken, in the order of arrival.

        :param since: when the first of it came.
        :return: what is to be answered later: there was too much for one turn, or what its
            connection, or were it large other connections, was answered before has not left yet.
        """
        self._performing.limit(taken)
        left, self.crowd.sinks = Left(), set()
        if not _READS.issuperset(map(type, taken)):
            giving = [one for one in taken if isinstance(one, Act) and one.gives]
            if giving:
                taken = self.crowd.leave(taken, giving, left)
            self._performing.perform(taken)
        part: list[Taken] = []
        keys = size = 0
        for request in taken:
            if isinstance(request, Act) and NotRead in map(type, request.outcomes):
                left.add(request)
                continue
            if isinstance(request, Read):
                number = len(request.keys)
                if part and keys + number > self._bringing.most_keys:
                    size += self._answer(part, left, since)
                    part, keys = [], 0
                if size > TURN_BYTES or left.holds(request):
                    left.add(request)
                    continue
                keys += number
            part.append(request)
        if part:
            self._answer(part, left, since)
        return left.requests

    def _answer(
        self,
        part: list[Taken],
        left: Left,
        since: float,
    ) -> int:
        """Answer some of what was taken.

        :param left: what is to be answered later is added to it.
        :return: the size of the values that were read, or of what was answered, if that is more.
        """
        reads: dict[CacheService, dict[str, None]] = {}
        for request in part:
            if isinstance(request, Read) and request.refusal is None:
                wanted = reads.get(request.service)
                if wanted is None:
                    wanted = reads[request.service] = {}
                if request.key is None:
                    wanted.update(dict.fromkeys(request.keys))
                else:
                    wanted[request.key] = None
        alone = len(part) == 1
        bring = self._bringing.get
        found = {service: bring(service, list(keys), alone) for service, keys in reads.items()}
        size, largest = self._bringing.learn(found)
        # Nearly always none is, and the values need not be gone through again.
        if largest > LARGE:
            for service, values in found.items():
                if not isinstance(values, ApiError):
                    self._large.note(service, values)
        answered: list[Answered] = []
        given = 0
        done = [] if largest > LARGE else part
        for request in part:
            if largest > LARGE:
                # One value may be many large answers, and not all may have been read.
                if isinstance(request, Read) and (
                    given > TURN_BYTES or left.holds(request) or _lacks(request, found)
                ):
                    left.add(request)
                    continue
                done.append(request)
            try:
                if request.refusal is not None:
                    answered.append(answer_error(request, request.refusal))
                elif isinstance(request, Read):
                    if largest > LARGE:
                        self.crowd.refuse(request, found[request.service])
                    answered.append(answer_read(request, found[request.service]))
                elif isinstance(request, Store):
                    answered.append(answer_store(request))
                else:
                    # What was read for one is not kept while the others are answered.
                    own, request.outcomes = request.outcomes, ()
                    answered.append(request.finish(request, own))
                    del own
            except ApiError as error:
                answered.append(answer_error(request, error))
            given += answered[-1][1]
        seconds = time.monotonic() - since
        if self._tally is not None:
            count(self._tally, self._troubles, done, answered, found, seconds)
        if self._tail is not None and self._tail.takes(seconds):
            tell(self._tail, done, answered, seconds)
        return max(size, given)
