"""The value in a body: JSON, or bytes in base64 where the service takes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from cacheapi.caching.codec import InvalidJson
from cacheapi.caching.service import CacheService
from cacheapi.caching.tags import escaped
from cacheapi.web.errors import invalid


def value_of(cache: CacheService, body: Mapping[str, Any]) -> str | bytes:
    """Return the value of a body that a schema has loaded: its JSON text, or what to store of it.

    :raises ApiError: 400; the service takes no bytes of a client's choice, or they are no
        base64, or its form of values has no place for the value.
    """
    try:
        return raw_value_of(cache, body)
    except BadValue as error:
        raise invalid([{"index": None, **error.told}]) from error


class BadValue(ValueError):
    """A value that is not taken.

    :ivar told: what an answer says of it, but for which item it is in.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.told = {"field": field, "message": message}


def raw_value_of(cache: CacheService, body: Mapping[str, Any]) -> str | bytes:
    """Return what :func:`value_of` does.

    :raises BadValue: for the same reasons.
    """
    text: str = body["value"]
    if "encoding" not in body:
        if cache.values.writes_json:
            return text
        try:
            return cache.values.write(text)
        except InvalidJson as error:
            raise BadValue("value", str(error)) from error
    if not cache.values.raw_bytes:
        raise BadValue("encoding", _NO_BYTES)
    try:
        decoded = json.loads(text)
        if not isinstance(decoded, str):
            raise ValueError("no string")
        return escaped(base64.b64decode(decoded, validate=True))
    except (ValueError, RecursionError) as error:
        raise BadValue("value", "With encoding it must be a string of base64.") from error


_NO_BYTES: Final = (
    "This service stores no bytes of a client's choice: a program that shares the cache may "
    "unpickle them. Leave encoding out to store the value as JSON; an administrator can allow "
    "bytes with the service's setting raw_bytes."
)
