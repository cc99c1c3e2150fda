"""Work on several servers at once, so that one that hangs costs its own time only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
Thing = TypeVar("Thing")

MOST_THREADS: Final = 64


def at_once(work: Callable[[Thing], T], things: Sequence[Thing]) -> list[T]:
    """Return what ``work`` returns for each thing, in order, all done at the same time."""
    if len(things) < 2:
        return [work(thing) for thing in things]
    with ThreadPoolExecutor(min(len(things), MOST_THREADS)) as pool:
        return list(pool.map(work, things))
