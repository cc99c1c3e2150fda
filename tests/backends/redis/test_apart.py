"""One key that is refused, and one node of a cluster that is gone: nobody else's failure."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Item
from backends.errors import NotPermitted, Unavailable
from tests.conftest import connect_redis
from tests.http.live.test_redis import service_on
from tests.support.live import CACHE, Connection
from tests.support.processes import eventually
from tests.support.redis import PASSWORD, USER, Redis, acl_redis
from tests.support.redis_groups import Cluster, Node, redis_cluster
from tests.support.timing import Stopwatch

KEYS = [f"k{number}" for number in range(60)]


@contextlib.contextmanager
def a_key_of_its_own() -> Iterator[Redis]:
    """Run a server whose user may read and write ``open:…`` only."""
    with acl_redis() as server:
        server.call("ACL", "SETUSER", USER, "resetkeys", "~cacheapi:open:*")
        yield server


def test_a_key_that_may_not_be_read_is_that_keys_failure_alone() -> None:
    with a_key_of_its_own() as server:
        backend = connect_redis(server)
        assert backend.set_many([Item("open:1", b"1", None), Item("closed", b"1", None)])[0] is True
        found = backend.get_each(["open:1", "closed", "open:2"])
        assert list(found) == ["open:1", "closed"]
        assert found["open:1"] == b"1"
        refused = found["closed"]
        assert isinstance(refused, NotPermitted)
        assert refused.apart
        backend.close()


def test_a_user_who_may_get_and_not_mget_is_not_refused_each_time() -> None:
    with acl_redis() as server:
        server.call("ACL", "SETUSER", USER, "-mget")
        backend = connect_redis(server)
        backend.set_many([Item(key, b"1", None) for key in KEYS])
        server.call("ACL", "LOG", "RESET")
        for _ in range(100):
            assert backend.get_each(KEYS) == dict.fromkeys(KEYS, b"1")
        assert int(server.info("errorstats")["errorstat_NOPERM"]["count"]) == 1
        backend.close()


def read(port: int, paths: list[str], seen: list[tuple[int, float]], end: float) -> None:
    with Connection(port) as client:
        while time.monotonic() < end:
            for path in paths:
                started = time.monotonic()
                status = client.call("GET", path).status
                seen.append((status, time.monotonic() - started))


def all_read(
    port: int, well: list[str], ill: list[str], seconds: float = 3.0, pause: float = 0.0
) -> tuple[list[tuple[int, float]], list[int]]:
    """Read some paths from many connections, and others from one; return what came."""
    seen: list[tuple[int, float]] = []
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=read, args=(port, well, seen, end)) for _ in range(6)]
    for thread in threads:
        thread.start()
    refused = []
    with Connection(port) as client:
        while time.monotonic() < end:
            for path in ill:
                refused.append(client.call("GET", path).status)
                time.sleep(pause)
    for thread in threads:
        thread.join()
    return seen, refused


@pytest.mark.redis_alone
def test_who_reads_other_keys_does_not_notice_one_that_is_refused(tmp_path: Path) -> None:
    with a_key_of_its_own() as server, service_on(tmp_path, server) as (live, client):
        assert client.store("open:1", 1).status == 201
        seen, refused = all_read(live.port, [f"{CACHE}/open:1"], [f"{CACHE}/closed"])
        assert {status for status, _ in seen} == {200}
        assert set(refused) == {500}
        assert PASSWORD not in live.log.read_text()


@pytest.fixture
def cluster(engine: str) -> Iterator[Cluster]:
    """A cluster that serves what it can."""
    with redis_cluster() as running:
        for node in running.nodes:
            node.call("CONFIG", "SET", "cluster-require-full-coverage", "no")
        yield running


def hurt(cluster: Cluster, fault: str) -> Node:
    """Hurt a master and its replica; return the master."""
    master = cluster.owner("cacheapi:k0")
    follower = next(
        node
        for node in cluster.nodes
        if node.role() == "slave" and node.info("replication")["master_port"] == master.port
    )
    for node in (follower, master):
        node.kill() if fault == "kill" else node.pause()
    return master


@pytest.mark.redis_alone
@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_a_node_that_is_gone_fails_its_own_keys_alone(
    cluster: Cluster, fault: str, tmp_path: Path
) -> None:
    with service_on(tmp_path, cluster, REDIS_TIMEOUT_MS="500") as (live, client):
        pairs = [{"key": key, "value": key} for key in KEYS]
        assert client.call("POST", CACHE, {"resource": pairs}).status == 201
        master = hurt(cluster, fault)
        gone = [key for key in KEYS if client.get(key).status == 500]
        assert "k0" in gone
        others = [key for key in KEYS if key not in gone]
        assert len(others) > len(KEYS) / 3
        message = client.get("k0").message
        assert f"the node 127.0.0.1:{master.port} of Redis Cluster" in message
        seen, refused = all_read(
            live.port,
            [f"{CACHE}/{key}" for key in others],
            [f"{CACHE}/{key}" for key in gone[:5]],
            pause=0.2,
        )
        assert {status for status, _ in seen} == {200}
        assert set(refused) == {500}
        times = sorted(seconds for _, seconds in seen)
        print(f"p50 {times[len(times) // 2]:.4f} p99 {times[len(times) * 99 // 100]:.4f}")
        ready = client.call("GET", "/health/ready")
        assert ready.status == 503
        assert "from slot " in ready.body.decode()
        # Stores too.
        assert client.store(others[0], 1).status == 201
        assert client.store("k0", 1).status != 201
        assert client.store(others[1], 1).status == 201


def test_a_node_that_is_back_is_asked_again_soon(cluster: Cluster) -> None:
    backend = connect_redis(cluster, REDIS_TIMEOUT_MS="500")
    backend.set("k0", b"1", None)
    master = cluster.owner("cacheapi:k0")
    master.pause()
    with pytest.raises(Unavailable):
        backend.get("k0")
    taken = Stopwatch()
    with pytest.raises(Unavailable):
        backend.get("k0")
    assert taken() < 0.4
    master.resume()
    eventually(lambda: backend.get_each(["k0"]) == {"k0": b"1"}, 3)
    backend.close()
