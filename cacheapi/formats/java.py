"""What spymemcached stores, by its flags: numbers in big-endian bytes, booleans, dates.

The rules are those of its ``SerializingTranscoder`` and ``TranscoderUtils``: leading zero
bytes are left out, so 0 is empty.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from typing import Any, Final

from cacheapi.formats.compression import unzip
from cacheapi.formats.limits import Unreadable
from cacheapi.formats.php import finite

# From this number on flags are spymemcached's own types.
FIRST: Final = 1 << 8
COMPRESSED: Final = 2
_BOOLEAN, _INTEGER, _LONG, _DATE, _BYTE, _FLOAT, _DOUBLE, BYTES = (
    kind << 8 for kind in range(1, 9)
)
_WHOLE: Final = {_INTEGER: 4, _LONG: 8, _BYTE: 1}
# Whole numbers and fractions as PHP's old extension, memcache, writes them beside the same flags.
_DIGITS_OF_PHP: Final = {
    _LONG: re.compile(rb"-?[0-9]+ *"),
    _DOUBLE: re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"),
}
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def may_be_phps(stored: bytes, flags: int) -> bool:
    """Return whether bytes are a number in decimal text, if PHP's old extension wrote them.

    Then nothing tells whose they are, and so which number: ``42`` would be 13362 to Java.
    """
    digits = _DIGITS_OF_PHP.get(flags)
    return digits is not None and digits.fullmatch(stored) is not None


def read(stored: bytes, flags: int) -> Any:
    """Return the value; a date as text, ISO 8601 in UTC with milliseconds.

    :raises Unreadable: the flags are no such type, bytes of free choice among them; or the
        bytes do not fit the type.
    """
    if flags & COMPRESSED:
        stored = unzip(stored, gzip=True)
    kind = flags & ~COMPRESSED
    if kind == _BOOLEAN:
        if stored not in (b"0", b"1"):
            raise Unreadable("no boolean")
        return stored == b"1"
    if kind in _WHOLE:
        return _signed(stored, _WHOLE[kind])
    if kind == _DATE:
        return _date(_signed(stored, 8))
    if kind == _FLOAT:
        return _shortest(finite(struct.unpack(">f", _padded(stored, 4))[0]))
    if kind == _DOUBLE:
        return finite(struct.unpack(">d", _padded(stored, 8))[0])
    raise Unreadable("no type of spymemcached's that is read")


def _padded(stored: bytes, size: int) -> bytes:
    if len(stored) > size:
        raise Unreadable("too many bytes")
    return stored.rjust(size, b"\0")


def _signed(stored: bytes, size: int) -> int:
    return int.from_bytes(_padded(stored, size), signed=True)


def _date(milliseconds: int) -> str:
    try:
        moment = _EPOCH + dt.timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise Unreadable("no date of the calendar") from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shortest(number: float) -> float:
    """Return a number of 32 bits as it is written, 0.1 and not 0.10000000149011612."""
    bits = struct.pack(">f", number)
    for digits in range(6, 9):
        shown = float(f"{number:.{digits}g}")
        try:
            if struct.pack(">f", shown) == bits:
                return shown
        except OverflowError:
            # Rounded up past the largest one.
            continue
    return float(f"{number:.9g}")
