"""The cache service: what every view, and whatever else serves a cache, goes through."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple, cast

from backends.base import MISSING, Backend, Described, Found, Missing
from backends.endpoints import trial_key
from backends.errors import BackendError, WrongType
from backends.operations import Operation, count
from backends.within import perform_within
from cacheapi.caching.codec import Value
from cacheapi.caching.conditional import Conditional
from cacheapi.caching.conditions import Condition, PreconditionFailed
from cacheapi.caching.flagged import perform_by_flags, refuse_boolean
from cacheapi.caching.making import Making
from cacheapi.caching.reserved import is_reserved, without_reserved
from cacheapi.caching.tagging import Tagging
from cacheapi.caching.tags import Tagged
from cacheapi.caching.values import Values

MAX_PAGE: Final = 1000
# So long a list goes on from a page with nothing on it to the next; then it is told where to.
LOOKING_SECONDS: Final = 0.25


class KeyExists(Exception):
    """The key to create is there already; ``str()`` is the key."""


class Pair(NamedTuple):
    """What a client asks to store; ``ttl`` as :func:`~cacheapi.caching.ttl.check_ttl` left it.

    :ivar value: a JSON text; or bytes, which are stored as they are.
    """

    key: str
    value: str | bytes
    ttl: int | None


class TaggedPair(Pair):
    """A pair that has tags.

    :ivar tags: by which it can be purged.
    """

    tags: tuple[str, ...]

    def __new__(
        cls, key: str, value: str | bytes, ttl: int | None, tags: tuple[str, ...]
    ) -> TaggedPair:
        """Make it of a pair's fields, and its tags."""
        made = super().__new__(cls, key, value, ttl)
        made.tags = tags
        return made


class CacheService:
    """A named cache: a backend with the rules for keys, values and lifetimes.

    Keys are trusted: callers check them once with :meth:`check_key`. A value goes in as
    its JSON text, or as the very bytes to store. A ``ttl`` is one that
    :func:`~cacheapi.caching.ttl.check_ttl` has passed.
    Conditions are decided atomically; without the ability, ``Unsupported`` is raised.

    Every method raises the :class:`~backends.errors.BackendError` of its backend.

    :param name: its name in the URL.
    :param default_ttl: lifetime in minutes where a client gives none; 0 for ever.
    :param values: how they are read and written; by default all is JSON.
    :param clock: Unix time in seconds; for tests.
    :ivar make: makes the operations that :meth:`perform` takes.
    :ivar entries: the backend, as entries may have tags.
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
        self.name = name
        self.backend = backend
        self.entries = Tagging(backend)
        self.label = label or name
        self.description = description
        self.type = backend.service_type
        self.values = values or Values()
        self._read = self.values.reader
        default = default_ttl * 60.0 if default_ttl else None
        self.make = Making(backend, self.values, default, clock)

    def over(self, backend: Backend) -> CacheService:
        """Return the same service over another backend."""
        made = copy.copy(self)
        made.backend = backend
        made.entries = self.entries.over(backend)
        made.make = self.make.over(backend)
        return made

    def uncounted(self) -> CacheService:
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

    # Reading

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
        read = self._read
        return {
            key: raw if isinstance(raw, BackendError) or len(raw) > largest else read(raw)
            for key, raw in self.entries.get_each(keys, most).items()
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

    def remaining_ttl(self, key: str) -> float | Missing | None:
        """Return the seconds that a key has left, about; ``None`` for ever."""
        return self.backend.remaining_ttl(key)

    def remaining_ttl_many(self, keys: Iterable[str]) -> dict[str, float | None]:
        """Return what :meth:`remaining_ttl` says of those keys that are there."""
        return self.backend.remaining_ttl_many(keys)

    def describe_many(self, keys: Iterable[str]) -> dict[str, Described]:
        """Return what is known of those keys that are there, without reading their values."""
        return self.entries.describe_many(keys)

    # Writing

    def set_many(self, pairs: Sequence[Pair]) -> list[Any]:
        """Store, overwriting, in order; one outcome a pair: ``True`` or the error.

        :raises InvalidJson: a value has no place in the form of the service's values.
        """
        items = self.make.set_many(pairs)
        if TaggedPair not in set(map(type, pairs)):
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
