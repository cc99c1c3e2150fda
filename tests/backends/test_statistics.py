"""What the servers say of themselves: exact, server by server, and bounded in time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.base import Backend, Item
from backends.file.backend import FileBackend
from backends.memcached.backend import MemcachedBackend
from backends.memcached.greeting import GREETING
from backends.memcached.options import parse_servers
from backends.statistics import Figures, ServerStatistics, number_or_text
from cacheapi.caching.pairs import Pair, TaggedPair
from cacheapi.caching.service import CacheService
from cacheapi.observing.advice import advise
from tests.conftest import connect, connect_redis
from tests.support.processes import (
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    eventually,
    free_port,
    memcached,
    sasl_memcached,
)
from tests.support.redis import PASSWORD, Redis, acl_redis, locked_redis, redis_server
from tests.support.redis_groups import SentinelGroup, redis_cluster
from tests.support.timing import Stopwatch

PATIENT = 5000


def only(backend: Backend, section: str | None = None) -> ServerStatistics:
    (found,) = backend.stats(section)
    return found


def figures(found: ServerStatistics) -> Figures:
    assert found.error is None
    assert found.figures is not None
    return found.figures


def traffic(backend: Backend) -> None:
    for number in range(100):
        backend.set(f"key{number}", b"value", 60 if number % 2 else None)
    for number in range(80):
        assert backend.get(f"key{number}") == b"value"
    for number in range(20):
        assert not backend.get(f"absent{number}")


def uncounted(backend: Backend, work: Callable[[], object]) -> bool:
    """Return whether the server counts neither a hit nor a miss for some work."""
    before = figures(only(backend))
    work()
    after = figures(only(backend))
    return (before.get_hits, before.get_misses) == (after.get_hits, after.get_misses)


@pytest.fixture(params=["file", "memcached", "redis"])
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Each backend that counts, on a server of its own."""
    with contextlib.ExitStack() as stack:
        made: Backend
        if request.param == "file":
            made = FileBackend(data_dir=str(tmp_path), max_mb=16)
        elif request.param == "memcached":
            made = connect(stack.enter_context(memcached()), timeout_ms=PATIENT)
        else:
            made = connect_redis(stack.enter_context(redis_server()), REDIS_TIMEOUT_MS="5000")
        yield made
        made.close()


def test_what_the_product_asks_for_itself_is_no_read_of_a_users(each: Backend) -> None:
    for _ in range(2):
        assert uncounted(each, lambda: each.has_mark("cacheapi:mark"))
        each.set("cacheapi:mark", b"1764000000", None)
    assert each.has_mark("cacheapi:mark") is True
    # A user's deletion is one call, and whether the service has tags another.
    service = CacheService("cache", each, default_ttl=0)
    assert uncounted(each, lambda: service.delete("absent"))


def test_what_a_service_with_tags_looks_up_is_no_read_of_a_users(tmp_path: Path) -> None:
    backend = FileBackend(data_dir=str(tmp_path), max_mb=16)
    service = CacheService("cache", backend, default_ttl=0)
    service.set_many([TaggedPair("tagged", "1", 0, ("a",)), Pair("k", "1", 0), Pair("l", "1", 0)])

    def work() -> None:
        keys, _ = service.list_keys("", 100, None)
        assert service.describe_many(keys).keys() == {"tagged", "k", "l"}
        assert service.increment("tagged", 1, None, None) == 2
        assert service.delete("k") is True

    assert uncounted(backend, work)
    backend.close()


def test_a_memcached_of_known_traffic() -> None:
    with memcached("-m", "32", "-c", "100") as server:
        backend = connect(server, timeout_ms=PATIENT)
        traffic(backend)
        found = only(backend)
        assert found.server == f"127.0.0.1:{server.port}"
        told = figures(found)
        assert told.hit_ratio == 0.8
        assert told._replace(
            bytes=0, bytes_read=0, bytes_written=0, curr_connections=0, uptime=0
        ) == Figures(
            curr_items=100,
            get_hits=80,
            get_misses=20,
            evictions=0,
            bytes=0,
            limit_bytes=32 * 2**20,
            bytes_read=0,
            bytes_written=0,
            curr_connections=0,
            max_connections=100,
            uptime=0,
        )
        assert min(filter(None, (told.bytes, told.bytes_read, told.bytes_written))) > 500
        assert 0 < (told.curr_connections or 0) < 20
        assert told.uptime is not None
        assert found.raw["get_hits"] == 80
        assert found.raw["pid"] > 0
        assert isinstance(found.raw["version"], str)
        backend.close()


