"""Rows of a key, a value and a lifetime, by columns.

Of many rows that are passed on mostly none is looked at by itself: to make an object of each, and
to take it apart again, costs as much as what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

R = TypeVar("R", bound=tuple[Any, ...])


class Columns(Sequence[R], Generic[R]):
    """Rows of one type, made as they are asked for.

    :param row: makes one of its key, value and lifetime.
    """

    __slots__ = ("keys", "row", "ttls", "values")

    def __init__(
        self,
        row: Callable[[str, Any, Any], R],
        keys: Sequence[str],
        values: Sequence[Any],
        ttls: Sequence[Any],
    ) -> None:
        self.row = row
        self.keys = keys
        self.values = values
        self.ttls = ttls

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[R]:
        return map(self.row, self.keys, self.values, self.ttls)

    @overload
    def __getitem__(self, index: int) -> R: ...

    @overload
    def __getitem__(self, index: slice) -> Columns[R]: ...

    def __getitem__(self, index: int | slice) -> R | Columns[R]:
        if isinstance(index, slice):
            columns = self.keys[index], self.values[index], self.ttls[index]
            return Columns(self.row, *columns)
        return self.row(self.keys[index], self.values[index], self.ttls[index])


def columns_of(rows: Sequence[Any]) -> tuple[Sequence[str], Sequence[Any], Sequence[Any]]:
    """Return the keys, the values and the lifetimes of rows that are no subclass's; not none."""
    if isinstance(rows, Columns):
        return rows.keys, rows.values, rows.ttls
    keys, values, ttls = zip(*rows, strict=True)
    return keys, values, ttls


def keys_of(rows: Sequence[Any]) -> Sequence[str]:
    """Return the keys of rows."""
    return rows.keys if isinstance(rows, Columns) else [row.key for row in rows]


def joined(parts: Sequence[Sequence[R]]) -> Sequence[R]:
    """Return the rows of several, in order; by columns where all are."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if not isinstance(first, Columns) or not all(isinstance(one, Columns) for one in parts):
        return [row for part in parts for row in part]
    keys: list[str] = []
    values: list[Any] = []
    ttls: list[Any] = []
    for part in parts:
        some = columns_of(part)
        keys += some[0]
        values += some[1]
        ttls += some[2]
    return Columns(first.row, keys, values, ttls)
