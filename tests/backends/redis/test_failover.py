"""Masters that die or hang in mid-load, under Sentinel and in a Cluster, and slots that move.

Each test takes seconds: the servers must notice, agree and promote.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
from redis.exceptions import ResponseError

from backends.base import Item
from backends.errors import AuthenticationFailed, Unavailable
from backends.redis.backend import RedisBackend
from backends.redis.errors import Broken
from backends.redis.routes import SENTINEL_SECONDS, SentinelRoute
from tests.conftest import connect_redis
from tests.support.load import Load
from tests.support.processes import eventually, free_port
from tests.support.redis import PASSWORD, Redis, locked_redis
from tests.support.redis_groups import (
    MASTER_NAME,
    Cluster,
    Sentinel,
    SentinelGroup,
    redis_cluster,
    sentinel_group,
)
from tests.support.timing import starved

# The promise is 5 seconds; a machine that is busy with other tests is given more.
LONGEST_OUTAGE = 8.0
BY_DEFAULT = "500"


def survives(
    backend: RedisBackend, group: SentinelGroup | Cluster, master: Redis, fault: str
) -> None:
    """Hurt a master in mid-load; what follows is errors for a while, and never a wrong value."""
    load = Load(backend)
    try:
        started, waited = time.monotonic(), starved()
        master.kill() if fault == "kill" else master.pause()
        eventually(lambda: load.errors, 5)
        eventually(lambda: load.is_well_for(0.5), 15)
        well, epoch = time.monotonic(), group.epoch()
        if fault == "stop":
            # It believes to be the master still, until the others tell it.
            master.resume()
            eventually(lambda: load.is_well_for(1.0), 10)
            if group.epoch() != epoch:
                # A busy machine: they took the new master for dead too.
                well = time.monotonic()
    finally:
        load.stop()
    outage = load.errors[-1][0] - started - (starved() - waited)
    print(f"outage {outage:.2f} s, {len(load.errors)} errors, {len(load.lost)} writes lost")
    assert load.wrong == []
    assert {isinstance(error, Unavailable) for _, error in load.errors} == {True}
    assert outage < LONGEST_OUTAGE
    assert all(started < lost.moment and lost.written < well for lost in load.lost)


faults = pytest.mark.parametrize(
    "fault", ["kill", pytest.param("stop", marks=pytest.mark.redis_alone)]
)


@faults
def test_sentinel_promotes_a_replica_in_mid_load(fault: str) -> None:
    with sentinel_group() as group:
        backend = connect_redis(group, REDIS_TIMEOUT_MS=BY_DEFAULT)
        epoch = group.epoch()
        survives(backend, group, group.master, fault)
        eventually(lambda: group.epoch() > epoch)

        def is_used() -> bool:
            # Sentinels of a busy machine may take the new master for dead too, and do it again.
            with contextlib.suppress(Unavailable):
                backend.set("after", b"1", None)
            return bool(group.call("GET", "cacheapi:after") == b"1")

        eventually(is_used, 10)
        backend.close()


@faults
def test_a_cluster_promotes_a_replica_in_mid_load(fault: str) -> None:
    with redis_cluster(timeout_ms=1000) as cluster:
        backend = connect_redis(cluster, REDIS_TIMEOUT_MS=BY_DEFAULT)
        survives(backend, cluster, cluster.nodes[1], fault)
        backend.set_many([Item(f"after{number}", b"1", None) for number in range(50)])
        keys = [f"after{number}" for number in range(50)]
        assert backend.get_many(keys) == dict.fromkeys(keys, b"1")
        backend.close()


def another_master(group: SentinelGroup) -> Redis:
    """Have a Sentinel make another server the master; return that one.

    On a busy machine it may know no replica that would do, or may not get it to the end in time.
    """
    before = group.master
    for _ in range(4):
        with contextlib.suppress(ResponseError):
            group.sentinels[0].call("SENTINEL", "FAILOVER", MASTER_NAME)
        with contextlib.suppress(AssertionError):
            eventually(lambda: group.master is not before, 10)
            return group.master
    raise AssertionError("no failover")


def test_a_failover_that_an_operator_asks_sentinel_for_is_no_error_of_a_replica() -> None:
    with sentinel_group() as group:
        backend = connect_redis(group)
        before = group.master
        load = Load(backend)
        try:
            after = another_master(group)
            # The sentinels do it too, after some seconds.
            before.call("REPLICAOF", "127.0.0.1", after.port)
            eventually(lambda: load.is_well_for(0.5), 10)
        finally:
            load.stop()
        assert load.wrong == []
        # What the old master refuses, since it is a replica, goes to the new one.
        assert [error for _, error in load.errors if "READONLY" in str(error)] == []
        backend.close()


@pytest.mark.redis_alone
def test_a_service_that_slept_through_a_failover_does_not_write_to_the_old_master() -> None:
    with sentinel_group() as group:
        backend = connect_redis(group)
        backend.set("k", b"before", None)
        before = group.master
        before.pause()
        eventually(lambda: group.master is not before, 10)
        time.sleep(SENTINEL_SECONDS)
        before.resume()
        # It is a master still, and would take the write and lose it.
        backend.set("k", b"after", None)
        assert group.call("GET", "cacheapi:k") == b"after"
        backend.close()


@pytest.mark.redis_alone
def test_a_sentinel_that_is_down_or_hangs_is_passed_over() -> None:
    with sentinel_group() as group:
        group.sentinels[0].kill()
        backend = connect_redis(group, REDIS_TIMEOUT_MS="1000")
        backend.set("k", b"1", None)
        group.sentinels[1].pause()
        # What was asked last counts for a second.
        time.sleep(1.1)
        assert backend.get("k") == b"1"
        group.sentinels[2].kill()
        # With nobody to ask, the last known master is the best guess.
        time.sleep(1.1)
        assert backend.get("k") == b"1"
        backend.close()
        stranger = connect_redis(group, REDIS_TIMEOUT_MS="1000")
        with pytest.raises(Unavailable):
            stranger.get("k")
        stranger.close()


def test_a_sentinel_and_its_master_can_have_a_password_each() -> None:
    watch = [
        "requirepass of-the-sentinel",
        "sentinel monitor other-name 127.0.0.1 {port} 1",
        f"sentinel auth-pass other-name {PASSWORD}",
    ]
    with locked_redis() as master, contextlib.ExitStack() as stack:
        lines = [line.format(port=master.port) for line in watch]
        sentinel = Sentinel(free_port(), lines)
        stack.callback(sentinel.stop)
        settings = {
            "REDIS_SENTINEL_HOST": "127.0.0.1",
            "REDIS_SENTINEL_PORT": str(sentinel.port),
            "REDIS_SENTINEL_MASTER": "other-name",
        }
        right = {**settings, "REDIS_SENTINEL_PASSWORD": "of-the-sentinel"}
        backend = connect_redis(master, **right)
        backend.set("k", b"1", None)
        assert backend.get("k") == b"1"
        backend.close()
        who = f"the sentinel at 127.0.0.1:{sentinel.port}"
        for wrong, error, named in (
            ({**settings}, AuthenticationFailed, [who, "REDIS_SENTINEL_PASSWORD"]),
            ({**settings, "REDIS_SENTINEL_PASSWORD": "wr0ng-one"}, AuthenticationFailed, [who]),
            ({**right, "REDIS_PASSWORD": "wr0ng-one"}, AuthenticationFailed, ["the master"]),
            ({**right, "REDIS_SENTINEL_MASTER": "nobody"}, Unavailable, ["'nobody'", "_MASTER"]),
        ):
            backend = connect_redis(master, **wrong)
            with pytest.raises(error) as caught:
                backend.get("k")
            assert "wr0ng" not in str(caught.value)
            for part in named:
                assert part in str(caught.value)
            assert (who in str(caught.value)) == (who in named)
            backend.close()


def test_a_sentinel_can_have_a_user_of_its_own() -> None:
    with locked_redis() as master, contextlib.ExitStack() as stack:
        lines = [
            "user default off",
            "user watcher on >of-the-sentinel allchannels +sentinel|get-master-addr-by-name",
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master.port} 1",
            f"sentinel auth-pass {MASTER_NAME} {PASSWORD}",
        ]
        sentinel = Sentinel(free_port(), lines)
        stack.callback(sentinel.stop)
        settings = {
            "REDIS_SENTINEL_HOST": f"127.0.0.1:{sentinel.port}",
            "REDIS_SENTINEL_PASSWORD": "of-the-sentinel",
        }
        backend = connect_redis(master, **settings, REDIS_SENTINEL_USERNAME="watcher")
        backend.set("k", b"1", None)
        assert backend.get("k") == b"1"
        backend.close()
        backend = connect_redis(master, **settings)
        with pytest.raises(AuthenticationFailed, match="the sentinel at") as caught:
            backend.get("k")
        assert "REDIS_SENTINEL_USERNAME" in caught.value.cause
        backend.close()


@pytest.mark.redis_alone
def test_while_all_sentinels_hang_the_master_is_used_and_they_are_waited_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, ask = [], SentinelRoute._ask

    def noting(route: SentinelRoute) -> object:
        asked.append(ask(route))
        return asked[-1]

    with sentinel_group() as group:
        backend = connect_redis(group, REDIS_TIMEOUT_MS="500")
        backend.set("k", b"1", None)
        for sentinel in group.sentinels:
            sentinel.pause()
        monkeypatch.setattr(SentinelRoute, "_ask", noting)
        time.sleep(SENTINEL_SECONDS + 0.1)
        assert backend.get("k") == b"1"
        (silence,) = asked
        assert isinstance(silence, Broken)
        until = time.monotonic() + 2 * SENTINEL_SECONDS
        while time.monotonic() < until:
            assert backend.get("k") == b"1"
            time.sleep(0.02)
        assert asked == [silence]
        backend.close()


@pytest.fixture(scope="module")
def cluster(engine: str) -> Iterator[Cluster]:
    """A cluster whose slots the tests of this module move."""
    with redis_cluster() as running:
        yield running


@pytest.mark.redis_alone
def test_slots_that_move_in_mid_load_fail_nothing(cluster: Cluster) -> None:
    backend = connect_redis(cluster)
    load = Load(backend)
    try:
        masters = cluster.masters()
        keys = [f"cacheapi:writer{number}:{index}" for number in range(4) for index in range(12)]
        for turn in range(2):
            for key in keys[::2]:
                slot = cluster.nodes[0].call("CLUSTER", "KEYSLOT", key)
                others = [node for node in masters if node is not cluster.owner_of_slot(slot)]
                cluster.move(slot, others[turn % 2])
        eventually(load.goes_on(50), 10)
    finally:
        load.stop()
    assert load.errors == []
    assert load.lost == []
    assert load.wrong == []
    backend.close()


def take_over(node: Redis) -> list[float]:
    """Have a node of a Cluster take over; return when it was asked to.

    It gives up after five seconds, which a busy machine may need for the votes.
    """
    asked: list[float] = []
    for _ in range(4):
        asked.append(time.monotonic())
        node.call("CLUSTER", "FAILOVER")
        with contextlib.suppress(AssertionError):
            eventually(lambda: node.role() == "master", 6)
            return asked
    raise AssertionError(f"no failover after {len(asked)} attempts")


def test_a_failover_that_an_operator_asks_a_cluster_for_loses_nothing(
    cluster: Cluster,
) -> None:
    backend = connect_redis(cluster)
    load = Load(backend)
    turns = []
    try:
        for node in [node for node in cluster.nodes if node.role() == "slave"]:
            turns += take_over(node)
            eventually(load.goes_on(20), 10)
    finally:
        load.stop()
    # On an idle machine nothing fails. On a busy one the nodes may miss a vote and tell for a
    # moment that nobody has the slots.
    for moment, error in load.errors:
        assert "CLUSTERDOWN" in str(error)
        assert any(0 <= moment - turn < LONGEST_OUTAGE for turn in turns)
    assert load.lost == []
    assert load.wrong == []
    backend.close()


def test_a_slot_that_is_half_moved_is_read_and_written_on_both_nodes(cluster: Cluster) -> None:
    backend = connect_redis(cluster, REDIS_PREFIX="{moving}")
    keys = [f"k{number}" for number in range(20)]
    backend.set_many([Item(key, key.encode(), None) for key in keys])
    slot = cluster.nodes[0].call("CLUSTER", "KEYSLOT", "{moving}")
    source = cluster.owner_of_slot(slot)
    target = next(node for node in cluster.masters() if node is not source)
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
    moved = [f"{{moving}}{key}" for key in keys[:10]]
    # On a busy machine a node may just miss the others, and take no keys.
    eventually(lambda: "cluster_state:ok" in str(target.call("CLUSTER", "INFO")), 30)
    source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *moved)
    assert backend.get_many([*keys, "absent"]) == {key: key.encode() for key in keys}
    assert backend.add("new", b"7", None) is True
    assert backend.add("new", b"8", None) is False
    assert backend.increment("new", 1) == 8
    assert target.call("CLUSTER", "COUNTKEYSINSLOT", slot) == 11
    for key in (keys[0], keys[-1]):
        assert backend.compare_and_set(key, b"changed", key.encode(), None) is True
        assert backend.get(key) == b"changed"
        assert backend.get_and_delete(key) == b"changed"
    assert backend.delete_many(keys[1:-1]) == [True] * 18
    for node in (target, source):
        node.call("CLUSTER", "SETSLOT", slot, "NODE", target.id)
    assert backend.get("new") == b"8"
    backend.close()


def test_a_slot_that_nobody_serves_is_unavailable_and_then_right(cluster: Cluster) -> None:
    backend = connect_redis(cluster)
    backend.set("k", b"1", None)
    slot = cluster.nodes[0].call("CLUSTER", "KEYSLOT", "cacheapi:k")
    owner = cluster.owner_of_slot(slot)
    for node in cluster.nodes:
        node.call("CLUSTER", "DELSLOTS", slot)
    for operation in (
        lambda: backend.get("k"),
        lambda: backend.set("k", b"2", None),
        lambda: backend.increment("k", 1),
    ):
        with pytest.raises(Unavailable):
            operation()
    owner.call("CLUSTER", "ADDSLOTS", slot)
    eventually(lambda: all(node.is_ready() for node in cluster.nodes), 10)
    backend.set("k", b"3", None)
    assert backend.get("k") == b"3"
    backend.close()


def test_a_cluster_is_found_over_any_start_node_that_is_there(cluster: Cluster) -> None:
    nobody = "127.0.0.1:1"
    for node in cluster.nodes:
        backend = connect_redis(cluster, REDIS_HOST=f"{nobody},127.0.0.1:{node.port}")
        backend.set_many([Item(f"k{number}", b"1", None) for number in range(30)])
        assert len(backend.get_many([f"k{number}" for number in range(30)])) == 30
        backend.close()
