"""Cursors as clients have them: opaque texts, of use for the list that they were given for."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from typing import Final

from backends.errors import InvalidCursor

_CHECK: Final = struct.Struct("!I")


def cursor_text(place: bytes, prefix: bytes) -> str:
    """Return the text that stands for a place in the list of what begins with ``prefix``."""
    checked = _CHECK.pack(_sum(place, prefix)) + place
    return base64.urlsafe_b64encode(checked).decode().rstrip("=")


def place_of(text: str, prefix: bytes) -> bytes:
    """Return the place that a cursor stands for, in a list of what begins with ``prefix``.

    :raises InvalidCursor: it is no cursor, or was given for another prefix.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        (checksum,) = _CHECK.unpack_from(raw)
    except (UnicodeEncodeError, binascii.Error, struct.error) as error:
        raise InvalidCursor from error
    place = raw[_CHECK.size :]
    # Most short texts are base64 of something or other: a page behind it would be no answer.
    if _sum(place, prefix) != checksum:
        raise InvalidCursor
    return place


def _sum(place: bytes, prefix: bytes) -> int:
    return zlib.crc32(place, zlib.crc32(prefix))
