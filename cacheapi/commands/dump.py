"""The lines of an export: a header, an entry each, and an end that says how many there were.

Each line is one JSON text (NDJSON). A stored value that is JSON stands in its line byte by
byte, so that the import stores the same bytes; every other one is base64. The remaining
lifetime is said twice: as seconds, and as the Unix time of its end. Kept are key, bytes,
lifetime and tags, and not memcached's flags, how recently something was used, or versions.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from cacheapi.caching.codec import string_text
from cacheapi.caching.tags import InvalidTags, check_tags
from cacheapi.moments import moment_text

MARK: Final = b'{"cacheapi-export":'
VERSION: Final = 1
_WHITE_SPACE: Final = b" \t\r\n"


class Entry(NamedTuple):
    """What is stored under a key.

    :ivar ttl: seconds that it had left when it was exported; ``None``: for ever.
    :ivar expires: the Unix time of its end, where it is known.
    :ivar is_json: whether the value is JSON text, and no bytes that were base64.
    :ivar tags: by which it can be purged.
    """

    key: str
    value: bytes
    ttl: float | None
    expires: float | None
    is_json: bool
    tags: tuple[str, ...] = ()


class BadLine(ValueError):
    """The line is no entry; the message says what is wrong."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: msgspec.Raw
    ttl: float | None = None
    expires: float | None = None
    encoding: Literal["base64"] | None = None
    tags: list[str] | None = None


_LINE: Final = msgspec.json.Decoder(_Line)
_ANY: Final = msgspec.json.Decoder()
_ENCODED: Final = msgspec.json.Decoder(str)


def header(service: str, kind: str, prefix: str) -> bytes:
    """Return the first line."""
    started = moment_text(time.time())
    rest = {"service": service, "type": kind, "prefix": prefix, "started": started}
    return b"%s%d,%s\n" % (MARK, VERSION, json.dumps(rest).encode()[1:])


def end(entries: int) -> bytes:
    """Return the last line."""
    return b'%s"end","entries":%d}\n' % (MARK, entries)


def is_end(line: bytes) -> bool:
    """Return whether a line is the last one of a whole export."""
    return line.startswith(MARK + b'"end"') and line.endswith(b"}\n")


def write(key: str, value: bytes, ttl: float | None, now: float, tags: Sequence[str] = ()) -> bytes:
    """Return the line of an entry.

    :param ttl: seconds that it has left.
    :param now: Unix time when it had them.
    """
    life = b'"ttl":null' if ttl is None else b'"ttl":%.3f,"expires":%.3f' % (ttl, now + ttl)
    if tags:
        life = b'%s,"tags":%s' % (life, msgspec.json.encode(tags))
    name = string_text(key).encode()
    if _is_json(value):
        return b'{"key":%s,%s,"value":%s}\n' % (name, life, value)
    encoded = base64.b64encode(value)
    return b'{"key":%s,%s,"encoding":"base64","value":"%s"}\n' % (name, life, encoded)


def read(line: bytes) -> Entry:
    """Return the entry of a line; it may be of another program, with key and value alone.

    :raises BadLine: it is none.
    """
    try:
        found = _LINE.decode(line)
        value = bytes(found.value)
        if found.encoding is not None:
            value = base64.b64decode(_ENCODED.decode(value), validate=True)
        else:
            _ANY.decode(value)
        tags = check_tags(found.tags)
    except (
        *(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, binascii.Error),
        InvalidTags,
    ) as error:
        raise BadLine(f"It is no entry of an export: {error}") from error
    return Entry(found.key, value, found.ttl, found.expires, found.encoding is None, tags)


def _is_json(stored: bytes) -> bool:
    """Return whether bytes can stand in a line as they are, and be found there again."""
    if b"\n" in stored or b"\r" in stored or stored.strip(_WHITE_SPACE) != stored:
        return False
    try:
        _ANY.decode(stored)
        stored.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
