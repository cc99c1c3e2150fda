"""Which form a stored value has: by the flags that its program noted, or by its first bytes.

memcached keeps 32 bits beside each value, and every client library has its own meaning for
them. A family is a set of programs that agree. ``auto`` is for programs that do not: it
reads what flags and bytes together say beyond doubt, and leaves the rest as it is.

What is measured of each client stands in ``docs/sharing.md``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from cacheapi.formats import igbinary, java, messagepack, php
from cacheapi.formats.compression import unframe, unzip
from cacheapi.formats.limits import Unreadable
from cacheapi.formats.python import read_marshal

PHP: Final = "php"
PYLIBMC: Final = "pylibmc"
LIBMC: Final = "libmc"
AUTO: Final = "auto"

# With what memcached leaves behind where it has counted down to fewer digits.
_DECIMAL = re.compile(rb"-?(?:0|[1-9][0-9]*) *")
_FRACTION = re.compile(rb"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,5})?")
_GZIP: Final = b"\x1f\x8b"

# php-memcached: the type, and how it is compressed.
_TYPE: Final = 0x07
_PACKED: Final = 0x70
_ZLIB: Final = 0x30
_FASTLZ: Final = 0x50
# Bits that it does not use; above them are numbers of the program's own.
_NOT_PHP: Final = 0xFF88
# pylibmc and pymemcache, then libmc.
_TEXT: Final = 16
_UNZIPS: Final = 8
_LIBMC_UNZIPS: Final = 16
_MARSHAL: Final = 32


class How(enum.Enum):
    """What bytes are that are no form of another program's."""

    # JSON if they are JSON, a text if they are text, else bytes.
    ANY = "any"
    # JSON and nothing else.
    JSON = "json"
    # A text, also where it looks like JSON; or bytes.
    TEXT = "text"


class Plain(NamedTuple):
    """Bytes that need no reader of ours any more; inflated, if they were compressed."""

    how: How
    raw: bytes


def read(stored: bytes, family: str, flags: int | None) -> Any:
    """Return the value that a program of a family stored.

    :param flags: as memcached has them; ``None`` where the cache keeps none.
    :return: :class:`Plain`, or the value itself, see :mod:`cacheapi.formats`.
    :raises Unreadable: it is of a form that is not read, or that this family does not store.
    """
    return _by_form(stored) if flags is None else _READERS[family](stored, flags)


def is_boolean(family: str, flags: int) -> bool:
    """Return whether ``1`` with such flags is a boolean to this family, and to no other.

    To others these flags say that it is a number: of pymemcache, or of Node.
    """
    return flags == _BOOLEANS.get(family)


_PHP_BOOLEAN: Final = 3
_BOOLEANS: Final = {PYLIBMC: 2, LIBMC: 8}


def _by_form(stored: bytes) -> Any:
    """Read what no JSON text begins like: PHP's two formats."""
    if php.seems(stored):
        return php.read(stored)
    if igbinary.seems(stored):
        return igbinary.read(stored)
    return Plain(How.ANY, stored)


def _of_php(stored: bytes, flags: int) -> Any:
    kind, packed = flags & _TYPE, flags & _PACKED
    if flags & _NOT_PHP or packed not in (0, _ZLIB, _FASTLZ):
        return _of_anybody(stored, flags)
    if packed:
        stored = unframe(stored, fast=packed == _FASTLZ)
    return _PHP_TYPES[kind](stored)


def _php_text(stored: bytes) -> Any:
    # Symfony has igbinary make a text of everything.
    return igbinary.read(stored) if igbinary.seems(stored) else Plain(How.TEXT, stored)


def _php_fraction(stored: bytes) -> float:
    if not _FRACTION.fullmatch(stored):
        raise Unreadable("no fraction, or one that is not finite")
    return php.finite(float(stored))


def _php_boolean(stored: bytes) -> bool:
    if stored not in (b"", b"1"):
        raise Unreadable("no boolean")
    return stored == b"1"


def _decimal(stored: bytes) -> Plain:
    if not _DECIMAL.fullmatch(stored):
        raise Unreadable("no whole number")
    return Plain(How.JSON, stored.strip())


def _json(stored: bytes) -> Plain:
    return Plain(How.JSON, stored)


