"""The cache service: what every view, and whatever else serves a cache, goes through."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from backends.base import MISSING, Backend, Found, Missing
from backends.columns import Columns
from backends.errors import BackendError
from backends.operations import Operation, count
from backends.within import perform_within
from cacheapi.caching.codec import Value
from cacheapi.caching.conditional import Conditional
from cacheapi.caching.conditions import Condition, PreconditionFailed
from cacheapi.caching.flagged import perform_by_flags, refuse_boolean
from cacheapi.caching.making import Making
from cacheapi.caching.pairs import KeyExists, Pair, TaggedPair
from cacheapi.caching.reading import MAX_PAGE, Reading
from cacheapi.caching.values import Values

# Types of outcomes that are no value.
_NO_VALUES: Final = frozenset({bool, int, Missing})


class CacheService(Reading):
    """A named cache: a backend with the rules for keys, values and lifetimes.

    A value goes in as its JSON text, or as the very bytes to store. A ``ttl`` is one that
    :func:`~cacheapi.caching.ttl.check_ttl` has passed.
    Conditions are decided atomically; without the ability, ``Unsupported`` is raised.

    :param name: its name in the URL.
    :param default_ttl: lifetime in minutes where a client gives none; 0 for ever.
    :param values: how they are read and written; by default all is JSON.
    :param clock: Unix time in seconds; for tests.
    :ivar make: makes the operations that :meth:`perform` takes.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        *,
        default_ttl: int,
        label: str = "",
        description: str = "",
        values: Values | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, backend, label=label, description=description, values=values)
        default = default_ttl * 60.0 if default_ttl else None
        self.make = Making(backend, self.values, default, clock)

    def over(self, backend: Backend) -> Self:
        """Return the same service over another backend."""
        made = super().over(backend)
        made.make = self.make.over(backend)
        return made

    # Writing

    def set_many(self, pairs: Sequence[Pair]) -> list[Any]:
        """Store, overwriting, in order; one outcome a pair: ``True`` or the error.

        :raises InvalidJson: a value has no place in the form of the service's values.
        """
        items = self.make.set_many(pairs)
        if isinstance(pairs, Columns) or TaggedPair not in set(map(type, pairs)):
            return list(self.backend.set_many(items))
        tags = [pair.tags if isinstance(pair, TaggedPair) else () for pair in pairs]
        values = self.entries.give([item.value for item in items], tags)
        items = [item._replace(value=value) for item, value in zip(items, values, strict=True)]
        return list(self.entries.set_many(items))

    def add(
        self,
        key: str,
        value: str | bytes,
        ttl: int | None,
        condition: Condition | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        """Create a key in one atomic step.

        :raises KeyExists: it is there already.
        :raises PreconditionFailed: the condition is not met.
        """
        if condition is not None and not condition.creates_only:
            condition.check(self._etag(self.entries.get_with_token(key)))
        made = self.make.add(key, value, ttl)
        if not self.entries.add(key, self._with(tags, made.value), made.ttl):
            if condition is not None and condition.creates_only:
                raise PreconditionFailed
            raise KeyExists(key)

    def replace(
        self,
        key: str,
        value: str | bytes,
        ttl: int | None,
        condition: Condition | None = None,
        tags: Sequence[str] = (),
    ) -> bool:
        """Store under an existing key in one atomic step; return whether it is there.

        With ``If-None-Match: *`` the key is created instead.

        :raises PreconditionFailed: the condition is not met.
        """
        if condition is not None and condition.creates_only:
            self.add(key, value, ttl, condition, tags)
            return True
        made = self.make.replace(key, value, ttl)
        made = made._replace(value=self._with(tags, made.value))
        if condition is None:
            return self.entries.replace(*made)
        found = self._conditional(key, condition).change(
            lambda found: self.entries.compare_and_set(key, made.value, found.token, made.ttl)
        )
        return found is not MISSING

    def touch(self, key: str, ttl: int | None, condition: Condition | None = None) -> bool:
        """Give a new lifetime and leave the value; return whether the key is there.

        :raises PreconditionFailed: the condition is not met.
        """
        seconds = self.make.lifetime(ttl)
        if condition is None:
            return self.entries.touch(key, seconds)
        found = self._conditional(key, condition).change(
            lambda found: self.entries.compare_and_set(key, found.value, found.token, seconds)
        )
        return found is not MISSING

    def increment(
        self,
        key: str,
        delta: int,
        initial: int | None,
        ttl: int | None,
        condition: Condition | None = None,
    ) -> int | Missing:
        """Count on a stored number and return it; ``delta`` may be negative.

        An absent key is created with ``initial``, which is returned, for the lifetime
        ``ttl``; without ``initial`` it stays absent. The lifetime of a number that is
        there is left alone, unless there is a condition: then the new number is stored
        as a new value is, with ``ttl``.

        :raises NotAnInteger: the stored value or a given number is out of range.
        :raises PreconditionFailed: the condition is not met.
        """
        made = self.make.increment(key, delta, initial, ttl)
        if condition is not None:
            return self._conditional(key, condition).increment(
                made, lambda stored: refuse_boolean(self.values, stored)
            )
        if self.values.has_booleans:
            stored = self.entries.get(key)
            if stored is not MISSING:
                refuse_boolean(self.values, stored)
        return count(self.entries, made)

    def get_and_delete(self, key: str, condition: Condition | None = None) -> Value | Missing:
        """Return a value and delete it; of several callers one gets it.

        :raises PreconditionFailed: nothing was deleted.
        """
        if condition is None:
            stored = self.entries.get_and_delete(key)
            return MISSING if stored is MISSING else self._read(stored)
        found = self._conditional(key, condition).change(
            lambda found: self.entries.compare_and_delete(key, found.token)
        )
        return MISSING if found is MISSING else self._read(found.value)

    def delete(self, key: str, condition: Condition | None = None) -> bool:
        """Delete a key; return whether it was there.

        :raises PreconditionFailed: the condition is not met.
        """
        if condition is None:
            return self.entries.delete(key)
        found = self._conditional(key, condition).change(
            lambda found: self.entries.compare_and_delete(key, found.token)
        )
        return found is not MISSING

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        """Delete in order; one outcome a key: whether it was there, or the error."""
        return self.entries.delete_many(keys)

    def purge(self, tags: Sequence[str]) -> None:
        """Make gone, at once and for everybody, every entry that has one of some tags."""
        self.entries.purge(tags)

    def delete_prefix(self, prefix: str, done: Callable[[int], None] = lambda _: None) -> int:
        """Delete every key that starts with ``prefix``, some at a time; return how many.

        Others write between the steps, and what they store meanwhile may stay. Reserved keys
        stay, unless the prefix is one of theirs.

        :param done: is told after each step how many it has deleted.
        """
        deleted = 0
        cursor: str | None = None
        while True:
            keys, cursor = self.list_keys(prefix, MAX_PAGE, cursor)
            outcomes = self.delete_many(keys) if keys else []
            gone = outcomes.count(True)
            deleted += gone
            done(gone)
            for outcome in outcomes:
                if isinstance(outcome, BackendError):
                    raise outcome
            if cursor is None:
                return deleted

    def flush(self) -> None:
        """Delete every key of this service."""
        self.backend.flush()

    # Several at once

    def perform(
        self,
        operations: Sequence[Operation],
        most: int | None = None,
        largest: float = math.inf,
        raw: float = math.inf,
    ) -> list[Any]:
        """Do operations, those of one key in order; return an outcome each, as the backend's.

        A value is a :class:`~cacheapi.caching.codec.Value`. Nothing is raised: an error is the
        outcome of the operation that it is about, and says so where it is not known whether a
        change was made.

        :param operations: those that :attr:`make` made, and reads and deletions as they are.
        :param most: as of :func:`~backends.within.perform_within`; ``None``: there is no bound.
        :param largest: as there.
        :param raw: a value of more bytes is given as those, for :meth:`read`.
        """
        if self.values.has_booleans:
            outcomes = perform_by_flags(self.entries, self.values, operations, most, largest)
        elif most is None:
            outcomes = self.entries.perform(operations)
        else:
            outcomes = perform_within(self.entries, operations, most, largest)
        if _NO_VALUES.issuperset(map(type, outcomes)):
            return outcomes
        read = self._read
        return [
            read(one) if isinstance(one, bytes) and len(one) <= raw else one for one in outcomes
        ]

    # Rules

    def _with(self, tags: Sequence[str], value: bytes) -> bytes:
        return self.entries.give([value], [tags])[0] if tags else value

    def _etag(self, found: Found | Missing) -> str | None:
        return None if found is MISSING else self._read(found.value).etag

    def _conditional(self, key: str, condition: Condition) -> Conditional:
        return Conditional(self.entries, key, condition, self._etag)
