"""How a service reads what other programs stored, and stores what its clients send.

The administrator says it once for a service, no request does: whoever could choose the flags
of a value, or its bytes, could make a neighbour unpickle them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from backends.base import Backend, flags_of, with_flags
from cacheapi.caching.codec import (
    InvalidJson,
    Value,
    encode,
    json_of,
    read_bytes,
    read_stored,
    read_text,
)
from cacheapi.formats import families, php
from cacheapi.formats.families import AUTO, LIBMC, PHP, PYLIBMC, How, Plain
from cacheapi.formats.kinds import kind_of
from cacheapi.formats.limits import Unreadable

JSON: Final = "json"
FORMS: Final = (JSON, PHP, PYLIBMC, LIBMC, AUTO)
# By these php-memcached takes a value for JSON, whatever serializer it is set to.
PHP_JSON_FLAGS: Final = 6
MOST_FLAGS: Final = 255

# Of each kind of JSON one.
_SAMPLES: Final = ('"x"', '"1"', "1", "1.5", "true", "null", "[]", '{"a":[1]}')
_NUMBER_STARTS: Final = frozenset("-0123456789")
_LONGEST_WHOLE: Final = 20


class BadValues(ValueError):
    """Settings that do not go together; ``str()`` says why."""


class Values(NamedTuple):
    """The values of a service.

    :ivar form: whose they are, one of :data:`FORMS`.
    :ivar by_flags: whether the backend keeps flags; else the first bytes say what they can.
    :ivar json_flags: the flags to store JSON text with.
    :ivar raw_bytes: whether clients may store bytes of their choice.
    """

    form: str = JSON
    by_flags: bool = False
    json_flags: int = 0
    raw_bytes: bool = False

    @property
    def reader(self) -> Callable[[bytes], Value]:
        """What does :meth:`read`; for JSON with no step more than that needs."""
        return read_stored if self.form == JSON else self.read

    @property
    def writer(self) -> Callable[[str | bytes], bytes]:
        """What does :meth:`write`; for JSON with no step more than that needs."""
        return _as_it_is if self.writes_json else self.write

    def read(self, stored: bytes) -> Value:
        """Return what a cache holds as a client gets it."""
        if self.form == JSON:
            return read_stored(stored)
        flags = flags_of(stored)
        try:
            found = families.read(stored, self.form, flags if self.by_flags else None)
            value = _plain(found) if isinstance(found, Plain) else Value(encode(found))
        except (Unreadable, InvalidJson):
            value = read_bytes(stored)
        return Value(value.json, value.encoding, flags)

    def looked_at(self, stored: bytes) -> tuple[Value, str]:
        """Return what :meth:`read` does, and whose form the bytes seem to have, in words."""
        return self.read(stored), kind_of(stored, flags_of(stored))

    @property
    def writes_json(self) -> bool:
        """Whether what is stored of a JSON text is that text, without flags."""
        return not self.json_flags and not self._writes_php

    @property
    def _writes_php(self) -> bool:
        return self.form == PHP and not self.by_flags

    def write(self, value: str | bytes) -> bytes:
        """Return what to store.

        :param value: a JSON text; or bytes, which are stored as they are.
        :raises InvalidJson: it has a part that the form has no place for.
        """
        if isinstance(value, bytes):
            return value
        if self._writes_php and value[:1] not in _NUMBER_STARTS:
            return _as_php(value)
        return with_flags(value.encode(), self.json_flags)

    def shown(self, value: str | bytes) -> Value:
        """Return what a client gets, once this is stored."""
        if isinstance(value, str) and self.writes_json:
            return Value(value)
        return self.read(self.write(value))

    @property
    def has_booleans(self) -> bool:
        """Whether digits with some flags are a boolean to the programs of this form alone."""
        return self.by_flags and self.form in (PYLIBMC, LIBMC)

    def is_boolean(self, stored: bytes) -> bool:
        """Return whether digits are such a boolean."""
        return self.by_flags and families.is_boolean(self.form, flags_of(stored))


def make(
    backend: type[Backend] | Backend, form: str, json_flags: int | None, *, raw_bytes: bool
) -> Values:
    """Return the values of a service.

    :param json_flags: ``None``: those that the form needs, or none.
    :raises BadValues: it would not read again what it stores.
    """
    by_flags = backend.keeps_flags
    if json_flags is None or not by_flags:
        json_flags = PHP_JSON_FLAGS if form == PHP and by_flags else 0
    made = Values(form, by_flags, json_flags, raw_bytes)
    if by_flags and any(made.read(made.write(text)).json != text for text in _SAMPLES):
        right = PHP_JSON_FLAGS if form == PHP else 0
        raise BadValues(
            f"JSON with the flags {json_flags} is something else to the programs of {form!r}: what "
            f"is stored here would be read as another value. {right} are right for it."
        )
    return made


def _as_it_is(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _plain(found: Plain) -> Value:
    if found.how is How.ANY:
        return read_stored(found.raw)
    if found.how is How.TEXT:
        return read_text(found.raw)
    text = json_of(found.raw)
    if text is None:
        raise Unreadable("no JSON")
    return Value(text)


def _as_php(text: str) -> bytes:
    try:
        return php.write(_PARTS.decode(text))
    except php.NotWritable as error:
        raise InvalidJson(f"The value has {error}; PHP has no place for it.") from error


def _whole(text: str) -> Any:
    if len(text) > _LONGEST_WHOLE:
        raise php.NotWritable("a whole number of more than 64 bits")
    return int(text)


_PARTS: Final = json.JSONDecoder(parse_int=_whole)
