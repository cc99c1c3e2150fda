"""Time spans in the config of a service, as people type them: ``90s``, ``15m``, ``2h``, ``7d``.

The config has a whole number of the unit that its field says, and a plain number is one of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from cacheapi.caching.ttl import FOREVER, seconds_of
from cacheapi.settings import DEFAULT_TTL

# The seconds of each unit of time that a field may have.
LENGTHS: Final = {"ms": Fraction(1, 1000), "s": Fraction(1), "min": Fraction(60)}
# Examples, such as such a field may well have: what counts milliseconds is short.
_WRITTEN: Final = {"ms": "2s, 30s, 1m", "s": "90s, 15m, 2h, 7d", "min": "15m, 2h, 7d"}


class NotWhole(ValueError):
    """A time span that is no whole number of its field's unit."""


def is_span(field: Mapping[str, Any]) -> bool:
    """Return whether a field of a ``config_schema`` is a time span; an older one says nothing."""
    return field.get("unit") in LENGTHS


def how(field: Mapping[str, Any]) -> str:
    """Return how one may be written, for a field that is one."""
    written = _WRITTEN[field["unit"]]
    return f"{written} or {FOREVER}" if field["name"] == DEFAULT_TTL.field else written


def allowed(field: Mapping[str, Any]) -> str:
    """Return what a person may write into a field, where that is told at all."""
    told = str(field["allowed"])
    return f"{told}, or {how(field)}" if is_span(field) else told


def number_of(field: Mapping[str, Any], text: str) -> int:
    """Return the number that a text stands for in a field that is a whole number.

    :param field: of the ``config_schema``.
    :raises NotWhole: as it says.
    :raises ValueError: the text is neither a number nor, where the field is one, a time span.
    """
    if field["name"] == DEFAULT_TTL.field and text == FOREVER:
        return 0
    seconds = seconds_of(text) if is_span(field) else None
    if seconds is None:
        return int(text)
    number = seconds / LENGTHS[field["unit"]]
    if number.denominator != 1:
        raise NotWhole(text)
    return number.numerator
