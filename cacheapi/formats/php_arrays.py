"""PHP's arrays while they are read: nested, ordered, with whole numbers and texts for keys.

They are kept on a list of our own, so that their depth does not use up the interpreter's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cacheapi.formats.limits import MAX_DEPTH, MAX_ITEMS, Unreadable


class _Open:
    """An array that has elements to come."""

    __slots__ = ("elements", "is_list", "left", "next_key")

    def __init__(self, left: int) -> None:
        self.left = left
        self.elements: dict[str, Any] = {}
        self.is_list = True
        self.next_key = 0

    def add(self, key: int | str, value: Any) -> None:
        self.is_list = self.is_list and key == self.next_key
        self.next_key += 1
        self.elements[str(key)] = value
        self.left -= 1

    def value(self) -> list[Any] | dict[str, Any]:
        """Return a list where the keys are 0, 1, 2 … in this order, as ``json_encode`` does."""
        return list(self.elements.values()) if self.is_list else self.elements


class Count:
    """How many elements the value being read begins now, as its ``next_value`` says."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


def read(
    next_value: Callable[[], Any | Count],
    next_key: Callable[[], int | str],
    close: Callable[[], None],
) -> Any:
    """Return a value whose parts are read one after the other.

    :param next_value: returns the next value; of an array its :class:`Count`.
    :param next_key: returns the key of the element that follows.
    :param close: reads the end of an array.
    :raises Unreadable: it is nested deeper, or has more elements, than the limits.
    """
    arrays: list[_Open] = []
    keys: list[int | str] = []
    items = 0
    while True:
        value = next_value()
        if isinstance(value, Count):
            items += value.number
            if len(arrays) == MAX_DEPTH or items > MAX_ITEMS:
                raise Unreadable("too deep, or too many elements")
            arrays.append(_Open(value.number))
        else:
            if not arrays:
                return value
            arrays[-1].add(keys.pop(), value)
        while arrays[-1].left == 0:
            close()
            value = arrays.pop().value()
            if not arrays:
                return value
            arrays[-1].add(keys.pop(), value)
        keys.append(next_key())
