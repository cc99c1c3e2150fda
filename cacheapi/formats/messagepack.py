"""MessagePack, by a library: what JSON has a value for."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from cacheapi.formats.limits import MAX_DEPTH, MAX_ITEMS, Unreadable
from cacheapi.formats.php import finite

_SCALARS: Final = (str, bool, int, type(None))


def read(stored: bytes) -> Any:
    """Return the value; a map's whole numbers for keys become texts.

    :raises Unreadable: it is no whole value; or has bytes, an extension, a key that is neither
        a number nor a text, or a number that is not finite; or passes the limits.
    """
    try:
        # It takes no room for elements that are announced and do not come.
        value = msgspec.msgpack.decode(stored)
    except (msgspec.MsgspecError, RecursionError, TypeError, UnicodeDecodeError) as error:
        raise Unreadable("no plain value of MessagePack's") from error
    return _Checked().of(value, 0)


class _Checked:
    def __init__(self) -> None:
        self._items = 0

    def of(self, value: Any, depth: int) -> Any:
        if isinstance(value, float):
            return finite(value)
        if isinstance(value, _SCALARS):
            return value
        if not isinstance(value, list | dict):
            raise Unreadable("bytes, or an extension")
        self._items += len(value)
        # Half of the limit: each level takes two frames here.
        if depth == MAX_DEPTH // 2 or self._items > MAX_ITEMS:
            raise Unreadable("too deep, or too many elements")
        if isinstance(value, list):
            return [self.of(element, depth + 1) for element in value]
        return {_key(key): self.of(element, depth + 1) for key, element in value.items()}


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if type(key) is not int:
        raise Unreadable("a key that is neither a number nor a text")
    return str(key)
