"""What a client asks for, as an operation of the backend: the rules for values and lifetimes.

A value is its JSON text, or the very bytes to store; a ``ttl`` is one that
:func:`~cacheapi.caching.ttl.check_ttl` has passed. Keys are trusted. To read, delete or ask
whether a key is there takes no rule: these operations are made as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from backends.base import Backend
from backends.capabilities import Capability
from backends.columns import Columns, columns_of
from backends.errors import NotAnInteger
from backends.operations import Add, Increment, Item, Replace, Touch
from cacheapi.caching.ttl import lifetime
from cacheapi.caching.values import Values


class OutOfRange(NotAnInteger):
    """What is to be counted is more than the backend counts.

    :ivar member: which number that is: ``by`` or ``initial``.
    """

    def __init__(self, member: str, message: str) -> None:
        super().__init__(
            f"{message[0].upper()}{message[1:]}" if message[0:4] == "the " else message
        )
        self.member = member


class Making:
    """Makes operations for one service.

    :param default: the lifetime in seconds where a client gives none; ``None`` for ever.
    :param clock: Unix time in seconds.
    """

    def __init__(
        self,
        backend: Backend,
        values: Values,
        default: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._backend = backend
        self._default = default
        self._clock = clock
        self.value = values.writer

    def over(self, backend: Backend) -> Making:
        """Return the same for another backend."""
        made = copy.copy(self)
        made._backend = backend  # noqa: SLF001 (its own)
        return made

    def lifetime(self, ttl: int | None) -> float | None:
        """Return the lifetime in seconds from now."""
        return lifetime(ttl, self._default, self._clock)

    def set(self, key: str, value: str | bytes, ttl: int | None) -> Item:
        """Make a store, overwriting.

        :raises InvalidJson: the value has no place in the form of the service's values.
        """
        return Item(key, self.value(value), self.lifetime(ttl))

    def set_many(self, pairs: Sequence[tuple[str, str | bytes, int | None]]) -> Sequence[Item]:
        """Make stores of key, value and ``ttl`` each; as :meth:`set`."""
        if len(pairs) == 1:
            return [self.set(*pairs[0])]
        keys, values, ttls = columns_of(pairs)
        if set(map(type, values)) != {bytes}:
            values = [v if type(v) is bytes else self.value(v) for v in values]
        # Mostly all have the same.
        lifetimes = {ttl: self.lifetime(ttl) for ttl in set(ttls)}
        return Columns(Item, keys, values, list(map(lifetimes.__getitem__, ttls)))

    def add(self, key: str, value: str | bytes, ttl: int | None) -> Add:
        """Make the creation of a key; as :meth:`set`."""
        return Add(key, self.value(value), self.lifetime(ttl))

    def replace(self, key: str, value: str | bytes, ttl: int | None) -> Replace:
        """Make the update of a key; as :meth:`set`."""
        return Replace(key, self.value(value), self.lifetime(ttl))

    def touch(self, key: str, ttl: int | None) -> Touch:
        """Make a new lifetime."""
        return Touch(key, self.lifetime(ttl))

    def increment(
        self, key: str, delta: int, initial: int | None, ttl: int | None, *, own: bool = False
    ) -> Increment:
        """Make a count.

        :param initial: what an absent key is created with, for the lifetime ``ttl``; ``None``: it
            stays absent.
        :param own: as :class:`~backends.operations.Increment` has it.
        :raises OutOfRange: a number is out of the backend's range.
        """
        self._check_count(delta, initial)
        created = None if initial is None else self.value(str(initial))
        return Increment(key, delta, created, self.lifetime(ttl), own)

    def _check_count(self, delta: int, initial: int | None) -> None:
        if Capability.INCREMENT not in self._backend.capabilities:
            return
        limits, label = self._backend.limits, self._backend.label
        if abs(delta) > limits.max_increment:
            raise OutOfRange("by", f"{label} counts by at most {limits.max_increment} at once.")
        if initial is not None and not limits.min_count <= initial <= limits.max_count:
            lowest, highest = limits.min_count, limits.max_count
            raise OutOfRange("initial", f"{label} counts from {lowest} to {highest}.")
