"""Slots and masters that went elsewhere while nobody asked: what works on all masters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from backends.base import Item
from backends.redis import servers
from backends.redis.backend import RedisBackend
from backends.redis.routes import Shard
from tests.conftest import connect_redis
from tests.support.processes import eventually
from tests.support.redis_groups import Cluster, Node, redis_cluster

KEYS = [f"k{number}" for number in range(600)]
SPARE = 3


@pytest.fixture(scope="module")
def cluster(engine: str) -> Iterator[Cluster]:
    """A cluster with masters that have no slots, which no client hears of."""
    with redis_cluster() as running, contextlib.ExitStack() as stack:
        peer = running.nodes[0]
        for _ in range(SPARE):
            node = Node(5000)
            stack.callback(node.stop)
            running.nodes.append(node)
            node.call("CLUSTER", "MEET", "127.0.0.1", peer.port, peer.bus_port)
        for node in running.nodes:
            eventually(lambda one=node: knows(one, running.nodes), 20)
        yield running


@contextlib.contextmanager
def filled(cluster: Cluster, **settings: str) -> Iterator[RedisBackend]:
    """Yield a backend that knows the cluster, and has asked it for every key."""
    cluster.empty()
    backend = connect_redis(cluster, REDIS_TIMEOUT_MS="3000", **settings)
    backend.set_many([Item(key, b"1", None) for key in KEYS])
    yield backend
    backend.close()


def move_to_a_new_master(cluster: Cluster, keys: list[str]) -> None:
    """Give the slots of some keys to a master that had none.

    Not all that a master has: it would become a replica.
    """
    with_slots = {master[1] for _, _, master, *_ in cluster.nodes[0].call("CLUSTER", "SLOTS")}
    node = next(node for node in cluster.masters() if node.port not in with_slots)
    for key in keys:
        move(cluster, cluster.nodes[0].call("CLUSTER", "KEYSLOT", key), node)
    assert node.call("DBSIZE") >= 10


def knows(node: Node, others: list[Node]) -> bool:
    view = bytes(node.call("CLUSTER", "NODES"))
    found = all(other.id.encode() in view for other in others) and b"handshake" not in view
    return found and b"cluster_state:ok" in bytes(node.call("CLUSTER", "INFO"))


def move(cluster: Cluster, slot: int, target: Node) -> None:
    """Move a slot, and tell all masters, as ``redis-cli`` does."""
    cluster.move(slot, target)
    for node in cluster.masters():
        node.call("CLUSTER", "SETSLOT", slot, "NODE", target.id)


def listed(backend: RedisBackend) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page, cursor = backend.list_keys("", 1000, cursor)
        found += page
        if cursor is None:
            return found


def counted(backend: RedisBackend) -> int:
    return sum(one.figures.curr_items for one in backend.stats() if one.figures is not None)


def left(cluster: Cluster) -> int:
    return sum(node.call("DBSIZE") for node in cluster.masters())


def test_what_moved_to_a_new_master_is_listed_and_counted(cluster: Cluster) -> None:
    with filled(cluster) as backend:
        move_to_a_new_master(cluster, [f"cacheapi:{key}" for key in KEYS[:12]])
        assert counted(backend) == len(KEYS)
        assert sorted(set(listed(backend))) == sorted(KEYS)


@pytest.mark.parametrize(
    ("settings", "moved"),
    [
        ({}, [f"cacheapi:{key}" for key in KEYS[20:32]]),
        ({"REDIS_PREFIX": "", "REDIS_ALLOW_FLUSHDB": "true"}, KEYS[40:52]),
    ],
    ids=["keys", "flushdb"],
)
def test_what_moved_to_a_new_master_is_flushed(
    cluster: Cluster, settings: dict[str, str], moved: list[str]
) -> None:
    with filled(cluster, **settings) as backend:
        move_to_a_new_master(cluster, moved)
        backend.flush()
        assert left(cluster) == 0


def test_a_flush_goes_on_to_where_keys_went_meanwhile(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = servers.keys_of
    looked: list[Shard] = []
    moved: list[int] = []

    def keys_of(shard: Shard, prefix: bytes) -> Iterator[list[bytes]]:
        if len(looked) == 1:
            first = next(one for one in cluster.nodes if one.port == looked[0].address.port)
            key = next(key for key in KEYS if owner(cluster, key).port == shard.address.port)
            moved.append(cluster.nodes[0].call("CLUSTER", "KEYSLOT", f"cacheapi:{key}"))
            move(cluster, moved[0], first)
        looked.append(shard)
        yield from whole(shard, prefix)

    monkeypatch.setattr(servers, "keys_of", keys_of)
    with filled(cluster) as backend:
        backend.flush()
        assert moved
        assert left(cluster) == 0


def owner(cluster: Cluster, key: str) -> Node:
    return cluster.owner(f"cacheapi:{key}")


def test_a_flush_of_a_cluster_with_a_slot_in_two_halves_leaves_nothing(cluster: Cluster) -> None:
    with filled(cluster) as backend:
        slot = cluster.nodes[0].call("CLUSTER", "KEYSLOT", "cacheapi:k1")
        source = cluster.owner_of_slot(slot)
        target = next(node for node in cluster.masters() if node is not source)
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        source.call("MIGRATE", "127.0.0.1", target.port, "cacheapi:k1", 0, 5000)
        backend.flush()
        assert left(cluster) == 0
        for node in (target, source):
            node.call("CLUSTER", "SETSLOT", slot, "STABLE")


def serves(node: Node, asked: Node) -> bool:
    """Return whether one that is asked knows of slots of a node, in a cluster that is well."""
    masters = {master[1] for _, _, master, *_ in asked.call("CLUSTER", "SLOTS")}
    return node.port in masters and b"cluster_state:ok" in bytes(asked.call("CLUSTER", "INFO"))


@pytest.mark.redis_alone
@pytest.mark.parametrize("work", [listed, counted], ids=["list", "statistics"])
def test_after_a_failover_that_nobody_met_the_new_master_is_asked(
    work: Callable[[RedisBackend], object],
) -> None:
    with redis_cluster(timeout_ms=1000) as cluster, filled(cluster) as backend:
        before = work(backend)
        master = cluster.masters()[0]
        follower = next(
            node
            for node in cluster.nodes
            if node.role() == "slave" and node.info("replication")["master_port"] == master.port
        )
        master.kill()
        alive = [node for node in cluster.nodes if node is not master]
        eventually(lambda: all(serves(follower, node) for node in alive), 20)
        after = work(backend)
        if isinstance(before, list):
            assert sorted(after) == sorted(before) == sorted(KEYS)
        else:
            assert after == before == len(KEYS)
        backend.flush()
        assert listed(backend) == []
