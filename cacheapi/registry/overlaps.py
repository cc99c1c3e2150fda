"""Services that share keys: at the same place, with prefixes of which one begins the other.

Who may use one of them then reads, changes and flushes what is the other's. That may be meant,
so it is said and not refused.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Final

from cacheapi.caching.service import CacheService

ACTION = "Unless that is meant, give one of them a prefix of its own."
# Of the services that one shares keys with, so many are named.
MOST: Final = 5
MORE: Final = "It shares keys with more services than these."


class Overlaps:
    """The services of one moment, by their places and prefixes.

    :param services: by name.
    """

    def __init__(self, services: Mapping[str, CacheService]) -> None:
        self._services = services
        self._at: dict[str, dict[str, list[str]]] = {}
        for name, service in services.items():
            for place in service.backend.places():
                prefixes = self._at.setdefault(place, {})
                prefixes.setdefault(service.backend.prefix, []).append(name)
        self._sorted = {place: sorted(prefixes) for place, prefixes in self._at.items()}

    def of(self, name: str) -> list[str]:
        """Return what there is to say of a service, a sentence each; none for most."""
        return _told(self._found(name))

    def _found(self, name: str) -> dict[str, str]:
        """Return what there is to say of a service, by the other one."""
        service = self._services.get(name)
        if service is None:
            return {}
        found: dict[str, str] = {}
        for place in sorted(service.backend.places()):
            near = (other for other in self._near(place, service.backend.prefix) if other != name)
            for other in islice(near, MOST + 1):
                theirs = self._services[other].backend.prefix
                found[other] = _sentence(other, service.backend.prefix, theirs)
        return found

    def all(self) -> dict[str, list[str]]:
        """Return what there is to say of each service that shares keys with another."""
        found = {name: self.of(name) for name in sorted(self._services)}
        return {name: sentences for name, sentences in found.items() if sentences}

    def once(self) -> dict[str, list[str]]:
        """Do as :meth:`all`, and tell each pair at the first of the two alone."""
        told: set[tuple[str, str]] = set()
        sentences: dict[str, list[str]] = {}
        for name in sorted(self._services):
            found = self._found(name)
            new = {other: said for other, said in found.items() if (other, name) not in told}
            told.update((name, other) for other in new)
            if new:
                sentences[name] = _told(new)
        return sentences

    def _near(self, place: str, prefix: str) -> Iterator[str]:
        """Yield the services at a place whose keys may be those of a prefix."""
        at, prefixes = self._at[place], self._sorted[place]
        longer = islice(prefixes, bisect_left(prefixes, prefix), None)
        for other in chain((prefix[:size] for size in range(len(prefix))), longer):
            if not (other.startswith(prefix) or prefix.startswith(other)):
                # Those that begin with the prefix stand together.
                return
            yield from at.get(other, ())


def _told(found: Mapping[str, str]) -> list[str]:
    sentences = [found[other] for other in sorted(found)]
    return sentences if len(sentences) <= MOST else [*sentences[:MOST], MORE]


def _sentence(other: str, own: str, theirs: str) -> str:
    return (
        f"It shares keys with the service '{other}': both are on the same server, with the "
        f"prefixes '{own}' and '{theirs}'. Who may use the one reads, changes and deletes what is "
        "the other's, and a flush may take both."
    )
