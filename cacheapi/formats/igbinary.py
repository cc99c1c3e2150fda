"""igbinary's format, versions 1 and 2: null, booleans, numbers, texts and arrays of them.

As written by igbinary 3.2 (its ``igbinary.c`` names the types). All numbers are big-endian.
A text that was there before is only pointed to; what all of them make together is bounded.
Objects and references (types 01 to 03, and from 17 to 1f and 22 on) are not read.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from cacheapi.formats import php_arrays
from cacheapi.formats.limits import MAX_BYTES, Unreadable, text_of
from cacheapi.formats.php import HIGHEST, LOWEST, finite
from cacheapi.formats.php_arrays import Count

HEADERS: Final = (b"\0\0\0\1", b"\0\0\0\2")

_CONSTANTS: Final = {0x00: None, 0x04: False, 0x05: True, 0x0D: ""}
_DOUBLE: Final = 0x0C
# By type: the bytes of the number that follows, and its sign.
_NUMBERS: Final = {
    0x06: (1, 1),
    0x07: (1, -1),
    0x08: (2, 1),
    0x09: (2, -1),
    0x0A: (4, 1),
    0x0B: (4, -1),
    0x20: (8, 1),
    0x21: (8, -1),
}
# By type: the bytes of the length, or of the number, that follows.
_KNOWN_TEXTS: Final = {0x0E: 1, 0x0F: 2, 0x10: 4}
_TEXTS: Final = {0x11: 1, 0x12: 2, 0x13: 4}
_ARRAYS: Final = {0x14: 1, 0x15: 2, 0x16: 4}


def seems(stored: bytes) -> bool:
    """Return whether bytes begin as igbinary's do."""
    return stored[:4] in HEADERS


def read(stored: bytes) -> Any:
    """Return the value; arrays as :func:`cacheapi.formats.php.read` returns them.

    :raises Unreadable: it is no whole value; or has an object, a reference, a number that is
        not finite, or a text that is not UTF-8; or passes the limits.
    """
    if not seems(stored):
        raise Unreadable("no header of igbinary's")
    reader = _Reader(stored)
    value = php_arrays.read(reader.value, reader.key, lambda: None)
    if reader.at != len(stored):
        raise Unreadable("more than one value")
    return value


class _Reader:
    def __init__(self, stored: bytes) -> None:
        self._stored = stored
        self.at = 4
        self._texts: list[str] = []
        self._size = 0

    def value(self) -> Any:
        kind = self._number(1)
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind in _ARRAYS:
            count = self._number(_ARRAYS[kind])
            # A key and a value take two bytes or more.
            if count * 2 > len(self._stored) - self.at:
                raise Unreadable("an array that is cut off")
            return Count(count)
        if kind == _DOUBLE:
            number: float = struct.unpack(">d", self._take(8))[0]
            return finite(number)
        return self._scalar(kind)

    def key(self) -> int | str:
        kind = self._number(1)
        return "" if kind == 0x0D else self._scalar(kind)

    def _scalar(self, kind: int) -> int | str:
        if kind in _NUMBERS:
            size, sign = _NUMBERS[kind]
            number = sign * self._number(size)
            if not LOWEST <= number <= HIGHEST:
                raise Unreadable("a whole number of more than 64 bits")
            return number
        if kind in _TEXTS:
            text = text_of(self._take(self._number(_TEXTS[kind])))
            self._texts.append(text)
        elif kind in _KNOWN_TEXTS:
            index = self._number(_KNOWN_TEXTS[kind])
            if index >= len(self._texts):
                raise Unreadable("a text that was never there")
            text = self._texts[index]
        else:
            raise Unreadable("no plain value of igbinary's")
        self._size += len(text)
        if self._size > MAX_BYTES:
            raise Unreadable("too many texts")
        return text

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size))

    def _take(self, size: int) -> bytes:
        taken = self._stored[self.at : self.at + size]
        if len(taken) != size:
            raise Unreadable("it is cut off")
        self.at += size
        return taken
