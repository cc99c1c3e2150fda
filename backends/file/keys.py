"""What the embedded backend does with keys: a read is one query, a write one transaction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any, Final, Literal, TypeVar

from backends.base import MISSING, Backend, Described, Found, Missing
from backends.columns import Columns
from backends.cursors import cursor_text, place_of
from backends.errors import BackendError, NotRead
from backends.file.counters import Counters
from backends.file.database import Database
from backends.file.entries import Entries
from backends.file.seen import Connection
from backends.file.steps import STORES, Steps
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

T = TypeVar("T")

# Some 25 ms of work; another writer waits for a second.
ITEMS_A_WRITE: Final = 1000
# Operations whose outcomes count as hits and misses.
_READS: Final = frozenset({Get, GetAndDelete})


class KeyCommands(Backend):
    """The part of the backend that serves keys."""

    _database: Database
    _entries: Entries
    _counters: Counters

    # Reading

    def get(self, key: str) -> bytes | Missing:
        return self._counted(self.peek(key))

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found, _ = self._get_some(keys, math.inf)
        return found

    def get_each(self, keys: Iterable[str], most: int | None = None) -> dict[str, Any]:
        found: dict[str, bytes | BackendError]
        found, unread = self._get_some(keys, math.inf if most is None else most)
        if unread:
            found.update((key, NotRead()) for key in unread)
        return found

    def _get_some(self, keys: Iterable[str], most: float) -> tuple[dict[str, Any], list[str]]:
        """Return values, and the keys that were not looked at since there were enough."""
        prefix = self.prefix
        names = {(prefix + key).encode(): key for key in keys}
        found, unread = self._database.read(
            lambda sqlite: self._entries.get_some(sqlite, names, most)
        )
        hits = len(found)
        size = sum(map(len, found.values()))
        self._counters.add(hits=hits, misses=len(names) - hits - len(unread), read=size)
        values = {names[stored]: value for stored, value in found.items()}
        return values, [names[stored] for stored in unread] if unread else []

    def list_keys(
        self, prefix: str, limit: int, cursor: str | None
    ) -> tuple[list[str], str | None]:
        """Return keys in the order of their bytes; a cursor is the last key of its page."""
        first = self._stored(prefix)
        after = None if cursor is None else place_of(cursor, first)
        found, last = self._database.read(
            lambda sqlite: self._entries.list_keys(sqlite, first, limit, after)
        )
        own = len(self.prefix.encode())
        page = [stored[own:].decode() for stored in found]
        return page, None if last is None else cursor_text(last, first)

    def get_with_token(self, key: str) -> Found | Missing:
        """Return the value, which is its own token: what matters is what is stored."""
        value = self.get(key)
        return MISSING if value is MISSING else Found(value, value)

    def remaining_ttl(self, key: str) -> float | Missing | None:
        stored = self._stored(key)
        left = self._database.read(lambda sqlite: self._entries.remaining_ttl(sqlite, stored))
        if left is None:
            return MISSING
        return None if left == math.inf else left

    def remaining_ttl_many(self, keys: Iterable[str]) -> dict[str, float | None]:
        names = {self._stored(key): key for key in keys}
        found = self._database.read(
            lambda sqlite: self._entries.remaining_ttl_many(sqlite, list(names))
        )
        return {names[key]: None if left == math.inf else left for key, left in found.items()}

    def describe_many(self, keys: Iterable[str]) -> dict[str, Described]:
        names = {self._stored(key): key for key in keys}
        found = self._database.read(lambda sqlite: self._entries.describe(sqlite, list(names)))
        return {
            names[key]: Described(None if left == math.inf else left, size)
            for key, (left, size) in found.items()
        }

    def peek(self, key: str) -> bytes | None:
        """Return the value or ``None``; unlike :meth:`get`, nobody counts it."""
        stored = self._stored(key)
        return self._database.read(lambda sqlite: self._entries.get(sqlite, stored))

    def has_mark(self, key: str) -> bool:
        return self.peek(key) is not None

    # Writing

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        self._do(Item(key, value, ttl))

    def set_many(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        """Store as :meth:`perform` does."""
        return self._change(items)

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        return bool(self._do(Add(key, value, ttl)))

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        return bool(self._do(Replace(key, value, ttl)))

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        pair = self._steps().pair(Item(key, value, ttl))
        return self._write(
            lambda sqlite: self._entries.update(sqlite, pair, expected=token), len(value)
        )

    def touch(self, key: str, ttl: float | None) -> bool:
        return bool(self._do(Touch(key, ttl)))

    def increment(self, key: str, delta: int) -> int | Missing:
        """Count in one transaction, on 64 bits with a sign."""
        number: int | Missing = self._do(Increment(key, delta))
        return number

    def delete(self, key: str) -> bool:
        return bool(self._do(Delete(key)))

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        """Delete as :meth:`perform` does."""
        return self._change([Delete(key) for key in keys])

    def compare_and_delete(self, key: str, token: Any) -> bool:
        stored = self._stored(key)
        return self._write(lambda sqlite: self._entries.delete(sqlite, stored, expected=token))

    def get_and_delete(self, key: str) -> bytes | Missing:
        value: bytes | Missing = self._do(GetAndDelete(key))
        return value

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        """Do so many in one transaction that other writers need not wait for all.

        Where the file cannot be written, nothing of that transaction is done, and the rest is
        not tried. What is read before it changes is read without a transaction.
        """
        changed: set[str] = set()
        reads: list[int] = []
        rest: list[int] = []
        for index, operation in enumerate(operations):
            is_read = type(operation) in (Get, Exists)
            if is_read and operation.key not in changed:
                reads.append(index)
                continue
            rest.append(index)
            if not is_read:
                changed.add(operation.key)
        if not reads:
            return self._change(operations)
        outcomes: list[Any] = [None] * len(operations)
        for some, work in ((reads, self._look), (rest, self._change)):
            done = work([operations[index] for index in some])
            for index, outcome in zip(some, done, strict=True):
                outcomes[index] = outcome
        return outcomes

    def get_and_touch_many(self, touches: Sequence[Touch], most: int) -> list[Any]:
        """Do both in one transaction, unless they are more than that is to have."""
        if len(touches) > ITEMS_A_WRITE:
            return super().get_and_touch_many(touches, most)
        made = [(self._stored(one.key), one.ttl) for one in touches]
        found, unread = self._write(lambda sqlite: self._entries.get_and_touch(sqlite, made, most))
        done: list[Any] = []
        for key, _ in made:
            value = found.get(key, MISSING)
            done.append((NotRead(), NotRead()) if key in unread else (value, value is not MISSING))
        self._count_reads([value for value, _ in done if not isinstance(value, NotRead)])
        return done

    def _look(self, operations: Sequence[Operation]) -> list[Any]:
        """Do operations that change nothing; return an outcome each."""
        stored = [self._stored(operation.key) for operation in operations]
        whole = {
            key for key, operation in zip(stored, operations, strict=True) if type(operation) is Get
        }
        found: dict[bytes, bytes] = {}
        left = list(dict.fromkeys(stored))
        try:
            while left:
                found, left = self._look_at_some(left, found, whole)
        except BackendError as error:
            return [error] * len(operations)
        outcomes: list[Any] = []
        for key, operation in zip(stored, operations, strict=True):
            is_get = type(operation) is Get
            outcomes.append(found.get(key, MISSING) if is_get else key in found)
        self._count_reads([one for one in outcomes if type(one) is not bool])
        return outcomes

    def _look_at_some(
        self, keys: Sequence[bytes], found: dict[bytes, bytes], whole: Set[bytes]
    ) -> tuple[dict[bytes, bytes], list[bytes]]:
        """Add what some keys have to what was found; return it, and the keys that are left.

        :param whole: the keys whose values are kept; of the others it is whether they are there.
        """
        values, left = self._database.read(
            lambda sqlite: self._entries.get_some(sqlite, keys, LOOKED_AT)
        )
        found.update((key, value if key in whole else b"") for key, value in values.items())
        return found, [key for key in keys if key in left]

    def _do(self, operation: Operation) -> Any:
        """Do one operation that changes something; return its outcome."""
        (outcome,) = self._change([operation])
        if isinstance(outcome, BackendError):
            raise outcome
        return outcome

    def _change(self, operations: Sequence[Operation]) -> list[Any]:
        outcomes: list[Any] = []
        for start in range(0, len(operations), ITEMS_A_WRITE):
            try:
                outcomes += self._change_some(operations[start : start + ITEMS_A_WRITE])
            except BackendError as error:
                outcomes += [error] * (len(operations) - start)
                break
        return outcomes

    def _change_some(self, operations: Sequence[Operation]) -> list[Any]:
        """Do operations in one transaction, and count what is read and stored."""
        if isinstance(operations, Columns):
            sizes = list(map(len, operations.values))
        else:
            sizes = [len(one.value) for one in operations if isinstance(one, STORES)]
        steps = self._steps()
        outcomes = self._write(lambda sqlite: steps.run(sqlite, operations), *sizes)
        if len(sizes) < len(operations):
            read = [
                outcome
                for operation, outcome in zip(operations, outcomes, strict=True)
                if type(operation) in _READS
            ]
            self._count_reads(read)
        return outcomes

    def _steps(self) -> Steps:
        return Steps(self._entries, self.limits, self.prefix)

    def _counted(self, value: bytes | None) -> bytes | Missing:
        """Return what a read found."""
        found = MISSING if value is None else value
        self._count_reads([found])
        return found

    def _count_reads(self, found: Sequence[bytes | Missing]) -> None:
        sizes = [len(value) for value in found if isinstance(value, bytes)]
        self._counters.add(hits=len(sizes), misses=len(found) - len(sizes), read=sum(sizes))

    def _write(self, work: Callable[[Connection], T], *sizes: int) -> T:
        """Do ``work``, which stores values of some sizes if any, in one transaction."""

        def transaction(sqlite: Connection) -> tuple[T, int]:
            self._entries.tidy(sqlite, len(sizes))
            return work(sqlite), self._entries.evicted

        result, evicted = self._database.write(transaction)
        if sizes or evicted:
            self._counters.add(stored=sum(sizes), evictions=evicted)
        return result
