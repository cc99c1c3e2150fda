"""What memcached does with keys: every operation is one command of the protocol, atomic there.

Those that it lacks, and over the binary protocol ``touch``, are made in
:mod:`backends.memcached.numbered`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast

from backends.base import MISSING, Flagged, Item, Missing, count_from
from backends.capabilities import Capability
from backends.errors import (
    BackendError,
    BehindProxy,
    NotAnInteger,
    Unsupported,
)
from backends.memcached import packing, stores
from backends.memcached.counting import counting
from backends.memcached.encoded import has_odd
from backends.memcached.errors import BEHIND_PROXY, CLIENT_ERROR, NOT_FOUND, CommandFailed, failure
from backends.memcached.expiry import expiry
from backends.memcached.numbered import Numbered
from backends.memcached.outcomes import NOT_A_NUMBER
from backends.memcached.performing import KEYS_A_COMMAND, Performing, changes
from backends.memcached.reader import size_of
from backends.operations import Delete, Increment, Operation, Touch, count, each

# How long what was learned of the servers' settings counts.
LEARNED_SECONDS: Final = 5.0
_VALUES: Final = frozenset({bytes, Flagged})


class KeyCommands(Numbered):
    """The part of the backend that serves keys."""

    # Reading

    def get(self, key: str) -> bytes | Missing:
        return self.get_many([key]).get(key, MISSING)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = self._read(keys, self._members.read_many, None)
        if not _VALUES.issuperset(map(type, found.values())):
            raise next(value for value in found.values() if isinstance(value, BackendError))
        return cast("dict[str, bytes]", found)

    def get_each(
        self, keys: Iterable[str], most: int | None = None
    ) -> dict[str, bytes | BackendError]:
        return self._read(keys, self._members.read_each, most)

    def _read(
        self, keys: Iterable[str], read: Callable[..., Mapping[bytes, Any]], most: int | None
    ) -> dict[str, bytes | BackendError]:
        prefix = self.prefix
        names = {(prefix + key).encode(): key for key in keys}
        left = math.inf if most is None else most
        stored = list(names)
        if len(stored) <= KEYS_A_COMMAND:
            return {names[key]: value for key, value in read(stored, left).items()}
        found: dict[str, bytes | BackendError] = {}
        for start in range(0, len(stored), KEYS_A_COMMAND):
            values = read(stored[start : start + KEYS_A_COMMAND], left)
            found.update(zip(map(names.__getitem__, values), values.values(), strict=True))
            if most is not None:
                left -= size_of(values)
        return found

    def remaining_ttl(self, key: str) -> float | Missing | None:
        """Return it in whole seconds, as the server counts.

        No command of the binary protocol says it, and so none where a login is needed.
        """
        if self._binary:
            raise self._unsupported(Capability.REMAINING_TTL)
        stored = self._stored(key)
        if self.in_front and time.monotonic() < self._learn_at:
            raise BehindProxy(self.label, "mg")
        try:
            left: int | None = self._members.run(
                stored, lambda client: client.remaining_ttl(stored), repeatable=True
            )
        except CommandFailed as error:
            if error.code == NOT_FOUND:
                return MISSING
            if error.code == BEHIND_PROXY:
                self._learn_at = time.monotonic() + LEARNED_SECONDS
                raise self._found_behind(BehindProxy(self.label, error.text)) from error
            raise Unsupported(
                self.label, Capability.REMAINING_TTL, "the server is older than 1.6"
            ) from error
        return left

    def remaining_ttl_many(self, keys: Iterable[str]) -> dict[str, float | None]:
        """Return it of plain keys in two trips or three to each server, of others one by one."""
        names = {self._stored(key): key for key in keys}
        plain = [stored for stored in names if not has_odd(stored)]
        told: dict[bytes, int | Missing | None] = {}
        # Of what a proxy refuses nothing is learned here, and one key is as well asked for alone.
        if len(plain) > 1 and not (self._binary or self.in_front):
            told = self._members.remaining_ttl_many(plain)
        left = {
            key: told[stored] if stored in told else self.remaining_ttl(key)
            for stored, key in names.items()
        }
        return {key: seconds for key, seconds in left.items() if seconds is not MISSING}

    # Writing

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        if self._binary:
            stored = self._stored(key)
            self._command(key, lambda client: client.set(stored, value, expiry(ttl)), True)
            return
        (outcome,) = self.set_many([Item(key, value, ttl)])
        if outcome is not True:
            raise outcome

    def set_many(self, items: Sequence[Item]) -> list[Literal[True] | BackendError]:
        if self._binary:
            return super().set_many(items)
        try:
            members = self._members
        except BackendError as error:
            return [error] * len(items)
        return members.change_many(packing.pack(self.prefix, items))

    def delete_many(self, keys: Sequence[str]) -> list[bool | BackendError]:
        return super().delete_many(keys) if self._binary else self.perform(list(map(Delete, keys)))

    def perform(self, operations: Sequence[Operation]) -> list[Any]:
        """Do operations; with a login one after the other."""
        if self._binary:
            return super().perform(operations)
        try:
            members = self._members
        except BackendError as error:
            return [error] * len(operations)
        return Performing(self, members, operations).run()

    def get_and_touch_many(self, touches: Sequence[Touch], most: int) -> list[Any]:
        stored = [(self.prefix + one.key).encode() for one in touches]
        done: list[Any] | None = None
        is_plain = not (self._binary or has_odd(b"".join(stored)))
        if is_plain and len(stored) <= stores.STORES_AT_ONCE:
            done = self._members.get_and_touch_many(changes(stored, touches), most)
        return super().get_and_touch_many(touches, most) if done is None else done

    def count_and_get_each(
        self, counts: Sequence[Increment], keys: Sequence[str], most: int
    ) -> tuple[list[Any], Mapping[str, bytes | BackendError] | None]:
        """Do both in one trip where all is at one server, and no proxy is known to be between."""
        prefix = self.prefix
        counted = [(prefix + one.key).encode() for one in counts]
        names = {(prefix + key).encode(): key for key in keys}
        done: tuple[list[Any], Any] | None = None
        is_plain = not (self._binary or self.in_front or has_odd(b"".join([*counted, *names])))
        if is_plain and len(counts) <= stores.STORES_AT_ONCE and len(names) <= KEYS_A_COMMAND:
            made = [counting(key, one.delta) for key, one in zip(counted, counts, strict=True)]
            done = self._members.count_and_read_many(made, list(names), most)
        if done is None:
            return super().count_and_get_each(counts, keys, most)
        outcomes, read = done
        for index, one in enumerate(counts):
            if outcomes[index] is MISSING:
                (outcomes[index],) = each(lambda made: count(self, made), [one])
        return outcomes, None if read is None else {names[key]: read[key] for key in read}

    def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        stored = self._stored(key)
        return self._command(key, lambda client: client.add(stored, value, expiry(ttl)))

    def replace(self, key: str, value: bytes, ttl: float | None) -> bool:
        stored = self._stored(key)
        return self._command(key, lambda client: client.replace(stored, value, expiry(ttl)), True)

    def delete(self, key: str) -> bool:
        stored = self._stored(key)
        return self._command(key, lambda client: client.delete(stored))

    def has_mark(self, key: str) -> bool:
        # That it is to stay for ever changes nothing, and counts as a touch.
        return super().has_mark(key) if self._binary else self.touch(key, None)

    def touch(self, key: str, ttl: float | None) -> bool:
        if not self._binary:
            stored = self._stored(key)
            return self._command(key, lambda client: client.touch(stored, expiry(ttl)), True)
        # Over the binary protocol libmemcached waits for a second reply that never comes.
        changed = self._change(
            key,
            lambda found: self.compare_and_set(key, found.value, found.token, ttl),
            Capability.TOUCH,
        )
        return changed is not MISSING

    def increment(self, key: str, delta: int) -> int | Missing:
        """Count up, or down to 0 and no further (protocol.txt, "Increment/Decrement").

        The value is looked at first. The server would count on ``7 dwarfs``, begin again at 0
        after 2^64-1, and refuse some numbers from 2^63 on and others not; and over the binary
        protocol libmemcached takes its refusal for a broken connection. The count itself is one
        command of the server.
        """
        value = self.get(key)
        if value is MISSING:
            return MISSING
        count_from(value, delta, self.limits)
        return self.count(key, delta)

    def count(self, key: str, delta: int) -> int | Missing:
        """Count on a value that is known to be a number in range."""
        stored = self._stored(key)
        try:
            number: int = self._members.run(stored, lambda client: client.count(stored, delta))
        except CommandFailed as error:
            if error.code == NOT_FOUND:
                return MISSING
            if error.code == CLIENT_ERROR:
                raise NotAnInteger(NOT_A_NUMBER) from error
            raise failure(error, self.label, sent=False) from error
        return number
