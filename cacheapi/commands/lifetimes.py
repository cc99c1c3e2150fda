"""Lifetimes as people write and read them: ``90s``, ``15m``, ``2h``, ``7d``, ``forever``."""

from __future__ import annotations

import itertools
import re
import time
from typing import Final

import click

from cacheapi.caching.ttl import LATEST, InvalidTtl, as_ttl, parse_ttl

FOREVER: Final = "forever"
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
HELP: Final = (
    "Lifetime: 90s, 15m, 2h, 7d, or forever. A plain number is in seconds, as in the API: at most "
    "2592000 (30 days); more is a Unix time; 0 is for ever. By default what the service's "
    "default_ttl says, which is in minutes."
)
_WITH_UNIT: Final = re.compile(r"([0-9]{1,12})([smhd])")


def seconds_of(text: str) -> int | None:
    """Return the seconds of a number with its unit; ``None``: the text is none."""
    found = _WITH_UNIT.fullmatch(text.strip().lower())
    return None if found is None else int(found[1]) * UNITS[found[2]]


class Lifetime(click.ParamType[int | None]):
    """A ``ttl`` as the API takes it, or a number with its unit."""

    name = "ttl"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return a valid ``ttl``."""
        if value == FOREVER:
            return 0
        seconds = seconds_of(value)
        if seconds is not None:
            if not seconds:
                self.fail("It must be a second at least, or forever.", param, ctx)
            return min(as_ttl(seconds, time.time()), LATEST)
        try:
            return parse_ttl(value)
        except InvalidTtl:
            self.fail(
                f"{value!r} is no lifetime; write 90s, 15m, 2h, 7d or forever. A plain number is "
                "in seconds, at most 2592000 (30 days); more is a Unix time.",
                param,
                ctx,
            )


def shown(seconds: float | None) -> str:
    """Return seconds that something has left in words, the two largest units of them."""
    if seconds is None:
        return FOREVER
    left = max(0, round(seconds))
    for (unit, size), (smaller, part) in itertools.pairwise(reversed(UNITS.items())):
        if left >= size:
            rest = left % size // part
            return f"{left // size}{unit} {rest}{smaller}" if rest else f"{left // size}{unit}"
    return f"{left}s"
