"""Changes under a condition: made only if the value is still the one that it was decided on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from backends.base import MISSING, Backend, Found, Missing, count_from
from backends.operations import Increment
from cacheapi.caching.conditions import Condition, PreconditionFailed
from cacheapi.caching.tags import like

# How often a change is tried against others' writes of the same key.
ATTEMPTS: Final = 32


class Conditional:
    """One key's changes under one condition, decided and made in one atomic step.

    :param etag: returns the tag of what is found, ``None`` of nothing.
    """

    def __init__(
        self,
        entries: Backend,
        key: str,
        condition: Condition,
        etag: Callable[[Found | Missing], str | None],
    ) -> None:
        self._entries = entries
        self._key = key
        self._condition = condition
        self._etag = etag

    def change(self, change: Callable[[Found], bool]) -> Found | Missing:
        """Do a change of what is there, and return that; nothing is done where nothing is.

        :param change: is done if the condition holds; returns whether the value was still the
            one found.
        :raises PreconditionFailed: the condition is not met, or others kept changing the value.
        """
        for _ in range(ATTEMPTS):
            found = self._entries.get_with_token(self._key)
            self._condition.check(self._etag(found))
            if found is MISSING or change(found):
                return found
        raise PreconditionFailed

    def increment(self, made: Increment, check: Callable[[bytes], None]) -> int | Missing:
        """Count as :func:`~backends.operations.count` does, but store the new number anew.

        :param check: raises where nothing may be counted on what is stored.
        :raises NotAnInteger: the stored value is no number, or the sum is out of range.
        :raises PreconditionFailed: as of :meth:`change`.
        """
        number = 0

        def count_on(found: Found) -> bool:
            nonlocal number
            check(found.value)
            number = count_from(found.value, made.delta, self._entries.limits)
            raw = like(str(number).encode(), found.value)
            return self._entries.compare_and_set(self._key, raw, found.token, made.ttl)

        if self.change(count_on) is not MISSING:
            return number
        if made.initial is None:
            return MISSING
        # The condition holds for an absent key; "add" keeps it so.
        if not self._entries.add(self._key, made.initial, made.ttl):
            raise PreconditionFailed
        return int(made.initial)
