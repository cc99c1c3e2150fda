"""What Redis does with keys: every operation is one command or one script, atomic there.

The token of a conditional write is the value itself: the write is done if the value is still
the same. What would mean something else if it were done twice is never sent twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from backends.base import MISSING, VALUE, Backend, Described, Found, Item, Missing
from backends.columns import columns_of
from backends.errors import BackendError, Failed
from backends.operations import (
    Add,
    Delete,
    GetAndDelete,
    Increment,
    Operation,
    Replace,
    Touch,
)
from backends.redis.limits import (
    LONGEST,
    NO_SUCH_KEY,
    milliseconds,
    refuse_too_large,
    seconds_left,
)

if TYPE_CHECKING:
    from backends.redis.client import Client
    from backends.redis.comparing import Compared

# A lifetime that ends never, in effect: ten years.
_LONG_MS: Final = 315_360_000_000
# What TYPE says of what is no other program's; it may have ended meanwhile, or not be told.
_STRINGS: Final = frozenset({"string", "none", None})
# What a read gives that has not failed.
_READ: Final = frozenset({bytes, type(None)})


class KeyCommands(Backend):
    """The part of the backend that serves keys."""

    _client: Client
    _compared: Compared

    # Reading

    def get(self, key: str) -> bytes | Missing:
        (value,) = self._client.get_each([self._stored(key)])
        if isinstance(value, BackendError):
            raise value
        return MISSING if value is None else value

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = self.get_each(keys)
        if {bytes}.issuperset(map(type, found.values())):
            return cast("dict[str, bytes]", found)
        raise next(value for value in found.values() if isinstance(value, BackendError))

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> dict[str, bytes | BackendError]:
        names = list(dict.fromkeys(keys))
        values = self._client.get_each([self._stored(key) for key in names], most)
        if not _READ.issuperset(map(type, values)):
            for value in values:
                if isinstance(value, Failed) and not value.apart:
                    raise value
        return {key: value for key, value in zip(names, values, strict=True) if value is not None}

    def get_with_token(self, key: str) -> Found | Missing:
        value = self.get(key)
        return MISSING if value is MISSING else Found(value, value)

    def remaining_ttl(self, key: str) -> float | Missing | None:
        return self.remaining_ttl_many([key]).get(key, MISSING)

    def remaining_ttl_many(self, keys: Iterable[str]) -> dict[str, float | None]:
        names = list(dict.fromkeys(keys))
        lefts = self._client.remaining_ms([self._stored(key) for key in names])
        return {
            key: seconds_left(left)
            for key, left in zip(names, lefts, strict=True)
            if left != NO_SUCH_KEY
        }

    def describe_many(self, keys: Iterable[str]) -> dict[str, Described]:
        """Return what ``PTTL`` and ``STRLEN`` say, all in one go.

        The size is that of a string; what else there may be has none, and is asked for its type.
        """
        names = list(dict.fromkeys(keys))
        found = self._client.describe([self._stored(key) for key in names])
        return {
            key: Described(
                seconds_left(left),
                size if kind in _STRINGS else None,
                VALUE if kind in _STRINGS else kind or VALUE,
            )
            for key, (left, size, kind) in zip(names, found, strict=True)
            if left != NO_SUCH_KEY
        }

    # Writing

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        (outcome,) = self.set_many([Item(key, value, ttl)])
        if outcome is not True:
            raise outcome

    def set_many(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        if not items:
            return []
        _, values, ttls = columns_of(items)
        if max(map(len, values)) > LONGEST:
            return self.perform(items)
        # Mostly all have the same.
        lifetimes = {ttl: milliseconds(ttl) for ttl in set(ttls)}
        replies = self._client.store_many(self.prefix, items, lifetimes)
        return [reply if isinstance(reply, BackendError) else True for reply in replies]

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        return bool(self._do(Add(key, value, ttl)))

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        return bool(self._do(Replace(key, value, ttl)))

    def delete(self, key: str) -> bool:
        return bool(self._do(Delete(key)))

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        return self.perform([Delete(key) for key in keys])

    def compare_and_set(self, key: str, value: bytes, token: Any, ttl: float | None) -> bool:
        if ttl is not None and ttl <= 0:
            return self.compare_and_delete(key, token)
        refuse_too_large(value)
        return self._compared.set(self._stored(key), token, value, milliseconds(ttl))

    def compare_and_delete(self, key: str, token: Any) -> bool:
        return self._compared.delete(self._stored(key), token)

    def get_and_delete(self, key: str) -> bytes | Missing:
        value: bytes | Missing = self._do(GetAndDelete(key))
        return value

    def touch(self, key: str, ttl: float | None) -> bool:
        return bool(self._do(Touch(key, ttl)))

    def increment(self, key: str, delta: int) -> int | Missing:
        number: int | Missing = self._do(Increment(key, delta))
        return number

    def get_and_touch_many(self, touches: Sequence[Touch], most: int) -> list[Any]:
        return self._client.get_and_touch_many(
            [(self._stored(one.key), milliseconds(one.ttl)) for one in touches], most
        )

    def count_and_get_each(
        self, counts: Sequence[Increment], keys: Sequence[str], most: int
    ) -> tuple[list[Any], Mapping[str, bytes | BackendError] | None]:
        stored = [self._stored(key) for key in keys]
        outcomes, values = self._client.count_and_read(self.prefix, counts, stored, most)
        if not _READ.issuperset(map(type, values)):
            # Which of the failures is of one key alone, the other method tells.
            return outcomes, None
        found = zip(keys, values, strict=True)
        return outcomes, {key: value for key, value in found if value is not None}

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        return self._client.perform(self.prefix, operations)

    def _do(self, operation: Operation) -> Any:
        """Do one operation; return its outcome."""
        (outcome,) = self.perform([operation])
        if isinstance(outcome, BackendError):
            raise outcome
        return outcome

    def has_mark(self, key: str) -> bool:
        """Give it a lifetime, and take that away: Redis counts each look that is none to write."""
        stored = self._stored(key)
        if not self._client.run("PEXPIRE", stored, _LONG_MS, repeatable=True):
            return False
        self._client.run("PERSIST", stored, repeatable=True)
        return True

    def ping(self, key: str) -> None:
        """Have the server of a key answer."""
        self._client.ping(self._stored(key))

    def peek(self, key: str, ttl: float) -> bytes | Missing:
        """Return a number that a probe stored; unlike a read, Redis counts no hit and no miss.

        Not atomic: nobody else uses the key.

        :param ttl: the lifetime that it is given anew.
        """
        stored = self._stored(key)
        if not self._client.run("PEXPIRE", stored, math.ceil(ttl * 1000)):
            return MISSING
        return b"%d" % self._client.run("INCRBY", stored, 0)
