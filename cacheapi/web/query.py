"""The query of a request: flags, numbers, lifetimes, keys."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from backends.base import MISSING, Missing
from cacheapi.caching.tags import tags_in
from cacheapi.caching.ttl import parse_ttl
from cacheapi.slips import did_you_mean
from cacheapi.web.errors import ApiError

TAG: Final = "tag"
# The parameters of a service and of a key, by what is asked; the description has the same.
_OF_KEYS: Final = ("keys", "key")
# Of a list of keys alone, and of keys that are named alone.
_LISTED: Final = ("prefix", "limit", "cursor", "details")
_NAMED: Final = ("ttl",)
_FOR_LISTED: Final = (
    "It is for a list of keys, GET /api/v2/{service} without keys= and key=; "
    "keys that are named have their lifetimes with ttl=true."
)
_FOR_NAMED: Final = (
    "It is for keys that are named, GET /api/v2/{service}?keys=a,b; "
    "a list of keys has their lifetimes with details=true."
)
OF_LISTS: Final = (*_OF_KEYS, *_LISTED, *_NAMED)
OF_READS: Final = ("default", "clear", "pull", "check_exist", "ttl")
OF_STORES: Final = ("ttl", "forever")
OF_DELETES: Final = ("keys", "key", "prefix", TAG)
OF_PAGES: Final = ("search", "limit", "cursor")
# Where another request has them, or another program: overlooked, they would be missed.
_ELSEWHERE: Final[Mapping[str, str]] = {
    "cursor": "It is for a list of keys, GET /api/v2/{service}.",
    "details": "It is for a list of keys, GET /api/v2/{service}.",
    "match": "There are no patterns; prefix=user: at GET /api/v2/{service} lists what starts so.",
    "pattern": "There are no patterns; prefix=user: at GET /api/v2/{service} lists what starts so.",
    "prefix": "It is for GET and DELETE of a service, /api/v2/{service}.",
    TAG: (
        'It is for DELETE /api/v2/{service}; an entry gets its tags in the body, "tags": ["a"], '
        "and cannot be found by them."
    ),
}
_LOOKED_AT: Final = 20
_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}


def is_true(name: str, text: str) -> bool:
    """Return what a yes/no parameter says.

    :raises ApiError: 400; it is neither.
    """
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ApiError(400, f"The parameter {name} must be true or false.")


class Query:
    """The query parameters, in the order sent.

    :param raw: the query as it was sent.
    :raises ApiError: 400; it is not UTF-8.
    """

    def __init__(self, raw: bytes) -> None:
        try:
            unquote_to_bytes(raw).decode()
            self._pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict")
        except UnicodeDecodeError as error:
            raise ApiError(400, "The query is not valid UTF-8.") from error

    def __contains__(self, name: str) -> bool:
        return any(name == given for given, _ in self._pairs)

    def names(self) -> set[str]:
        """Return the names of the parameters."""
        return {name for name, _ in self._pairs}

    def refuse_slips(self, known: Iterable[str]) -> Query:
        """Refuse a parameter that was meant to be another one, and return the query.

        Overlooked, a misspelt ``prefix`` would list every key. Others that are not known are
        ignored, as a client of DreamFactory expects it: ``fields``, ``session_token``, ``_`` …

        :param known: the parameters that this request has.
        :raises ApiError: 400; says which was meant.
        """
        known = tuple(known)
        others = dict.fromkeys(name for name, _ in self._pairs if name not in known)
        # A look at one costs more than to send it.
        for name in itertools.islice(others, _LOOKED_AT):
            meant = did_you_mean(name, known) or _ELSEWHERE.get(name, "")
            if meant:
                raise ApiError(400, f"There is no parameter '{name}' here. {meant.strip()}")
        return self

    def refuse_others(self, *, named: bool) -> None:
        """Refuse a parameter that the other way of reading a service has: it would do nothing.

        :param named: whether keys are named, whose values are wanted; else they are listed.
        :raises ApiError: 400; says where it belongs.
        """
        others, where = (_LISTED, _FOR_LISTED) if named else (_NAMED, _FOR_NAMED)
        for name in others:
            if name in self:
                raise ApiError(400, f"There is no parameter '{name}' here. {where}")

    def text(self, name: str) -> str | None:
        """Return a parameter; the last one of several."""
        values = [value for given, value in self._pairs if given == name]
        return values[-1] if values else None

    def flag(self, name: str) -> bool:
        """Return a yes/no parameter; absent is no.

        :raises ApiError: 400; it is neither.
        """
        text = self.text(name)
        return text is not None and is_true(name, text)

    def integer(self, name: str, lowest: int, highest: int, default: int) -> int:
        """Return a number; absent is ``default``.

        :raises ApiError: 400; it is no whole number in the range.
        """
        text = self.text(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            number = lowest - 1
        else:
            number = int(text)
        if not lowest <= number <= highest:
            raise ApiError(
                400, f"The parameter {name} must be a whole number from {lowest} to {highest}."
            )
        return number

    def ttl(self) -> int | Missing | None:
        """Return ``ttl`` and ``forever``; or absence.

        As :func:`~cacheapi.caching.ttl.check_ttl` would.

        :raises InvalidTtl: the lifetime is no valid one.
        """
        text = self.text("ttl")
        ttl = MISSING if text is None else parse_ttl(text)
        return 0 if self.flag("forever") else ttl

    def keys(self) -> list[str] | None:
        """Return the keys asked for, each once: ``keys=a,b`` and ``key=``; ``None`` without."""
        if "keys" not in self and "key" not in self:
            return None
        keys: list[str] = []
        for name, value in self._pairs:
            if name == "keys":
                keys += value.split(",")
            elif name == "key":
                keys.append(value)
        return list(dict.fromkeys(keys))

    def tags(self) -> tuple[str, ...] | None:
        """Return the tags to purge, each once: ``tag=a,b``, repeatable; ``None`` without.

        :raises InvalidTags: they are none.
        """
        if TAG not in self:
            return None
        return tags_in(value for name, value in self._pairs if name == TAG)
