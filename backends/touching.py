"""Reads that a new lifetime follows, in one trip where the backend can.

A lifetime that is given twice is as one that is given once. So there is no look before, at how
large the values are, as in :mod:`backends.within`: what is too much for one call is not read, and
has been given its lifetime perhaps; and whatever is not known is done again, in the usual way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backends.errors import BackendError, NotRead, Unavailable
from backends.operations import Get, Operation, Touch

if TYPE_CHECKING:
    from backends.base import Backend


def get_and_touch(
    backend: Backend, operations: Sequence[Operation], most: int, largest: float
) -> dict[int, Any]:
    """Do operations that are reads, and a new lifetime behind each; others are left.

    Beside others it would be a trip more.

    :param most: as of :func:`~backends.within.perform_within`.
    :param largest: as there.
    :return: the outcomes by index, all of a key or none; what is not there is yet to be done.
    :raises Unavailable: the backend is gone.
    """
    if Touch not in map(type, operations):
        return {}
    touches: list[Any] = list(operations[1::2])
    if not _are_followed(operations[::2], touches):
        return {}
    try:
        done = backend.get_and_touch_many(touches, most)
    except Unavailable:
        raise
    except BackendError:
        return {}
    again = {one.key for one, both in zip(touches, done, strict=True) if both is None}
    outcomes: dict[int, Any] = {}
    for index, (one, both) in enumerate(zip(touches, done, strict=True)):
        if both is not None and one.key not in again:
            found, touched = both
            if isinstance(found, bytes) and len(found) > largest:
                found = touched = NotRead()
            outcomes[2 * index], outcomes[2 * index + 1] = found, touched
    return outcomes


def ends(ttl: float | None) -> bool:
    """Return whether what is given this lifetime is gone at once."""
    return ttl is not None and ttl <= 0


def _are_followed(reads: Sequence[Operation], touches: Sequence[Operation]) -> bool:
    """Return whether all are reads, and each has a lifetime for the same key behind it."""
    if not len(reads) == len(touches) == [type(one) for one in reads].count(Get):
        return False
    return all(
        isinstance(touch, Touch) and touch.key == read.key and not ends(touch.ttl)
        for read, touch in zip(reads, touches, strict=True)
    )
