"""A proxy in front that knows the commands of keys alone: twemproxy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backends.base import MISSING, Backend, Item
from backends.capabilities import Capability
from backends.errors import BackendError, BehindProxy, Failed
from backends.memcached.backend import MemcachedBackend
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    GetAndDelete,
    Increment,
    Operation,
    Replace,
    Touch,
)
from cacheapi.registry.trial import run_on
from tests.conftest import connect, connect_redis
from tests.support.nutcracker import Nutcracker, nutcracker
from tests.support.processes import Memcached, Server, eventually, memcached
from tests.support.redis import Redis, redis_server

KEYS = [f"key{number}" for number in range(40)]


@pytest.fixture(params=["memcached", "redis"])
def behind(
    request: pytest.FixtureRequest, memcached_server: Memcached, redis_one: Redis
) -> Iterator[Backend]:
    """A backend whose server has a proxy in front."""
    kind = request.param
    server: Server = memcached_server if kind == "memcached" else redis_one
    with nutcracker([server], redis=kind == "redis") as proxy:
        backend = reach(proxy, kind)
        yield backend
        backend.close()


def reach(proxy: Nutcracker, kind: str) -> Backend:
    if kind == "redis":
        return connect_redis(proxy, REDIS_TIMEOUT_MS="3000")
    return connect(proxy, timeout_ms=3000)  # type: ignore[arg-type]


def refuses(backend: Backend, command: str, ask: Callable[[], object]) -> None:
    for _ in range(2):
        with pytest.raises(BehindProxy, match="A proxy is in front of ") as caught:
            ask()
        assert caught.value.command == command


def test_keys_are_served_and_the_rest_is_refused_by_name(behind: Backend) -> None:
    is_redis = behind.driver == "redis"
    assert set(behind.set_many([Item(key, b"1", 60) for key in KEYS])) == {True}
    assert behind.get_many(KEYS) == dict.fromkeys(KEYS, b"1")
    assert behind.increment("key0", 41) == 42
    assert Capability.STATS in behind.capabilities
    refuses(behind, "INFO" if is_redis else "stats", behind.stats)
    assert Capability.STATS not in behind.capabilities
    assert "A proxy is in front" in behind.in_front
    refuses(behind, "SCAN" if is_redis else "flush_all", behind.flush)
    if is_redis:
        refuses(behind, "SCAN", lambda: behind.list_keys("", 10, None))
        assert 59 < (behind.remaining_ttl("key1") or 0) <= 60
        assert not {Capability.LIST_KEYS, Capability.FLUSH_PREFIX} & behind.capabilities
    else:
        refuses(behind, "mg", lambda: behind.remaining_ttl("key1"))
        assert Capability.REMAINING_TTL not in behind.capabilities
    assert behind.get("key0") == b"42"
    assert behind.delete("key0")
    assert behind.get("key0") is MISSING


def test_it_is_looked_at_and_well(behind: Backend) -> None:
    outcome = run_on(behind)
    assert outcome.success, outcome
    # Whoever looks finds out what cannot be done.
    assert behind.in_front
    assert Capability.STATS not in behind.capabilities


def test_without_the_proxy_the_flags_come_back(memcached_server: Memcached) -> None:
    with nutcracker([memcached_server]) as proxy:
        backend = reach(proxy, "memcached")
        assert isinstance(backend, MemcachedBackend)
        with pytest.raises(BehindProxy):
            backend.stats()
        proxy.kill()
        with memcached(port=proxy.port):
            assert eventually(lambda: backend.stats()[0].figures is not None)
            assert not backend.in_front
            assert {Capability.STATS, Capability.REMAINING_TTL} <= backend.capabilities
        backend.close()


def test_a_server_that_goes_down_is_no_proxy() -> None:
    with memcached() as server, redis_server() as other:
        for backend in (connect(server), connect_redis(other)):
            assert backend.stats()[0].error is None
        server.kill()
        other.kill()
        for backend in (connect(server), connect_redis(other)):
            assert "cannot be reached" in str(backend.stats()[0].error)
            assert not backend.in_front
            assert Capability.STATS in backend.capabilities
            backend.close()


@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_a_dead_server_behind_it_fails_its_own_keys_alone(kind: str, dead: int) -> None:
    start = memcached if kind == "memcached" else redis_server
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(start()) for _ in range(2)]
        proxy = stack.enter_context(nutcracker(servers, redis=kind == "redis"))
        backend = reach(proxy, kind)
        assert set(backend.set_many([Item(key, b"1", 60) for key in KEYS])) == {True}
        servers[dead].kill()
        # Connections that are new as well: each of two servers may be asked for its version.
        backend.close()
        found = backend.get_each(KEYS)
        lost = [key for key in KEYS if isinstance(found.get(key), BackendError)]
        kept = [key for key in KEYS if found.get(key) == b"1"]
        assert len(lost) + len(kept) == len(KEYS)
        assert lost
        assert kept
        for key in lost:
            error = found[key]
            assert isinstance(error, Failed)
            assert error.apart
            assert "Connection refused" in str(error)
            with pytest.raises(Failed, match="Connection refused") as caught:
                backend.get(key)
            assert caught.value.apart
            with pytest.raises(Failed, match="Connection refused"):
                backend.delete(key)
        assert backend.get_many(kept) == dict.fromkeys(kept, b"1")
        outcomes = backend.set_many([Item(key, b"2", 60) for key in KEYS])
        for key, outcome in zip(KEYS, outcomes, strict=True):
            assert (outcome is True) == (key in kept), (key, outcome)
        assert backend.increment(kept[0], 1) == 3
        backend.close()


def operations_of(key: str) -> list[tuple[Operation, Any]]:
    """Return one of each kind, with its outcome where 1 is stored."""
    absent = f"{key}-absent"
    return [
        (Get(key), b"1"),
        (Exists(key), True),
        (Touch(key, 60), True),
        (Increment(key, 2), 3),
        (Replace(key, b"7", 60), True),
        (Item(key, b"8", 60), True),
        (Add(key, b"9", 60), False),
        (Delete(key), True),
        (Get(absent), MISSING),
        (GetAndDelete(absent), MISSING),
        (Delete(absent), False),
    ]


@pytest.mark.parametrize("kind", ["memcached", "redis"])
def test_operations_fail_for_the_keys_of_a_dead_server_alone(kind: str) -> None:
    start = memcached if kind == "memcached" else redis_server
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(start()) for _ in range(2)]
        proxy = stack.enter_context(nutcracker(servers, redis=kind == "redis"))
        backend = reach(proxy, kind)
        operations, expected = zip(
            *[one for key in KEYS for one in operations_of(key)], strict=True
        )
        pairs = [Item(key, b"1", 60) for key in KEYS]
        assert set(backend.set_many(pairs)) == {True}
        assert tuple(backend.perform(operations)) == expected
        assert set(backend.set_many(pairs)) == {True}
        servers[1].kill()
        backend.close()
        # Which server a key is on is known from a read of it by itself.
        names = {operation.key for operation in operations}
        lost = {name for name in names if isinstance(backend.get_each([name]).get(name), Failed)}
        assert lost
        assert lost < names
        outcomes = backend.perform(operations)
        for operation, outcome, got in zip(operations, expected, outcomes, strict=True):
            if operation.key in lost:
                assert isinstance(got, Failed), (operation, got)
                assert got.apart, (operation, got)
                assert "Connection refused" in str(got)
            else:
                assert got == outcome, operation
        backend.close()
