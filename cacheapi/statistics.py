"""The statistics of a service: the sum, then server by server, and what they advise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from backends.errors import Refused
from backends.statistics import Figures, ServerStatistics
from cacheapi.advice import Advice, advise
from cacheapi.services import CacheService


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
    sections = backend.stats_sections
    if section is not None and section not in sections:
        there = f"there are {', '.join(sections)}" if sections else "there is none"
        raise UnknownSection(f"{backend.label} has no section '{section}'; {there}.")
    servers = backend.stats(section)
    total = total_of(server.figures for server in servers)
    return Statistics(total, servers, advise(total, servers))


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


def figures_shown(figures: Figures) -> dict[str, int | float | None]:
    """Return figures with the hit ratio, as clients see them."""
    ratio = figures.hit_ratio
    return {**figures._asdict(), "hit_ratio": None if ratio is None else round(ratio, 4)}
