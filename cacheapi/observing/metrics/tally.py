"""Counting requests in plain numbers: a fraction of a microsecond each.

A tally is written by one thread at a time and read by any: a reader copies a dictionary in
one step of the interpreter, and a number that is a moment old is no fault.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeVar

from cacheapi.observing.metrics import families
from cacheapi.observing.metrics.families import Family

K = TypeVar("K")

# What the cache did with a request for an answer that it has.
HIT: Final = "hit"
_FOUND: Final = frozenset({HTTPStatus.OK, HTTPStatus.NOT_MODIFIED})


class Sample(NamedTuple):
    """A number, ready to be added to those of other processes.

    :ivar suffix: of the family's name; of a histogram ``_bucket``, not cumulative, or ``_sum``.
    """

    family: Family
    suffix: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Distribution:
    """How many observations fell into each bucket."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, number: int = 1) -> None:
        """Note a value that was seen so many times."""
        self.counts[bisect_left(self._bounds, value)] += number
        self.total += value * number


class Tally:
    """What was answered in one lane of one process.

    :param lane: ``fast`` or ``flask``.
    """

    def __init__(self, lane: str) -> None:
        self._lane = lane
        self._requests: dict[tuple[str, str, int], int] = {}
        # Of one key by the lane: requests, hits and misses in one.
        self._reads: dict[tuple[str, int], int] = {}
        # Fresh answers of HTTP APIs by the lane: requests, hits and results in one.
        self._fresh: dict[tuple[str, str, int], int] = {}
        self._received: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._hits: dict[str, int] = {}
        self._misses: dict[str, int] = {}
        self._errors: dict[tuple[str, str], int] = {}
        self._refused: dict[str, int] = {}
        self._responses: dict[tuple[str, str], int] = {}
        self._origin_errors: dict[tuple[str, str], int] = {}
        self._purges: dict[tuple[str, str], int] = {}
        self._origin_seconds: dict[str, Distribution] = {}
        self._seconds: dict[str, Distribution] = {}
        self._batches: dict[tuple[str, str], Distribution] = {}

    def answered(self, service: str, method: str, status: int, sent: int) -> None:
        """Count an answer; ``sent``: the bytes of its body."""
        key = (service, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        self._sent[service] = self._sent.get(service, 0) + sent

    def took_part(
        self,
        reads: Mapping[tuple[str, int], int],
        others: Mapping[tuple[str, str, int], int],
        sent: Mapping[str, int],
        received: Mapping[str, int],
    ) -> None:
        """Count what the lane answered in one turn.

        :param reads: how often reads of one key were answered, by service and status.
        :param others: the same of all others, by service, method and status.
        :param sent: bytes of bodies, by service.
        :param received: the same of requests.
        """
        _add(self._reads, reads)
        _add(self._requests, others)
        _add(self._sent, sent)
        _add(self._received, received)

    def fresh(self, service: str, method: str, status: int, number: int, sent: int) -> None:
        """Count so many fresh answers of an HTTP API that the lane gave in one turn."""
        key = (service, method, status)
        self._fresh[key] = self._fresh.get(key, 0) + number
        self._sent[service] = self._sent.get(service, 0) + sent

    def took(self, service: str, seconds: float, number: int = 1) -> None:
        """Note how long so many requests took."""
        found = self._seconds.get(service)
        if found is None:
            found = self._seconds[service] = Distribution(families.SECONDS.buckets)
        found.observe(seconds, number)

    def read(self, service: str, hits: int, misses: int) -> None:
        """Count keys that were read."""
        self._hits[service] = self._hits.get(service, 0) + hits
        self._misses[service] = self._misses.get(service, 0) + misses

    def batch(self, service: str, method: str, size: int) -> None:
        """Note how many keys one request was about."""
        found = self._batches.get((service, method))
        if found is None:
            found = self._batches[service, method] = Distribution(families.BATCHES.buckets)
        found.observe(size)

    def received(self, service: str, size: int) -> None:
        """Count the bytes of a request's body."""
        self._received[service] = self._received.get(service, 0) + size

    def failed(self, service: str, error: str, number: int = 1) -> None:
        """Count requests that the cache server failed; ``error``: its class."""
        key = (service, error)
        self._errors[key] = self._errors.get(key, 0) + number

    def response(self, service: str, result: str) -> None:
        """Count an answer of a service in front of an HTTP API, by what the cache did."""
        key = (service, result)
        self._responses[key] = self._responses.get(key, 0) + 1

    def origin(self, service: str, seconds: float) -> None:
        """Note how long an HTTP API took to answer, or to fail."""
        found = self._origin_seconds.get(service)
        if found is None:
            found = self._origin_seconds[service] = Distribution(families.ORIGIN_SECONDS.buckets)
        found.observe(seconds)

    def origin_failed(self, service: str, error: str) -> None:
        """Count a failure of an HTTP API."""
        key = (service, error)
        self._origin_errors[key] = self._origin_errors.get(key, 0) + 1

    def purged(self, service: str, scope: str) -> None:
        """Count a purge."""
        key = (service, scope)
        self._purges[key] = self._purges.get(key, 0) + 1

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        self._refused[reason] = self._refused.get(reason, 0) + 1

    def samples(self) -> Iterator[Sample]:
        """Yield all numbers."""
        for (service, method, status), value in self._requests.copy().items():
            labels = (service, method, str(status), self._lane)
            yield from _counter(families.REQUESTS, labels, value)
        for (service, status), value in self._reads.copy().items():
            labels = (service, "GET", str(status), self._lane)
            yield from _counter(families.REQUESTS, labels, value)
            if status in _FOUND:
                yield from _counter(families.HITS, (service,), value)
            elif status == HTTPStatus.NOT_FOUND:
                yield from _counter(families.MISSES, (service,), value)
        for (service, method, status), value in self._fresh.copy().items():
            labels = (service, method, str(status), self._lane)
            yield from _counter(families.REQUESTS, labels, value)
            yield from _counter(families.HITS, (service,), value)
            yield from _counter(families.RESPONSES, (service, HIT), value)
        for family, counts in (
            (families.RECEIVED, self._received),
            (families.SENT, self._sent),
            (families.HITS, self._hits),
            (families.MISSES, self._misses),
            (families.REFUSED, self._refused),
        ):
            for label, value in counts.copy().items():
                yield from _counter(family, (label,), value)
        for family, pairs in (
            (families.ERRORS, self._errors),
            (families.RESPONSES, self._responses),
            (families.ORIGIN_ERRORS, self._origin_errors),
            (families.PURGES, self._purges),
        ):
            for pair, value in pairs.copy().items():
                yield from _counter(family, pair, value)
        for service, distribution in self._origin_seconds.copy().items():
            yield from _histogram(families.ORIGIN_SECONDS, (service,), distribution)
        for service, distribution in self._seconds.copy().items():
            yield from _histogram(families.SECONDS, (service, self._lane), distribution)
        for labels_of_batch, distribution in self._batches.copy().items():
            yield from _histogram(families.BATCHES, labels_of_batch, distribution)


def _add(counts: dict[K, int], more: Mapping[K, int]) -> None:
    for key, number in more.items():
        counts[key] = counts.get(key, 0) + number


def _named(family: Family, labels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(zip(family.labels, labels, strict=True))


def _counter(family: Family, labels: tuple[str, ...], value: float) -> Iterator[Sample]:
    yield Sample(family, "_total", _named(family, labels), value)


def _histogram(family: Family, labels: tuple[str, ...], found: Distribution) -> Iterator[Sample]:
    named = _named(family, labels)
    bounds: tuple[Any, ...] = (*family.buckets, float("inf"))
    for bound, count in zip(bounds, found.counts.copy(), strict=True):
        yield Sample(family, "_bucket", (*named, ("le", bound_text(bound))), count)
    yield Sample(family, "_sum", named, found.total)


def bound_text(bound: float) -> str:
    """Return a bucket's bound as Prometheus writes it."""
    return "+Inf" if bound == float("inf") else str(float(bound))