_PHP_TYPES: Final[Mapping[int, Callable[[bytes], Any]]] = {
    0: _php_text,
    1: _decimal,
    2: _php_fraction,
    _PHP_BOOLEAN: _php_boolean,
    4: php.read,
    5: igbinary.read,
    6: _json,
    7: messagepack.read,
}


def _digit_boolean(stored: bytes) -> bool:
    if stored not in (b"0", b"1"):
        raise Unreadable("no boolean")
    return stored == b"1"


def _of_pylibmc(stored: bytes, flags: int) -> Any:
    if flags & _UNZIPS:
        stored, flags = unzip(stored), flags & ~_UNZIPS
    if flags == 4:
        return _decimal(stored)
    return _digit_boolean(stored) if is_boolean(PYLIBMC, flags) else _of_anybody(stored, flags)


def _of_libmc(stored: bytes, flags: int) -> Any:
    if flags & _LIBMC_UNZIPS:
        stored, flags = unzip(stored), flags & ~_LIBMC_UNZIPS
    if flags == 4:
        return _decimal(stored)
    return _digit_boolean(stored) if is_boolean(LIBMC, flags) else _of_anybody(stored, flags)


def _of_anybody(stored: bytes, flags: int) -> Any:
    if flags >= java.FIRST:
        if java.may_be_phps(stored, flags):
            return Plain(How.TEXT, stored)
        known = flags & ~java.COMPRESSED <= java.BYTES
        return java.read(stored, flags) if known else Plain(How.ANY, stored)
    if flags & _PACKED in (_ZLIB, _FASTLZ) and not flags & _NOT_PHP:
        return _packed(stored, flags)
    if flags & _UNZIPS:
        # A number of Node's, or a compressed value of pylibmc's or pymemcache's.
        inflated = _unzipped(stored)
        if inflated is not None:
            return _of_anybody(inflated, flags & ~_UNZIPS)
    reader = _ANYBODY.get(flags)
    return Plain(How.ANY, stored) if reader is None else reader(stored)


def _packed(stored: bytes, flags: int) -> Any:
    try:
        return _of_php(stored, flags)
    except Unreadable:
        if flags != _LIBMC_UNZIPS + _MARSHAL:
            raise
    return read_marshal(unzip(stored))


def _unzipped(stored: bytes) -> bytes | None:
    try:
        return unzip(stored)
    except Unreadable:
        return None


def _text(stored: bytes) -> Plain:
    # A text of pylibmc's or pymemcache's; or compressed bytes of libmc's.
    inflated = _unzipped(stored)
    return Plain(How.TEXT, stored) if inflated is None else Plain(How.ANY, inflated)


def _fraction_or_text(stored: bytes) -> Plain:
    # A fraction of PHP's, a number of pymemcache's, JSON of Node's; a long text of Java's.
    if stored.startswith(_GZIP):
        return Plain(How.TEXT, unzip(stored, gzip=True))
    return Plain(How.JSON, stored)


def _php_or_number(stored: bytes) -> Any:
    # PHP's format, a number of pylibmc's or libmc's, a text of Perl's.
    if _DECIMAL.fullmatch(stored):
        return _decimal(stored)
    return php.read(stored) if php.seems(stored) else Plain(How.TEXT, stored)


def _igbinary_or_any(stored: bytes) -> Any:
    return igbinary.read(stored) if igbinary.seems(stored) else Plain(How.ANY, stored)


def _messagepack_or_any(stored: bytes) -> Any:
    try:
        return messagepack.read(stored)
    except Unreadable:
        return Plain(How.ANY, stored)


_ANYBODY: Final[Mapping[int, Callable[[bytes], Any]]] = {
    0: _by_form,
    # A number of PHP's, JSON of Perl's or Dalli's; a pickle, Marshal, a serialized object.
    1: _json,
    2: _fraction_or_text,
    _PHP_BOOLEAN: _php_boolean,
    4: _php_or_number,
    5: _igbinary_or_any,
    7: _messagepack_or_any,
    _TEXT: _text,
    _MARSHAL: read_marshal,
}

_READERS: Final[Mapping[str, Callable[[bytes, int], Any]]] = {
    PHP: _of_php,
    PYLIBMC: _of_pylibmc,
    LIBMC: _of_libmc,
    AUTO: _of_anybody,
}
