"""Each rule of the advice: with real servers that were brought to it, and at its threshold."""

from __future__ import annotations

import contextlib
import re
import socket
from pathlib import Path

import pytest

from backends.base import Backend, Item
from backends.file.backend import FileBackend
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
from backends.statistics import Figures, ServerStatistics, Signs
from cacheapi.caching.service import CacheService
from cacheapi.observing import advice
from cacheapi.observing.advice import advise
from cacheapi.observing.statistics import read, total_of
from tests.conftest import connect, connect_redis
from tests.support.processes import REPOSITORY, eventually, memcached
from tests.support.redis import redis_server

PATIENT = 5000
REDIS_PATIENT = {"REDIS_TIMEOUT_MS": "5000"}


def advised(backend: Backend) -> dict[str, str]:
    service = CacheService("cache", backend, default_ttl=300)
    return {found.rule: found.message for found in read(service).advice}


def rules(total: Figures = Figures(), signs: Signs = Signs()) -> list[str]:  # noqa: B008 (never changed)
    servers = [ServerStatistics("one", total, {}, signs=signs)]
    return [found.rule for found in advise(total, servers)]


def test_a_low_hit_ratio(tmp_path: Path) -> None:
    with memcached() as server:
        backend = connect(server, timeout_ms=PATIENT)
        backend.set("key", b"value", 60)
        for _ in range(79):
            backend.get_many(["key", *(f"absent{number}" for number in range(12))])
        assert "hit-ratio" in advised(backend)
        assert "Of 1027 reads, whoever made them, 8% were hits" in advised(backend)["hit-ratio"]
        for _ in range(4200):
            backend.get("key")
        assert "hit-ratio" not in advised(backend)
        backend.close()


def test_a_hit_ratio_of_few_reads_means_nothing() -> None:
    assert rules(Figures(get_hits=0, get_misses=999)) == []
    assert rules(Figures(get_hits=0, get_misses=1000)) == ["hit-ratio"]
    assert rules(Figures(get_hits=800, get_misses=200)) == []
    assert rules(Figures(get_hits=799, get_misses=201)) == ["hit-ratio"]


def test_evictions_and_full_memory_on_memcached() -> None:
    with memcached("-m", "4") as server:
        backend = connect(server, timeout_ms=PATIENT)
        assert advised(backend) == {}
        for number in range(1500):
            backend.set(f"key{number}", bytes(4000), 60)
        found = advised(backend)
        assert found.keys() == {"evictions", "memory"}
        assert re.match(r"\d+ entries were evicted", found["evictions"])
        assert re.match(r"\d+% of the memory is taken", found["memory"])
        backend.close()


def test_evictions_and_full_memory_on_redis() -> None:
    options = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
    with redis_server(*options) as server:
        backend = connect_redis(server, **REDIS_PATIENT)
        for start in range(0, 2000, 100):
            numbers = range(start, start + 100)
            backend.set_many([Item(f"key{number}", bytes(4000), 60) for number in numbers])
        assert {"evictions", "memory"} <= advised(backend).keys()
        backend.close()


def test_a_full_file(tmp_path: Path) -> None:
    backend = FileBackend(data_dir=str(tmp_path), max_mb=1)
    assert advised(backend) == {}
    for number in range(100):
        backend.set(f"key{number}", bytes(12_000), 60)
    assert "memory" in advised(backend)
    backend.close()


def test_connections_near_the_limit_of_memcached() -> None:
    # memcached counts some 25 of its own files to them, too.
    with memcached("-c", "250") as server, contextlib.ExitStack() as held:
        backend = connect(server, timeout_ms=PATIENT)
        assert advised(backend) == {}
        for _ in range(203):
            held.enter_context(server.connect())
        eventually(lambda: "connections" in advised(backend), 30)
        assert re.match(r"20\d of 250 connections", advised(backend)["connections"])
        backend.close()


def test_connections_near_the_limit_of_redis() -> None:
    with redis_server("--maxclients", "20") as server, contextlib.ExitStack() as held:
        backend = connect_redis(server, **REDIS_PATIENT)
        assert advised(backend) == {}
        for _ in range(16):
            connection: socket.socket = held.enter_context(server.connect())
            connection.sendall(b"PING\r\n")
            assert connection.recv(100)
        eventually(lambda: "connections" in advised(backend), 30)
        backend.close()


