"""Operations within a bound in bytes of the values that they bring.

How large a value is shows once it is here, and what is taken out of a cache cannot be left on its
way. So what several operations would bring is looked at first, by one
:meth:`~backends.base.Backend.get_each` with that bound. What is only read is known then; the rest
is done by one :meth:`~backends.base.Backend.perform`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, Final

from backends.errors import BackendError, Failed, NotRead, Unavailable
from backends.operations import (
    MISSING,
    Add,
    Delete,
    Get,
    GetAndDelete,
    Increment,
    Item,
    Operation,
    Replace,
    Touch,
    not_tried,
)
from backends.touching import ends, get_and_touch

if TYPE_CHECKING:
    from backends.base import Backend

# Operations whose outcome is a value.
BRING: Final = frozenset({Get, GetAndDelete})
# Those behind which a value is not what it was before.
_CHANGE: Final = frozenset({Item, Add, Replace, Delete, Increment, GetAndDelete})
# The values that are read at once only to see whether they are there, or what they are, in bytes.
LOOKED_AT: Final = 16 * 1024 * 1024
# A number that is counted on has no more bytes.
_NUMBER: Final = 32
# How many values are asked for at once where a backend tells a size with the value only: of a size
# not known yet, and where all were small, in bytes.
MOST_UNKNOWN: Final = 16
_MOST_SMALL: Final = 256
SMALL: Final = 16 * 1024


class _Sizes:
    """The most bytes that values have, as operations on them go by.

    :param found: what a look has found under the keys that were asked for.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found
        # What the operations stored, and the keys under which nothing is but that.
        self._own: dict[str, int] = {}
        self._fixed: set[str] = set()

    def is_fixed(self, key: str) -> bool:
        """Return whether the size is known without a look."""
        return key in self._fixed

    def of(self, key: str) -> int:
        """Return the most that is under a key now."""
        found = self._found.get(key) if key not in self._fixed else None
        return max(self._own.get(key, 0), len(found) if isinstance(found, bytes) else 0)

    def failure(self, key: str) -> BackendError | None:
        """Return why it is not known how much is under a key, if a look could not tell."""
        found = self._found.get(key) if key not in self._fixed else None
        return found if isinstance(found, BackendError) else None

    def go_by(self, operation: Operation) -> None:
        """Note what an operation may leave under its key."""
        key, own = operation.key, self._own
        if isinstance(operation, Item):
            own[key] = len(operation.value)
            self._fixed.add(key)
        elif isinstance(operation, Delete | GetAndDelete):
            own[key] = 0
            self._fixed.add(key)
        elif isinstance(operation, Add | Replace):
            own[key] = max(own.get(key, 0), len(operation.value))
        elif isinstance(operation, Increment):
            own[key] = max(own.get(key, 0), _NUMBER)


def get_within(
    get_many: Callable[[Sequence[str]], Mapping[str, bytes]], keys: Iterable[str], most: int
) -> dict[str, bytes | BackendError]:
    """Return what ``get_many`` does, asked for some keys at a time.

    :param most: as of :meth:`~backends.base.Backend.get_each`.
    """
    left = list(dict.fromkeys(keys))
    found: dict[str, bytes | BackendError] = {}
    size, step = 0, MOST_UNKNOWN
    while left and size <= most:
        some, left = left[:step], left[step:]
        part = get_many(some)
        found.update(part)
        sizes = [len(value) for value in part.values()]
        size += sum(sizes)
        step = min(2 * step, _MOST_SMALL) if max(sizes, default=0) < SMALL else MOST_UNKNOWN
    found.update((key, NotRead()) for key in left)
    return found


