"""Rows by columns are rows."""

from __future__ import annotations

import pytest

from backends.columns import Columns, columns_of, joined, keys_of
from backends.operations import Item

ROWS = [Item("a", b"1", None), Item("b", b"2", 60.0), Item("a", b"3", 0)]


def columns(rows: list[Item]) -> Columns[Item]:
    return Columns(Item, *map(list, zip(*rows, strict=True)))


def test_they_are_the_rows() -> None:
    made = columns(ROWS)
    assert (list(made), len(made), made[1], made[-1]) == (ROWS, 3, ROWS[1], ROWS[-1])
    assert [type(row) for row in made] == [Item] * 3
    assert list(made[1:]) == ROWS[1:]
    assert isinstance(made[:2], Columns)
    with pytest.raises(IndexError):
        made[3]


@pytest.mark.parametrize("make", [list, columns])
def test_columns_of_rows_are_the_same_however_they_are_held(make: type[list[Item]]) -> None:
    assert list(map(list, columns_of(make(ROWS)))) == [list(one) for one in zip(*ROWS, strict=True)]
    assert keys_of(make(ROWS)) == ["a", "b", "a"]


def test_several_are_joined_in_order() -> None:
    first, second = columns(ROWS[:2]), columns(ROWS[2:])
    for parts in ([first, second], [ROWS[:2], second], [first, ROWS[2:]], [columns(ROWS)]):
        assert list(joined(parts)) == ROWS
    assert isinstance(joined([first, second]), Columns)
    assert (list(first), list(second)) == (ROWS[:2], ROWS[2:])