def test_the_disk_of_extstore_counts_as_room(tmp_path) -> None:
    with memcached("-m", "64", "-o", f"ext_path={tmp_path / 'disk'}:512m") as server:
        backend = connect(server, timeout_ms=PATIENT)
        for number in range(7000):
            backend.set(f"key{number}", b"x" * 12_000, None)
        found = only(backend)
        told = figures(found)
        # As the server counts: the entries on the disk, and the memory alone.
        assert told.bytes == found.raw["bytes"] > found.raw["limit_maxbytes"] == 64 * 2**20
        assert told.limit_bytes == (64 + 512) * 2**20
        assert "memory" not in {advice.rule for advice in advise(told, [found])}
        backend.close()


def test_the_sections_of_memcached(memcached_server: Memcached) -> None:
    backend = connect(memcached_server, timeout_ms=PATIENT)
    backend.set("key", b"value", None)
    assert only(backend, "settings").raw["item_size_max"] == 2**20
    assert only(backend, "settings").raw["growth_factor"] == 1.25
    assert "total_malloced" in only(backend, "slabs").raw
    assert any(name.endswith(":number") for name in only(backend, "items").raw)
    assert figures(only(backend, "items")).limit_bytes == 64 * 2**20
    backend.close()


def test_a_memcached_with_a_login_tells_the_same() -> None:
    with sasl_memcached() as server:
        backend = connect(server, username=SASL_USER, password=SASL_PASSWORD, timeout_ms=PATIENT)
        traffic(backend)
        told = figures(only(backend))
        assert (told.curr_items, told.get_hits, told.get_misses) == (100, 80, 20)
        assert only(backend, "settings").raw["auth_enabled_sasl"] == "yes"
        assert only(backend, "slabs").raw.keys() > {"active_slabs"}
        assert only(backend).raw["version"] == server.statistics()["version"]
        backend.close()


def test_a_memcached_that_refuses_the_login() -> None:
    with sasl_memcached() as locked, memcached() as free:
        for server, login, words in (
            (locked, {"username": SASL_USER, "password": "wrong"}, "refused the configured"),
            (locked, {}, "closes them at the first words"),
            (free, {"username": SASL_USER, "password": SASL_PASSWORD}, "no login was sent"),
        ):
            backend = connect(server, timeout_ms=PATIENT, **login)
            found = only(backend)
            assert found.figures is None
            assert found.raw == {}
            assert words in str(found.error)
            assert SASL_PASSWORD not in str(found.error)
            backend.close()


def test_of_a_pool_the_dead_and_the_hung_have_an_error() -> None:
    with memcached() as well, memcached() as dead, memcached() as hung:
        servers = [well, dead, hung]
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        backend = MemcachedBackend(servers=parse_servers(hosts), timeout_ms=3000)
        traffic(backend)
        found = {each.server: each for each in backend.stats()}
        assert sum(figures(each).curr_items or 0 for each in found.values()) == 100
        assert sum(figures(each).get_hits or 0 for each in found.values()) == 80
        assert sum(figures(each).get_misses or 0 for each in found.values()) == 20
        dead.kill()
        hung.pause()
        watch = Stopwatch()
        found = {each.server: each for each in backend.stats()}
        assert watch() < 15
        assert figures(found[f"127.0.0.1:{well.port}"]).curr_items
        assert "cannot be reached" in str(found[f"127.0.0.1:{dead.port}"].error)
        assert "did not answer in time" in str(found[f"127.0.0.1:{hung.port}"].error)
        hung.resume()
        dead.start()
        eventually(lambda: all(each.error is None for each in backend.stats()), 30)
        backend.close()


def test_many_servers_that_hang_cost_one_time_limit() -> None:
    with contextlib.ExitStack() as held:
        listening = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(20)]
        hosts = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in listening)
        backend = MemcachedBackend(servers=parse_servers(hosts), timeout_ms=1000)
        watch = Stopwatch()
        found = backend.stats()
        took = watch()
        assert all("did not answer in time" in str(each.error) for each in found)
        # One after the other, they would take 20.
        assert took < 10
        backend.close()


def test_a_memcached_with_its_most_clients() -> None:
    with memcached("-c", "30") as server:
        backend = connect(server, timeout_ms=PATIENT)
        with server.full_of_clients(30):
            # What it says may be lost in the end of the connection.
            assert str(only(backend).error).startswith(("Connection refused", "Connection lost"))
        eventually(lambda: only(backend).error is None, 30)
        backend.close()


