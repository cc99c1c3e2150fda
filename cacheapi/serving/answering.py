"""What the lane answers in one turn of the event loop.

One call a service for the stores, and one for some keys that are read: how large values are
is known only once they are here, so a call ends, and so does a turn, when there were enough.
The rest is answered in the next turn; so is what a connection is to be sent that has not taken
what it was sent before. What is gathered came at the same time, so the stores may go first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from backends.errors import BackendError, Failed, NotRead
from cacheapi.caching.codec import Value
from cacheapi.caching.service import CacheService, Pair
from cacheapi.observing.metrics.tally import Tally
from cacheapi.serving.answers import (
    Answered,
    Found,
    Read,
    Sink,
    Store,
    answer_error,
    answer_read,
    answer_store,
)
from cacheapi.serving.health import Troubles
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
    values = found[read.service]
    return not isinstance(values, ApiError) and any(
        isinstance(values.get(key), NotRead) for key in read.keys
    )


class Answering:
    """Answers what was taken.

    :param troubles: learns of calls that failed or took long.
    :param tally: where answers are counted, if anywhere.
    """

    def __init__(self, troubles: Troubles, tally: Tally | None) -> None:
        self._troubles = troubles
        self._tally = tally
        # Keys whose values were large, and until when that is remembered.
        self.large: dict[tuple[CacheService, str], float] = {}
        # How many keys are read at once now, and since how many times all values were small.
        self._most_keys = MOST_UNKNOWN
        self._small = 0

    def answer(self, taken: list[Read | Store], since: float) -> list[Read]:
        """Answer what was taken, in the order of arrival.

        :param since: when the first of it came.
        :return: what is to be answered later: there was too much for one turn, or what its
            connection was answered before has not left yet.
        """
        stored = self._store(taken)
        left = _Left()
        part: list[Read | Store] = []
        keys = size = 0
        for request in taken:
            if isinstance(request, Read):
                if part and keys + len(request.keys) > self._most_keys:
                    size += self._answer(part, left, stored, since)
                    part, keys = [], 0
                if size > TURN_BYTES or left.holds(request):
                    left.add(request)
                    continue
                keys += len(request.keys)
            part.append(request)
        if part:
            self._answer(part, left, stored, since)
        return left.reads

    def _store(self, taken: Sequence[Read | Store]) -> dict[CacheService, Iterator[Any]]:
        """Do the stores; return the outcomes, one a pair."""
        stores: dict[CacheService, list[Pair]] = {}
        for request in taken:
            if isinstance(request, Store):
                stores.setdefault(request.service, []).extend(request.pairs)
        return {service: iter(self._set(service, pairs)) for service, pairs in stores.items()}

    def _answer(
        self,
        part: list[Read | Store],
        left: _Left,
        stored: Mapping[CacheService, Any],
        since: float,
    ) -> int:
        """Answer some of what was taken.

        :param left: what is to be answered later is added to it.
        :return: the size of the values that were read, or of what was answered, if that is more.
        """
        reads: dict[CacheService, dict[str, None]] = {}
        for request in part:
            if isinstance(request, Read):
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
                if isinstance(request, Read):
                    answered.append(answer_read(request, found[request.service]))
                else:
                    answered.append(answer_store(request, stored[request.service]))
            except ApiError as error:
                answered.append(answer_error(request, error))
            given += answered[-1][1]
        if self._tally is not None:
            self._count(self._tally, done, answered, found, time.monotonic() - since)
        return max(size, given)

    def _note_large(
        self, service: CacheService, values: Mapping[str, Value | BackendError]
    ) -> None:
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

    def _count(
        self,
        tally: Tally,
        taken: list[Read | Store],
        answered: list[Answered],
        found: Mapping[CacheService, Found],
        seconds: float,
    ) -> None:
        """Count what was answered in this turn; all of it took as long."""
        numbers: dict[str, int] = {}
        for request, (status, size) in zip(taken, answered, strict=True):
            name = request.service.name
            numbers[name] = numbers.get(name, 0) + 1
            if isinstance(request, Read) and request.key is not None:
                tally.read_one(name, status, size)
                continue
            if isinstance(request, Store):
                tally.answered(name, "POST", status, size)
                tally.batch(name, "POST", len(request.pairs))
                tally.received(name, request.size)
                continue
            tally.answered(name, "GET", status, size)
            tally.batch(name, "GET", len(request.keys))
            values = found[request.service]
            if status == HTTPStatus.OK and not isinstance(values, ApiError):
                hits = sum(map(values.__contains__, request.keys))
                tally.read(name, hits, len(request.keys) - hits)
        for name, number in numbers.items():
            tally.took(name, seconds, number)
        if self._troubles:
            self._count_failures(tally, taken, answered)

    def _count_failures(
        self, tally: Tally, taken: list[Read | Store], answered: list[Answered]
    ) -> None:
        for request, (status, _) in zip(taken, answered, strict=True):
            name = request.service.name
            failure = self._troubles.failure(name, stores=isinstance(request, Store))
            if status >= 500 and failure is not None:
                tally.failed(name, type(failure).__name__)

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

    def _set(self, service: CacheService, pairs: list[Pair]) -> list[Any]:
        """Return one outcome a pair."""
        started = time.monotonic()
        outcomes: list[Any] = []
        try:
            outcomes = service.set_many(pairs)
        except BackendError as error:
            outcomes = [error] * len(pairs)
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            outcomes = [internal(error)] * len(pairs)
        failures = (outcome for outcome in outcomes if isinstance(outcome, Failed))
        failure = next((one for one in failures if not one.apart), None)
        self._troubles.look(service.name, started, failure, stores=True)
        if failure is None and self._troubles:
            self._troubles.hear(service.name, True, time.monotonic() - started, 201)
        return outcomes
