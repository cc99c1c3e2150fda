"""What a name that there is not was meant to be: of a setting, a parameter, a verb, a service."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

# How much alike two names are: twice the letters in common, by the letters of both.
_ALIKE: Final = 0.8


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return what to add to the message that there is no such name; empty where nothing is near.

    Near is what one slip makes of it (a letter more, less or other, two that have changed places),
    and of longer names what has four of five letters in common. Case does not count. So
    ``order`` is not taken for ``forever``: a refusal may depend on it.
    """
    wanted = name.lower()
    likenesses = {each: _likeness(wanted, each.lower()) for each in known}
    nearest = max(likenesses, key=likenesses.__getitem__, default="")
    return f" Did you mean '{nearest}'?" if nearest and likenesses[nearest] else ""


def _likeness(one: str, other: str) -> float:
    """Return how much alike two names are, from 0 (not near) to 1."""
    if _is_slip(one, other):
        return 1
    # A client decides how long a name is, and to look through it takes its time.
    if 2 * min(len(one), len(other)) < _ALIKE * (len(one) + len(other)):
        return 0
    ratio = difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return ratio if ratio >= _ALIKE else 0


def _is_slip(one: str, other: str) -> bool:
    """Return whether a letter more, less, other or two that changed places are the difference."""
    start = _shared(one, other)
    one, other = one[start:], other[start:]
    end = _shared(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def _shared(one: str, other: str) -> int:
    """Return how many letters two names begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
