"""What is done first in a turn of the lane: requests are counted, then all that is no plain read.

One call counts the requests of callers who have a limit: what is one too many is not done. It may
bring what the turn reads, too, by :mod:`~cacheapi.serving.ahead`. Then
one call a service does its stores and acts, in the order in which they came. Values that acts
bring are bounded in bytes: an act whose value was not read was not done, nor were those behind it
on the same key.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from backends.base import Missing
from backends.columns import joined
from backends.errors import BackendError, Failed
from backends.operations import Increment, Operation
from cacheapi.caching.codec import Value
from cacheapi.caching.service import CacheService
from cacheapi.serving.ahead import Ahead
from cacheapi.serving.answers import SIZED, Act, Found, Read, Store, Taken, value_sizes
from cacheapi.serving.bringing import CALL_BYTES, sizes_of
from cacheapi.serving.health import Troubles
from cacheapi.serving.largeness import LARGE
from cacheapi.web.errors import internal
from cacheapi.web.rates import Standing, count_many, refusal

# What the Answering of a turn is told of: the values that were read.
Seen = Callable[[CacheService, Mapping[str, Value | bytes]], None]

_DONE: Final = 201
_STORES: Final = frozenset({Store})
# Types of outcomes that are no failure.
_NO_VALUES: Final = frozenset({bool, int, Missing})
_FINE: Final = _NO_VALUES | {Value}
# The values that acts bring in one turn, in bytes, about; one value more at most.
MOST_BROUGHT: Final = 2 * 1024 * 1024


class Performing:
    """Does what was taken, but for plain reads.

    :param troubles: learns of calls that failed or took long.
    :param counts: where requests of callers who have a limit are counted.
    :param seen: is told of values that were read.
    """

    def __init__(self, troubles: Troubles, counts: CacheService, seen: Seen) -> None:
        self._troubles = troubles
        self._counts = counts
        self._seen = seen
        self._ahead = Ahead(counts)

    def limit(self, taken: Sequence[Taken], most: int = 0) -> dict[CacheService, Found]:
        """Count the requests of callers who have a limit, each once.

        :param most: so many keys at most may be read by the same trip.
        :return: what was read.
        """
        limited = [request for request in taken if request.limit is not None]
        if not limited:
            return {}
        limits = [request.limit for request in limited if request.limit is not None]
        standings: list[Standing | None] = [None] * len(limits)
        reads = None if self._troubles else self._ahead.reads(taken, most)
        found: dict[CacheService, Found] = {}

        def both(counts: Sequence[Increment]) -> list[Any]:
            assert reads is not None
            service, keys = reads
            outcomes, values = service.count_and_get_each_raw(counts, keys, CALL_BYTES, LARGE)
            if values is not None:
                found[service] = values
            return outcomes

        started = time.monotonic()
        failure: Failed | None = None
        try:
            standings = count_many(limits, self._counts, both if reads else None)
        except Exception as error:  # noqa: BLE001 (a limit protects the service, and stops nothing)
            internal(error)
        if None in standings:
            failure = Failed("A rate limit could not be counted.")
        self._troubles.look(
            self._counts.name,
            started,
            failure,
            stores=True,
            brought=lambda: sum(sum(sizes_of(values)) for values in found.values()),
        )
        self._ahead.learn(limits, standings)
        for request, standing in zip(limited, standings, strict=True):
            request.limit = None
            if standing is None:
                continue
            request.told = standing.lines
            if standing.is_over:
                request.refusal = refusal(standing)
        return found

    def perform(self, taken: Sequence[Taken], largest: float = math.inf) -> None:
        """Do all but the plain reads, and note the outcomes of each.

        :param largest: as of :func:`~backends.within.perform_within`.
        """
        changes: dict[CacheService, list[Store | Act]] = {}
        for request in taken:
            if not isinstance(request, Read) and request.refusal is None:
                changes.setdefault(request.service, []).append(request)
        most = MOST_BROUGHT
        for service, requests in changes.items():
            outcomes = self._change(service, requests, most, largest)
            if len(outcomes) == len(requests):
                # Each has one: none has no operation.
                for request, outcome in zip(requests, outcomes, strict=True):
                    request.outcomes = (outcome,)
            else:
                start = 0
                for request in requests:
                    asked = request.operations if isinstance(request, Act) else request.pairs
                    request.outcomes = outcomes[start : start + len(asked)]
                    start += len(asked)
            if not _FINE.issuperset(map(type, outcomes)):
                for request in requests:
                    if isinstance(request, Act):
                        request.is_large = any(isinstance(one, bytes) for one in request.outcomes)
            if len(changes) > 1:
                most -= sum(value_sizes(outcomes))

    def _change(
        self, service: CacheService, requests: Sequence[Store | Act], most: int, largest: float
    ) -> list[Any]:
        """Do what is asked of one service; return the outcomes.

        :param most: as of :func:`~backends.within.perform_within`.
        :param largest: as there.
        """
        if _STORES.issuperset(map(type, requests)):
            pairs = joined([store.pairs for store in requests if isinstance(store, Store)])
            return self._ask(service, lambda: service.set_many(pairs), len(pairs), stores=True)
        operations: list[Operation] = []
        for request in requests:
            if isinstance(request, Act):
                operations += request.operations
            else:
                operations += service.make.set_many(request.pairs)
        # What is only read says nothing of how stores go.
        writes = any(isinstance(request, Store) or not request.reads for request in requests)
        outcomes = self._ask(
            service,
            lambda: service.perform(operations, most, largest, LARGE),
            len(operations),
            stores=writes,
        )
        if not _NO_VALUES.issuperset(map(type, outcomes)):
            values = {
                operation.key: outcome
                for operation, outcome in zip(operations, outcomes, strict=True)
                if isinstance(outcome, SIZED)
            }
            self._seen(service, values)
        return outcomes

    def _ask(
        self, service: CacheService, ask: Callable[[], list[Any]], number: int, *, stores: bool
    ) -> list[Any]:
        """Return so many outcomes."""
        started = time.monotonic()
        outcomes: list[Any] = []
        try:
            outcomes = ask()
        except BackendError as error:
            outcomes = [error] * number
        except Exception as error:  # noqa: BLE001 (as Flask does: logged, and answered)
            outcomes = [internal(error)] * number
        failure, kinds = None, set(map(type, outcomes))
        if not kinds <= _FINE:
            failures = (outcome for outcome in outcomes if isinstance(outcome, Failed))
            failure = next((one for one in failures if not one.apart), None)
        self._troubles.look(
            service.name,
            started,
            failure,
            stores=stores,
            brought=lambda: sum(value_sizes(outcomes)),
        )
        if failure is None and self._troubles:
            self._troubles.hear(service.name, stores, time.monotonic() - started, _DONE)
        return outcomes
