"""Counting where digits may be no number.

Other programs store true and false as digits, and note beside them that they are none. A server
counts on such digits all the same, so they are looked at before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from backends.base import Backend
from backends.errors import BackendError, NotAnInteger, NotRead
from backends.operations import Get, Increment, Operation
from backends.within import LOOKED_AT, perform_within
from cacheapi.caching.values import Values


def refuse_boolean(values: Values, stored: bytes) -> None:
    """Raise :class:`~backends.errors.NotAnInteger` for what its program stored as true or false."""
    if values.is_boolean(stored):
        raise _boolean()


def perform_by_flags(
    entries: Backend,
    values: Values,
    operations: Sequence[Operation],
    most: int | None,
    largest: float = math.inf,
) -> list[Any]:
    """Do operations, those of one key in order; return an outcome each, as the backend's.

    :param most: as of :func:`~backends.within.perform_within`; ``None``: there is no bound.
    :param largest: as there.
    """
    outcomes: list[Any] = []
    # The keys of what was not read: nothing that goes behind is done.
    stopped: dict[str, NotRead] = {}
    for counts, run in itertools.groupby(operations, lambda made: type(made) is Increment):
        some = list(run)
        found = [stopped.get(one.key) for one in some]
        if counts:
            looked = _refused(entries, values, [one.key for one in some])
            found = [no or looked.get(one.key) for no, one in zip(found, some, strict=True)]
        left = [one for one, no in zip(some, found, strict=True) if no is None]
        done = iter(
            entries.perform(left) if most is None else perform_within(entries, left, most, largest)
        )
        added = [next(done) if no is None else no for no in found]
        for one, outcome in zip(some, added, strict=True):
            if isinstance(outcome, NotRead):
                stopped[one.key] = outcome
        if most is not None:
            most -= sum(len(one) for one in added if isinstance(one, bytes))
        outcomes += added
    return outcomes


def _refused(entries: Backend, values: Values, keys: Sequence[str]) -> dict[str, Any]:
    """Return for some keys why nothing may be counted on what they have."""
    refused: dict[str, Any] = {}
    left = list(dict.fromkeys(keys))
    while left:
        found = perform_within(entries, [Get(key) for key in left], LOOKED_AT)
        unread = []
        for key, stored in zip(left, found, strict=True):
            if isinstance(stored, NotRead):
                unread.append(key)
            elif isinstance(stored, BackendError):
                refused[key] = stored
            elif isinstance(stored, bytes) and values.is_boolean(stored):
                refused[key] = _boolean()
        left = unread
    return refused


def _boolean() -> NotAnInteger:
    return NotAnInteger(
        "The stored value is true or false to the program that stored it, and no number."
    )
