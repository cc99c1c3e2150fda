"""What stored bytes seem to be, for people to read: by their flags, then by how they begin."""

from __future__ import annotations

from typing import Final

from cacheapi.formats import igbinary, java, php

_JAVAS: Final = {
    kind << 8: name
    for kind, name in enumerate(
        (
            *("a boolean", "an integer", "a long integer", "a date"),
            *("a byte", "a short fraction", "a fraction", "bytes"),
        ),
        1,
    )
}
_BEGINNINGS: Final = (
    (b"\x80\x02", "a pickle of Python"),
    (b"\x80\x03", "a pickle of Python"),
    (b"\x80\x04", "a pickle of Python"),
    (b"\x80\x05", "a pickle of Python"),
    (b"!\x80", "a pickle of Flask-Caching"),
    (b'{"ct":', "an entry of dogpile.cache"),
    (b"\x04\x08", "Marshal of Ruby"),
    (b"\xac\xed\x00\x05", "a serialized object of Java"),
    (b"HTTP/1.", "a response that nginx keeps"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    (b"x\x9c", "compressed with zlib"),
    (b"x\xda", "compressed with zlib"),
    (b"x\x01", "compressed with zlib"),
)


def kind_of(stored: bytes, flags: int) -> str:
    """Return whose form bytes seem to have; empty: JSON, plain text, or nothing known.

    :param flags: as memcached has them; 0 where there are none.
    """
    if java.may_be_phps(stored, flags):
        return "a number, of PHP's memcache or of spymemcached"
    if flags >= java.FIRST:
        name = _JAVAS.get(flags & ~java.COMPRESSED, "")
        return f"{name} of spymemcached" if name else ""
    packed = flags & 0x70
    if packed == 0x30 and stored[4:5] == b"x":
        return "compressed with zlib by php-memcached"
    if packed == 0x50:
        return "compressed with fastlz by php-memcached"
    if igbinary.seems(stored):
        return "igbinary of PHP"
    if php.seems(stored):
        return "serialized by PHP"
    return next((name for start, name in _BEGINNINGS if stored.startswith(start)), "")