def test_a_slab_class_that_evicts_while_another_is_empty() -> None:
    # Without automove no page changes its class, however long the machine takes.
    with memcached("-m", "8", "-o", "slab_automove=0") as server:
        backend = connect(server, timeout_ms=PATIENT)
        small = [f"small{number}" for number in range(40_000)]
        for key in small:
            backend.set(key, b"value", 60)
        backend.flush()
        for number in range(100):
            backend.set(f"large{number}", bytes(200_000), 60)
        # What is flushed is reclaimed when it is next asked for.
        for start in range(0, len(small), 500):
            backend.get_many(small[start : start + 500])
        (found,) = backend.stats()
        assert len(found.signs.starved_slabs) == 1
        assert "growth factor" in advised(backend)["slabs"]
        assert str(found.signs.starved_slabs[0]) in advised(backend)["slabs"]
        backend.close()


@pytest.mark.parametrize("size", [700_000, 950_000])
def test_values_near_the_limit_of_memcached(size: int) -> None:
    with memcached() as server:
        backend = connect(server, timeout_ms=PATIENT)
        for number in range(5):
            backend.set(f"small{number}", bytes(1000), 60)
            backend.set(f"large{number}", bytes(size), 60)
        assert ("value-size" in advised(backend)) is (size > 0.8 * 2**20)
        backend.close()


def test_values_near_the_limit_of_a_file(tmp_path: Path) -> None:
    backend = FileBackend(data_dir=str(tmp_path), max_mb=4)
    backend.set("key", bytes(400_000), 60)
    assert advised(backend) == {}
    backend.set("key", bytes(500_000), 60)
    assert "500000 bytes, of 524288" in advised(backend)["value-size"]
    backend.close()


@pytest.mark.parametrize("kind", ["redis", "file"])
def test_many_keys_without_a_lifetime(kind: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        backend: Backend = FileBackend(data_dir=str(tmp_path))
        if kind == "redis":
            backend = connect_redis(held.enter_context(redis_server()), **REDIS_PATIENT)
        backend.set_many([Item(f"for ever {number}", b"", None) for number in range(99)])
        assert advised(backend) == {}
        backend.set_many([Item(f"for ever {number}", b"", None) for number in range(101)])
        assert advised(backend)["no-ttl"].startswith("101 of 101 entries never expire")
        backend.set_many([Item(f"an hour {number}", b"", 3600) for number in range(101)])
        assert advised(backend) == {}
        backend.close()


def test_of_several_servers_it_is_said_which() -> None:
    with memcached() as well, memcached("-m", "4") as full, memcached() as dead:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in (well, full, dead))
        backend = MemcachedBackend(servers=parse_servers(hosts), timeout_ms=PATIENT)
        own = connect(full, timeout_ms=PATIENT)
        for number in range(1500):
            own.set(f"key{number}", bytes(4000), 60)
        dead.kill()
        assert advised(backend)["memory"].startswith(f"127.0.0.1:{full.port}: ")
        own.close()
        backend.close()


def test_the_thresholds() -> None:
    assert rules(Figures(evictions=0)) == []
    assert rules(Figures(evictions=1)) == ["evictions"]
    assert rules(Figures(bytes=80, limit_bytes=100)) == []
    assert rules(Figures(bytes=81, limit_bytes=100)) == ["memory"]
    assert rules(Figures(bytes=81)) == []
    assert rules(Figures(curr_connections=80, max_connections=100)) == []
    assert rules(Figures(curr_connections=81, max_connections=100)) == ["connections"]
    assert rules(signs=Signs(starved_slabs=(3, 4))) == ["slabs"]
    assert rules(signs=Signs(largest_value=81, max_value=100)) == ["value-size"]
    assert rules(Figures(curr_items=100), Signs(keys_without_ttl=50)) == []
    assert rules(Figures(curr_items=100), Signs(keys_without_ttl=51)) == ["no-ttl"]


def test_the_page_of_backends_has_every_rule() -> None:
    section = (REPOSITORY / "docs/backends.md").read_text().partition("## Statistics\n")[2]
    table = section.partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(advice.RULES)


def test_the_sum_of_servers() -> None:
    one = Figures(curr_items=1, get_hits=2, evictions=3, limit_bytes=4, uptime=50)
    two = Figures(curr_items=10, get_hits=20, evictions=None, limit_bytes=40, uptime=5)
    assert total_of([one, None, two]) == Figures(
        curr_items=11, get_hits=22, limit_bytes=44, uptime=5
    )
    assert total_of([None]) == total_of([]) == Figures()
