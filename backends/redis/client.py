"""What the Redis backend asks of keys, over its route: commands and scripts, many at a time.

Replies come back checked, failures as the errors of :mod:`backends.errors`. This is the one
module of redis-py's rooms that the backend itself imports, when it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import redis

from backends.base import Item
from backends.errors import (
    BackendError,
    NotPermitted,
    NotRead,
    WrongType,
)
from backends.operations import Increment, Operation, not_tried
from backends.redis.cluster import ClusterRoute
from backends.redis.errors import Broken, failure, kind_of
from backends.redis.options import Target
from backends.redis.performing import Step, count_and_read, perform, script_step
from backends.redis.reads import Reads
from backends.redis.routes import Route, SentinelRoute, SingleRoute
from backends.redis.script import Script
from backends.redis.touching import Touching
from backends.redis.wire import Command, Reply, pack, pack_reads, pack_stores

# Bounds the memory that the replies of one batch take, here and on the server.
COMMANDS_AT_ONCE: Final = 1000
_PING: Final = pack("PING")
# What replies are that need no second look.
_NO_FAILURES: Final = frozenset({bytes, int, type(None)})

Argument = bytes | str | int


class Client:
    """Commands to one Redis. It serves all threads, and each process after a fork."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._place = target.place
        self._database = target.database
        self.route: Route
        if target.cluster:
            self.route = ClusterRoute(target)
        elif target.sentinels:
            self.route = SentinelRoute(target)
        else:
            self.route = SingleRoute(target)
        self.get_each = Reads(self.route, self._get_apart, self._unread).read
        self.get_and_touch_many = Touching(self.route, self._unread).run

    def _get_apart(self, keys: Sequence[bytes], most: float) -> list[Any]:
        """Return the values of keys in order, each by a command of its own."""
        commands = pack_reads(keys)
        replies = self._run_many(commands, repeatable=True, reading=True, most=most)
        return self._named(keys, replies)

    def remaining_ms(self, keys: Sequence[bytes]) -> list[int]:
        """Return what ``PTTL`` says of each key."""
        commands = [(key, pack("PTTL", key)) for key in keys]
        return [
            int(checked(reply)) for reply in self._run_many(commands, repeatable=True, reading=True)
        ]

    def describe(self, keys: Sequence[bytes]) -> list[tuple[int, int | None, str | None]]:
        """Return what ``PTTL``, ``STRLEN`` and, of what is no string, ``TYPE`` say of each key.

        Each of them Redis counts as a hit. ``None`` in place of the last two: it is no string, or
        this user may not ask.
        """
        commands = [(key, pack(name, key)) for key in keys for name in ("PTTL", "STRLEN")]
        replies = self._run_many(commands, repeatable=True, reading=True)
        lefts = [int(checked(left)) for left in replies[::2]]
        sizes = [size if isinstance(size, int) else None for size in replies[1::2]]
        others = [key for key, size in zip(keys, sizes, strict=True) if size is None]
        kinds = iter(self._kinds(others) if others else ())
        return [
            (left, size, next(kinds) if size is None else "string")
            for left, size in zip(lefts, sizes, strict=True)
        ]

    def memory(self, keys: Sequence[bytes]) -> list[Reply | BackendError]:
        """Return what ``MEMORY USAGE`` says of each key, ``None`` of one that is gone."""
        return self._tell([(key, pack("MEMORY", "USAGE", key)) for key in keys])

    def lengths(self, keys: Sequence[bytes]) -> list[Reply | BackendError]:
        """Return what ``STRLEN`` says of each key; an error where it is no string."""
        return self._tell([(key, pack("STRLEN", key)) for key in keys])

    def _tell(self, commands: Sequence[Command]) -> list[Reply | BackendError]:
        return self._run_many(commands, repeatable=True, reading=True)

    def other_types(self, keys: Sequence[bytes]) -> list[WrongType | None]:
        """Return a refusal for each key under which there is no string."""
        kinds = self._kinds(keys)
        found = [
            None if kind in (None, "string", "none") else WrongType(kind_of(kind or ""))
            for kind in kinds
        ]
        # A user without the right to ask finds out by what it has.
        unknown = [index for index, kind in enumerate(kinds) if kind is None]
        values = self.get_each([keys[index] for index in unknown]) if unknown else []
        for index, value in zip(unknown, values, strict=True):
            if isinstance(value, WrongType):
                found[index] = value
        return found

    def run(self, name: str, key: bytes, *arguments: Argument, repeatable: bool = False) -> Reply:
        """Run a command that changes a key.

        :param repeatable: to run it twice means the same as to run it once.
        """
        command = (key, pack(name, key, *arguments))
        replies = self._run_many([command], repeatable=repeatable, reading=False)
        return checked(self._named([key], replies)[0])

    def _named(self, keys: Sequence[bytes], replies: list[Any]) -> list[Any]:
        """Name the type in refusals for it; Redis does not."""
        if WrongType not in map(type, replies):
            return replies
        # A script names it.
        others = [
            index
            for index, reply in enumerate(replies)
            if isinstance(reply, WrongType) and " or " in reply.kind
        ]
        kinds = self._kinds([keys[index] for index in others])
        for index, kind in zip(others, kinds, strict=True):
            if kind not in (None, "string", "none"):
                replies[index] = WrongType(kind_of(kind))
        return replies

    def _kinds(self, keys: Sequence[bytes]) -> list[str | None]:
        """Return Redis's words for the types of keys; ``None`` where it does not tell."""
        commands = [(key, pack("TYPE", key)) for key in keys]
        replies = self._run_many(commands, repeatable=True, reading=True)
        return [reply.decode() if isinstance(reply, bytes) else None for reply in replies]

    def store_many(
        self, prefix: str, items: Sequence[Item], lifetimes: Mapping[float | None, int | None]
    ) -> list[Reply | BackendError]:
        """Store in order; return a reply or an error for each.

        The arguments are those of :func:`~backends.redis.wire.pack_stores`.
        """
        commands = pack_stores(prefix, items, lifetimes)
        return self._run_many(commands, repeatable=True, reading=False)

    def delete_many(self, keys: Iterable[bytes], *, repeatable: bool) -> list[Reply | BackendError]:
        """Delete in order; return for each how many there were, or an error."""
        commands = [(key, pack("UNLINK", key)) for key in keys]
        return self._run_many(commands, repeatable=repeatable, reading=False)

    def _failure(self, error: Exception, *, reading: bool) -> BackendError:
        return failure(error, self._place, reading=reading, cluster=self._target.cluster)

    def _unread(self, error: Exception) -> BackendError:
        return self._failure(error, reading=True)

    def perform(self, prefix: str, operations: Sequence[Operation]) -> list[Any]:
        """Do operations; see :mod:`backends.redis.performing`."""
        return perform(self, prefix, operations)

    def count_and_read(
        self, prefix: str, counts: Sequence[Increment], keys: Sequence[bytes], most: float
    ) -> tuple[list[Any], list[Any]]:
        """Count, and read keys behind that; see :mod:`backends.redis.performing`."""
        return count_and_read(self, prefix, counts, keys, most)

    def send(self, steps: Sequence[Step], most: float = math.inf) -> list[Reply | BackendError]:
        """Do steps in order; return a reply or an error for each.

        :param most: as of :meth:`~backends.redis.wire.Wire.exchange`.
        """
        replies = self._run_many(
            [(step.key, step.data) for step in steps],
            repeatable=[step.repeatable for step in steps],
            reading=[step.reads for step in steps],
            most=most,
            whole=lambda index: steps[index].whole,
        )
        return self._named([step.key for step in steps], replies)

    def _run_many(
        self,
        commands: Sequence[Command],
        *,
        repeatable: bool | Sequence[bool],
        reading: bool | Sequence[bool],
        most: float = math.inf,
        whole: Callable[[int], bytes] | None = None,
    ) -> list[Reply | BackendError]:
        """Send commands; return a reply or an error for each.

        :param repeatable: of all or of each, to send it twice is the same as once.
        :param reading: of all or of each, it changes nothing.
        :param whole: says of each what to send where the server does not have its script.
        """
        replies: list[Reply | BackendError] = []
        for start in range(0, len(commands), COMMANDS_AT_ONCE):
            part = slice(start, start + COMMANDS_AT_ONCE)
            may = repeatable if isinstance(repeatable, bool) else repeatable[part]
            some = self.route.run(commands[part], repeatable=may, most=most)
            if _NO_FAILURES.issuperset(map(type, some)):
                replies += some
                continue
            if whole is not None:
                self._send_whole(commands, start, some, may, whole)
            read = [reading] * len(some) if isinstance(reading, bool) else reading[part]
            replies += [
                self._failure(reply, reading=reads)
                if isinstance(reply, Exception) and not isinstance(reply, NotRead)
                else reply
                for reply, reads in zip(some, read, strict=True)
            ]
            if any(isinstance(reply, Broken) and reply.node is None for reply in some):
                # Each further part could take the whole time limit.
                replies += [not_tried() for _ in commands[start + COMMANDS_AT_ONCE :]]
                break
        return replies

    def _send_whole(
        self,
        commands: Sequence[Command],
        start: int,
        replies: list[Reply],
        repeatable: bool | Sequence[bool],
        whole: Callable[[int], bytes],
    ) -> None:
        """Send scripts that the server does not have, of which nothing was done; it has them then.

        :param start: the command that the first of the replies is of.
        """
        lacking = [
            index
            for index, reply in enumerate(replies)
            if isinstance(reply, redis.exceptions.NoScriptError)
        ]
        if not lacking:
            return
        again = [(commands[start + index][0], whole(start + index)) for index in lacking]
        may = repeatable if isinstance(repeatable, bool) else [repeatable[i] for i in lacking]
        found = self.route.run(again, repeatable=may)
        for index, reply in zip(lacking, found, strict=True):
            replies[index] = reply

    def run_script(self, script: Script, key: bytes, *arguments: Argument) -> Reply:
        """Run a script on a key; the server has it from the first time on."""
        (reply,) = self.send([script_step(script, key, *arguments)])
        return checked(reply)

    def ping(self, key: bytes) -> None:
        """Have the server of a key answer."""
        (reply,) = self._run_many([(key, _PING)], repeatable=True, reading=True)
        # A user without that right has been answered too, unless it was not let in.
        if not (isinstance(reply, NotPermitted) and reply.apart):
            checked(reply)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.route.close()


def checked(reply: Reply | BackendError) -> Reply:
    """Return a reply; raise what is an error."""
    if isinstance(reply, BackendError):
        raise reply
    return reply
