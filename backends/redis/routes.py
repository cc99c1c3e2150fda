"""Which server gets a command: the one there is, Sentinel's master, or a node of a cluster.

Every route does the same with a failure: it learns anew where the servers are, and sends
again, once, what may be sent again. That is a command that has not been done (it was never
sent, or a server refused it) and one that can be done twice with the same result.
"""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, NamedTuple

import redis

from backends.redis.connections import Server
from backends.redis.errors import NO_SENTINEL_KNOWS, Broken, code_of
from backends.redis.options import Address, Target
from backends.redis.proxies import refuse_what_is_unknown
from backends.redis.wire import Command, Reply, pack

# How long what the sentinels said is taken for true, in seconds. A master that was cut off
# and comes back is not written to for longer than this after they have chosen another.
SENTINEL_SECONDS: Final = 1.0
# What replies are that say no such thing.
_PLAIN: Final = frozenset({bytes, int, type(None), list})
# What a server says that is no master, or none yet.
_NO_MASTER: Final = frozenset({"READONLY", "MASTERDOWN", "LOADING"})
# How often a server that says so is connected to anew.
RENEWAL_SECONDS: Final = 0.1
# How long they are let alone when none answered: each that hangs costs the whole time limit.
SILENCE_SECONDS: Final = 10.0


class Shard(NamedTuple):
    """A master, and the first hash slot that it has.

    :ivar node: what a message calls it, where there are others.
    """

    slot: int
    address: Address | None
    server: Server
    node: str | None = None

    def ask(self, *arguments: bytes | str | int) -> Reply:
        """Send one command that may be repeated to this server; return its reply.

        :raises BehindProxy: a proxy does not know the command.
        :raises Broken: no whole reply came.
        :raises redis.RedisError: the server refused.
        """
        command = pack(*arguments)
        (reply,) = self.server.exchange([command])
        refuse_what_is_unknown(self.server, "Redis", command, [reply])
        if isinstance(reply, Broken):
            reply.node = self.node
        if isinstance(reply, Exception):
            raise reply
        return reply


class Route(ABC):
    """How commands reach the server of their key.

    :cvar across_keys: one command may have keys of several slots.
    """

    across_keys = True

    def __init__(self, target: Target) -> None:
        self._target = target

    def run(
        self,
        commands: Sequence[Command],
        *,
        repeatable: bool | Sequence[bool],
        most: float = math.inf,
    ) -> list[Reply]:
        """Return a reply, or the exception that stands for one, for each command.

        :param repeatable: to run a command twice means the same as to run it once; of all, or
            of each.
        :param most: as of :meth:`~backends.redis.wire.Wire.exchange`.
        """
        started = time.monotonic()
        replies = self._attempt(commands, most)
        if Broken not in map(type, replies):
            return replies
        self.learn()
        may = [repeatable] * len(commands) if isinstance(repeatable, bool) else repeatable
        again = [
            index
            for index, reply in enumerate(replies)
            if isinstance(reply, Broken)
            and not reply.refuses_login
            and (may[index] or not reply.sent)
        ]
        if not isinstance(repeatable, bool):
            again = _with_later(commands, again, may)
        # A server that hangs took the whole time limit; once is enough.
        if again and time.monotonic() - started < self._target.timeout / 2:
            second = self._attempt([commands[index] for index in again], most)
            for index, reply in zip(again, second, strict=True):
                # What was sent the first time may have been done, whatever became of the second.
                first = replies[index]
                sent = isinstance(first, Broken) and first.sent
                if sent and isinstance(reply, Broken) and not reply.sent:
                    reply = Broken(reply.cause, sent=True, node=reply.node)
                replies[index] = reply
        return replies

    @abstractmethod
    def shards(self) -> list[Shard]:
        """Return the masters, in the order of their slots.

        :raises Broken: nobody could tell.
        """

    def is_settled(self, *, in_halves: bool) -> bool:
        """Return whether :meth:`shards`, as they were told last, have all keys among them.

        :param in_halves: also while a key may go from one to another.
        :raises Exception: as :meth:`Shard.ask`.
        """
        return True

    def address_of(self, key: bytes) -> Address | None:
        """Return which of :meth:`shards` has a key."""
        return self.shards()[0].address

    @abstractmethod
    def close(self) -> None:
        """Close all connections that are not in use."""

    @abstractmethod
    def _attempt(self, commands: Sequence[Command], most: float) -> list[Reply]:
        """Send each command once."""

    def learn(self) -> None:  # noqa: B027 (a single server stays where it is)
        """Find out anew where the servers are, after a failure."""


