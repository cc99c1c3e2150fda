"""What the cache servers say of themselves, as metrics: asked when Prometheus asks.

Each service is asked at most once in some seconds, all at the same time, and for so long at
most that one that hangs does not take the others' numbers away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from backends.statistics import Figures
from cacheapi.caching.service import CacheService
from cacheapi.observing.metrics import families
from cacheapi.observing.metrics.families import Family
from cacheapi.observing.samples import Sampler

WAIT_SECONDS: Final = 2.0
# Of more services, the first ones only: each takes a thread while it is asked.
MOST_SERVICES: Final = 100


class Servers(Collector):
    """The figures of all services that have statistics.

    :param services: returns those that there are, by name.
    """

    def __init__(
        self, services: Callable[[], Mapping[str, CacheService]], sampler: Sampler
    ) -> None:
        self._services = services
        self._sampler = sampler

    def collect(self) -> Iterable[Metric]:
        found = self._ask()
        up = _metric(families.UP, "gauge")
        for name, figures in found.items():
            up.add_sample(families.UP.name, {"service": name}, float(figures != Figures()))
        yield up
        for kind, table, suffix in (
            ("gauge", families.GAUGES, ""),
            ("counter", families.COUNTERS, "_total"),
        ):
            for field, family in table.items():
                metric = _metric(family, kind)
                for name, figures in found.items():
                    value = getattr(figures, field)
                    if value is not None:
                        metric.add_sample(family.name + suffix, {"service": name}, value)
                yield metric

    def _ask(self) -> dict[str, Figures]:
        """Return the figures of each service that has any; none of one that is late."""
        services = self._services()
        asking = {
            name: _Asking(self._sampler, services[name])
            for name in sorted(services)[:MOST_SERVICES]
        }
        deadline = time.monotonic() + WAIT_SECONDS
        found = {}
        for name, thread in asking.items():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.figures is not None:
                found[name] = thread.figures
        return found


class _Asking(threading.Thread):
    """One service is asked.

    :ivar figures: ``None``: it has no statistics. Empty until they are there.
    """

    def __init__(self, sampler: Sampler, service: CacheService) -> None:
        super().__init__(name="figures", daemon=True)
        self.figures: Figures | None = Figures()
        self._sampler = sampler
        self._service = service
        self.start()

    def run(self) -> None:
        self.figures = self._sampler.latest(self._service)


def _metric(family: Family, kind: str) -> Metric:
    return Metric(family.name, family.help, kind)
