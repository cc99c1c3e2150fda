"""Operations on Redis: each is one command or one script, and all go in one write a server.

What each does to the key is atomic on the server, and means what the backend's method of the
same name means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backends.base import MISSING
from backends.errors import BackendError, ValueTooLarge
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
from backends.redis.limits import milliseconds, refuse_too_large
from backends.redis.script import INCREMENT, REPLACE, TOUCH, Script
from backends.redis.wire import (
    EXISTS,
    GET,
    GETDEL,
    UNLINK,
    pack,
    pack_key,
    pack_reads,
    pack_store,
    pack_two,
)

if TYPE_CHECKING:
    from backends.redis.client import Client

LEAST: Final = b"%d" % -(2**63)


class Step(NamedTuple):
    """An operation as it is sent.

    :ivar repeatable: to send it twice means the same as to send it once.
    :ivar reads: it changes nothing, so that nothing about it is unknown.
    :ivar script: the script that it runs, if it does, and what that is given.
    """

    key: bytes
    data: bytes
    repeatable: bool = False
    reads: bool = False
    script: Script | None = None
    arguments: tuple[bytes | str | int, ...] = ()

    @property
    def whole(self) -> bytes:
        """What to send where the server does not have the script."""
        return self.data if self.script is None else pack("EVAL", self.script.text, *self.arguments)


def perform(client: Client, prefix: str, operations: Sequence[Operation]) -> list[Any]:
    """Do operations in order; return an outcome each.

    :param prefix: text before every key.
    """
    outcomes: list[Any] = [None] * len(operations)
    steps: list[Step] = []
    sent: list[int] = []
    for index, operation in enumerate(operations):
        try:
            key = (prefix + operation.key).encode()
            steps.append(_STEPS[type(operation)](key, operation))
            sent.append(index)
        except ValueTooLarge as error:
            outcomes[index] = error
    done = [operations[index] for index in sent]
    replies = client.send(_with_scripts(steps, done))
    refused: dict[int, bytes] = {}
    for index, one, operation, reply in zip(sent, steps, done, replies, strict=True):
        if isinstance(reply, BackendError):
            outcomes[index] = reply
            continue
        outcomes[index] = _OUTCOMES[type(operation)](operation, reply)
        if type(operation) is Add and not outcomes[index]:
            refused[index] = one.key
    if refused:
        # What is there may be no value.
        kinds = client.other_types(list(refused.values()))
        for index, kind in zip(refused, kinds, strict=True):
            outcomes[index] = kind or False
    return outcomes


def count_and_read(
    client: Client,
    prefix: str,
    counts: Sequence[Increment],
    keys: Sequence[bytes],
    most: float,
) -> tuple[list[Any], list[Any]]:
    """Count on different keys, and read others by a command each behind that; return both.

    A server answers in that order, so the counts are known however much of the values is read.

    :param most: as of :meth:`~backends.redis.wire.Wire.exchange`.
    """
    steps = [_increment((prefix + one.key).encode(), one) for one in counts]
    steps += [Step(key, data, repeatable=True, reads=True) for key, data in pack_reads(keys)]
    replies = client.send(steps, most)
    number = _OUTCOMES[Increment]
    outcomes = [
        reply if isinstance(reply, BackendError) else number(one, reply)
        for one, reply in zip(counts, replies, strict=False)
    ]
    return outcomes, replies[len(counts) :]


def _with_scripts(steps: Sequence[Step], operations: Sequence[Operation]) -> list[Step]:
    """Return the steps with whole scripts where others of the same key follow or go before.

    A script that the server turns out not to have is sent again, behind those. Reads that go before
    all the rest come before it all the same.
    """
    if len({one.key for one in steps}) == len(steps):
        return list(steps)
    kinds: dict[bytes, set[type]] = {}
    for one, operation in zip(steps, operations, strict=True):
        if not one.reads or one.key in kinds:
            kinds.setdefault(one.key, set()).add(type(operation))
    return [
        one._replace(data=one.whole) if one.script is not None and len(kinds[one.key]) > 1 else one
        for one in steps
    ]


def _lasts(ttl: float | None) -> bool:
    return ttl is None or ttl > 0


def _or_empty(ttl: float | None) -> bytes:
    """Return a lifetime as the scripts take it."""
    left = milliseconds(ttl)
    return b"" if left is None else b"%d" % left


def script_step(
    script: Script, key: bytes, *arguments: bytes | str | int, repeatable: bool = False
) -> Step:
    """Return a script on a key as it is sent."""
    rest = (1, key, *arguments)
    data = pack("EVALSHA", script.digest, *rest)
    return Step(key, data, repeatable, script=script, arguments=rest)


def _two(script: Script, key: bytes, first: bytes, second: bytes, repeatable: bool) -> Step:
    """Return a script with two arguments, as :func:`script_step` in half of its time."""
    data = pack_two(script.head, key, first, second)
    return Step(key, data, repeatable, False, script, (1, key, first, second))


def _item(key: bytes, operation: Item) -> Step:
    refuse_too_large(operation.value)
    return Step(key, pack_store(key, operation.value, milliseconds(operation.ttl)), True)


def _add(key: bytes, operation: Add) -> Step:
    refuse_too_large(operation.value)
    if not _lasts(operation.ttl):
        return Step(key, pack_key(EXISTS, key), True, reads=True)
    return Step(key, pack_store(key, operation.value, milliseconds(operation.ttl), adds=True))


def _replace(key: bytes, operation: Replace) -> Step:
    refuse_too_large(operation.value)
    # Done twice, it would find that it has deleted the key itself.
    return _two(REPLACE, key, operation.value, _or_empty(operation.ttl), _lasts(operation.ttl))


def _increment(key: bytes, operation: Increment) -> Step:
    delta = b"%d" % operation.delta
    if operation.initial is None:
        return _two(INCREMENT, key, delta, LEAST, False)
    return script_step(INCREMENT, key, delta, LEAST, operation.initial, _or_empty(operation.ttl))


_STEPS: Final[Mapping[type, Callable[[bytes, Any], Step]]] = {
    Get: lambda key, _: Step(key, pack_key(GET, key), True, reads=True),
    Item: _item,
    Add: _add,
    Replace: _replace,
    Delete: lambda key, _: Step(key, pack_key(UNLINK, key)),
    Touch: lambda key, operation: script_step(
        TOUCH, key, _or_empty(operation.ttl), repeatable=True
    ),
    Increment: _increment,
    GetAndDelete: lambda key, _: Step(key, pack_key(GETDEL, key)),
    Exists: lambda key, _: Step(key, pack_key(EXISTS, key), True, reads=True),
}


def _value(_: Operation, reply: Any) -> Any:
    return MISSING if reply is None else reply


def _done(_: Operation, reply: Any) -> bool:
    return bool(reply)


_OUTCOMES: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    Get: _value,
    GetAndDelete: _value,
    Item: lambda _, reply: True,
    Add: lambda operation, reply: not reply if not _lasts(operation.ttl) else reply is not None,
    Replace: _done,
    Delete: _done,
    Touch: _done,
    Exists: _done,
    Increment: lambda _, reply: MISSING if reply is None else int(reply),
}
