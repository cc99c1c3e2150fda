"""A backend whose entries may have tags, over one that knows nothing of them.

How one is read says :mod:`~cacheapi.caching.opening`.

What was purged is still in the backend until its lifetime ends. So an operation whose answer
depends on whether a key is there looks first, but only in a service that has tags at all. That
is asked once in half a second, and so a purge waits that long where tags are new to the
service: then all know.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal

from backends.base import MISSING, Backend, Item, Missing, count_from
from backends.capabilities import Capability
from backends.errors import BackendError, NotAnInteger, Unavailable
from backends.operations import (
    Add,
    Delete,
    Exists,
    Increment,
    Operation,
    Replace,
    Touch,
    perform_each,
)
from backends.within import BRING
from cacheapi.caching.envelopes import marked_of
from cacheapi.caching.generations import ATTEMPTS
from cacheapi.caching.opening import Opening
from cacheapi.caching.tags import (
    Tagged,
    like,
    sealed,
    tagged,
    unsealed,
)

_STORES: Final = (Item, Add, Replace)
# Operations whose outcome says whether a key was there.
_ASK: Final = frozenset({Add, Replace, Delete, Touch, Exists, Increment})


class Tagging(Opening):
    """Entries with and without tags: the methods that read, and those that write."""

    def over(self, inner: Backend) -> Tagging:
        """Return the same over another object for the same store."""
        return Tagging(inner, self._known)

    # Tags

    def give(self, values: Sequence[bytes], tags: Sequence[Sequence[str]]) -> list[bytes]:
        """Return values with tags, each under its present generation.

        :param tags: of each value; it may have none.
        """
        names = list(dict.fromkeys(name for some in tags for name in some))
        generations = self._generations.ensured(names)
        return [
            # One envelope is enough for bytes that look like one themselves.
            tagged(unsealed(value), tuple((name, generations[name]) for name in some))
            if some
            else value
            for value, some in zip(values, tags, strict=True)
        ]

    def purge(self, tags: Iterable[str]) -> None:
        """Make gone all that has one of some tags; returns once that is so everywhere.

        :raises BackendError: of some of them it is not.
        """
        self._generations.renew(tags)

    # Writing

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        self._inner.set(key, sealed(value), ttl)

    def set_many(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        return self._inner.set_many([Item(key, sealed(value), ttl) for key, value, ttl in items])

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        stored = sealed(value)
        for _ in range(ATTEMPTS):
            if self._inner.add(key, stored, ttl):
                return True
            # It may be there and purged.
            if not self._generations.are_in_use() or not self._clear(key):
                return False
        raise Unavailable("The key kept changing meanwhile; nothing was stored.")

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        return not self._is_gone(key) and self._inner.replace(key, sealed(value), ttl)

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        return self._inner.compare_and_set(key, sealed(value), token, ttl)

    def compare_and_delete(self, key: str, token: Any) -> bool:
        return self._inner.compare_and_delete(key, token)

    def touch(self, key: str, ttl: float | None) -> bool:
        return not self._is_gone(key) and self._inner.touch(key, ttl)

    def delete(self, key: str) -> bool:
        is_gone = self._is_gone(key)
        return self._inner.delete(key) and not is_gone

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        gone = self._envelopes.purged(keys) if self._generations.are_in_use() else frozenset()
        return [
            outcome and key not in gone if isinstance(outcome, bool) else outcome
            for key, outcome in zip(keys, self._inner.delete_many(keys), strict=True)
        ]

    def increment(self, key: str, delta: int) -> int | Missing:
        try:
            return self._inner.increment(key, delta)
        except NotAnInteger:
            stored = self._quiet.get(key)
            if stored is MISSING or not isinstance(unsealed(stored), Tagged):
                raise
            if self._one(key, stored) is MISSING:
                # What is counted next may create it.
                self._clear(key)
                return MISSING
            needed = {Capability.COMPARE_AND_SET, Capability.REMAINING_TTL}
            if not needed <= self._inner.capabilities:
                raise NotAnInteger(
                    f"{self._inner.label} counts on no number that has tags here."
                ) from None
        return self._count(key, delta)

    def flush(self) -> None:
        self._inner.flush()

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        """Do operations, at once but for those of keys that have tags, or had.

        Whether those are there is asked before each. In which order different keys have theirs is
        nobody's to say.
        """
        apart: AbstractSet[str] = frozenset()
        if not _ASK.isdisjoint(map(type, operations)) and self._generations.are_in_use():
            asking = dict.fromkeys(one.key for one in operations if type(one) in _ASK)
            try:
                apart = self._envelopes.enveloped(asking)
            except BackendError:
                # Each says what became of it.
                apart = asking.keys()
        if not apart:
            return self._perform_at_once(operations)
        outcomes: list[Any] = [None] * len(operations)
        for alone, perform in (
            (False, self._perform_at_once),
            (True, functools.partial(perform_each, self)),
        ):
            some = [index for index, one in enumerate(operations) if (one.key in apart) is alone]
            done = perform([operations[index] for index in some]) if some else []
            for index, outcome in zip(some, done, strict=True):
                outcomes[index] = outcome
        return outcomes

    def _perform_at_once(self, operations: Sequence[Operation]) -> list[Any]:
        kinds = set(map(type, operations))
        if Tagged in {type(one.value) for one in operations if isinstance(one, _STORES)}:
            operations = list(map(_with_envelope, operations))
        outcomes = self._inner.perform(operations)
        if kinds.isdisjoint(BRING):
            return outcomes
        marked = marked_of(dict(enumerate(outcomes)))
        if marked:
            opened = self._envelopes.each_opened(marked)
            for number in marked:
                outcomes[number] = opened.get(number, MISSING)
        return outcomes

    # What was purged and is still in the backend

    def _is_gone(self, key: str) -> bool:
        """Return whether what is under a key was purged."""
        return self._generations.are_in_use() and bool(self._envelopes.purged([key]))

    def _clear(self, key: str) -> bool:
        """Delete what was purged under a key; return whether there may be nothing now."""
        if Capability.COMPARE_AND_SET not in self._inner.capabilities:
            return bool(self._envelopes.purged([key])) and (self._inner.delete(key) or True)
        found = self._quiet.get_with_token(key)
        if found is MISSING:
            return True
        if self._one(key, found.value) is not MISSING:
            return False
        self._inner.compare_and_delete(key, found.token)
        return True

    def _count(self, key: str, delta: int) -> int | Missing:
        """Count on a number that has tags, in place of the backend, which sees the envelope."""
        for _ in range(ATTEMPTS):
            found = self._quiet.get_with_token(key)
            value = MISSING if found is MISSING else self._one(key, found.value)
            if found is MISSING or value is MISSING:
                return MISSING
            number = count_from(value, delta, self._inner.limits)
            left = self._inner.remaining_ttl(key)
            if left is MISSING:
                continue
            made = sealed(like(str(number).encode(), value))
            if self._inner.compare_and_set(key, made, found.token, left):
                return number
        raise Unavailable("The key kept changing meanwhile; nothing was counted.")


def _with_envelope(one: Operation) -> Operation:
    if isinstance(one, _STORES):
        return one._replace(value=sealed(one.value))
    return one
