"""Services that share keys: at the same place, with prefixes of which one begins the other.

Who may use one of them then reads, changes and flushes what is the other's. That may be meant,
so it is said and not refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from cacheapi.caching.service import CacheService
from cacheapi.registry.snapshot import Snapshot

ACTION = "Unless that is meant, give one of them a prefix of its own."


def warnings(snapshot: Snapshot, name: str) -> list[str]:
    """Return what there is to say of a service, a sentence each; none for most."""
    return overlaps(snapshot.services).get(name, [])


def overlaps(services: Mapping[str, CacheService]) -> dict[str, list[str]]:
    """Return what there is to say of each service that shares keys with another."""
    at: dict[str, list[CacheService]] = {}
    for _, service in sorted(services.items()):
        for place in service.backend.places():
            at.setdefault(place, []).append(service)
    found: dict[str, dict[str, str]] = {}
    for neighbours in at.values():
        for one, other in itertools.combinations(neighbours, 2):
            a, b = one.backend.prefix, other.backend.prefix
            if a.startswith(b) or b.startswith(a):
                found.setdefault(one.name, {})[other.name] = _sentence(other.name, a, b)
                found.setdefault(other.name, {})[one.name] = _sentence(one.name, b, a)
    return {name: list(sentences.values()) for name, sentences in found.items()}


def _sentence(other: str, own: str, theirs: str) -> str:
    return (
        f"It shares keys with the service '{other}': both are on the same server, with the "
        f"prefixes '{own}' and '{theirs}'. Who may use the one reads, changes and deletes what is "
        "the other's, and a flush may take both."
    )
