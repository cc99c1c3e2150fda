"""Compressed values, inflated within a bound: zlib, gzip, fastlz, php-memcached's frame."""

from __future__ import annotations

import zlib
from typing import Final

from cacheapi.formats.limits import MAX_BYTES, Unreadable

_HEADER: Final = 4
# fastlz, level 2: the distance from which on two more bytes say it.
_FAR: Final = 8191


def unzip(packed: bytes, size: int | None = None, *, gzip: bool = False) -> bytes:
    """Inflate a whole zlib stream (RFC 1950), or gzip (RFC 1952).

    :param size: how long it must be afterwards; ``None``: that is not known.
    :raises Unreadable: it is no whole stream, of another size, or larger than the limit.
    """
    limit = MAX_BYTES if size is None else size
    if limit > MAX_BYTES:
        raise Unreadable("larger than the limit")
    inflating = zlib.decompressobj(wbits=31 if gzip else 15)
    try:
        # One more than allowed, since 0 would mean no limit.
        inflated = inflating.decompress(packed, limit + 1)
    except zlib.error as error:
        raise Unreadable("no compressed value") from error
    if not inflating.eof or inflating.unused_data or len(inflated) > limit:
        raise Unreadable("no whole compressed value, or larger than the limit")
    if size is not None and len(inflated) != size:
        raise Unreadable("another size than was announced")
    return inflated


def unframe(framed: bytes, *, fast: bool) -> bytes:
    """Inflate what php-memcached compressed: a length in four bytes, low first, then the rest.

    :param fast: it is fastlz, else zlib.
    :raises Unreadable: see :func:`unzip`.
    """
    if len(framed) <= _HEADER:
        raise Unreadable("it is cut off")
    size = int.from_bytes(framed[:_HEADER], "little")
    packed = framed[_HEADER:]
    return fastlz(packed, size) if fast else unzip(packed, size)


def fastlz(packed: bytes, size: int) -> bytes:
    """Inflate a block of fastlz 0.1, level 1 or 2.

    :param size: how long it is afterwards.
    :raises Unreadable: it is no such block, or larger than the limit.
    """
    if size > MAX_BYTES:
        raise Unreadable("larger than the limit")
    level = packed[0] >> 5 if packed else 2
    if level > 1:
        raise Unreadable("no block of fastlz")
    made = bytearray()
    try:
        _expand(packed, made, size, second=level == 1)
    except IndexError as error:
        raise Unreadable("it is cut off") from error
    if len(made) != size:
        raise Unreadable("another size than was announced")
    return bytes(made)


def _expand(packed: bytes, made: bytearray, size: int, *, second: bool) -> None:
    at, end = 1, len(packed)
    control = packed[0] & 31
    while True:
        if control < 32:
            literals = packed[at : at + control + 1]
            if len(literals) <= control:
                raise Unreadable("it is cut off")
            made += literals
            at += control + 1
        else:
            length = (control >> 5) - 1
            distance = (control & 31) << 8
            if length == 6:
                more = 255
                while more == 255:
                    more = packed[at]
                    length += more
                    at += 1
                    if not second:
                        break
            low = packed[at]
            at += 1
            if second and low == 255 and distance == 31 << 8:
                distance = (packed[at] << 8) + packed[at + 1] + _FAR
                at += 2
            else:
                distance += low
            _repeat(made, distance + 1, length + 3, size)
        if len(made) > size:
            raise Unreadable("larger than was announced")
        if at >= end:
            return
        control = packed[at]
        at += 1


def _repeat(made: bytearray, distance: int, length: int, size: int) -> None:
    """Append bytes that were made before; a distance below the length repeats them."""
    start = len(made) - distance
    if start < 0 or len(made) + length > size:
        raise Unreadable("a repetition of what is not there, or too long")
    part = made[start : start + length]
    if len(part) < length:
        part = (part * (length // len(part) + 1))[:length]
    made += part
