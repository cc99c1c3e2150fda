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

from backends.endpoints import trial_key
from backends.errors import BackendError
from backends.probe import NotDone
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
        asked = self._ask()
        found = {name: each.figures for name, each in asked.items() if each.figures is not None}
        up = _metric(families.UP, "gauge")
        for name, each in asked.items():
            if each.is_up is not None:
                up.add_sample(families.UP.name, {"service": name}, float(each.is_up))
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

    def _ask(self) -> dict[str, _Asking]:
        """Ask each service; one that is late has none of its figures."""
        services = self._services()
        asking = {
            name: _Asking(self._sampler, services[name])
            for name in sorted(services)[:MOST_SERVICES]
        }
        deadline = time.monotonic() + WAIT_SECONDS
        for thread in asking.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        return asking


class _Asking(threading.Thread):
    """One service is asked.

    :ivar figures: ``None``: it has no statistics. Empty until they are there.
    """

    def __init__(self, sampler: Sampler, service: CacheService) -> None:
        super().__init__(name="figures", daemon=True)
        self.figures: Figures | None = Figures()
        self._passes: bool | None = None
        self._sampler = sampler
        self._service = service
        self.start()

    @property
    def is_up(self) -> bool | None:
        """Whether the servers answer; ``None``: nobody can tell."""
        return self._passes if self.figures is None else self.figures != Figures()

    def run(self) -> None:
        figures = self._sampler.latest(self._service)
        backend = self._service.backend
        if backend.in_front:
            # It tells no figures, but lets keys through, or not.
            try:
                backend.probe(trial_key()).connect()
                self._passes = True
            except (BackendError, NotDone):
                self._passes = False
            figures = None
        self.figures = figures


def _metric(family: Family, kind: str) -> Metric:
    return Metric(family.name, family.help, kind)
