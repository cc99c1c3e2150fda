"""A Redis Cluster: the node of each key, also while slots and masters move.

The rules are those of Redis's cluster specification, "Redirection and resharding".
"""

from __future__ import annotations

import math
import secrets
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from backends.parallel import at_once
from backends.redis.connections import Server
from backends.redis.errors import Broken
from backends.redis.options import Address, Target
from backends.redis.routes import Route, Shard
from backends.redis.suspects import Suspects
from backends.redis.wire import Command, Reply, pack

# A key moves once while a slot migrates; more is a cluster at odds with itself.
REDIRECTIONS: Final = 5
# No state that others share: Python's own generator is everybody's, tests' too.
_RANDOM = secrets.SystemRandom()
_PING: Final = pack("PING")
_NODES: Final = pack("CLUSTER", "NODES")


class Place(NamedTuple):
    """A node to ask, and whether to say ASKING: the slot is not its own yet."""

    address: Address
    asking: bool = False


class ClusterRoute(Route):
    """The nodes of a cluster, by the hash slot of a key."""

    across_keys = False

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._lock = threading.Lock()
        self._servers: dict[Address, Server] = {}
        # The master of each slot; empty until a node has told.
        self._slots: list[Address] = []
        # Those that failed when they were last asked for the table, and those of keys.
        self._silent: set[Address] = set()
        self._suspects = Suspects(self._answers, self.learn)

    def shards(self) -> list[Shard]:
        """Return today's masters: who works on all of them may not have met what moved."""
        with self._lock:
            self._ask()
            slots = self._slots
        firsts: dict[Address, int] = {}
        for slot, address in enumerate(slots):
            firsts.setdefault(address, slot)
        return [
            Shard(slot, address, self._server(address), self._name(address))
            for address, slot in firsts.items()
        ]

    def is_settled(self, *, in_halves: bool) -> bool:
        slots = self._slots
        addresses = list(dict.fromkeys(slots))
        views = at_once(lambda one: self._server(one).exchange([_NODES])[0], addresses)
        own: dict[int, Address] = {}
        for address, view in zip(addresses, views, strict=True):
            if isinstance(view, redis.exceptions.NoPermissionError):
                # Without this right only what was asked for can tell.
                return True
            if isinstance(view, Exception):
                raise view
            for part in _own_slots(view):
                if part.startswith("["):
                    # It is giving this one away, or taking it.
                    if not in_halves:
                        return False
                    continue
                first, _, last = part.partition("-")
                own |= dict.fromkeys(range(int(first), int(last or first) + 1), address)
        return [own.get(slot) for slot in range(REDIS_CLUSTER_HASH_SLOTS)] == slots

    def address_of(self, key: bytes) -> Address | None:
        self._need_slots()
        return self._slots[key_slot(key)]

    def close(self) -> None:
        self._suspects.clear()
        for server in list(self._servers.values()):
            server.close()

    def _attempt(self, commands: Sequence[Command], most: float) -> list[Reply]:
        try:
            self._need_slots()
        except Broken as error:
            return [error] * len(commands)
        replies: list[Reply] = [None] * len(commands)
        places = {
            index: Place(self._slots[key_slot(key)]) for index, (key, _) in enumerate(commands)
        }
        for _ in range(REDIRECTIONS):
            places = self._send(commands, places, replies, most)
            if not places:
                break
        return replies

    def _send(
        self,
        commands: Sequence[Command],
        places: dict[int, Place],
        replies: list[Reply],
        most: float,
    ) -> dict[int, Place]:
        """Send each command to its place; return the places of those that were sent on."""
        groups: dict[Place, list[int]] = defaultdict(list)
        for index, place in places.items():
            groups[place].append(index)
        elsewhere: dict[int, Place] = {}
        for place, indexes in groups.items():
            answers = self._exchange(place, [commands[index][1] for index in indexes], most)
            if most < math.inf:
                most -= sum(len(reply) for reply in answers if isinstance(reply, bytes))
            for index, reply in zip(indexes, answers, strict=True):
                replies[index] = reply
                # MovedError is an AskError too.
                if isinstance(reply, redis.exceptions.AskError):
                    there = Address(reply.host or place.address.host, reply.port)
                    moved = isinstance(reply, redis.exceptions.MovedError)
                    if moved:
                        self._slots[reply.slot_id] = there
                    elsewhere[index] = Place(there, asking=not moved)
        return elsewhere

    def _exchange(self, place: Place, wanted: Sequence[bytes], most: float) -> list[Reply]:
        failure = self._suspects.failure(place.address)
        if failure is not None:
            return [failure] * len(wanted)
        server = self._server(place.address)
        if place.asking:
            # It holds for the next command only.
            both = [part for command in wanted for part in (pack("ASKING"), command)]
            replies = server.exchange(both, most)[1::2]
        else:
            replies = server.exchange(wanted, most)
        for reply in replies:
            if isinstance(reply, Broken):
                reply.node = self._name(place.address)
                if not reply.refuses_login:
                    self._suspects.note(place.address, reply)
        return replies

    def _name(self, address: Address) -> str:
        known = address in self._target.hosts
        return f"the node {address} {'of' if known else 'that is announced by'} Redis Cluster"

    def _answers(self, address: Address) -> bool:
        (reply,) = self._server(address).exchange([_PING])
        return not isinstance(reply, Broken)

    def _server(self, address: Address) -> Server:
        # Of two threads that make one at once, the second's is kept; both serve.
        server = self._servers.get(address)
        if server is None:
            server = self._servers[address] = Server(self._target, address)
        return server

    def _need_slots(self) -> None:
        """See that there is a table of slots.

        :raises Broken: no node could tell it.
        """
        if not self._slots:
            with self._lock:
                if not self._slots:
                    self._ask()

    def learn(self) -> None:
        # While one thread asks, the others go by the old table.
        if self._lock.acquire(blocking=False):
            try:
                self._ask()
            except Broken:
                pass
            finally:
                self._lock.release()

    def _ask(self) -> None:
        """Take the table of slots from the first node that tells it."""
        nodes = list(dict.fromkeys([*self._servers, *self._target.hosts]))
        _RANDOM.shuffle(nodes)
        # A node that hangs costs the whole time limit: those that failed last come last.
        nodes.sort(key=lambda address: address in self._silent or address in self._suspects)
        failed: Exception = redis.ConnectionError("no node knows the slots")
        for address in nodes:
            (reply,) = self._server(address).exchange([pack("CLUSTER", "SLOTS")])
            if isinstance(reply, list) and reply:
                self._slots = _slots(reply, address)
                self._silent.discard(address)
                self._suspects.keep(set(self._slots))
                return
            if isinstance(reply, Broken):
                self._silent.add(address)
            if isinstance(reply, Exception):
                failed = reply.cause if isinstance(reply, Broken) else reply
        raise Broken(failed, sent=False)


def _slots(ranges: Sequence[Sequence[Reply]], asked: Address) -> list[Address]:
    """Return the master of each slot, from the reply to CLUSTER SLOTS.

    A slot that no master has is given to the node that was asked: it says so itself.
    """
    slots = [asked] * REDIS_CLUSTER_HASH_SLOTS
    for first, last, (host, port, *_), *_replicas in ranges:
        # Without a host it is the one that was asked.
        master = Address((host or b"").decode() or asked.host, port)
        slots[first : last + 1] = [master] * (last + 1 - first)
    return slots


def _own_slots(view: bytes) -> list[str]:
    """Return the slots that a node says it has itself, from its reply to CLUSTER NODES."""
    lines = (line.split() for line in view.decode(errors="replace").splitlines())
    own = next((parts for parts in lines if len(parts) > 2 and "myself" in parts[2]), [])
    # Id, address, flags, master, ping, pong, epoch and link stand before them.
    return own[8:]
