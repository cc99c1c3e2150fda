"""What the lane answers in one turn of the event loop.

Changes go first, by :mod:`~cacheapi.serving.performing`: what is gathered came at the same time,
and of one connection no change is gathered behind a read. Plain reads follow, by
:mod:`~cacheapi.serving.bringing`. What is too much for one turn, or has to wait for clients, is
left for another, by :mod:`~cacheapi.serving.leaving`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
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
from cacheapi.serving.bringing import CALL_BYTES, TURN_BYTES, Bringing
from cacheapi.serving.counting import count
from cacheapi.serving.health import Troubles
from cacheapi.serving.largeness import LARGE, Largeness
from cacheapi.serving.leaving import Crowd, Left
from cacheapi.serving.making import Hands, Here, Making, Told
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


def _has_large(read: Read, found: Found) -> bool:
    """Return whether a value is given as its bytes."""
    return not isinstance(found, ApiError) and any(
        isinstance(found.get(key), bytes) for key in read.keys
    )


class Answering:
    """Answers what was taken.

    :param troubles: learns of calls that failed or took long.
    :param tally: where answers are counted, if anywhere.
    :param counts: where requests of callers who have a limit are.
    :param waiting: the answers that wait for their clients.
    :param large: is told which values are large.
    :param tail: what who watches is told by, if anything.
    :param hands: who makes answers of large values; by default they are made here.
    :ivar crowd: says what waits for large answers of others.
    :ivar making: the answers of large values that are being made.
    """

    def __init__(
        self,
        troubles: Troubles,
        tally: Tally | None,
        counts: CacheService,
        waiting: Waiting,
        large: Largeness,
        tail: Tail | None = None,
        hands: Hands | None = None,
    ) -> None:
        self._tail = tail
        self._troubles = troubles
        self._tally = tally
        self._large = large
        self._performing = Performing(troubles, counts, large.note)
        self._bringing = Bringing(troubles)
        self.crowd = Crowd(waiting, large, self._bringing)
        self.making = Making(Here() if hands is None else hands)

    def answer(self, taken: list[Taken], since: float) -> list[Taken]:
        """Answer what was taken, in the order of arrival.

        :param since: when the first of it came.
        :return: what is to be answered later: there was too much for one turn, or what its
            connection, or were it large other connections, was answered before has not left yet.
        """
        ahead = self._performing.limit(taken, self._bringing.most_keys)
        left, self.crowd.sinks = Left(self.making.sinks), set()
        if not _READS.issuperset(map(type, taken)):
            giving = [one for one in taken if isinstance(one, Act) and one.gives]
            if giving:
                taken = self.crowd.leave(taken, giving, left)
            self._performing.perform(taken, LARGE if self.making.is_full else math.inf)
        part: list[Taken] = []
        keys = size = 0
        for request in taken:
            if isinstance(request, Act) and NotRead in map(type, request.outcomes):
                # It is asked for again, or refused then.
                request.outcomes = ()
                left.add(request)
                if self.making.is_full:
                    self.crowd.sinks.add(request.sink)
                continue
            if isinstance(request, Act) and request.is_large:
                self.making.act(request, self._told(since))
                self._hold(request, left)
                continue
            if isinstance(request, Read):
                number = len(request.keys)
                if part and keys + number > self._bringing.most_keys:
                    size += self._answer(part, left, since, ahead)
                    part, keys = [], 0
                if size > TURN_BYTES or left.holds(request):
                    left.add(request)
                    continue
                keys += number
            part.append(request)
        if part:
            self._answer(part, left, since, ahead)
        return left.requests

    def _answer(
        self,
        part: list[Taken],
        left: Left,
        since: float,
        ahead: Mapping[CacheService, Found],
    ) -> int:
        """Answer some of what was taken.

        :param left: what is to be answered later is added to it.
        :param ahead: what was read already, of services for which it is all.
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
        bring = self._bringing.get
        found = {
            service: ahead[service] if service in ahead else bring(service, list(keys))
            for service, keys in reads.items()
        }
        size, largest = self._bringing.learn(found)
        # Nearly always it is not, and the values need not be gone through again.
        is_much = largest > LARGE or size > CALL_BYTES
        if largest > LARGE:
            for service, values in found.items():
                if not isinstance(values, ApiError):
                    self._large.note(service, values)
        answered: list[Answered] = []
        given = 0
        done = [] if is_much else part
        for request in part:
            if is_much and isinstance(request, Read):
                # One value may be many large answers, and not all may have been read.
                lacks = _lacks(request, found)
                if given > TURN_BYTES or left.holds(request) or (lacks and len(part) > 1):
                    left.add(request)
                    continue
            try:
                if request.refusal is not None:
                    answered.append(answer_error(request, request.refusal))
                elif isinstance(request, Read):
                    values = found[request.service]
                    if is_much:
                        self.crowd.refuse(request, values)
                        if lacks or _has_large(request, values):
                            told = self._told(since)
                            given += self.making.read(request, values, told, whole=not lacks)
                            self._hold(request, left)
                            continue
                    answered.append(answer_read(request, values))
                elif isinstance(request, Store):
                    answered.append(answer_store(request))
                else:
                    # What was read for one is not kept while the others are answered.
                    own, request.outcomes = request.outcomes, ()
                    answered.append(request.finish(request, own))
                    del own
            except ApiError as error:
                answered.append(answer_error(request, error))
            if is_much:
                done.append(request)
            given += answered[-1][1]
        self._tell(done, answered, found, since)
        return max(size, given)

    def _hold(self, request: Taken, left: Left) -> None:
        """Have all else that a connection asks for wait, if an answer of it is being made."""
        if request.sink in self.making.sinks:
            left.hold(request.sink)
            request.sink.flush()

    def _told(self, since: float) -> Told:
        """Return what is told of an answer once it is made."""

        def told(request: Read | Act, answered: Answered, found: Found) -> None:
            self._tell([request], [answered], {request.service: found}, since)

        return told

    def _tell(
        self,
        done: Sequence[Taken],
        answered: Sequence[Answered],
        found: Mapping[CacheService, Found],
        since: float,
    ) -> None:
        """Tell the metrics, and who watches, of what was answered."""
        seconds = time.monotonic() - since
        if self._tally is not None:
            count(self._tally, self._troubles, done, answered, found, seconds)
        if self._tail is not None and self._tail.takes(seconds):
            tell(self._tail, done, answered, seconds)
