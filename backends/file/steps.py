"""Operations as steps of one transaction on the cache file.

What a step refuses is its own outcome, and undoes none of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from backends.base import MISSING, Missing, count_from
from backends.capabilities import Limits
from backends.columns import Columns, columns_of
from backends.errors import Refused, ValueTooLarge
from backends.file.entries import Entries, Pair
from backends.file.seen import Connection, Row
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
from backends.within import LOOKED_AT

# Operations whose values count as stored.
STORES: Final = (Item, Add, Replace)
# Operations that are done together with others of their kind; those that need keys of their own.
_ALIKE: Final = frozenset({*STORES, Increment})
_APART: Final = frozenset({Add, Increment})


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
        if isinstance(operations, Columns):
            return self._store(sqlite, operations)
        outcomes: list[Any] = []
        for some in _runs(operations):
            kind = type(some[0])
            if kind in STORES:
                outcomes += self._store(sqlite, some)
            elif kind is Increment:
                outcomes += self._count(sqlite, some)
            else:
                (operation,) = some
                try:
                    outcomes.append(self._WAYS[kind](self, sqlite, operation))
                except Refused as error:
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
        """Store as operations of one kind say."""
        prefix, limit = self._prefix, self._limits.max_value_bytes or 0
        refused: dict[int, ValueTooLarge] = {}
        keys, values, ttls = columns_of(items)
        if max(map(len, values)) > limit:
            told = map(self._refusal, items)
            refused = {index: error for index, error in enumerate(told) if error is not None}
        stored = [f"{prefix}{key}".encode() for key in keys]
        pairs = list(zip(stored, values, ttls, strict=True))
        if refused:
            pairs = [pair for index, pair in enumerate(pairs) if index not in refused]
        done: list[Any] = [True] * len(pairs)
        kind = type(items[0])
        if not pairs:
            pass
        elif kind is Item:
            self._entries.set_many(sqlite, pairs)
        elif kind is Add:
            done = self._entries.add_many(sqlite, pairs)
        else:
            done = self._entries.update_many(sqlite, pairs)
        # What was read before is remembered, and only another's change would be noticed.
        sqlite.forget()
        for index, error in refused.items():
            done.insert(index, error)
        return done

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

    def _count(self, sqlite: Connection, counts: Sequence[Any]) -> list[Any]:
        """Count on numbers of 64 bits with a sign, each under another key."""
        asked = {self._stored(count): count for count in counts}
        outcomes: dict[bytes, Any] = {}
        left = list(asked)
        while left:
            rows, unread = self._entries.rows(sqlite, left, LOOKED_AT)
            counted: list[tuple[Row, bytes]] = []
            for key in left:
                if key in unread:
                    continue
                _, delta, initial, ttl, _ = asked[key]
                row = rows.get(key)
                if row is not None:
                    try:
                        outcomes[key] = number = count_from(row[5], delta, self._limits)
                        counted.append((row, b"%d" % number))
                    except Refused as error:
                        outcomes[key] = error
                elif initial is None:
                    outcomes[key] = MISSING
                else:
                    self._entries.add(sqlite, Pair(key, initial, ttl))
                    outcomes[key] = int(initial)
            self._entries.overwrite(sqlite, counted)
            left = [key for key in left if key in unread]
        self._changed(sqlite, True)
        return [outcomes[key] for key in asked]

    def _changed(self, sqlite: Connection, done: bool) -> bool:
        sqlite.forget()
        return done

    def _stored(self, operation: Operation) -> bytes:
        return (self._prefix + operation.key).encode()

    _WAYS: ClassVar[Mapping[type, Callable[..., Any]]] = {
        Get: _get,
        Exists: _exists,
        Delete: _delete,
        Touch: _touch,
        GetAndDelete: _take,
    }


def _runs(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """Yield operations one by one; but stores of a kind that follow each other, and counts.

    Of a key each count is by itself, and each creation.
    """
    run: list[Operation] = []
    keys: set[str] = set()
    for operation in operations:
        kind = type(operation)
        if run and (type(run[0]) is not kind or operation.key in keys):
            yield run
            run, keys = [], set()
        if kind in _ALIKE:
            run.append(operation)
            if kind in _APART:
                keys.add(operation.key)
        else:
            yield [operation]
    if run:
        yield run
