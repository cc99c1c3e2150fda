"""What the lane answers in one turn of the event loop.

Changes go first, by :mod:`~cacheapi.serving.performing`: what is gathered came at the same time,
and of one connection no change is gathered behind a read. Plain reads are one call a service for
some keys: how large values are is known only once they are here, so a call ends, and so does a
turn, when there were enough. The rest is answered in the next turn; so is what a connection is to
be sent that has not taken what it was sent before. A large answer waits as well while many wait for
their clients; a plain read is refused then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from backends.errors import BackendError, Failed, NotRead
from cacheapi.caching.codec import Value
from cacheapi.caching.service import CacheService
from cacheapi.observing.metrics.tally import Tally
from cacheapi.observing.tail.watch import Tail
from cacheapi.serving.answers import (
    Act,
    Answered,
    Found,
    Read,
    Sink,
    Store,
    Taken,
    answer_error,
    answer_read,
    answer_store,
    value_sizes,
)
from cacheapi.serving.counting import count
from cacheapi.serving.health import Troubles
from cacheapi.serving.performing import Performing
from cacheapi.serving.tailing import tell
from cacheapi.serving.unsent import (
    CROWDED,
    LARGE_ANSWER,
    MOST_CROWDED_SECONDS,
    MOST_WAITING_FOR,
    Waiting,
)
from cacheapi.web.batch import read_many
from cacheapi.web.errors import RETRY_AFTER_SECONDS, ApiError, answer_to, internal, note

# The values that are read in one turn, in bytes, about.
TURN_BYTES: Final = 16 * 1024 * 1024
# And by one call, which reads one value more at most.
CALL_BYTES: Final = TURN_BYTES // 2
# How many keys are asked for at once: of values whose size is not known yet, and where all were
# small, in bytes; and how often they have to be. One call for more costs less than more calls.
MOST_UNKNOWN: Final = 16
SMALL: Final = 16 * 1024
MOST_KEYS: Final = TURN_BYTES // SMALL
PATIENCE: Final = 32
# A value of this size, in bytes, is better made an answer of on a thread; for how long that is
# remembered, and of how many keys.
LARGE: Final = 256 * 1024
LARGE_SECONDS: Final = 60.0
MOST_LARGE: Final = 10_000


class _Left:
    """What of a turn is to be answered later, each connection's in its order."""

    def __init__(self) -> None:
        self.requests: list[Taken] = []
        self._sinks: set[Sink] = set()

    def add(self, request: Taken) -> None:
        self.requests.append(request)
        self._sinks.add(request.sink)

    def holds(self, request: Taken) -> bool:
        """Return whether a request has to wait as well."""
        return request.sink in self._sinks or request.sink.is_full


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
    :param tail: what who watches is told by, if anything.
    :ivar crowded: the connections of what was left in the last turn since there was no room
        for another large answer.
    """

    def __init__(
        self,
        troubles: Troubles,
        tally: Tally | None,
        counts: CacheService,
        waiting: Waiting,
        tail: Tail | None = None,
    ) -> None:
        self._waiting = waiting
        self.crowded: set[Sink] = set()
        self._tail = tail
        self._troubles = troubles
        self._tally = tally
        self._performing = Performing(troubles, counts, self._note_large)
        # Keys whose values were large, their sizes, and until when that is remembered.
        self.large: dict[tuple[CacheService, str], tuple[int, float]] = {}
        # The last of them that a service had.
        self._largest: dict[CacheService, tuple[int, float]] = {}
        # How many keys are read at once now, and since how many times all values were small.
        self._most_keys = MOST_UNKNOWN
        self._small = 0

    def answer(self, taken: list[Taken], since: float) -> list[Taken]:
        """Answer what was taken, in the order of arrival.

        :param since: when the first of it came.
        :return: what is to be answered later: there was too much for one turn, or what its
            connection, or were it large other connections, was answered before has not left yet.
        """
        self._performing.limit(taken)
        left = _Left()
        self.crowded = set()
        giving = [one for one in taken if isinstance(one, Act) and one.gives]
        if giving:
            taken = self._leave(taken, giving, left)
        self._performing.perform(taken)
        part: list[Taken] = []
        keys = size = 0
        for request in taken:
            if isinstance(request, Act) and NotRead in map(type, request.outcomes):
                left.add(request)
                continue
            if isinstance(request, Read):
                if part and keys + len(request.keys) > self._most_keys:
                    size += self._answer(part, left, since)
                    part, keys = [], 0
                if size > TURN_BYTES or left.holds(request):
                    left.add(request)
                    continue
                keys += len(request.keys)
            part.append(request)
        if part:
            self._answer(part, left, since)
        return left.requests

    def is_crowded(self) -> bool:
        """Return whether so much waits for clients that large answers are given later."""
        return not self._waiting.has_room(MOST_WAITING_FOR)

    def _leave(self, taken: list[Taken], giving: Sequence[Act], left: _Left) -> list[Taken]:
        """Return what may be done now of what was taken: all, but for acts whose answers wait.

        What is taken out of a cache shall have room, so where there is none it is looked at first.

        :param giving: the acts whose answers may be large.
        :param left: the others are added to it, and what goes behind them.
        """
        waiting = {one.sink for one in giving if one.sink.is_full}
        if self.is_crowded():
            now = time.monotonic()
            for one in giving:
                one.since = min(one.since, now)
            self.crowded = self._large(
                [one for one in giving if now < one.since + MOST_CROWDED_SECONDS]
            )
            waiting |= self.crowded
        if not waiting:
            return taken
        gone: set[Sink] = set()
        kept: list[Taken] = []
        for request in taken:
            if request.sink in waiting and isinstance(request, Act) and request.gives:
                gone.add(request.sink)
            if request.sink in gone:
                left.add(request)
            else:
                kept.append(request)
        return kept

    def _large(self, giving: Sequence[Act]) -> set[Sink]:
        """Return the connections of acts whose answers are large, or may be for all one look tells.

        An act whose value cannot be read is none of them: it tells why itself.
        """
        unread: set[tuple[CacheService, str]] = set()
        unknown: dict[CacheService, dict[str, None]] = {}
        for one in giving:
            if not self.large_size(one.service, one.keys[0]):
                unknown.setdefault(one.service, {})[one.keys[0]] = None
        for service, keys in unknown.items():
            some, rest = list(keys)[:MOST_KEYS], list(keys)[MOST_KEYS:]
            found = self._get(service, some, alone=False)
            if isinstance(found, ApiError):
                continue
            self._note_large(service, found)
            unread.update((service, key) for key in rest)
            unread.update((service, key) for key in some if isinstance(found.get(key), NotRead))
        return {
            one.sink
            for one in giving
            if (one.service, one.keys[0]) in unread or self.large_size(one.service, one.keys[0])
        }

    def _answer(
        self,
        part: list[Taken],
        left: _Left,
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
                    if largest > LARGE:
                        self._refuse_crowd(request, found[request.service])
                    answered.append(answer_read(request, found[request.service]))
                elif isinstance(request, Store):
                    answered.append(answer_store(request))
                else:
                    # What was read for one is not kept while the others are answered.
                    own, request.outcomes = request.outcomes, []
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

    def _refuse_crowd(self, read: Read, found: Found) -> None:
        """Give no large answer while too many wait for their clients.

        :raises ApiError: 503.
        """
        if isinstance(found, ApiError) or read.condition is not None:
            return
        size = sum(value_sizes(map(found.get, read.keys)))
        if size > LARGE_ANSWER and not self._waiting.has_room():
            raise ApiError(503, CROWDED, headers={"Retry-After": RETRY_AFTER_SECONDS})

    def _note_large(
        self, service: CacheService, values: Mapping[str, Value | BackendError]
    ) -> None:
        """Remember which values are large."""
        large = {
            key: len(value.json)
            for key, value in values.items()
            if isinstance(value, Value) and len(value.json) > LARGE
        }
        if large and len(self.large) + len(large) > MOST_LARGE:
            self.large.clear()
        until = time.monotonic() + LARGE_SECONDS
        self.large.update({(service, key): (size, until) for key, size in large.items()})
        if large:
            self._largest[service] = max(large.values()), until

    def large_size(self, service: CacheService, key: str) -> int:
        """Return how large the value of a key was a short time ago; 0: it was not."""
        size, until = self.large.get((service, key), (0, 0.0))
        return size if time.monotonic() < until else 0

    def likely_size(self, service: CacheService, key: str) -> int:
        """Return how large a value may be that is read on a thread: as others of its service.

        Those that the lane leaves because a call took long are not known yet.
        """
        known = self.large_size(service, key)
        size, until = self._largest.get(service, (0, 0.0))
        is_slow = self._troubles.is_slow(service.name)
        return size if not known and is_slow and time.monotonic() < until else known

    def _learn(self, found: Mapping[CacheService, Found]) -> tuple[int, int]:
        """Note how large values are, for how many are read next; return sum and largest."""
        sizes = [size for values in found.values() for size in _sizes(values)]
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
        found: Found = {}
        try:
            if len(keys) <= MOST_KEYS:
                found = service.get_each(keys, CALL_BYTES)
                if not (alone and NotRead in map(type, found.values())):
                    return found
            found = read_many(service, keys)
            return found
        except ApiError as error:
            return error
        except Failed as error:
            note(error)
            failure = error
            return answer_to(error)
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            return internal(error)
        finally:
            self._troubles.look(
                service.name, started, failure, stores=False, size=sum(_sizes(found))
            )


def _sizes(found: Found) -> list[int]:
    if isinstance(found, ApiError):
        return []
    return value_sizes(found.values())
