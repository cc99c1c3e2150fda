"""The statistics of a service: the sum, then server by server, and what they advise."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from backends.base import Backend
from backends.capabilities import Capability
from backends.errors import BackendError, Refused
from backends.statistics import Figures, ServerStatistics
from cacheapi.caching.service import CacheService
from cacheapi.observing.advice import Advice, advise

log = logging.getLogger(__name__)

LATEST_SECONDS: Final = 15.0


class UnknownSection(Refused):
    """The service's backend has no such section of statistics."""


class Statistics(NamedTuple):
    """What a service's servers say of themselves.

    :ivar total: the sum over the servers that answered.
    """

    total: Figures
    servers: list[ServerStatistics]
    advice: list[Advice]


def read(service: CacheService, section: str | None = None) -> Statistics:
    """Ask the servers of a service.

    :param section: what the raw figures are of; ``None`` for the general ones.
    :raises UnknownSection: the backend does not have it.
    :raises Unsupported: the backend has no statistics.
    """
    backend = service.backend
    if section is not None and section not in backend.stats_sections:
        sections = backend.sections()
        if section not in sections:
            there = f"there are {', '.join(sections)}" if sections else "there is none"
            raise UnknownSection(f"{backend.label} has no section '{section}'; {there}.")
    servers = [_told(backend, server) for server in backend.stats(section)]
    total = total_of(server.figures for server in servers)
    advice = [each._replace(message=backend.told(each.message)) for each in advise(total, servers)]
    return Statistics(total, servers, advice)


def _told(backend: Backend, server: ServerStatistics) -> ServerStatistics:
    """Return what is said of a server, calling settings as the service's operator knows them."""
    if server.error is None:
        return server
    return dataclasses.replace(
        server, error=backend.told(server.error), cause=backend.told(server.cause)
    )


def figures_of(backend: Backend) -> Figures:
    """Return the sum over a backend's servers; all ``None`` where they cannot be asked."""
    try:
        return total_of(server.figures for server in backend.stats())
    except BackendError:
        return Figures()
    except Exception:
        # A plugin's; whoever samples has others to ask.
        log.exception("The statistics of %s failed", backend.label)
        return Figures()


def counts_looks(backend: Backend) -> bool:
    """Return whether a look of a person is a read in what the servers say of themselves."""
    return backend.uncounted() is backend


class _Reading:
    """The last reading of a backend."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = 0.0
        self.figures = Figures()


class Latest:
    """The figures of services, each read at most once in some seconds."""

    def __init__(self) -> None:
        self._readings: weakref.WeakKeyDictionary[Backend, _Reading] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def figures(self, service: CacheService, seconds: float) -> Figures | None:
        """Return figures that are at most ``seconds`` old.

        :return: ``None``: the service has no statistics.
        """
        backend = service.backend
        if Capability.STATS not in backend.capabilities:
            return None
        with self._lock:
            reading = self._readings.setdefault(backend, _Reading())
        # Who comes while another reads waits for that reading.
        with reading.lock:
            if time.monotonic() >= reading.until:
                reading.figures = figures_of(backend)
                reading.until = time.monotonic() + seconds
            return reading.figures


def total_of(servers: Iterable[Figures | None]) -> Figures:
    """Return the sum over those that are there; ``None`` where one of them does not say.

    ``uptime`` is that of the server that started last.
    """
    known = [figures for figures in servers if figures is not None]
    if not known:
        return Figures()
    sums = {
        name: None if None in column else sum(column)
        for name, column in zip(Figures._fields, zip(*known, strict=True), strict=True)
    }
    uptimes = [figures.uptime for figures in known if figures.uptime is not None]
    return Figures(**sums | {"uptime": min(uptimes, default=None)})


def shown(service: CacheService, statistics: Statistics) -> dict[str, Any]:
    """Return what a client sees."""
    return {
        "name": service.name,
        "type": service.type,
        "stats": figures_shown(statistics.total),
        "servers": [
            {
                "server": server.server,
                "stats": None if server.figures is None else figures_shown(server.figures),
                "error": server.error,
                "raw": dict(server.raw),
            }
            for server in statistics.servers
        ],
        "advice": [advice._asdict() for advice in statistics.advice],
    }


def counted_shown(
    name: str, kind: str, figures: Figures, results: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return the same of a service in front of an API, whose answers this program counts itself.

    It has no servers of its own: those of its cache are told of that.

    :param figures: empty where nothing was counted.
    :param results: answers, by what the cache did; ``None``: that is not known.
    """
    return {
        "name": name,
        "type": kind,
        "stats": figures_shown(figures),
        "servers": [],
        "advice": [],
        **({} if results is None else {"results": dict(results)}),
    }


def figures_shown(figures: Figures) -> dict[str, int | float | None]:
    """Return figures with the hit ratio, as clients see them."""
    ratio = figures.hit_ratio
    return {**figures._asdict(), "hit_ratio": None if ratio is None else round(ratio, 4)}