@contextlib.contextmanager
def answering(reply: bytes, *, slowly: bool = False) -> Iterator[int]:
    """Listen on a port, and answer every connection with the same bytes, or a few for ever."""
    stop = threading.Event()

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    if connection.recv(1000) == GREETING and slowly:
                        connection.sendall(b"VERSION 1.6.18\r\n")
                    connection.sendall(reply)
                    while slowly and not stop.wait(0.1):
                        connection.sendall(b"STAT a 1\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        stop.set()
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize(
    "reply", [b"", b"STAT a 1\r\n", b"ERROR\r\n", b"END\r\nHTTP/1.1 400 no\r\n", b"\x80" * 24]
)
@pytest.mark.parametrize("login", [{}, {"username": "user", "password": "secret"}])
def test_what_is_no_memcached_is_an_error(reply: bytes, login: dict[str, str]) -> None:
    with answering(reply) as port:
        backend = MemcachedBackend(
            servers=parse_servers(f"127.0.0.1:{port}"), timeout_ms=PATIENT, **login
        )
        found = only(backend)
        assert found.figures is None
        assert str(found.error).startswith(("Connection ", "ERROR: "))
        assert "cannot be reached" not in str(found.error)
        backend.close()


def test_a_reply_that_never_ends_is_bounded() -> None:
    with answering(b"", slowly=True) as port:
        backend = MemcachedBackend(servers=parse_servers(f"127.0.0.1:{port}"), timeout_ms=500)
        assert "did not answer in time" in str(only(backend).error)
        backend.close()


def test_a_redis_of_known_traffic(redis_one: Redis) -> None:
    with redis_server("--maxmemory", "64mb", "--maxclients", "100") as server:
        backend = connect_redis(server, REDIS_TIMEOUT_MS=str(PATIENT))
        traffic(backend)
        server.call("SET", "of another program", "1")
        found = only(backend)
        assert found.server == f"127.0.0.1:{server.port}"
        told = figures(found)
        assert (told.get_hits, told.get_misses, told.hit_ratio) == (80, 20, 0.8)
        # The server's, not this service's alone.
        assert told.curr_items == 101
        assert (told.evictions, told.limit_bytes, told.max_connections) == (0, 64 * 2**20, 100)
        assert min(filter(None, (told.bytes, told.bytes_read, told.bytes_written))) > 500
        assert 0 < (told.curr_connections or 0) < 20
        assert told.uptime is not None
        assert found.signs.keys_without_ttl == 51
        assert found.raw["redis_mode"] == "standalone"
        backend.close()
    other = connect_redis(redis_one, REDIS_TIMEOUT_MS=str(PATIENT))
    assert figures(only(other)).limit_bytes is None
    other.close()


def test_the_sections_of_redis(redis_one: Redis) -> None:
    redis_one.empty()
    backend = connect_redis(redis_one, REDIS_DATABASE="5", REDIS_TIMEOUT_MS=str(PATIENT))
    assert figures(only(backend)).curr_items == 0
    backend.set("key", b"value", 60)
    assert figures(only(backend)).curr_items == 1
    told = only(backend, "keyspace").raw["db5"]
    assert (told["keys"], told["expires"]) == (1, 1)
    # 0 until the server has looked at what has a lifetime.
    assert 0 <= told["avg_ttl"] <= 60_000
    assert "used_memory" in only(backend, "memory").raw
    assert "used_memory" not in only(backend, "clients").raw
    assert only(backend, "commandstats").raw["cmdstat_set"]["calls"] > 0
    backend.close()


def test_the_sections_are_those_of_the_server(redis_one: Redis, valkey_one: Redis) -> None:
    for server, own in (
        (redis_one, set()),
        (valkey_one, {"tls", "cluster_info", "scriptingengines"}),
    ):
        backend = connect_redis(server, REDIS_TIMEOUT_MS=str(PATIENT))
        found = backend.sections()
        assert {*backend.stats_sections, "latencystats", "modules", *own} == {*found}
        for section in own:
            assert only(backend, section).error is None
        if own:
            assert only(backend, "scriptingengines").raw["engines_count"] == 1
        backend.close()


def test_a_redis_that_is_dead_hung_or_locked() -> None:
    with locked_redis() as server:
        backend = connect_redis(server, REDIS_TIMEOUT_MS="3000")
        assert only(backend).error is None
        server.pause()
        assert "did not answer in time" in str(only(backend).error)
        server.kill()
        assert "cannot be reached" in str(only(backend).error)
        server.start()
        eventually(lambda: only(backend).error is None, 30)
        backend.close()
        wrong = connect_redis(server, REDIS_PASSWORD="wrong", REDIS_TIMEOUT_MS=str(PATIENT))
        assert "refused the configured" in str(only(wrong).error)
        assert PASSWORD not in str(only(wrong).error)
        wrong.close()


@pytest.mark.parametrize("missing", ["info", "dbsize"])
def test_a_user_of_redis_without_the_right(missing: str) -> None:
    with acl_redis(f"-{missing}") as server:
        backend = connect_redis(server, REDIS_TIMEOUT_MS=str(PATIENT))
        found = only(backend)
        assert "NOPERM" in str(found.error)
        backend.set("key", b"value", None)
        backend.close()


def test_redis_at_a_socket_is_not_named_by_its_path(redis_one: Redis) -> None:
    backend = connect_redis(
        redis_one, REDIS_URL=f"unix://{redis_one.socket}", REDIS_TIMEOUT_MS=str(PATIENT)
    )
    assert only(backend).server == "Unix socket"
    backend.close()
    nowhere = connect_redis(redis_one, REDIS_URL="unix:///nowhere/at/all")
    assert only(nowhere).error == (
        "Connection refused: Redis at its Unix socket cannot be reached."
    )
    nowhere.close()


def test_the_sentinels_master_is_asked(redis_sentinels: SentinelGroup) -> None:
    backend = connect_redis(redis_sentinels, REDIS_TIMEOUT_MS=str(PATIENT))
    backend.set("key", b"value", None)
    assert (figures(only(backend)).curr_items or 0) >= 1
    assert only(backend, "replication").raw["role"] == "master"
    backend.close()


def test_where_no_sentinel_answers_it_is_said(redis_one: Redis) -> None:
    backend = connect_redis(
        redis_one,
        REDIS_SENTINEL_HOST=f"127.0.0.1:{free_port()}",
        REDIS_TIMEOUT_MS=str(PATIENT),
    )
    found = only(backend)
    assert found.server == "Redis, the master 'mymaster' of the sentinels"
    assert "cannot be reached" in str(found.error)
    backend.close()


def test_all_masters_of_a_cluster_are_asked_and_one_that_hangs_has_an_error() -> None:
    with redis_cluster() as nodes:
        backend = connect_redis(nodes, REDIS_TIMEOUT_MS="3000")
        traffic(backend)
        found = backend.stats()
        told = [figures(each) for each in found]
        assert len({each.server for each in found}) == len(found) == 3
        assert sum(each.curr_items or 0 for each in told) == 100
        assert sum(each.get_hits or 0 for each in told) == 80
        assert sum(each.get_misses or 0 for each in told) == 20
        victim = next(node for node in nodes.nodes if f"127.0.0.1:{node.port}" == found[0].server)
        victim.pause()
        after = {each.server: each for each in backend.stats()}
        assert after[found[0].server].error is not None
        assert all(after[each.server].figures for each in found[1:])
        victim.resume()
        backend.close()


def test_a_file_says_what_it_holds(tmp_path) -> None:
    backend = FileBackend(data_dir=str(tmp_path), max_mb=4)
    assert figures(only(backend)).curr_items == 0
    traffic(backend)
    backend.set("large", bytes(100_000), 60)
    found = only(backend)
    told = figures(found)
    assert told.curr_items == 101
    assert told.limit_bytes == 4 * 2**20
    assert 100_000 < (told.bytes or 0) < 300_000
    assert (told.get_hits, told.get_misses, told.evictions) == (80, 20, 0)
    assert told.curr_connections is None
    assert told.uptime is not None
    assert found.signs.keys_without_ttl == 50
    assert found.signs.largest_value == 100_000
    assert found.signs.max_value == 2**19
    assert found.raw["entries_looked_at"] == 101
    backend.close()


def test_a_large_file_is_judged_by_a_sample(tmp_path) -> None:
    backend = FileBackend(data_dir=str(tmp_path))
    items = [Item(f"key{number}", b"value", 60 if number % 4 else None) for number in range(9000)]
    assert set(backend.set_many(items)) == {True}
    found = only(backend)
    assert figures(found).curr_items == 9000
    assert found.raw["entries_looked_at"] < 3000
    assert 1500 < (found.signs.keys_without_ttl or 0) < 3000
    backend.close()


def test_a_file_that_cannot_be_read_is_an_error(tmp_path) -> None:
    backend = FileBackend(data_dir=str(tmp_path / "data"))
    backend.set("key", b"value", None)
    backend.close()
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    (tmp_path / "data").rmdir()
    (tmp_path / "data").write_text("no directory")
    found = only(backend)
    assert found.figures is None
    assert "cannot be made" in str(found.error)
    assert str(tmp_path) not in str(found.error)
    backend.close()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("18446744073709551615", 2**64 - 1),
        ("0.25", 0.25),
        ("007", "007"),
        ("1e5", "1e5"),
        ("nan", "nan"),
        ("1_0", "1_0"),
        ("\u0661", "\u0661"),
        ("", ""),
        ("2.0.1", "2.0.1"),
    ],
)
def test_a_number_is_what_is_written_as_one(text: str, value: object) -> None:
    assert number_or_text(text) == value
    assert type(number_or_text(text)) is type(value)


def test_a_hit_ratio_needs_reads() -> None:
    assert Figures().hit_ratio is None
    assert Figures(get_hits=0, get_misses=0).hit_ratio is None
    assert Figures(get_hits=3, get_misses=1).hit_ratio == 0.75
