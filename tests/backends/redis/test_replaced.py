"""A server that another takes over from behind one name or balancer, and connections that die."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from backends.errors import BackendError, NotNow
from backends.redis.backend import RedisBackend
from tests.conftest import connect_redis
from tests.support.processes import eventually
from tests.support.proxy import Proxy, proxy
from tests.support.redis import Redis, redis_server, replica
from tests.support.redis_groups import BY_FILE, has_followers
from tests.support.timing import Stopwatch


@contextlib.contextmanager
def behind_a_balancer() -> Iterator[tuple[Redis, Redis, Proxy]]:
    """Run a primary, its replica, and what leads to the primary."""
    with redis_server(*BY_FILE) as old, replica(old, *BY_FILE) as new, proxy(old.port) as line:
        eventually(lambda: has_followers(old, 1), 15)
        yield old, new, line


def fail_over(old: Redis, new: Redis, line: Proxy) -> None:
    """Make the replica the primary; connections that there are stay with the old one."""
    new.call("REPLICAOF", "NO", "ONE")
    old.call("REPLICAOF", "127.0.0.1", new.port)
    line.target = new.port


def connect(server: Redis, line: Proxy, **settings: str) -> RedisBackend:
    return connect_redis(server, REDIS_PORT=str(line.port), REDIS_TIMEOUT_MS="2000", **settings)


def test_writes_go_on_at_the_new_primary_and_counts_are_made_once() -> None:
    with behind_a_balancer() as (old, new, line):
        backend = connect(old, line)
        backend.set("count", b"0", None)
        assert backend.increment("count", 1) == 1
        eventually(lambda: new.call("GET", "cacheapi:count") == b"1")
        fail_over(old, new, line)
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda _: backend.increment("count", 1), range(40)))
        assert sorted(done) == list(range(2, 42))
        assert new.call("GET", "cacheapi:count") == b"41"
        backend.close()


def test_who_only_reads_hears_of_the_new_primary_too() -> None:
    with behind_a_balancer() as (old, new, line):
        reader = connect(old, line)
        writer = connect(old, line)
        writer.set("k", b"before", None)
        eventually(lambda: new.call("GET", "cacheapi:k") == b"before")
        assert reader.get("k") == b"before"
        # What is told to the old one from now on is slow to come.
        new.call("REPLICAOF", "NO", "ONE")
        old.call("REPLICAOF", "127.0.0.1", "1")
        line.target = new.port
        writer.set("k", b"after", None)
        eventually(lambda: reader.get("k") == b"after", 5)
        assert old.call("GET", "cacheapi:k") == b"before"
        for backend in (reader, writer):
            backend.close()


def test_a_primary_that_loads_for_long_is_left_for_the_one_that_took_over() -> None:
    slow = ("--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024")
    with redis_server(*slow) as old, redis_server() as new, proxy(old.port) as line:
        backend = connect(old, line)
        for number in range(3000):
            backend.set(f"k{number}", b"x" * 100, None)
        old.call("SAVE")
        old.restart()
        with pytest.raises(NotNow, match="LOADING"):
            backend.set("k", b"1", None)
        line.target = new.port
        eventually(lambda: sets(backend), 5)
        assert new.call("GET", "cacheapi:k") == b"1"
        backend.close()


def sets(backend: RedisBackend) -> bool:
    try:
        backend.set("k", b"1", None)
    except BackendError:
        return False
    return True


def test_a_replica_that_lost_its_master_is_left_for_the_new_primary() -> None:
    alone = ("--replica-serve-stale-data", "no")
    with redis_server(*alone) as old, redis_server() as new, proxy(old.port) as line:
        backend = connect(old, line)
        backend.set("k", b"before", None)
        old.call("REPLICAOF", "127.0.0.1", "1")
        new.call("SET", "cacheapi:k", "after")
        line.target = new.port
        assert backend.get("k") == b"after"
        backend.close()


def test_a_user_who_may_not_ask_for_the_role_is_served(redis_acl: Redis) -> None:
    backend = connect_redis(redis_acl)
    backend.set("k", b"1", None)
    time.sleep(1.2)
    assert backend.get("k") == b"1"
    time.sleep(1.2)
    assert backend.get("k") == b"1"
    backend.close()


@pytest.mark.redis_alone
def test_idle_connections_that_were_dropped_in_silence_fail_nothing_and_go_at_once() -> None:
    with redis_server() as server, proxy(server.port) as line:
        backend = connect(server, line)
        backend.set("count", b"0", None)
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: (time.sleep(0.2), backend.increment("count", 1)), range(6)))
        time.sleep(1.2)
        line.forget()
        taken = Stopwatch()
        assert backend.get("count") == b"6"
        assert backend.increment("count", 1) == 7
        first = taken()
        assert first < 2.2
        taken = Stopwatch()
        with ThreadPoolExecutor(6) as pool:
            done = list(
                pool.map(lambda _: (time.sleep(0.2), backend.increment("count", 1))[1], range(6))
            )
        assert sorted(done) == list(range(8, 14))
        # Nobody waited for another dead one.
        assert taken() < 0.9
        backend.close()