class SingleRoute(Route):
    """One server, or who is it now: behind its name or balancer another may take over."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        address = None if target.path else target.hosts[0]
        self._shard = Shard(0, address, Server(target, address, follows_master=True))
        self._renewed_at = 0.0

    def shards(self) -> list[Shard]:
        return [self._shard]

    def close(self) -> None:
        self._shard.server.close()

    def _attempt(self, commands: Sequence[Command], most: float) -> list[Reply]:
        server = self._shard.server
        replies = server.exchange([data for _, data in commands], most)
        if _PLAIN.issuperset(map(type, replies)):
            return replies
        refused = [index for index, reply in enumerate(replies) if _is_no_master(reply)]
        if refused and time.monotonic() - self._renewed_at > RENEWAL_SECONDS:
            # It has done none of them, and may be no longer what its name leads to.
            self._renewed_at = time.monotonic()
            server.renew()
            refused = _with_later(commands, refused, [True] * len(commands))
            again = server.exchange([commands[index][1] for index in refused], most)
            for index, reply in zip(refused, again, strict=True):
                replies[index] = reply
        return replies


def _with_later(
    commands: Sequence[Command], again: Sequence[int], may: Sequence[bool]
) -> list[int]:
    """Return what is sent again, with what follows on the same keys and may be sent twice.

    A read that came behind a change which was not made has not seen it.
    """
    wanted, keys, found = set(again), set[bytes](), []
    for index, (key, _) in enumerate(commands):
        if index in wanted:
            keys.add(key)
            found.append(index)
        elif key in keys and may[index]:
            found.append(index)
    return found


def _is_no_master(reply: Reply) -> bool:
    return isinstance(reply, redis.RedisError) and code_of(reply) in _NO_MASTER


class SentinelRoute(Route):
    """The master that the sentinels name (Redis's "Guidelines for Sentinel clients")."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._sentinels = [Server(target, address, sentinel=True) for address in target.sentinels]
        self._lock = threading.Lock()
        self._master: Shard | None = None
        self._asked_at = -SENTINEL_SECONDS
        # Whether the known master failed since the sentinels were asked.
        self._doubtful = False

    def shards(self) -> list[Shard]:
        master = self._find()
        if isinstance(master, Broken):
            raise master
        return [master]

    def close(self) -> None:
        for server in self._sentinels:
            server.close()
        if self._master is not None:
            self._master.server.close()

    def _attempt(self, commands: Sequence[Command], most: float) -> list[Reply]:
        master = self._find()
        if isinstance(master, Broken):
            return [master] * len(commands)
        replies = master.server.exchange([data for _, data in commands], most)
        # A master that became a replica has done nothing.
        return [
            Broken(reply, sent=False) if isinstance(reply, redis.ReadOnlyError) else reply
            for reply in replies
        ]

    def learn(self) -> None:
        self._doubtful = True
        self._asked_at = -SENTINEL_SECONDS

    def _find(self) -> Shard | Broken:
        known = self._master
        if known is not None and time.monotonic() - self._asked_at < SENTINEL_SECONDS:
            return known
        # While one thread asks, the others go by what is known, unless that has just failed.
        wait = known is None or self._doubtful
        if not self._lock.acquire(blocking=wait) and known is not None:
            return known
        try:
            return self._look()
        finally:
            self._lock.release()

    def _look(self) -> Shard | Broken:
        known = self._master
        if known is not None and time.monotonic() - self._asked_at < SENTINEL_SECONDS:
            return known
        self._doubtful = False
        address = self._ask()
        self._asked_at = time.monotonic()
        if isinstance(address, Broken):
            self._asked_at += SILENCE_SECONDS - SENTINEL_SECONDS
            # While no sentinel answers, the last known master is the best guess.
            return known or address
        if known is None or known.address != address:
            if known is not None:
                known.server.close()
            known = self._master = Shard(0, address, Server(self._target, address))
        return known

    def _ask(self) -> Address | Broken:
        """Return what the first sentinel says that knows the master; ask it first next time."""
        name = self._target.sentinel_master
        failed: Exception = redis.ConnectionError(f"{NO_SENTINEL_KNOWS} {name!r}")
        who: str | None = None
        for sentinel in list(self._sentinels):
            (reply,) = sentinel.exchange([pack("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)])
            if isinstance(reply, list) and len(reply) == 2:
                self._sentinels.remove(sentinel)
                self._sentinels.insert(0, sentinel)
                return Address(reply[0].decode(), int(reply[1]))
            if isinstance(reply, Exception):
                failed = reply.cause if isinstance(reply, Broken) else reply
                who = f"the sentinel at {sentinel.address}"
        return Broken(failed, sent=False, sentinel=who)
