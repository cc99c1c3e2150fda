"""Redis servers that stand in for each other: a master under Sentinel, and a Cluster."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from redis.exceptions import ResponseError

from tests.support.certificates import Certificates
from tests.support.processes import eventually, free_port
from tests.support.redis import Redis, redis_server, replica_of

MASTER_NAME = "mymaster"
SLOTS = 16384
# A replica that got its copy over a file follows at once, over a socket after a second. Were the
# file kept, it would have that when it starts again.
BY_FILE = ("--repl-diskless-sync", "no", "--rdb-del-sync-files", "yes")


class Sentinel(Redis):
    """A Sentinel that watches a master, and knows its fellows from the start."""

    def __init__(self, port: int, lines: list[str]) -> None:
        self._lines = [f"port {port}", "bind 127.0.0.1", *lines]
        super().__init__(port=port)

    def start(self) -> None:
        """Start it, with what it learned where it ran before."""
        path = self.directory / "sentinel.conf"
        if not path.exists():
            path.write_text("\n".join([*self._lines, f"dir {self.directory}", ""]))
        self._run([self._program, str(path), "--sentinel"])

    def master_port(self) -> int:
        """Return where it sends clients."""
        return int(self.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)[1])

    def is_ready(self) -> bool:
        """Return whether it could lead a failover: it sees its fellows and the replicas."""
        try:
            return bytes(self.call("SENTINEL", "CKQUORUM", MASTER_NAME)).startswith(b"OK 3")
        except ResponseError:
            return False


class SentinelGroup:
    """A master with two replicas, and three Sentinels."""

    def __init__(self, servers: list[Redis], sentinels: list[Sentinel]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def settings(self) -> dict[str, str]:
        """What the service needs to use it."""
        return {"REDIS_SENTINEL_HOST": _addresses(self.sentinels)}

    @property
    def master(self) -> Redis:
        """The server that the Sentinels send clients to."""
        port = self.sentinels[0].master_port()
        return next(server for server in self.servers if server.port == port)

    def epoch(self) -> int:
        """Return a number that each failover raises."""
        told = self.sentinels[0].call("SENTINEL", "MASTER", MASTER_NAME)
        return int(told[told.index(b"config-epoch") + 1])

    def call(self, *command: Any) -> Any:
        return self.master.call(*command)

    def empty(self) -> None:
        self.master.call("FLUSHALL")


@contextlib.contextmanager
def sentinel_group(down_ms: int = 500) -> Iterator[SentinelGroup]:
    """Run a master with two replicas under three Sentinels.

    :param down_ms: how long a master may be silent before it is taken for down.
    """
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(redis_server(*BY_FILE))
        replicas = [
            stack.enter_context(redis_server(*BY_FILE, *replica_of(master))) for _ in range(2)
        ]
        eventually(lambda: has_followers(master, 2), 10)
        sentinels = _start_sentinels(stack, master, replicas, down_ms)
        yield SentinelGroup([master, *replicas], sentinels)


def _start_sentinels(
    stack: contextlib.ExitStack, master: Redis, replicas: list[Redis], down_ms: int
) -> list[Sentinel]:
    """Start three that know each other and the replicas, which they would learn in seconds."""
    ids = {free_port(): f"{number:040x}" for number in (1, 2, 3)}
    common = [
        f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master.port} 2",
        f"sentinel down-after-milliseconds {MASTER_NAME} {down_ms}",
        # A failed attempt is made again after twice this time.
        f"sentinel failover-timeout {MASTER_NAME} 3000",
        f"sentinel parallel-syncs {MASTER_NAME} 2",
        *(f"sentinel known-replica {MASTER_NAME} 127.0.0.1 {one.port}" for one in replicas),
    ]
    sentinels = []
    for port, own in ids.items():
        fellows = [
            f"sentinel known-sentinel {MASTER_NAME} 127.0.0.1 {other} {its}"
            for other, its in ids.items()
            if other != port
        ]
        sentinels.append(Sentinel(port, [f"sentinel myid {own}", *common, *fellows]))
        stack.callback(sentinels[-1].stop)
    for one in sentinels:
        eventually(one.is_ready, 10)
    return sentinels


@contextlib.contextmanager
def tls_sentinel(
    master: Redis, certificates: Certificates, *, tls: bool = True
) -> Iterator[Sentinel]:
    """Run one Sentinel that speaks TLS only, or none, whatever the master does that it watches."""
    port = free_port()
    lines = [
        *(("port 0", f"tls-port {port}") if tls else ()),
        f"tls-replication {'no' if master.certificates is None else 'yes'}",
        f"tls-ca-cert-file {certificates.authority}",
        f"tls-cert-file {certificates.server}",
        f"tls-key-file {certificates.server_key}",
        f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master.port} 1",
    ]
    sentinel = Sentinel(port, lines)
    try:
        yield sentinel
    finally:
        sentinel.stop()


def has_followers(master: Redis, number: int) -> bool:
    """Return whether so many replicas get all that a master does."""
    with master.client() as client:
        client.execute_command("FLUSHALL")
        return int(client.execute_command("WAIT", number, 100)) == number


def _addresses(servers: list[Any]) -> str:
    return ",".join(f"127.0.0.1:{server.port}" for server in servers)


class Node(Redis):
    """A server of a Cluster."""

    def __init__(self, timeout_ms: int, *arguments: str) -> None:
        self.bus_port = free_port()
        super().__init__(
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)),
            *("--cluster-node-timeout", str(timeout_ms), "--cluster-announce-ip", "127.0.0.1"),
            # A replica takes over however long ago it heard of its master.
            *("--cluster-replica-validity-factor", "0", *BY_FILE),
            *arguments,
        )

    @property
    def id(self) -> str:
        return bytes(self.call("CLUSTER", "MYID")).decode()

    def is_ready(self) -> bool:
        """Return whether it sees a whole Cluster of six."""
        figures = bytes(self.call("CLUSTER", "INFO")).split()
        return {b"cluster_state:ok", b"cluster_known_nodes:6", b"cluster_size:3"} <= {*figures}


class Cluster:
    """Three masters, each with a replica."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def settings(self) -> dict[str, str]:
        """What the service needs to use it."""
        return {"REDIS_CLUSTER": "true", "REDIS_HOST": _addresses(self.nodes)}

    def epoch(self) -> int:
        """Return a number that each failover raises."""
        return int(
            self.nodes[0].call("CLUSTER", "INFO").split(b"cluster_current_epoch:")[1].split()[0]
        )

    def masters(self) -> list[Node]:
        return [node for node in self.nodes if node.role() == "master"]

    def owner(self, key: str) -> Node:
        """Return the master that serves a key."""
        slot = self.nodes[0].call("CLUSTER", "KEYSLOT", key)
        return self.owner_of_slot(slot)

    def owner_of_slot(self, slot: int) -> Node:
        for first, last, master, *_ in self.nodes[0].call("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise AssertionError(f"nobody serves slot {slot}")

    def call(self, *command: Any) -> Any:
        """Send one command to the master that serves its key."""
        return self.owner(command[1]).call(*command)

    def empty(self) -> None:
        for node in self.masters():
            node.call("FLUSHALL")

    def move(self, slot: int, target: Node) -> None:
        """Move a slot to another master, key by key, as ``redis-cli --cluster reshard`` does."""
        source = self.owner_of_slot(slot)
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 10):
            source.call(
                *("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys),
            )
        for node in (target, source):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", target.id)


@contextlib.contextmanager
def redis_cluster(timeout_ms: int = 5000, *arguments: str) -> Iterator[Cluster]:
    """Run a Cluster of three masters, each with a replica.

    :param timeout_ms: how long a node may be silent before it is taken for down.
    :param arguments: more options of each node.
    """
    with contextlib.ExitStack() as stack:
        nodes: list[Node] = []
        for _ in range(6):
            nodes.append(Node(timeout_ms, *arguments))
            stack.callback(nodes[-1].stop)
        masters = nodes[:3]
        bounds = [0, 5461, 10923, SLOTS]
        for master, start, end in zip(masters, bounds, bounds[1:], strict=False):
            master.call("CLUSTER", "ADDSLOTSRANGE", start, end - 1)
        for number, node in enumerate(nodes, 1):
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number)
        for node, other in itertools.combinations(nodes, 2):
            node.call("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus_port)
        for master, follower in zip(masters, nodes[3:], strict=True):
            eventually(lambda one=follower, its=master.id: _replicate(one, its), 10)
        for node in nodes:
            eventually(node.is_ready, 15)
        for master in masters:
            eventually(lambda one=master: has_followers(one, 1), 10)
        yield Cluster(nodes)


def _replicate(node: Node, master: str) -> bool:
    """Make a node a replica; return whether it knew the master already."""
    try:
        return bool(node.call("CLUSTER", "REPLICATE", master))
    except ResponseError:
        return False