def perform_within(
    backend: Backend, operations: Sequence[Operation], most: int, largest: float = math.inf
) -> list[Any]:
    """Do operations as :meth:`~backends.base.Backend.perform` does, but bring no more than so much.

    :param most: once the values have more bytes than this together, no further one is brought:
        the outcome is :class:`~backends.errors.NotRead`, nothing was done, and nothing either of
        what goes behind it on the same key. One is always brought, unless it is
        negative. Where a look at a value fails, so does what would bring it, and does nothing.
        Others may store something larger between the look and the operation.
    :param largest: nor is a value of more bytes. What is only given a new lifetime behind it may
        have that all the same.
    """
    try:
        touched = get_and_touch(backend, operations, most, largest) if most >= 0 else {}
    except Unavailable as error:
        return _gone(error, {made.key for made in operations if type(made) is Get}, operations)
    if not touched:
        return _perform_within(backend, operations, most, largest)
    left = [index for index in range(len(operations)) if index not in touched]
    if left:
        most -= sum(len(one) for one in touched.values() if isinstance(one, bytes))
        done = _perform_within(backend, [operations[index] for index in left], most, largest)
        touched.update(zip(left, done, strict=True))
    return [touched[index] for index in range(len(operations))]


def _perform_within(
    backend: Backend, operations: Sequence[Operation], most: int, largest: float
) -> list[Any]:
    if BRING.isdisjoint(map(type, operations)):
        return backend.perform(operations)
    brings = sum(type(operation) in BRING for operation in operations)
    if brings == 1 and most >= 0 and largest == math.inf:
        return backend.perform(operations)
    keys = _to_look_at(operations) if most >= 0 else []
    try:
        found = _look(backend, keys, most) if keys else {}
    except Unavailable as error:
        return _gone(error, set(keys), operations)
    outcomes, left = _known(operations, found, most, largest)
    done = backend.perform([operations[index] for index in left]) if left else ()
    for index, outcome in zip(left, done, strict=True):
        outcomes[index] = outcome
    return outcomes


def _gone(error: Unavailable, looked: Set[str], operations: Sequence[Operation]) -> list[Any]:
    return [error if made.key in looked else not_tried() for made in operations]


def _to_look_at(operations: Sequence[Operation]) -> list[str]:
    """Return the keys whose values are brought as they are found."""
    sizes = _Sizes({})
    keys: dict[str, None] = {}
    for operation in operations:
        if type(operation) in BRING and not sizes.is_fixed(operation.key):
            keys[operation.key] = None
        sizes.go_by(operation)
    return list(keys)


def _look(backend: Backend, keys: Sequence[str], most: int) -> Mapping[str, bytes | BackendError]:
    """Return the values of keys, or why one is not known.

    :raises Unavailable: the backend is gone.
    """
    try:
        return backend.get_each(keys, most)
    except Unavailable:
        raise
    except Failed as error:
        return dict.fromkeys(keys, error)
    except BackendError:
        # It cannot tell whose fault it is.
        pass
    found: dict[str, bytes | BackendError] = {}
    size = 0
    for key in keys:
        if size > most:
            found[key] = NotRead()
            continue
        try:
            value = backend.get(key)
        except Unavailable:
            raise
        except BackendError as error:
            found[key] = error
        else:
            if value is not MISSING:
                found[key] = value
                size += len(value)
    return found


def _known(
    operations: Sequence[Operation],
    found: Mapping[str, bytes | BackendError],
    most: int,
    largest: float,
) -> tuple[list[Any], list[int]]:
    """Return the outcomes that are known by a look, and which operations are yet to be done."""
    outcomes: list[Any] = [None] * len(operations)
    left: list[int] = []
    sizes = _Sizes(found)
    changed: set[str] = set()
    stopped: set[str] = set()
    given = 0
    for index, operation in enumerate(operations):
        key, kind = operation.key, type(operation)
        if kind in BRING and key not in stopped:
            failure = sizes.failure(key)
            if isinstance(failure, NotRead) or given > most or sizes.of(key) > largest:
                stopped.add(key)
            elif failure is not None:
                # As any other that fails: what goes behind it is done all the same.
                outcomes[index] = failure
                continue
            else:
                given += sizes.of(key)
        if key in stopped:
            outcomes[index] = NotRead()
            continue
        sizes.go_by(operation)
        if kind is Get and key not in changed:
            outcomes[index] = found.get(key, MISSING)
            continue
        left.append(index)
        if kind in _CHANGE or (isinstance(operation, Touch) and ends(operation.ttl)):
            changed.add(key)
    return outcomes, left
