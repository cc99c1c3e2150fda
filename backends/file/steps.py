"""Operations as steps of one transaction on the cache file.

What a step refuses is its own outcome, and undoes none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from backends.base import MISSING, Missing, count_from
from backends.capabilities import Limits
from backends.errors import Refused, ValueTooLarge
from backends.file.entries import Entries, Pair
from backends.file.seen import Connection
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    GetAndDelete,
    Increment,
    Item,
    Operation,
    Replace,
    Touch,
)

# Operations whose values count as stored.
STORES: Final = (Item, Add, Replace)


class Steps:
    """What the operations of one backend do, each within the caller's transaction.

    :param prefix: text before every key.
    """

    def __init__(self, entries: Entries, limits: Limits, prefix: str) -> None:
        self._entries = entries
        self._limits = limits
        self._prefix = prefix

    def run(self, sqlite: Connection, operations: Sequence[Operation]) -> list[Any]:
        """Do operations in order; return an outcome each."""
        outcomes: list[Any] = []
        for some in _runs(operations):
            if type(some[0]) is Item:
                outcomes += self._store(sqlite, some)
                continue
            (operation,) = some
            try:
                outcomes.append(self._WAYS[type(operation)](self, sqlite, operation))
            except (Refused, ValueTooLarge) as error:
                outcomes.append(error)
        return outcomes

    def pair(self, item: Item | Add | Replace) -> Pair:
        """Return what is stored, unless it is too large."""
        key, value, ttl = item
        limit = self._limits.max_value_bytes or 0
        if len(value) > limit:
            raise ValueTooLarge(
                f"SERVER_ERROR object too large for cache: {len(value)} bytes, where "
                f"{limit} are allowed (an eighth of CACHE_FILE_MAX_MB). "
                "What was stored under this key stays."
            )
        return Pair((self._prefix + key).encode(), value, ttl)

    def _store(self, sqlite: Connection, items: Sequence[Any]) -> list[Any]:
        prefix, limit = self._prefix, self._limits.max_value_bytes or 0
        outcomes: list[Any] = [True] * len(items)
        if max([len(item.value) for item in items]) > limit:
            for index, item in enumerate(items):
                outcomes[index] = self._refusal(item) or True
            items = [one for one, told in zip(items, outcomes, strict=True) if told is True]
        self._entries.set_many(
            sqlite, [(f"{prefix}{key}".encode(), value, ttl) for key, value, ttl in items]
        )
        sqlite.forget()
        return outcomes

    def _refusal(self, item: Item) -> ValueTooLarge | None:
        try:
            self.pair(item)
        except ValueTooLarge as error:
            return error
        return None

    def _get(self, sqlite: Connection, operation: Get) -> bytes | Missing:
        value = self._entries.get(sqlite, self._stored(operation))
        return MISSING if value is None else value

    def _exists(self, sqlite: Connection, operation: Exists) -> bool:
        return self._entries.get(sqlite, self._stored(operation)) is not None

    def _add(self, sqlite: Connection, operation: Add) -> bool:
        return self._changed(sqlite, self._entries.add(sqlite, self.pair(operation)))

    def _replace(self, sqlite: Connection, operation: Replace) -> bool:
        return self._changed(sqlite, self._entries.update(sqlite, self.pair(operation)))

    def _delete(self, sqlite: Connection, operation: Delete) -> bool:
        return self._changed(sqlite, self._entries.delete(sqlite, self._stored(operation)))

    def _touch(self, sqlite: Connection, operation: Touch) -> bool:
        stored = self._stored(operation)
        return self._changed(sqlite, self._entries.touch(sqlite, stored, operation.ttl))

    def _take(self, sqlite: Connection, operation: GetAndDelete) -> bytes | Missing:
        stored = self._stored(operation)
        value = self._entries.get(sqlite, stored)
        if value is None:
            return MISSING
        self._changed(sqlite, self._entries.delete(sqlite, stored))
        return value

    def _count(self, sqlite: Connection, operation: Increment) -> int | Missing:
        """Count on 64 bits with a sign."""
        stored = self._stored(operation)
        value = self._entries.get(sqlite, stored)
        if value is not None:
            number = count_from(value, operation.delta, self._limits)
            self._entries.overwrite(sqlite, stored, b"%d" % number)
        elif operation.initial is None:
            return MISSING
        else:
            self._entries.add(sqlite, Pair(stored, operation.initial, operation.ttl))
            number = int(operation.initial)
        self._changed(sqlite, True)
        return number

    def _changed(self, sqlite: Connection, done: bool) -> bool:
        # What was read before is remembered, and only another's change would be noticed.
        sqlite.forget()
        return done

    def _stored(self, operation: Operation) -> bytes:
        return (self._prefix + operation.key).encode()

    _WAYS: ClassVar[Mapping[type, Callable[..., Any]]] = {
        Get: _get,
        Exists: _exists,
        Add: _add,
        Replace: _replace,
        Delete: _delete,
        Touch: _touch,
        GetAndDelete: _take,
        Increment: _count,
    }


def _runs(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """Yield operations one by one, but stores that follow each other together."""
    stores: list[Operation] = []
    for operation in operations:
        if type(operation) is Item:
            stores.append(operation)
            continue
        if stores:
            yield stores
            stores = []
        yield [operation]
    if stores:
        yield stores
