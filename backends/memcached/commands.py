"""Commands that change something, as they are sent: with a plain key, or with an encoded one.

Their replies are one line each, other words for the two; :mod:`backends.memcached.stores` and
:mod:`backends.memcached.text` have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from backends.base import flags_of
from backends.memcached.encoded import encode

# The modes of "ms" that mean what the plain commands do.
_MODES: Final[Mapping[bytes, bytes]] = {b"set": b"", b"add": b" ME", b"replace": b" MR"}


def storage(name: bytes, key: bytes, value: bytes, exptime: int, is_odd: bool) -> bytes:
    """Return a ``set``, ``add`` or ``replace``, with the value and its flags.

    :param is_odd: whether the key is sent encoded; so everywhere here.
    """
    if type(value) is bytes and not is_odd:
        return b"%b %b 0 %d %d\r\n%b\r\n" % (name, key, exptime, len(value), value)
    flags, size = flags_of(value), len(value)
    if is_odd:
        head = b"ms %b F%d T%d%b" % (_sized(key, size), flags, exptime, _MODES[name])
    else:
        head = b"%b %b %d %d %d" % (name, key, flags, exptime, size)
    return b"%b\r\n%b\r\n" % (head, value)


def cas(key: bytes, value: bytes, unique: int, exptime: int, is_odd: bool) -> bytes:
    """Return a store that is done only while the value's unique number is this one."""
    flags, size = flags_of(value), len(value)
    if is_odd:
        head = b"ms %b F%d T%d C%d" % (_sized(key, size), flags, exptime, unique)
    else:
        head = b"cas %b %d %d %d %d" % (key, flags, exptime, size, unique)
    return b"%b\r\n%b\r\n" % (head, value)


def delete(key: bytes, is_odd: bool) -> bytes:
    """Return a ``delete``."""
    return b"md %b\r\n" % encode(key) if is_odd else b"delete %b\r\n" % key


def touch(key: bytes, exptime: int, is_odd: bool) -> bytes:
    """Return a ``touch``."""
    if is_odd:
        return b"mg %b T%d\r\n" % (encode(key), exptime)
    return b"touch %b %d\r\n" % (key, exptime)


def _sized(key: bytes, size: int) -> bytes:
    """Return an encoded key with the size of a value, which stands before the flags."""
    sent, flag = encode(key).split(b" ")
    return b"%b %d %b" % (sent, size, flag)
