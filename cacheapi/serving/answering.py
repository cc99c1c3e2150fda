"""What the lane answers in one turn of the event loop.

Changes go first, by :mod:`~cacheapi.serving.performing`: what is gathered came at the same time,
and of one connection no change is gathered behind a read. Plain reads are one call a service for
some keys: how large values are is known only once they are here, so a call ends, and so does a
turn, when there were enough. The rest is answered in the next turn; so is what a connection is to
be sent that has not taken what it was sent before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from backends.errors import BackendError, Failed, NotRead
from cacheapi.caching.codec import Value
from cacheapi.caching.service import CacheService
from cacheapi.observing.metrics.tally import Tally
from cacheapi.serving.answers import (
    Answered,
    Found,
    Read,
    Sink,
    Store,
    Taken,
    answer_error,
    answer_read,
    answer_store,
)
from cacheapi.serving.counting import count
from cacheapi.serving.health import Troubles
from cacheapi.serving.performing import Performing
from cacheapi.web.batch import MOST_UNKNOWN, SMALL, read_many
from cacheapi.web.errors import ApiError, answer_to, internal, note

# The values that are read in one turn, in bytes, about.
TURN_BYTES: Final = 16 * 1024 * 1024
# And by one call, which reads one value more at most.
CALL_BYTES: Final = TURN_BYTES // 2
# How many keys are asked for at once where values are small, and how often they have to be.
MOST_KEYS: Final = 32
PATIENCE: Final = 32
# A value of this size, in bytes, is better made an answer of on a thread; for how long that is
# remembered, and of how many keys.
LARGE: Final = 256 * 1024
LARGE_SECONDS: Final = 60.0
MOST_LARGE: Final = 10_000


class _Left:
    """Reads of a turn that are to be answered later, each connection's in their order."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self._sinks: set[Sink] = set()

    def add(self, read: Read) -> None:
        self.reads.append(read)
        self._sinks.add(read.sink)

    def holds(self, read: Read) -> bool:
        """Return whether a read has to wait as well."""
        return read.sink.is_full or read.sink in self._sinks


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
    """

    def __init__(self, troubles: Troubles, tally: Tally | None, counts: CacheService) -> None:
        self._troubles = troubles
        self._tally = tally
        self._performing = Performing(troubles, counts, self._note_large)
        # Keys whose values were large, and until when that is remembered.
        self.large: dict[tuple[CacheService, str], float] = {}
        # How many keys are read at once now, and since how many times all values were small.
        self._most_keys = MOST_UNKNOWN
        self._small = 0

    def answer(self, taken: list[Taken], since: float) -> list[Read]:
        """Answer what was taken, in the order of arrival.

        :param since: when the first of it came.
        :return: what is to be answered later: there was too much for one turn, or what its
            connection was answered before has not left yet.
        """
        self._performing.limit(taken)
        performed = self._performing.perform(taken)
        left = _Left()
        part: list[Taken] = []
        keys = size = 0
        for request in taken:
            if isinstance(request, Read):
                if part and keys + len(request.keys) > self._most_keys:
                    size += self._answer(part, left, performed, since)
                    part, keys = [], 0
                if size > TURN_BYTES or left.holds(request):
                    left.add(request)
                    continue
                keys += len(request.keys)
            part.append(request)
        if part:
            self._answer(part, left, performed, since)
        return left.reads

    def _answer(
        self,
        part: list[Taken],
        left: _Left,
        performed: Mapping[CacheService, Any],
        since: float,
    ) -> int:
        """Answer some of what was taken.

        :param left: what is to be answered later is added to it.
        :return: the size of the values that were read, or of what was answered, if that is more.
        """
        reads: dict[CacheService, dict[str, None]] = {}
        for request in part:
            if isinstance(request, Read) and request.refusal is None:
                reads.setdefault(request.service, {}).update(dict.fromkeys(request.keys))
        alone = len(part) == 1
        found = {service: self._get(service, list(keys), alone) for service, keys in reads.items()}
        size, largest = self._learn(found)
        # Nearly always none is, and the values need not be gone through again.
        if largest > LARGE:
            for service, values in found.items():
                if not isinstance(values, ApiError):
                    self._note_large(service, values)
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
                    answered.append(answer_read(request, found[request.service]))
                elif isinstance(request, Store):
                    answered.append(answer_store(request, performed[request.service]))
                else:
                    outcomes = performed[request.service]
                    own = [next(outcomes) for _ in request.operations]
                    answered.append(request.finish(request, own))
            except ApiError as error:
                answered.append(answer_error(request, error))
            given += answered[-1][1]
        if self._tally is not None:
            seconds = time.monotonic() - since
            count(self._tally, self._troubles, done, answered, found, seconds)
        return max(size, given)

    def _note_large(
        self, service: CacheService, values: Mapping[str, Value | BackendError]
    ) -> None:
        """Remember which values are large."""
        large = [
            key
            for key, value in values.items()
            if isinstance(value, Value) and len(value.json) > LARGE
        ]
        if large and len(self.large) + len(large) > MOST_LARGE:
            self.large.clear()
        until = time.monotonic() + LARGE_SECONDS
        self.large.update({(service, key): until for key in large})

    def is_large(self, service: CacheService, key: str) -> bool:
        """Return whether the value of a key was large a short time ago."""
        until = self.large.get((service, key))
        return until is not None and time.monotonic() < until

    def _learn(self, found: Mapping[CacheService, Found]) -> tuple[int, int]:
        """Note how large values are, for how many are read next; return sum and largest."""
        sizes = [
            len(value.json)
            for values in found.values()
            if not isinstance(values, ApiError)
            for value in values.values()
            if isinstance(value, Value)
        ]
        largest = max(sizes, default=0)
        if largest > SMALL:
            self._most_keys = max(1, min(self._most_keys, TURN_BYTES // largest // 4))
            self._small = 0
        else:
            self._small += 1
            if self._small >= PATIENCE and self._most_keys < MOST_KEYS:
                self._most_keys, self._small = min(2 * self._most_keys, MOST_KEYS), 0
        return sum(sizes), largest

    def _get(self, service: CacheService, keys: list[str], alone: bool) -> Found:
        """Return the values of those keys that are there; or the answer that all shall get.

        An error in place of a value is about that key alone, and says nothing of the service.

        :param alone: they are those of one request, and none of them may be left for later.
        """
        failure = self._troubles.failure(service.name, stores=False)
        if failure is not None:
            return answer_to(failure)
        started = time.monotonic()
        try:
            if len(keys) <= MOST_KEYS:
                found = service.get_each(keys, CALL_BYTES)
                if not (alone and NotRead in map(type, found.values())):
                    return found
            return read_many(service, keys)
        except ApiError as error:
            return error
        except Failed as error:
            note(error)
            failure = error
            return answer_to(error)
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            return internal(error)
        finally:
            self._troubles.look(service.name, started, failure, stores=False)
