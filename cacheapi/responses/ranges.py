"""Ranges of bytes: what a request asks for, what a response has (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Final

from cacheapi.responses.messages import Fields, Part, Stored, every, first, split
from cacheapi.responses.validators import range_applies

# RFC 9110, section 14.2: many small ranges are an attack; who asks for more gets the whole.
MOST_RANGES: Final = 16

_CONTENT_RANGE: Final = re.compile(r"(?i)bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_RANGE: Final = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")

# First byte and the one after the last, of a whole.
Span = tuple[int, int]


def content_range(fields: Fields) -> Part | None:
    """Return which part a 206 has, ``None`` where it says not (section 14.4).

    That is a ``multipart/byteranges``, an unknown complete length, or an invalid one.
    """
    lines = every(fields, "content-range")
    match = _CONTENT_RANGE.fullmatch(lines[0]) if len(lines) == 1 else None
    if match is None:
        return None
    part = Part(*map(int, match.groups()))
    return part if part.first <= part.last < part.complete else None


def asked(fields: Fields) -> str | None:
    """Return the ``Range`` of a request, ``None`` where it is absent or of another unit."""
    text = first(fields, "range")
    return text if text is not None and text[:6].lower() == "bytes=" else None


def spans(text: str, complete: int) -> list[Span] | None:
    """Return the bytes that a ``Range`` asks for, as far as the whole has them (14.1.2).

    :param text: as of :func:`asked`.
    :param complete: the bytes of the whole.
    :return: empty if none can be satisfied (416); ``None`` where the field is to be ignored:
        malformed, more than :data:`MOST_RANGES`, or ranges that overlap and so make the answer
        larger than the whole.
    """
    members = split(text[6:])
    if not 0 < len(members) <= MOST_RANGES:
        return None
    found: list[Span] = []
    for member in members:
        match = _RANGE.fullmatch(member)
        if match is None or member == "-":
            return None
        start, end = match.groups()
        if not start:
            span = (max(0, complete - int(end)), complete)
        elif end and int(end) < int(start):
            return None
        else:
            span = (int(start), min(int(end) + 1, complete) if end else complete)
        if span[0] < span[1]:
            found.append(span)
    if len(found) > 1 and sum(stop - start for start, stop in found) > complete:
        return None
    return found


def rest_of(part: Part) -> str | None:
    """Return the ``Range`` of what a part lacks, ``None`` if that is not one range."""
    if part.first == 0:
        return f"bytes={part.last + 1}-"
    if part.last == part.complete - 1:
        return f"bytes=0-{part.first - 1}"
    return None


def has(stored: Stored, fields: Fields) -> bool:
    """Whether a stored part can answer a GET: a ``Range`` within it (RFC 9111, section 3.3)."""
    part, text = stored.part, asked(fields)
    if part is None or text is None or not range_applies(fields, stored):
        return part is None
    wanted = spans(text, part.complete)
    return bool(wanted) and all(
        part.first <= start and stop <= part.last + 1 for start, stop in wanted or ()
    )
