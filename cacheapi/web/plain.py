"""Plain bodies, of pairs and about one key, read in one step.

Nearly every body is plain, and this takes a tenth of the time that it takes to read any
body and to tell what is wrong with it. What is not plain is left to
:func:`~cacheapi.caching.documents.parse_document` and the schemas, which have the rules; a test
compares what the two make of the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from backends.base import MISSING, Missing
from backends.columns import Columns
from backends.errors import InvalidKey
from cacheapi.caching.codec import InvalidJson
from cacheapi.caching.depth import MAX_DEPTH, check_depth
from cacheapi.caching.documents import DOCUMENT_LEVELS, TooManyItems
from cacheapi.caching.pairs import Pair
from cacheapi.caching.ttl import InvalidTtl, check_ttl


class _Pair(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: str
    # The bytes as they were sent.
    value: msgspec.Raw
    ttl: int | msgspec.UnsetType | None = msgspec.UNSET


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    resource: list[_Pair]


class _Value(msgspec.Struct, forbid_unknown_fields=True):
    value: msgspec.Raw
    ttl: int | msgspec.UnsetType | None = msgspec.UNSET


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    ttl: int | msgspec.UnsetType | None = msgspec.UNSET
    increment: int | msgspec.UnsetType = msgspec.UNSET
    initial: int | msgspec.UnsetType = msgspec.UNSET


class Change(NamedTuple):
    """What a body says of one key's lifetime or number; what it does not say is ``MISSING``."""

    ttl: int | Missing | None
    increment: int | Missing
    initial: int | Missing


# A raw value was stepped over by the rules of JSON, but for numbers out of range and wrong UTF-8.
_WHOLE: Final = msgspec.json.Decoder()
# What has no exponent and fewer digits is in range.
_LONG: Final = 300
# What is larger, in bytes, is looked at as it is first. A number that is out of range has an
# exponent of three digits, or of two behind two hundred; so has a text in a string, perhaps.
_MANY: Final = 4096
_SHAPE: Final = bytes.maketrans(b"123456789E", b"000000000e")
_OUT_OF_RANGE: Final = (b"e000", b"e+000", b"0" * 200)
_QUOTE: Final = ord('"')
# How one pair begins that is no list.
_ONE: Final = (b'{"key"', b'{"value"', b'{"ttl"')
_BODY: Final = msgspec.json.Decoder(_Body)
_PAIR: Final = msgspec.json.Decoder(_Pair)
_VALUE: Final = msgspec.json.Decoder(_Value)
_CHANGE: Final = msgspec.json.Decoder(_Change)
_REFUSALS: Final = (
    msgspec.MsgspecError,
    UnicodeDecodeError,
    RecursionError,
    InvalidJson,
    InvalidKey,
    InvalidTtl,
)


def plain_pairs(
    body: bytes, check_keys: Callable[[Sequence[str]], None], ttl: int | None, most: int
) -> Sequence[Pair] | None:
    """Return the pairs of a request body, or ``None`` if it is not plain or not right.

    :param check_keys: raises :class:`~backends.errors.InvalidKey`.
    :param ttl: the lifetime of those that bring none.
    :param most: how many there may be.
    :return: the values as the bytes of their JSON texts.
    :raises TooManyItems: there are more.
    """
    try:
        pairs, levels = _pairs(body)
        if len(pairs) > most:
            raise TooManyItems(most)
        # Wrong UTF-8 is an error to it.
        body.decode()
        if len(pairs) == 1:
            (one,) = pairs
            check_keys([one.key])
            return [Pair(one.key, _value(one.value, levels), _ttl(one.ttl, ttl))]
        keys = [pair.key for pair in pairs]
        check_keys(keys)
        values = [bytes(pair.value) for pair in pairs]
        others = [value for value in values if value[0] != _QUOTE]
        if others:
            _check_others(others, levels)
        given = [pair.ttl for pair in pairs]
        # Mostly all have the same.
        ttls = {one: _ttl(one, ttl) for one in set(given)}
    except TooManyItems:
        raise
    except _REFUSALS:
        return None
    return Columns(Pair, keys, values, list(map(ttls.__getitem__, given))) if keys else None


def _value(raw: msgspec.Raw, levels: int) -> bytes:
    """Return one value, which is checked; as :func:`_check_others`."""
    value = bytes(raw)
    if value[0] != _QUOTE:
        _check_others([value], levels)
    return value


def _check_others(values: Sequence[bytes], levels: int) -> None:
    """Check what is no string: a number may be out of range, a list may be deep.

    :param levels: how many levels deep within the body they stand; what is around them has no
        more, however many they are.
    """
    for value in values:
        _check_numbers(value)
        if value.count(b"[") + value.count(b"{") > MAX_DEPTH - levels:
            check_depth(value, levels)


def _check_numbers(value: bytes) -> None:
    if len(value) > _MANY:
        # To make all of it only to see that would take ten times as long, and hold up all threads.
        shape = value.translate(_SHAPE)
        if not any(map(shape.__contains__, _OUT_OF_RANGE)):
            return
    if len(value) > _LONG or b"e" in value or b"E" in value:
        _WHOLE.decode(value)


def _ttl(given: int | msgspec.UnsetType | None, default: int | None) -> int | None:
    return default if given is msgspec.UNSET else check_ttl(given)


def _pairs(body: bytes) -> tuple[list[_Pair], int]:
    """Return the pairs, and how many levels deep within the body their values stand."""
    if body.startswith(_ONE):
        # What it is not costs an exception to find out.
        try:
            return [_PAIR.decode(body)], 1
        except msgspec.ValidationError:
            return _BODY.decode(body).resource, DOCUMENT_LEVELS
    try:
        return _BODY.decode(body).resource, DOCUMENT_LEVELS
    except msgspec.ValidationError:
        return [_PAIR.decode(body)], 1


def plain_value(body: bytes) -> tuple[bytes, int | None] | None:
    """Return the value and the lifetime of a body for one key; or ``None``, as above.

    :return: the value as the bytes of its JSON text.
    """
    try:
        read = _VALUE.decode(body)
        # Wrong UTF-8 anywhere is an error to it.
        body.decode()
        value = _value(read.value, 1)
        ttl = None if read.ttl is msgspec.UNSET else check_ttl(read.ttl)
    except _REFUSALS:
        return None
    return value, ttl


def plain_change(body: bytes) -> Change | None:
    """Return what a body says of one key's lifetime or number; or ``None``, as above."""
    try:
        read = _CHANGE.decode(body)
        ttl = MISSING if read.ttl is msgspec.UNSET else check_ttl(read.ttl)
    except _REFUSALS:
        return None
    return Change(
        ttl,
        MISSING if read.increment is msgspec.UNSET else read.increment,
        MISSING if read.initial is msgspec.UNSET else read.initial,
    )
