"""What services did, in sums over this machine's processes, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from prometheus_client.samples import Sample

from backends.statistics import Figures
from cacheapi.observing.metrics import families
from cacheapi.observing.metrics.meter import Meter

# What was answered without waiting for the API, and what with it.
WITHOUT: Final = ("hit", "stale", "collapsed")
WITH: Final = ("validated", "miss", "bypass")


class Traffic(NamedTuple):
    """What was answered, and how the API does, since the start.

    :ivar results: answers, by what the cache did.
    :ivar waits: seconds, and how many requests to the API took no longer; rising.
    :ivar errors: failures of the API, by kind.
    :ivar purges: by what they were about.
    """

    results: Mapping[str, int]
    waits: tuple[tuple[float, int], ...]
    errors: Mapping[str, int]
    purges: Mapping[str, int]

    @property
    def hits(self) -> int:
        """Reads that were answered without waiting for the API."""
        return sum(self.results.get(result, 0) for result in WITHOUT)

    @property
    def misses(self) -> int:
        """Reads that waited for the API."""
        return sum(self.results.get(result, 0) for result in WITH)

    @property
    def reads(self) -> int:
        """Answers to reads; all others are to writes and purges."""
        return self.hits + self.misses

    @property
    def hit_ratio(self) -> float | None:
        """The share of the reads that hit; ``None``: there were none."""
        return self.hits / self.reads if self.reads else None

    @property
    def fetches(self) -> int:
        """How often the API was asked."""
        return self.waits[-1][1] if self.waits else 0

    def within(self, share: float) -> tuple[float, float] | None:
        """Return between which seconds the API has answered so large a share of its requests.

        Only the buckets are counted, so what lies between their bounds is not known.

        :return: the bounds of the bucket, the second infinite past the last; ``None``: unknown.
        """
        if not self.fetches:
            return None
        lower = 0.0
        for bound, count in self.waits:
            if count >= share * self.fetches:
                return lower, bound
            lower = bound
        return None

    @property
    def figures(self) -> Figures:
        """The same as a cache's."""
        return Figures(get_hits=self.hits, get_misses=self.misses)


def traffic(meter: Meter) -> dict[str, Traffic]:
    """Return what all services in front of an API did, by name; none that did nothing."""
    samples = meter.counted()
    found: dict[str, dict[str, dict[str, int]]] = {}
    waits: dict[str, list[tuple[float, int]]] = {}
    kinds = {
        f"{families.RESPONSES.name}_total": "result",
        f"{families.ORIGIN_ERRORS.name}_total": "error",
        f"{families.PURGES.name}_total": "scope",
    }
    for sample in samples:
        name = sample.labels.get("service", "")
        label = kinds.get(sample.name)
        if label is not None:
            counts = found.setdefault(name, {}).setdefault(label, {})
            counts[sample.labels[label]] = _number(sample)
        elif sample.name == f"{families.ORIGIN_SECONDS.name}_bucket":
            waits.setdefault(name, []).append((float(sample.labels["le"]), _number(sample)))
    return {
        name: Traffic(
            found.get(name, {}).get("result", {}),
            tuple(sorted(waits.get(name, ()))),
            found.get(name, {}).get("error", {}),
            found.get(name, {}).get("scope", {}),
        )
        for name in found.keys() | waits.keys()
    }


def reads(meter: Meter) -> dict[str, Figures]:
    """Return what clients read over this machine's processes, by service; no other figures.

    What a server says of itself has the reads of all that use it, and most count a look as one.
    """
    names = {
        f"{families.HITS.name}_total": "get_hits",
        f"{families.MISSES.name}_total": "get_misses",
    }
    found: dict[str, dict[str, int]] = {}
    for sample in meter.counted():
        figure = names.get(sample.name)
        if figure is not None:
            counts = found.setdefault(sample.labels["service"], {"get_hits": 0, "get_misses": 0})
            counts[figure] += _number(sample)
    return {name: Figures(**counts) for name, counts in found.items()}


def _number(sample: Sample) -> int:
    return int(sample.value)
