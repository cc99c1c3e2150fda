"""PHP's ``serialize`` format: null, booleans, numbers, texts and arrays of them.

Written down in no standard; the rules are those of php-src, ``ext/standard/var_unserializer.re``.
Objects, references, enumerations and what a class makes of itself (``O C R r E S``) are not
read: nothing is instantiated.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from cacheapi.formats import php_arrays
from cacheapi.formats.limits import Unreadable, text_of
from cacheapi.formats.php_arrays import Count

_SCALAR = re.compile(
    rb"N;|b:([01]);|i:([+-]?[0-9]{1,20});"
    rb"|d:([+-]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,5})?);"
)
_TEXT = re.compile(rb's:([0-9]{1,10}):"')
_ARRAY = re.compile(rb"a:([0-9]{1,10}):\{")
# What begins as PHP's own values do, whether or not the rest is right.
_BEGINNING = re.compile(
    rb"N;\Z|b:[01];\Z|i:[+-]?[0-9]+;\Z|d:[^;]{1,900};\Z"
    rb'|s:[0-9]+:"|S:[0-9]+:"|a:[0-9]+:\{|[COE]:[+-]?[0-9]+:"|[rR]:[0-9]+;'
)
# A key of decimal digits is a whole number to PHP, if it fits.
_WHOLE_KEY = re.compile(r"0|-?[1-9][0-9]{0,18}")
LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1


class NotWritable(ValueError):
    """A value that the form has no place for; ``str()`` says which."""


def seems(stored: bytes) -> bool:
    """Return whether bytes begin as a serialized value does."""
    return _BEGINNING.match(stored) is not None


def read(stored: bytes) -> Any:
    """Return the value that PHP serialized.

    An array whose keys are 0, 1, 2 … is a list, any other a ``dict`` in PHP's order.

    :raises Unreadable: it is no whole serialized value; or has an object, a reference, a
        number that is not finite, or a text that is not UTF-8; or passes the limits.
    """
    reader = _Reader(stored)
    value = php_arrays.read(reader.value, reader.key, reader.close)
    if reader.at != len(stored):
        raise Unreadable("more than one value")
    return value


class _Reader:
    def __init__(self, stored: bytes) -> None:
        self._stored = stored
        self.at = 0

    def value(self) -> Any:
        match = _SCALAR.match(self._stored, self.at)
        if match is not None:
            self.at = match.end()
            boolean, whole, number = match.groups()
            if whole is not None:
                return _in_range(int(whole))
            if number is not None:
                return finite(float(number))
            return None if boolean is None else boolean == b"1"
        match = _ARRAY.match(self._stored, self.at)
        if match is None:
            return self._text()
        self.at = match.end()
        count = int(match[1])
        # Each element takes six bytes or more: ``i:0;N;``.
        if count * 6 > len(self._stored) - self.at:
            raise Unreadable("an array that is cut off")
        return Count(count)

    def key(self) -> int | str:
        match = _SCALAR.match(self._stored, self.at)
        if match is None:
            return self._text()
        if match[2] is None:
            raise Unreadable("a key that is neither a number nor a text")
        self.at = match.end()
        return _in_range(int(match[2]))

    def close(self) -> None:
        if self._stored[self.at : self.at + 1] != b"}":
            raise Unreadable("an array without an end")
        self.at += 1

    def _text(self) -> str:
        match = _TEXT.match(self._stored, self.at)
        if match is None:
            raise Unreadable("no plain value of PHP's")
        start = match.end()
        end = start + int(match[1])
        if self._stored[end : end + 2] != b'";':
            raise Unreadable("a text of another length")
        self.at = end + 2
        return text_of(self._stored[start:end])


def _in_range(number: int) -> int:
    if not LOWEST <= number <= HIGHEST:
        raise Unreadable("a whole number of more than 64 bits")
    return number


def finite(number: float) -> float:
    """Return a number.

    :raises Unreadable: it is none, or infinite.
    """
    if not math.isfinite(number):
        raise Unreadable("a number that is not finite")
    return number


def write(value: Any) -> bytes:
    """Return what ``unserialize`` makes the value of: an object becomes an array.

    :param value: ``None``, ``bool``, ``int``, ``float``, ``str``, ``list``, or ``dict`` with
        texts for keys.
    :raises NotWritable: it has a whole number of more than 64 bits.
    """
    parts: list[bytes] = []
    # What is to be written, last first.
    waiting: list[Any] = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, bytes):
            parts.append(part)
        elif isinstance(part, list):
            parts.append(b"a:%d:{" % len(part))
            waiting.append(b"}")
            for index in range(len(part) - 1, -1, -1):
                waiting += (part[index], b"i:%d;" % index)
        elif isinstance(part, dict):
            parts.append(b"a:%d:{" % len(part))
            waiting.append(b"}")
            for key, element in reversed(list(part.items())):
                waiting += (element, _key(key))
        else:
            parts.append(_scalar(part))
    return b"".join(parts)


def _scalar(value: Any) -> bytes:
    if value is None:
        return b"N;"
    if isinstance(value, bool):
        return b"b:%d;" % value
    if isinstance(value, int):
        if not LOWEST <= value <= HIGHEST:
            raise NotWritable("a whole number of more than 64 bits")
        return b"i:%d;" % value
    if isinstance(value, float):
        return b"d:%b;" % repr(value).encode()
    raw = str(value).encode()
    return b's:%d:"%b";' % (len(raw), raw)


def _key(key: str) -> bytes:
    if _WHOLE_KEY.fullmatch(key) and LOWEST <= int(key) <= HIGHEST:
        return b"i:%d;" % int(key)
    return _scalar(key)
