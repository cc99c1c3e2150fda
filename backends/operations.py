"""Operations on keys: what :meth:`~backends.base.Backend.perform` takes, and what it gives.

They are a closed set, and made for each request, so they are tuples. A lifetime is in seconds
from now, ``None`` for ever. What becomes of each is its outcome:

===================================  ============================================
operation                            outcome, if it is no error
===================================  ============================================
:class:`Get`, :class:`GetAndDelete`  the value, or :data:`MISSING`
:class:`Item`                        ``True``
:class:`Add`, :class:`Replace`,      whether it was done: the key was absent, or
:class:`Delete`, :class:`Touch`      was there
:class:`Exists`                      whether the key is there, of whatever type
:class:`Increment`                   the number, or :data:`MISSING`
===================================  ============================================

or the :class:`~backends.errors.BackendError` that the method of the same name would raise: it
is about that operation alone, and says so where it is not known whether a change was made.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

from backends.errors import BackendError, Failed, Unavailable, WrongType

if TYPE_CHECKING:
    from backends.base import Backend

T = TypeVar("T")

# How often an absent number is created against others who create or delete it.
ATTEMPTS: Final = 32


class Missing(enum.Enum):
    """The type of :data:`MISSING`; falsy."""

    MISSING = "missing"

    def __bool__(self) -> Literal[False]:
        return False


MISSING: Final = Missing.MISSING


class Get(NamedTuple):
    """Read a value."""

    key: str


class Item(NamedTuple):
    """A pair to store, overwriting; also what is of another type."""

    key: str
    value: bytes
    ttl: float | None


class Add(NamedTuple):
    """Store if the key is absent."""

    key: str
    value: bytes
    ttl: float | None


class Replace(NamedTuple):
    """Store if the key is there."""

    key: str
    value: bytes
    ttl: float | None


class Delete(NamedTuple):
    """Delete."""

    key: str


class Touch(NamedTuple):
    """Give a new lifetime and leave the value. Needs ``TOUCH``."""

    key: str
    ttl: float | None


class Increment(NamedTuple):
    """Count on a stored number and leave its lifetime. Needs ``INCREMENT``.

    :ivar delta: may be negative.
    :ivar initial: a number to store where the key is absent, as it is stored, which is the
        outcome then; ``None``: it stays absent.
    :ivar ttl: the lifetime of that one.
    :ivar own: nobody but who counts writes the key, so that what is there needs no look.
    """

    key: str
    delta: int
    initial: bytes | None = None
    ttl: float | None = None
    own: bool = False


class GetAndDelete(NamedTuple):
    """Read a value and delete it; of several callers one gets it. Needs ``GET_AND_DELETE``."""

    key: str


class Exists(NamedTuple):
    """Say whether there is something under a key."""

    key: str


Operation = Get | Item | Add | Replace | Delete | Touch | Increment | GetAndDelete | Exists
Outcome = bytes | bool | int | Missing | BackendError


def not_tried() -> Unavailable:
    """Return the outcome of an item of a batch that a failure before it left undone."""
    return Unavailable("Not tried: the backend failed at an item before this one.")


def each(work: Callable[[Any], T], things: Sequence[Any]) -> list[T | BackendError]:
    """Do ``work`` on each thing; after the backend is gone, wait for it no more."""
    outcomes: list[T | BackendError] = []
    gone = False
    for thing in things:
        if gone:
            outcomes.append(not_tried())
            continue
        try:
            outcomes.append(work(thing))
        except Unavailable as error:
            gone = True
            outcomes.append(error)
        except BackendError as error:
            outcomes.append(error)
    return outcomes


def perform_each(backend: Backend, operations: Sequence[Operation]) -> list[Any]:
    """Do operations in order by the backend's other methods; return an outcome each.

    Some of a kind, one after the other, are done by its method for many, where it has one.
    """
    outcomes: list[Any] = []
    gone = False
    for kind, run in itertools.groupby(operations, type):
        some = list(run)
        if gone:
            outcomes += [not_tried() for _ in some]
            continue
        done = _WAYS[kind](backend, some)
        gone = any(isinstance(one, Unavailable) and not one.apart for one in done)
        outcomes += done
    return outcomes


def count(backend: Backend, operation: Increment) -> int | Missing:
    """Do an :class:`Increment` by the backend's other methods."""
    key, delta, initial, ttl, _ = operation
    for _ in range(ATTEMPTS):
        number = backend.increment(key, delta)
        if number is not MISSING or initial is None:
            return number
        if backend.add(key, initial, ttl):
            return int(initial)
    raise Unavailable("The key kept changing meanwhile; nothing was counted.")


def exists(backend: Backend, key: str) -> bool:
    """Return whether there is something under a key, which may be no value."""
    try:
        return bool(backend.get_many([key]))
    except WrongType:
        return True


def _get(backend: Backend, gets: Sequence[Get]) -> list[Any]:
    try:
        found = backend.get_each([operation.key for operation in gets])
    except Failed as error:
        return [error] * len(gets)
    except BackendError:
        # It cannot tell whose fault it is.
        return each(lambda operation: backend.get(operation.key), gets)
    return [found.get(operation.key, MISSING) for operation in gets]


def _one_by_one(work: Callable[[Any, Any], object]) -> Callable[[Any, Sequence[Any]], list[Any]]:
    return lambda backend, some: each(lambda operation: work(backend, operation), some)


_WAYS: Final[Mapping[type, Callable[[Any, Sequence[Any]], list[Any]]]] = {
    Get: _get,
    Item: lambda backend, items: list(backend.set_many(items)),
    Add: _one_by_one(lambda backend, operation: backend.add(*operation)),
    Replace: _one_by_one(lambda backend, operation: backend.replace(*operation)),
    Delete: lambda backend, some: list(backend.delete_many([one.key for one in some])),
    Touch: _one_by_one(lambda backend, operation: backend.touch(*operation)),
    Increment: _one_by_one(count),
    GetAndDelete: _one_by_one(lambda backend, operation: backend.get_and_delete(operation.key)),
    Exists: _one_by_one(lambda backend, operation: exists(backend, operation.key)),
}
