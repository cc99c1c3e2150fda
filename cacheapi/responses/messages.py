"""What the rules read and write: requests, responses, and responses that were stored.

Field names are lower-case everywhere (RFC 9110, section 5.1: they have no case), and fields
keep the order in which they came. :class:`Stored` is what the store serialises beside the
body: ``msgspec.msgpack`` reads and writes it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

import msgspec

Fields: TypeAlias = tuple[tuple[str, str], ...]

# A list's member is text without commas, or with them inside a quoted string (section 5.6.1).
_MEMBER: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++')
_WHITE_SPACE: Final = " \t"


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request as the client sent it.

    :ivar method: as sent; methods have a case (RFC 9110, section 9.1).
    :ivar target: the full URL that identifies the resource, without a fragment.
    :ivar fields: lower-case names and values, in the order received.
    """

    method: str
    target: str
    fields: Fields = ()


class Response(msgspec.Struct, frozen=True, gc=False):
    """The head of a final response.

    :ivar status: 200 to 599; the rules take any other for one that is not known.
    :ivar fields: lower-case names and values, in the order received.
    """

    status: int
    fields: Fields = ()


class Part(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Which bytes of a whole a stored 206 has (RFC 9110, section 14.4).

    :ivar first: the first byte's place.
    :ivar last: the last byte's place, inclusive.
    :ivar complete: the bytes of the whole.
    """

    first: int
    last: int
    complete: int


class Stored(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A stored response, and what was worked out when it was stored.

    Made by :func:`~cacheapi.responses.storing.keep` and
    :func:`~cacheapi.responses.updating.update` only. Times are Unix times, durations
    seconds.

    :ivar target: the full URL; a hit compares it, so that a key's collision is a miss.
    :ivar vary: the field names of the response's ``Vary``, sorted; ``("*",)`` fits no request.
    :ivar selecting: the request's normalised values of those fields, or digests of them;
        ``None`` for absent.
    :ivar status: the response's.
    :ivar fields: the response's that may be stored; without ``Age`` and ``Content-Length``,
        which are worked out for each answer.
    :ivar request_time: when the request for it was sent.
    :ivar response_time: when its head was received.
    :ivar initial_age: ``corrected_initial_age`` (RFC 9111, section 4.2.3).
    :ivar lifetime: its freshness lifetime, from the origin or a heuristic.
    :ivar rule: what the lifetime is from: ``s-maxage``, ``max-age``, the same after ``cdn-``,
        ``expires``, ``last-modified`` (a heuristic), ``ttl`` (the service's) or ``none``.
    :ivar immutable: whether the client need not ask for a newer one while it is fresh.
    :ivar validate: whether each use needs a validation (``no-cache``).
    :ivar never_stale: whether it may not be served stale, whatever the client allows.
    :ivar while_revalidate: seconds past its lifetime in which it is served while it is
        fetched anew.
    :ivar if_error: seconds past its lifetime in which it is served instead of an error.
    :ivar length: bytes of the stored body.
    :ivar part: which bytes these are, for a 206.
    """

    target: str
    vary: tuple[str, ...]
    selecting: tuple[str | None, ...]
    status: int
    fields: Fields
    request_time: float
    response_time: float
    initial_age: float
    lifetime: float
    rule: str
    immutable: bool
    validate: bool
    never_stale: bool
    while_revalidate: float
    if_error: float
    length: int
    part: Part | None = None


def first(fields: Fields, name: str) -> str | None:
    """Return the first value of a field, ``None`` where it is absent."""
    for key, value in fields:
        if key == name:
            return value
    return None


def every(fields: Fields, name: str) -> list[str]:
    """Return the values of all lines of a field, in order."""
    return [value for key, value in fields if key == name]


def combined(fields: Fields, name: str) -> str | None:
    """Return a field's one value: its lines joined by commas (RFC 9110, section 5.3)."""
    values = [value for key, value in fields if key == name]
    return ", ".join(values) if values else None


def split(value: str) -> list[str]:
    """Return the members of a list, without empty ones (RFC 9110, section 5.6.1).

    A comma in a quoted string parts nothing; a quote that never ends takes in the rest.
    """
    if '"' not in value:
        parts: Iterable[str] = value.split(",")
    else:
        parts = _MEMBER.findall(value)
    return [member for part in parts if (member := part.strip(_WHITE_SPACE))]


def members(fields: Fields, name: str) -> list[str]:
    """Return the members of a list field, over all its lines."""
    return [member for key, value in fields if key == name for member in split(value)]


def names_in(fields: Fields, name: str) -> frozenset[str]:
    """Return the members of a field that lists names without a case, in lower case."""
    return frozenset(member.lower() for member in members(fields, name))


def without(fields: Fields, names: Collection[str]) -> Fields:
    """Return the fields less those of some names."""
    return tuple(field for field in fields if field[0] not in names)
