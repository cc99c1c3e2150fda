"""What answers and is not what the settings say: the text names what came."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from backends import names
from backends.errors import AuthenticationFailed, BackendError, Failed, InvalidOption
from backends.redis.backend import RedisBackend
from cacheapi.registry.trial import run_on
from cacheapi.settings import SettingsError, load
from tests.conftest import connect_redis
from tests.support.processes import Memcached
from tests.support.redis import Redis, redis_server
from tests.support.redis_groups import Cluster
from tests.support.speaker import speaking

OPERATIONS: dict[str, Callable[[RedisBackend], object]] = {
    "get": lambda backend: backend.get("k"),
    "set": lambda backend: backend.set("k", b"1", None),
    "increment": lambda backend: backend.increment("k", 1),
    "list": lambda backend: backend.list_keys("", 10, None),
    "flush": lambda backend: backend.flush(),
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


@contextlib.contextmanager
def at(port: int, **settings: str) -> Iterator[RedisBackend]:
    values = load({"CACHE_DRIVER": "redis", "REDIS_PORT": str(port), **settings}, None)
    from backends import registry

    backend = registry.create("redis", values)
    assert isinstance(backend, RedisBackend)
    yield backend
    backend.close()


def said(work: Callable[[RedisBackend], object], backend: RedisBackend) -> BackendError:
    with pytest.raises(Failed) as caught:
        work(backend)
    return caught.value


# Cluster or not


def test_a_node_of_a_cluster_is_not_listed_or_flushed_as_if_it_were_all(
    redis_nodes: Cluster,
) -> None:
    redis_nodes.empty()
    whole = connect_redis(redis_nodes)
    for number in range(30):
        whole.set(f"k{number}", b"1", None)
    node = redis_nodes.masters()[0]
    backend = connect_redis(node)
    for work in (OPERATIONS["list"], OPERATIONS["flush"]):
        error = said(work, backend)
        assert "REDIS_CLUSTER=true" in str(error)
    assert len(whole.list_keys("", 100, None)[0]) == 30
    # Of a key of another node, the same.
    errors = []
    for number in range(30):
        with contextlib.suppress(BackendError):
            backend.get(f"k{number}")
            continue
        errors.append(said(lambda b, key=f"k{number}": b.get(key), backend))
    assert errors
    assert all("REDIS_CLUSTER=true" in str(error) for error in errors)
    # Whoever's the trial's key is.
    for _ in range(5):
        outcome = run_on(backend)
        assert not outcome.success
        assert outcome.cause is not None
        assert "set REDIS_CLUSTER=true" in outcome.cause
        assert str(node.port) not in outcome.cause
    for made in (whole, backend):
        made.close()


@each_operation
def test_a_plain_server_says_that_it_is_no_cluster(
    redis_one: Redis, operation: Callable[[RedisBackend], object]
) -> None:
    backend = connect_redis(redis_one, REDIS_CLUSTER="true")
    error = said(operation, backend)
    assert "REDIS_CLUSTER is set" in str(error)
    assert "ERR This instance has cluster support disabled" in str(error)
    cause = run_on(backend).cause
    assert cause is not None
    assert "REDIS_CLUSTER is set" in cause
    backend.close()


def test_a_cluster_that_announces_what_nobody_reaches_is_told_by_what_it_announces(
    redis_nodes: Cluster,
) -> None:
    slots = b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.9\r\n:1\r\n"
    with speaking() as speaker:
        speaker.parts = [slots]
        with at(speaker.port, REDIS_CLUSTER="true") as backend:
            error = said(OPERATIONS["get"], backend)
            assert "the node 127.0.0.9:1 that is announced by Redis Cluster" in str(error)
            assert str(speaker.port) not in str(error)


# Other protocols


@pytest.mark.parametrize("password", [None, "s3cr3t-7391"])
def test_memcached_on_the_port_is_named(memcached_server: Memcached, password: str | None) -> None:
    more = {"REDIS_PASSWORD": password} if password else {}
    with at(memcached_server.port, **more) as backend:
        error = said(OPERATIONS["get"], backend)
        assert "memcached's" in str(error)
        cause = run_on(backend).cause
        assert cause is not None
        assert "memcached's" in cause
        assert "Nothing takes connections" not in cause


@pytest.mark.redis_alone
@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
    ],
)
def test_what_else_answers_is_named(answer: bytes, name: str) -> None:
    with speaking() as speaker:
        speaker.parts = [answer]
        with at(speaker.port) as backend:
            assert f"but {name}" in str(said(OPERATIONS["get"], backend))


@pytest.mark.redis_alone
def test_a_name_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(names, "_ask", ask)
    monkeypatch.setattr(names, "_known", {})
    with at(6379, REDIS_HOST="nobody.test") as backend:
        error = said(OPERATIONS["get"], backend)
        assert "refused: the name of Redis at nobody.test:6379 is not known." in str(error)
        assert run_on(backend).cause == names.UNKNOWN_NAME


def test_a_server_that_wants_tls_is_not_one_that_takes_no_connections(redis_tls: Redis) -> None:
    with at(redis_tls.port) as backend:
        cause = run_on(backend).cause
        assert cause is not None
        assert "TLS" in cause
        assert "Nothing takes connections" not in cause


def test_tls_to_a_server_without_says_so(redis_one: Redis) -> None:
    with at(redis_one.port, REDIS_TLS="true") as backend:
        cause = run_on(backend).cause
        assert cause is not None
        assert "may not speak it there (REDIS_TLS=false)" in cause


def test_a_missing_password_is_not_a_wrong_one(redis_locked: Redis) -> None:
    with at(redis_locked.port) as backend:
        with pytest.raises(AuthenticationFailed, match="wants a password, and none is set"):
            backend.get("k")
        cause = run_on(backend).cause
        assert cause == "The server wants a password, and the service has none."


@pytest.mark.redis_alone
def test_protected_mode_is_named() -> None:
    denied = b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n"
    with speaking() as speaker:
        speaker.parts = [denied]
        with at(speaker.port) as backend:
            assert "protected mode" in str(said(OPERATIONS["get"], backend))


def test_what_a_server_says_of_a_refusal_is_told() -> None:
    with redis_server("--rename-command", "GET", "") as server:
        backend = connect_redis(server)
        error = said(OPERATIONS["get"], backend)
        assert "unknown command" in str(error)
        backend.close()


# REDIS_URL


@pytest.mark.redis_alone
@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis://localhost:6379/0?timeout=5s", ["'timeout'", "REDIS_TIMEOUT_MS"]),
        ("rediss://localhost?ssl_cert_reqs=none", ["'ssl_cert_reqs'", "REDIS_TLS_VERIFY"]),
        ("redis://localhost?fancy=1", ["'fancy'", "?db=NUMBER"]),
        ("redis://:s3cr3t#7391@localhost:6379", ["'#'", "%23"]),
        ("redis://:s3cr3t/7391@localhost:6379", ["'/'", "%2F"]),
        ("redis://:s3cr3t?7391@localhost:6379", ["'?'", "%3F"]),
        ("redis://:s3cr3t@7391@localhost:6379", ["'@'", "%40"]),
        ("redis://:s3cr3t[7391@localhost:6379", ["'['", "%5B"]),
        ("redis://:s3cr3t%7391@localhost:6379", []),
        ("redis://:s3cr3t%zz7391@localhost:6379", ["'%'", "%25"]),
    ],
)
def test_a_url_that_is_not_taken_says_which_part_and_how_to_write_it(
    url: str, parts: list[str]
) -> None:
    if not parts:
        load({"CACHE_DRIVER": "redis", "REDIS_URL": url}, None)
        return
    with pytest.raises((SettingsError, InvalidOption)) as caught:
        load({"CACHE_DRIVER": "redis", "REDIS_URL": url}, None)
    for part in ["REDIS_URL", *parts]:
        assert part in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "7391" not in str(caught.value)


# Looking does not count


def test_looking_adds_no_hit_and_no_miss(redis_one: Redis, redis_nodes: Cluster) -> None:
    for target, servers in ((redis_one, [redis_one]), (redis_nodes, redis_nodes.masters())):
        backend = connect_redis(target)

        def counted(servers: list[Redis] = servers) -> int:
            figures = [server.info("stats") for server in servers]
            return sum(each["keyspace_hits"] + each["keyspace_misses"] for each in figures)

        before = counted()
        assert run_on(backend).success
        for endpoint in backend.endpoints():
            assert run_on(backend, endpoint.key).success
        assert counted() == before
        backend.close()
