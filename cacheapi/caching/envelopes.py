"""Entries in envelopes: which of them count, and which were purged.

What was purged is still in the backend until its lifetime ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeVar

from backends.base import Backend
from backends.errors import BackendError, NotRead
from backends.within import LOOKED_AT
from cacheapi.caching.generations import Generations
from cacheapi.caching.tags import FIRST, Tagged, unsealed

K = TypeVar("K")
V = TypeVar("V")

# Values that are read at once only to see whether they are there; see also LOOKED_AT.
KEYS_AT_ONCE: Final = 64


class Envelopes:
    """Opens envelopes, and finds them in the backend.

    :param inner: where they are stored.
    :param generations: what the tags on them have now.
    """

    def __init__(self, inner: Backend, generations: Generations) -> None:
        self._inner = inner
        self._generations = generations

    def opened(self, marked: Mapping[K, bytes]) -> dict[K, bytes]:
        """Return values without their envelopes, and without those that were purged."""
        values = {key: unsealed(value) for key, value in marked.items()}
        under = [value for value in values.values() if isinstance(value, Tagged)]
        now = self._generations.of({name for value in under for name in value.names})
        return {
            key: value
            for key, value in values.items()
            if not isinstance(value, Tagged)
            or all(now.get(name) == generation for name, generation in value.tags)
        }

    def each_opened(self, marked: Mapping[K, bytes]) -> Mapping[K, bytes | BackendError]:
        """Return what :meth:`opened` does, or of each why it is not known whether it counts."""
        try:
            return self.opened(marked)
        except BackendError as error:
            return dict.fromkeys(marked, error)

    def purged(self, keys: Iterable[str]) -> AbstractSet[str]:
        """Return those of some keys under which is what was purged."""
        gone: set[str] = set()
        for marked in self.each_marked(keys):
            gone |= marked.keys() - self.opened(marked).keys()
        return gone

    def enveloped(self, keys: Iterable[str]) -> AbstractSet[str]:
        """Return those of some keys under which an envelope is, or it is not known what."""
        found: set[str] = set()
        left = list(keys)
        while left:
            some, left = left[:KEYS_AT_ONCE], left[KEYS_AT_ONCE:]
            found.update(
                key
                for key, value in self._inner.get_each(some, LOOKED_AT).items()
                if isinstance(value, BackendError) or value[:1] == FIRST
            )
        return found

    def each_marked(self, keys: Iterable[str]) -> Iterator[dict[str, bytes]]:
        """Yield what is stored in envelopes under some keys; of many large values a part."""
        left = list(keys)
        while left:
            some, left = left[:KEYS_AT_ONCE], left[KEYS_AT_ONCE:]
            found = self._inner.get_each(some, LOOKED_AT)
            left = [key for key in some if isinstance(found.get(key), NotRead)] + left
            marked = marked_of(found)
            if marked:
                yield marked


def marked_of(found: Mapping[K, Any]) -> dict[K, bytes]:
    """Return those values that are in envelopes."""
    # Mostly none is, and that is seen sooner.
    if FIRST not in {value[:1] for value in found.values() if isinstance(value, bytes)}:
        return {}
    return {
        key: value
        for key, value in found.items()
        if isinstance(value, bytes) and value[:1] == FIRST
    }


def without_envelopes(
    found: Mapping[str, V], marked: Mapping[str, bytes], opened: Mapping[str, V]
) -> dict[str, V]:
    """Return what was found, but what was in envelopes as it is opened, or not at all."""
    return {
        key: opened.get(key, value)
        for key, value in found.items()
        if key in opened or key not in marked
    }
