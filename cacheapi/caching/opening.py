"""Reads of a backend whose entries may have tags.

A read of an entry with tags, and of no other, looks at the generations of its tags: one more
round trip for all that are read at once. Where a cache has evicted a generation, what was
stored under it is gone, and never there again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backends.base import MISSING, Backend, Described, Found, Missing
from backends.errors import BackendError
from backends.operations import Increment, Touch
from cacheapi.caching.envelopes import Envelopes, marked_of, without_envelopes
from cacheapi.caching.generations import Generations, Known
from cacheapi.caching.tags import FIRST


class Opening(Backend):
    """The methods that read; values with tags are :class:`~cacheapi.caching.tags.Tagged`.

    :param inner: where they are stored, sealed.
    """

    def __init__(self, inner: Backend, known: Known | None = None) -> None:
        super().__init__()
        self._inner = inner
        self._known = known or Known()
        # What a tag's generation is, and whether there is an envelope under a key, nobody has
        # asked for: no statistics count it.
        self._quiet = inner.uncounted()
        self._generations = Generations(self._quiet, self._known)
        self._envelopes = Envelopes(self._quiet, self._generations)

    def get(self, key: str) -> bytes | Missing:
        found = self._inner.get(key)
        return self._one(key, found)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = self._inner.get_many(keys)
        marked = marked_of(found)
        return without_envelopes(found, marked, self._envelopes.opened(marked)) if marked else found

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> Mapping[str, bytes | BackendError]:
        return self._each_opened(self._inner.get_each(keys, most))

    def _each_opened(
        self, found: Mapping[str, bytes | BackendError]
    ) -> Mapping[str, bytes | BackendError]:
        marked = marked_of(found)
        if not marked:
            return found
        return without_envelopes(found, marked, self._envelopes.each_opened(marked))

    def get_with_token(self, key: str) -> Found | Missing:
        found = self._inner.get_with_token(key)
        if found is MISSING:
            return MISSING
        value = self._one(key, found.value)
        return MISSING if value is MISSING else Found(value, found.token)

    def get_and_delete(self, key: str) -> bytes | Missing:
        return self._one(key, self._inner.get_and_delete(key))

    def there(self, keys: Iterable[str]) -> list[str]:
        """Return those of some keys under which something is that was not purged.

        Only in a service with tags is anything read for it.
        """
        keys = list(keys)
        gone = self._envelopes.purged(keys) if self._generations.are_in_use() else ()
        return [key for key in keys if key not in gone]

    def describe_many(self, keys: Iterable[str]) -> dict[str, Described]:
        keys = list(keys)
        described = self._inner.describe_many(keys)
        if not self._generations.are_in_use():
            return described
        for marked in self._envelopes.each_marked(keys):
            opened = self._envelopes.opened(marked)
            for key in marked.keys() & described.keys():
                if key not in opened:
                    del described[key]
                elif described[key].size is not None:
                    described[key] = described[key]._replace(size=len(opened[key]))
        return described

    def get_and_touch_many(self, touches: Sequence[Touch], most: int) -> list[Any]:
        """Do both at once in a service without tags, but for keys that have an envelope."""
        if self._generations.are_in_use():
            return super().get_and_touch_many(touches, most)
        done = self._inner.get_and_touch_many(touches, most)
        marked = marked_of({index: both[0] for index, both in enumerate(done) if both is not None})
        return [None if index in marked else both for index, both in enumerate(done)]

    def count_and_get_each(
        self, counts: Sequence[Increment], keys: Sequence[str], most: int
    ) -> tuple[list[Any], Mapping[str, bytes | BackendError] | None]:
        """Do both; what nobody else writes has no tags."""
        outcomes, found = self._inner.count_and_get_each(counts, keys, most)
        return outcomes, None if found is None else self._each_opened(found)

    def _one(self, key: str, stored: bytes | Missing) -> bytes | Missing:
        if stored is MISSING or stored[:1] != FIRST:
            return stored
        return self._envelopes.opened({key: stored}).get(key, MISSING)
