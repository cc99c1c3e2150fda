"""The rule for ``ttl``: what a client writes, and the lifetime that it means.

========================  =================================================
``ttl``                   means
========================  =================================================
absent, ``null``, ``-1``  the service's default
``0``                     never expires
1 … 2592000               seconds from now (30 days at most)
over 2592000              a Unix time; one in the past expires at once
anything else             is refused
========================  =================================================

The source is the seed document, "TTL (Time-To-Live)", after memcached's protocol.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

LONGEST_RELATIVE: Final = 60 * 60 * 24 * 30
# 64-bit milliseconds end here; later times mean the same to a cache.
LATEST: Final = 2**53

# What a person writes: a unit, and its seconds.
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
FOREVER: Final = "forever"
# Why a lifetime is over before it begins: what one that has typed milliseconds must know.
OVER: Final = (
    "a number over 2592000 (30 days) is a time, in seconds since 1970, and this one is past; "
    "of milliseconds leave out the last three digits"
)
_INTEGER = re.compile(r"-?[0-9]+")
_WITH_UNIT: Final = re.compile(r"([0-9]{1,12})([smhd])")
_ALLOWED: Final = (
    "The lifetime must be 0 (never expires), a whole number of seconds up to 2592000 "
    "(30 days), a Unix time after that, or -1 or null (the service's default)."
)


class InvalidTtl(ValueError):
    """The ``ttl`` is none; the message says what is allowed."""

    def __init__(self, message: str = _ALLOWED) -> None:
        super().__init__(message)


def check_ttl(ttl: object) -> int | None:
    """Return a valid ``ttl`` as it is, ``None`` for the default.

    :raises InvalidTtl: a negative number other than -1, a fraction, a text, a boolean.
    """
    if ttl is None or (ttl == -1 and type(ttl) is int):
        return None
    if type(ttl) is not int or ttl < 0:
        raise InvalidTtl
    return min(ttl, LATEST)


def parse_ttl(text: str) -> int | None:
    """Return the ``ttl`` of a query parameter.

    :raises InvalidTtl: it is no valid one.
    """
    if not _INTEGER.fullmatch(text):
        raise InvalidTtl
    # More digits mean no later time, and Python refuses to read thousands of them.
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    digits = digits.lstrip("0") or "0"
    return check_ttl(int(f"{sign}{digits}") if len(digits) < 20 else LATEST if not sign else -2)


def seconds_of(text: str) -> int | None:
    """Return the seconds of a number with its unit, such as ``15m``; ``None``: it is none."""
    found = _WITH_UNIT.fullmatch(text.strip().lower())
    return None if found is None else int(found[1]) * UNITS[found[2]]


def typed_ttl(text: str, now: float) -> int | None:
    """Return the ``ttl`` that a person has typed: ``90s``, ``15m``, ``2h``, ``7d``, ``forever``.

    A plain number is one of the API's.

    :param now: Unix time in seconds.
    :raises InvalidTtl: it is none; the message says what may be typed.
    """
    if text == FOREVER:
        return 0
    seconds = seconds_of(text)
    if seconds is not None:
        if not seconds:
            raise InvalidTtl("It must be a second at least, or forever.")
        return min(as_ttl(seconds, now), LATEST)
    try:
        return parse_ttl(text)
    except InvalidTtl:
        said = f"{text!r} is no lifetime" if text else "No lifetime is given"
        raise InvalidTtl(
            f"{said}; write 90s, 15m, 2h, 7d or forever. A plain number is "
            "in seconds, at most 2592000 (30 days); more is a Unix time."
        ) from None


def is_over(ttl: int | None, now: float) -> bool:
    """Return whether a valid ``ttl`` is a time that is past: what has it expires at once.

    :param now: Unix time in seconds.
    """
    return ttl is not None and LONGEST_RELATIVE < ttl <= now


def as_ttl(left: float | None, now: float) -> int:
    """Return the ``ttl`` that gives a value the seconds that another has left.

    :param left: ``None`` for ever.
    """
    if left is None:
        return 0
    seconds = max(1, math.ceil(left))
    return seconds if seconds <= LONGEST_RELATIVE else math.ceil(now + left)


def lifetime(ttl: int | None, default: float | None, clock: Callable[[], float]) -> float | None:
    """Return the lifetime in seconds from now that a valid ``ttl`` means.

    :param default: the service's default lifetime in seconds, ``None`` for ever.
    :param clock: Unix time in seconds; few ask for it.
    :return: ``None`` for ever; not positive if it is over already.
    """
    if ttl is None:
        return default
    if ttl == 0:
        return None
    if ttl <= LONGEST_RELATIVE:
        return float(ttl)
    return ttl - clock()
