"""Stores on memcached that overwrite, many at once.

Of those with plain keys nothing is made apart until they are sent: together, quietly, or each as
the change that it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Final, overload

from backends.base import Item
from backends.columns import columns_of
from backends.memcached import commands, quiet
from backends.memcached.changes import KIND_OF, SET, Change, Kind, changed
from backends.memcached.encoded import has_odd
from backends.memcached.expiry import expiry

_SETS: Final = frozenset({SET})


class Stores(Sequence[Change]):
    """Stores of values without flags under plain keys; each is a change."""

    def __init__(
        self, keys: Sequence[bytes], exptimes: Sequence[int], values: Sequence[bytes]
    ) -> None:
        self.keys = keys
        self._exptimes = exptimes
        self._values = values

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Change: ...

    @overload
    def __getitem__(self, index: slice) -> list[Change]: ...

    def __getitem__(self, index: int | slice) -> Change | list[Change]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        key = self.keys[index]
        value, exptime = self._values[index], self._exptimes[index]
        return key, commands.storage(b"set", key, value, exptime, False), SET

    def some(self, indexes: Sequence[int]) -> Stores:
        """Return those with some indexes."""
        return Stores(
            [self.keys[index] for index in indexes],
            [self._exptimes[index] for index in indexes],
            [self._values[index] for index in indexes],
        )

    def quietly(self, start: int, most: int, most_bytes: int) -> tuple[bytes, int]:
        """Return stores as they are sent quietly, and how many they are.

        :param start: the first of them.
        :param most: so many at most.
        :param most_bytes: of their values, about; one store at least.
        """
        values = self._values[start : start + most]
        sizes = list(map(len, values))
        if sum(sizes) > most_bytes:
            number = max(1, sum(size <= most_bytes for size in itertools.accumulate(sizes)))
            values, sizes = values[:number], sizes[:number]
        end = start + len(values)
        frames = list(zip(sizes, self._exptimes[start:end], strict=True))
        # Mostly all are alike.
        heads = {frame: quiet.head(*frame) for frame in set(frames)}
        parts: list[bytes] = [quiet.NAME] * (5 * len(values))
        parts[1::5] = self.keys[start:end]
        parts[2::5] = map(heads.__getitem__, frames)
        parts[3::5] = values
        parts[4::5] = [b"\r\n"] * len(values)
        return b"".join(parts), len(values)


def pack(prefix: str, items: Sequence[Item]) -> Sequence[Change]:
    """Return stores that overwrite.

    :param prefix: text before every key.
    """
    if not items:
        return []
    names, values, ttls = columns_of(items)
    apart = len(items) < quiet.LEAST or has_odd("".join(names).encode())
    # Mostly all have the same.
    exptimes = {ttl: expiry(ttl) for ttl in set(ttls)}
    times = list(map(exptimes.__getitem__, ttls))
    if apart or set(map(type, values)) != {bytes}:
        return [
            changed(
                stored := f"{prefix}{name}".encode(),
                commands.storage(b"set", stored, value, exptime, is_odd := has_odd(stored)),
                SET,
                is_odd,
            )
            for name, value, exptime in zip(names, values, times, strict=True)
        ]
    # All at once: none of these has a blank.
    keys = (prefix + f" {prefix}".join(names)).encode().split(b" ")
    return Stores(keys, times, values)


def keys_of(changes: Sequence[Change]) -> Sequence[bytes]:
    """Return the keys of changes."""
    return changes.keys if isinstance(changes, Stores) else [key for key, _, _ in changes]


def kinds_of(changes: Sequence[Change]) -> Collection[Kind]:
    """Return of what kinds changes are."""
    return _SETS if isinstance(changes, Stores) else set(map(KIND_OF, changes))


def some_of(changes: Sequence[Change], indexes: Sequence[int]) -> Sequence[Change]:
    """Return changes with some indexes."""
    if isinstance(changes, Stores):
        return changes.some(indexes)
    return [changes[index] for index in indexes]
