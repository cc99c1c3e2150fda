"""What is read of a named cache: values, keys by pages, and what is known of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, Self, cast

from backends.base import MISSING, Backend, Described, Missing
from backends.endpoints import trial_key
from backends.errors import BackendError, WrongType
from backends.operations import Increment
from cacheapi.caching.codec import Value
from cacheapi.caching.reserved import is_reserved, without_reserved
from cacheapi.caching.tagging import Tagging
from cacheapi.caching.tags import Tagged
from cacheapi.caching.values import Values

MAX_PAGE: Final = 1000
# So long a list goes on from a page with nothing on it to the next; then it is told where to.
LOOKING_SECONDS: Final = 0.25


class Reading:
    """A named cache as it is read: its values, its keys, and what is known of them.

    Keys are trusted: callers check them once with :meth:`check_key`. Every method raises the
    :class:`~backends.errors.BackendError` of its backend.

    :param name: its name in the URL.
    :param values: how they are read and written; by default all is JSON.
    :ivar entries: the backend, as entries may have tags.
    :ivar writes_json: as of its values, which do not change.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        *,
        label: str = "",
        description: str = "",
        values: Values | None = None,
    ) -> None:
        self.name = name
        self.backend = backend
        self.entries = Tagging(backend)
        self.label = label or name
        self.description = description
        self.type = backend.service_type
        self.values = values or Values()
        self.writes_json = self.values.writes_json
        self._read = self.values.reader

    def over(self, backend: Backend) -> Self:
        """Return the same service over another backend."""
        made = copy.copy(self)
        made.backend = backend
        made.entries = self.entries.over(backend)
        return made

    def uncounted(self) -> Self:
        """Return the same service for a person's looks, which no statistics count if it can be."""
        return self.over(self.backend.uncounted())

    def check_key(self, key: str) -> None:
        """Raise :class:`~backends.errors.InvalidKey` for a key that the backend cannot carry."""
        self.backend.check_key(key)

    def check_keys(self, keys: Sequence[str]) -> None:
        """Do :meth:`check_key` for each key."""
        self.backend.check_keys(keys)

    @property
    def sets_many_at_once(self) -> bool:
        """Whether many pairs cost one round trip of the backend."""
        return self.backend.sets_many_at_once

    @property
    def performs_at_once(self) -> bool:
        """Whether many operations cost a few round trips of the backend."""
        return self.backend.performs_at_once

    @property
    def lists_at_once(self) -> bool:
        """Whether a page of keys takes the backend milliseconds at most."""
        return self.backend.lists_at_once

    def probe(self) -> None:
        """Have a server of the backend answer; changes nothing and counts nowhere.

        :raises NotDone: something else than a cache answers.
        """
        self.backend.probe(trial_key()).connect()

    # Values

    def get(self, key: str) -> Value | Missing:
        """Return the value of a key."""
        stored = self.entries.get(key)
        return MISSING if stored is MISSING else self._read(stored)

    def look_at(self, key: str) -> tuple[Value, str, tuple[str, ...]] | Missing:
        """Return the value of a key, in words whose form it seems to have, and its tags."""
        stored = self.entries.get(key)
        if stored is MISSING:
            return MISSING
        return *self.values.looked_at(stored), stored.names if isinstance(stored, Tagged) else ()

    def get_many(self, keys: Iterable[str]) -> dict[str, Value]:
        """Return the values of those keys that are there."""
        read = self._read
        return {key: read(raw) for key, raw in self.entries.get_many(keys).items()}

    def read(self, stored: bytes) -> Value:
        """Return the value that bytes are which were given in its place."""
        return self._read(stored)

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> dict[str, Value | BackendError]:
        """Return the values of those keys that are there; or why one's is not known.

        :param most: as of :meth:`~backends.base.Backend.get_each`.
        """
        return cast("dict[str, Value | BackendError]", self.get_each_raw(keys, most, math.inf))

    def get_each_raw(
        self, keys: Iterable[str], most: int | None, largest: float
    ) -> dict[str, Value | bytes | BackendError]:
        """Return what :meth:`get_each` does; but of values of more bytes than ``largest`` those.

        To see what they are takes milliseconds: :meth:`read` does it.
        """
        return self._each_read(self.entries.get_each(keys, most), largest)

    def count_and_get_each_raw(
        self, counts: Sequence[Increment], keys: Sequence[str], most: int, largest: float
    ) -> tuple[list[Any], dict[str, Value | bytes | BackendError] | None]:
        """Count, and read behind that; see :meth:`~backends.base.Backend.count_and_get_each`.

        :param largest: as of :meth:`get_each_raw`, which gives the same.
        """
        outcomes, found = self.entries.count_and_get_each(counts, keys, most)
        return outcomes, None if found is None else self._each_read(found, largest)

    def _each_read(
        self, found: Mapping[str, bytes | BackendError], largest: float
    ) -> dict[str, Value | bytes | BackendError]:
        read = self._read
        return {
            key: raw if isinstance(raw, BackendError) or len(raw) > largest else read(raw)
            for key, raw in found.items()
        }

    def exists(self, key: str) -> tuple[bool, str | None]:
        """Return whether something is stored under a key, and its tag if it is a value."""
        try:
            value = self.get(key)
        except WrongType:
            return True, None
        return (False, None) if value is MISSING else (True, value.etag)

    def list_keys(
        self, prefix: str, limit: int, cursor: str | None, seconds: float = LOOKING_SECONDS
    ) -> tuple[list[str], str | None]:
        """Return a page of keys and the cursor of the next; see the backend's method.

        Reserved keys are left out, unless the prefix is one of theirs. A page may be shorter
        than ``limit`` and not the last; it is empty and not the last only where nothing was
        found for ``seconds``.
        """
        until = monotonic() + seconds
        while True:
            found, cursor = self.backend.list_keys(prefix, limit, cursor)
            if not is_reserved(prefix):
                found = without_reserved(found)
            there = self.entries.there(found)
            if there or cursor is None or monotonic() >= until:
                return there, cursor

    # What is known beside them

    def remaining_ttl(self, key: str) -> float | Missing | None:
        """Return the seconds that a key has left, about; ``None`` for ever."""
        return self.backend.remaining_ttl(key)

    def remaining_ttl_many(self, keys: Iterable[str]) -> dict[str, float | None]:
        """Return what :meth:`remaining_ttl` says of those keys that are there."""
        return self.backend.remaining_ttl_many(keys)

    def describe_many(self, keys: Iterable[str]) -> dict[str, Described]:
        """Return what is known of those keys that are there, without reading their values."""
        return self.entries.describe_many(keys)
