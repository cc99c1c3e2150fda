"""Fixtures that many tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from backends import registry
from backends.base import Backend
from backends.file.backend import FileBackend
from backends.memcached.backend import MemcachedBackend
from backends.memcached.link import Link
from backends.memcached.options import parse_servers
from backends.redis.backend import RedisBackend
from cacheapi.serving import health
from cacheapi.settings import load
from tests.support.certificates import Certificates, make_certificates
from tests.support.postgresql import PostgreSQL, postgresql
from tests.support.processes import SASL_PASSWORD, SASL_USER, Memcached, memcached, sasl_memcached
from tests.support.redis import (
    Redis,
    acl_redis,
    locked_redis,
    redis_server,
    running_on,
    tls_redis,
    use,
)
from tests.support.redis_groups import Cluster, SentinelGroup, redis_cluster, sentinel_group

# A script's child in the background is born deaf to it, and would make its own children so.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more of the machine than of the product.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


# How long a server may take where it does not matter, in milliseconds.
PATIENT_MS = 3000


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def never_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the lane take no call for a slow one: on a busy machine any may take long."""
    monkeypatch.setattr(health, "SLOW_SECONDS", 60)


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[Memcached]:
    """A memcached server for tests that leave it well."""
    with memcached() as server:
        yield server


@pytest.fixture(scope="session")
def sasl_server() -> Iterator[Memcached]:
    """A memcached server that wants a password."""
    with sasl_memcached() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for tests that leave it well."""
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def memcached_pool() -> Iterator[list[Memcached]]:
    """Three memcached servers."""
    with memcached() as one, memcached() as two, memcached() as three:
        yield [one, two, three]


# What takes long to make, and is made once for all processes that run tests.
MADE_ONCE = {"image", "installed"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of such things first: they go to one process then, and no other waits."""
    items.sort(key=lambda item: MADE_ONCE.isdisjoint(getattr(item, "fixturenames", ())))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have the servers of this test be what it is to run on, also those that it starts itself."""
    parameters = getattr(item, "callspec", None)
    use(parameters.params.get("engine", "redis") if parameters else "redis")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """What servers of Redis are of; those fixtures that outlive a test depend on it."""
    return getattr(request, "param", "redis")


@pytest.fixture(scope="session")
def redis_one(engine: str) -> Iterator[Redis]:
    """A Redis server for tests that leave it well."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_locked(engine: str) -> Iterator[Redis]:
    """A Redis server that wants a password."""
    with locked_redis() as server:
        yield server


@pytest.fixture(scope="session")
def redis_acl(engine: str) -> Iterator[Redis]:
    """A Redis server that gives the service the least rights, on all keys."""
    with acl_redis("allkeys") as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def redis_tls(certificates: Certificates) -> Iterator[Redis]:
    """A Redis server that speaks TLS only, with clients that have a certificate."""
    with tls_redis(certificates) as server:
        yield server


@pytest.fixture(scope="session")
def redis_sentinels(engine: str) -> Iterator[SentinelGroup]:
    """A master under Sentinel, for tests that leave it well."""
    with sentinel_group(down_ms=20_000) as group:
        yield group


@pytest.fixture(scope="session")
def redis_nodes(engine: str) -> Iterator[Cluster]:
    """A Redis Cluster, for tests that leave it well."""
    with redis_cluster() as nodes:
        yield nodes


@pytest.fixture(scope="session")
def valkey_one() -> Iterator[Redis]:
    """A Valkey server for tests that leave it well."""
    with running_on("valkey"), redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_nodes() -> Iterator[Cluster]:
    """A cluster of Valkey that has databases, for tests that leave it well."""
    with running_on("valkey"), redis_cluster(5000, "--cluster-databases", "16") as nodes:
        yield nodes


@pytest.fixture
def file_backend(tmp_path: Path) -> Iterator[FileBackend]:
    backend = FileBackend(data_dir=str(tmp_path))
    yield backend
    backend.close()


def connect(server: Memcached, **options: Any) -> MemcachedBackend:
    """Return a backend on one server, with a time limit that a busy machine does not exceed."""
    options = {"timeout_ms": PATIENT_MS, **options}
    return MemcachedBackend(servers=parse_servers("127.0.0.1"), port=server.port, **options)


def connect_redis(target: Redis | SentinelGroup | Cluster, **settings: str) -> RedisBackend:
    """Return a backend on one server or on several, with some settings as text.

    By default it has a time limit that a busy machine does not exceed.
    """
    settings = {"REDIS_TIMEOUT_MS": str(PATIENT_MS), **settings}
    values = load({"CACHE_DRIVER": "redis", **target.settings, **settings}, None)
    made = registry.create("redis", values)
    assert isinstance(made, RedisBackend)
    return made


@pytest.fixture
def memcached_backend(memcached_server: Memcached) -> Iterator[MemcachedBackend]:
    backend = connect(memcached_server)
    backend.flush()
    yield backend
    backend.close()


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is sent to memcached, a round trip each."""
    sent: list[bytes] = []
    exchange = Link.exchange

    def listening(self: Link, command: bytes, *rest: Any, **more: Any) -> Any:
        sent.append(command)
        return exchange(self, command, *rest, **more)

    monkeypatch.setattr(Link, "exchange", listening)
    return sent


REDIS = {
    "redis": ("redis_one", {"REDIS_PREFIX": ""}),
    "redis with a prefix": ("redis_one", {"REDIS_PREFIX": "app*[a]?\\:"}),
    "redis with a password": ("redis_locked", {"REDIS_DATABASE": "3"}),
    "redis with the least rights": ("redis_acl", {}),
    "redis over TLS": ("redis_tls", {}),
    "redis, flushed at once": ("redis_one", {"REDIS_PREFIX": "", "REDIS_ALLOW_FLUSHDB": "true"}),
    "sentinel": ("redis_sentinels", {}),
    "cluster": ("redis_nodes", {"REDIS_PREFIX": ""}),
    "cluster with a prefix": ("redis_nodes", {"REDIS_PREFIX": "app:"}),
    "valkey": ("valkey_one", {"REDIS_PREFIX": ""}),
    "valkey cluster": ("valkey_nodes", {"REDIS_DATABASE": "3"}),
}


@pytest.fixture(
    params=[
        *("file", "file with a prefix", "memcached", "memcached with a prefix"),
        *("pool", "pool with a prefix", "sasl", *REDIS),
    ]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Every backend, with and without a key prefix, empty at the start."""
    kind: str = request.param
    prefix = "app:" if kind.endswith("prefix") else ""
    if kind in REDIS:
        name, settings = REDIS[kind]
        target = request.getfixturevalue(name)
        target.empty()
        made: Backend = connect_redis(target, **settings)
    elif kind.startswith("file"):
        made = FileBackend(data_dir=str(tmp_path), prefix=prefix)
    elif kind == "sasl":
        server = request.getfixturevalue("sasl_server")
        made = connect(server, username=SASL_USER, password=SASL_PASSWORD)
        made.flush()
    elif kind.startswith("pool"):
        servers = request.getfixturevalue("memcached_pool")
        assert {server.say(b"flush_all\r\n") for server in servers} == {b"OK\r\n"}
        addresses = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        made = MemcachedBackend(
            servers=parse_servers(addresses), prefix=prefix, timeout_ms=PATIENT_MS
        )
    else:
        server = request.getfixturevalue("memcached_server")
        assert server.say(b"flush_all\r\n") == b"OK\r\n"
        made = connect(server, prefix=prefix)
    yield made
    made.close()
