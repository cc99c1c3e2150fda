"""Lifetimes as people write and read them: ``90s``, ``15m``, ``2h``, ``7d``, ``forever``."""

from __future__ import annotations

import itertools
import time
from typing import Final

import click

from cacheapi.caching.ttl import FOREVER, OVER, UNITS, InvalidTtl, typed_ttl
from cacheapi.commands.output import printable

HELP: Final = (
    "Lifetime: 90s, 15m, 2h, 7d, or forever. A plain number is in seconds, as in the API: at most "
    "2592000 (30 days); more is a Unix time; 0 is for ever. By default what the service's "
    "default_ttl says, which is in minutes."
)


class Lifetime(click.ParamType[int | None]):
    """A ``ttl`` as the API takes it, or a number with its unit."""

    name = "ttl"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return a valid ``ttl``."""
        try:
            return typed_ttl(value, time.time())
        except InvalidTtl as error:
            self.fail(str(error), param, ctx)


def over_text(key: str) -> str:
    """Return what is said of a key that was given a ``ttl`` that is over."""
    return f"Key '{printable(key)}' has a lifetime that is over already: {OVER}."


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
