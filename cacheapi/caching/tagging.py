"""A backend whose entries may have tags, over one that knows nothing of them.

A read of an entry with tags, and of no other, looks at the generations of its tags: one more
round trip for all that are read at once. Where a cache has evicted a generation, what was
stored under it is gone, and never there again.

What was purged is still in the backend until its lifetime ends. So an operation whose answer
depends on whether a key is there looks first, but only in a service that has tags at all. That
is asked once in half a second, and so a purge waits that long where tags are new to the
service: then all know.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal

from backends.base import MISSING, Backend, Described, Found, Item, Missing, count_from
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
from cacheapi.caching.envelopes import Envelopes, marked_of, without_envelopes
from cacheapi.caching.generations import ATTEMPTS, Generations, Known
from cacheapi.caching.tags import (
    FIRST,
    Tagged,
    like,
    sealed,
    tagged,
    unsealed,
)

_STORES: Final = (Item, Add, Replace)
# Operations whose outcome says whether a key was there.
_ASK: Final = frozenset({Add, Replace, Delete, Touch, Exists, Increment})


class Tagging(Backend):
    """Entries with and without tags; values with tags are :class:`~cacheapi.caching.tags.Tagged`.

    It has the methods that read, and those that write one entry; several are stored by
    ``inner``, sealed.

    :param inner: where they are stored.
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

    # Reading

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

    # Generations

    def _one(self, key: str, stored: bytes | Missing) -> bytes | Missing:
        if stored is MISSING or stored[:1] != FIRST:
            return stored
        return self._envelopes.opened({key: stored}).get(key, MISSING)

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
