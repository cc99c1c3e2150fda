"""Operations on memcached, in a few round trips a server.

In which order they go says :mod:`~backends.memcached.rounds`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from backends.base import MISSING, count_from, flags_of, with_flags
from backends.capabilities import Capability
from backends.errors import (
    BackendError,
    Failed,
    NotAnInteger,
    NotRead,
    Unavailable,
    Unsupported,
)
from backends.memcached import commands
from backends.memcached.changes import ADD, DELETE, REPLACE, SET, TOUCH, Change, Kind, changed
from backends.memcached.counting import counting
from backends.memcached.encoded import has_odd
from backends.memcached.expiry import expiry
from backends.memcached.pool import Members
from backends.memcached.rounds import STEPS, rounds_of
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    Increment,
    Item,
    Operation,
    Replace,
    Touch,
    count,
    not_tried,
)
from backends.within import LOOKED_AT

if TYPE_CHECKING:
    from backends.memcached.keys import KeyCommands

# How many keys are read by one command.
KEYS_A_COMMAND: Final = 500
# Of what is counted on, or only asked for, so much is kept: no number is longer.
_LITTLE: Final = 64


class Performing:
    """Operations of one call, and their outcomes."""

    def __init__(
        self, backend: KeyCommands, members: Members, operations: Sequence[Operation]
    ) -> None:
        self._backend = backend
        self._members = members
        self._operations = operations
        self._outcomes: list[Any] = [None] * len(operations)
        prefix = backend.prefix
        self._keys = [(prefix + operation.key).encode() for operation in operations]

    def run(self) -> list[Any]:
        """Do them; return an outcome each."""
        kinds = set(map(type, self._operations))
        if kinds.isdisjoint(STEPS):
            return self._members.change_many(changes(self._keys, self._operations))
        if kinds == {Increment}:
            self._run_round([], [], [], [], list(range(len(self._operations))))
            return self._outcomes
        rounds = rounds_of(self._keys, self._operations)
        for number, steps in enumerate(rounds):
            if number and self._is_gone():
                # Each further trip could take the whole time limit.
                for index, outcome in enumerate(self._outcomes):
                    if outcome is None:
                        self._outcomes[index] = not_tried()
                break
            self._run_round(*steps)
        return self._outcomes

    def _is_gone(self) -> bool:
        return any(isinstance(one, Unavailable) and not one.apart for one in self._outcomes)

    def _run_round(
        self,
        early: list[int],
        changes: list[int],
        reads: list[int],
        takes: list[int],
        counts: list[int],
    ) -> None:
        if early:
            self._read(early, ())
        if changes:
            self._change(changes)
        looked = [index for index in counts if not _is_own(self._operations[index])]
        found = self._read(reads, looked) if reads or looked else {}
        if takes:
            self._take(takes)
        if counts:
            self._count(counts, found)

    def _change(self, indexes: Sequence[int]) -> None:
        made = changes(
            [self._keys[index] for index in indexes], [self._operations[index] for index in indexes]
        )
        for index, outcome in zip(indexes, self._members.change_many(made), strict=True):
            self._outcomes[index] = outcome

    def _read(self, reads: Sequence[int], counts: Sequence[int]) -> dict[bytes, Any]:
        """Read what is asked for, and what is to be counted on; return that, or an error."""
        keys = list(dict.fromkeys([self._keys[index] for index in (*reads, *counts)]))
        whole = {self._keys[index] for index in reads if type(self._operations[index]) is Get}
        found: dict[bytes, Any] = {}
        while keys:
            try:
                part = self._members.read_each(keys[:KEYS_A_COMMAND], LOOKED_AT)
            except Failed as error:
                found.update(dict.fromkeys(keys, error))
                break
            found.update(
                (key, value if key in whole else _begun(value)) for key, value in part.items()
            )
            left = [key for key in keys[:KEYS_A_COMMAND] if type(found.get(key)) is NotRead]
            for key in left:
                del found[key]
            keys = left + keys[KEYS_A_COMMAND:]
        for index in reads:
            value = found.get(self._keys[index], MISSING)
            if type(self._operations[index]) is Exists and not isinstance(value, BackendError):
                value = value is not MISSING
            self._outcomes[index] = value
        return found

    def _take(self, indexes: Sequence[int]) -> None:
        try:
            # The step needs no numbers, but without them nothing else does what is done here.
            self._backend.learn_once()
            self._backend.require(Capability.GET_AND_DELETE)
            keys = [self._keys[index] for index in indexes]
            # A proxy that was met knows no "gat": it would end the connection without a word.
            behind = bool(self._backend.in_front)
            found: dict[bytes, Any] = (
                dict.fromkeys(keys) if behind else self._members.take_many(keys)
            )
        except Unsupported as error:
            found = dict.fromkeys(self._keys, error)
        take = self._backend.get_and_delete
        for index in indexes:
            value = found.get(self._keys[index], MISSING)
            if value is None:
                # The server is older than 1.5.3, or a proxy stands before it.
                value = _caught(take, self._operations[index].key)
            self._outcomes[index] = value

    def _count(self, indexes: Sequence[int], found: dict[bytes, Any]) -> None:
        sent: list[int] = []
        made: list[Change] = []
        # Mostly none is.
        are_odd = has_odd(b"".join([self._keys[index] for index in indexes]))
        for index in indexes:
            operation: Any = self._operations[index]
            key = self._keys[index]
            if are_odd and has_odd(key):
                # Its reply is more than a line.
                self._outcomes[index] = _caught(count, self._backend, operation)
                continue
            if operation.own:
                made_of: Any = counting(key, operation.delta)
            else:
                made_of = self._counted(key, operation, found)
            if isinstance(made_of, tuple):
                sent.append(index)
                made.append(made_of)
            else:
                self._outcomes[index] = made_of
        for index, (_, _, kind), outcome in zip(
            sent, made, self._members.change_many(made), strict=True
        ):
            if type(outcome) is int:
                self._outcomes[index] = outcome
                continue
            operation = self._operations[index]
            if kind is ADD and outcome is True:
                outcome = int(operation.initial or 0)
            elif outcome is False or (outcome is MISSING and operation.initial is not None):
                # Somebody else created or deleted it in between.
                outcome = _caught(count, self._backend, operation)
            self._outcomes[index] = outcome

    def _counted(self, key: bytes, operation: Increment, found: dict[bytes, Any]) -> Any:
        """Return the change that counts, or the outcome where there is none.

        :param found: what is to be counted on; told what will be there then.
        """
        _, delta, initial, ttl, _ = operation
        value = found.get(key, MISSING)
        if isinstance(value, BackendError):
            return value
        if value is MISSING:
            if initial is None:
                return MISSING
            if ttl is None or ttl > 0:
                found[key] = initial
            return key, commands.storage(b"add", key, initial, expiry(ttl), False), ADD
        try:
            number = count_from(value, delta, self._backend.limits)
        except NotAnInteger as error:
            return error
        found[key] = with_flags(b"%d" % number, flags_of(value))
        return counting(key, delta)


def _is_own(operation: Operation) -> bool:
    return isinstance(operation, Increment) and operation.own


def changes(keys: Sequence[bytes], operations: Sequence[Any]) -> list[Change]:
    """Return changes as they are sent."""
    # Mostly none is.
    are_odd = has_odd(b"".join(keys))
    return [
        _change(key, operation, are_odd and has_odd(key))
        for key, operation in zip(keys, operations, strict=True)
    ]


def _change(key: bytes, operation: Any, is_odd: bool) -> Change:
    kind = type(operation)
    if kind is Delete:
        return changed(key, commands.delete(key, is_odd), DELETE, is_odd)
    if kind is Touch:
        return changed(key, commands.touch(key, expiry(operation.ttl), is_odd), TOUCH, is_odd)
    name, answered = _STORAGE[kind]
    _, value, ttl = operation
    command = commands.storage(name, key, value, expiry(ttl), is_odd)
    return changed(key, command, answered, is_odd)


_STORAGE: Final[Mapping[type, tuple[bytes, Kind]]] = {
    Item: (b"set", SET),
    Add: (b"add", ADD),
    Replace: (b"replace", REPLACE),
}


def _begun(value: Any) -> Any:
    """Return as much of a value as tells whether it is a number."""
    if not isinstance(value, bytes) or len(value) <= _LITTLE:
        return value
    return with_flags(value[:_LITTLE], flags_of(value))


def _caught(work: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return work(*arguments)
    except BackendError as error:
        return error
