"""Plain bodies, of pairs and about one key, read in one step.

Nearly every body is plain, and this takes a tenth of the time that it takes to read any
body and to tell what is wrong with it. What is not plain is left to
:func:`~cacheapi.caching.codec.parse_document` and the schemas, which have the rules; a test
compares what the two make of the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from backends.base import MISSING, Missing
from backends.errors import InvalidKey
from cacheapi.caching.codec import (
    DOCUMENT_LEVELS,
    MAX_DEPTH,
    InvalidJson,
    TooManyItems,
    check_depth,
)
from cacheapi.caching.service import Pair
from cacheapi.caching.ttl import InvalidTtl, check_ttl


class _Pair(msgspec.Struct, forbid_unknown_fields=True):
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
_QUOTE: Final = ord('"')
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
) -> list[Pair] | None:
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
        keys = [pair.key for pair in pairs]
        check_keys(keys)
        values = [bytes(pair.value) for pair in pairs]
        for value in values:
            _check_numbers(value)
        # The rest of a body has as many levels as the struct; many pairs are no depth.
        if _may_be_deep(body):
            for value in values:
                check_depth(value.decode(), levels)
        if len(pairs) == 1:
            return [Pair(keys[0], values[0], _ttl(pairs[0].ttl, ttl))]
        # Mostly all have the same.
        ttls = {one: _ttl(one, ttl) for one in {pair.ttl for pair in pairs}}
        lifetimes = [ttls[pair.ttl] for pair in pairs]
        read = list(map(Pair._make, zip(keys, values, lifetimes, strict=True)))
    except TooManyItems:
        raise
    except _REFUSALS:
        return None
    return read or None


def _check_numbers(value: bytes) -> None:
    # A string has none.
    if value[0] != _QUOTE and (len(value) > _LONG or b"e" in value or b"E" in value):
        _WHOLE.decode(value)


def _ttl(given: int | msgspec.UnsetType | None, default: int | None) -> int | None:
    return default if given is msgspec.UNSET else check_ttl(given)


def _pairs(body: bytes) -> tuple[list[_Pair], int]:
    """Return the pairs, and how many levels deep within the body their values stand."""
    try:
        return _BODY.decode(body).resource, DOCUMENT_LEVELS
    except msgspec.ValidationError:
        return [_PAIR.decode(body)], 1


def plain_value(body: bytes) -> tuple[str, int | None] | None:
    """Return the value and the lifetime of a body for one key; or ``None``, as above."""
    try:
        read = _VALUE.decode(body)
        # Wrong UTF-8 anywhere is an error to it.
        body.decode()
        value = bytes(read.value)
        _check_numbers(value)
        text = value.decode()
        ttl = None if read.ttl is msgspec.UNSET else check_ttl(read.ttl)
        if _may_be_deep(body):
            check_depth(text, 1)
    except _REFUSALS:
        return None
    return text, ttl


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


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > MAX_DEPTH
