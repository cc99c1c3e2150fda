"""Fixtures that many tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend
from backends.file import FileBackend
from backends.memcached import MemcachedBackend
from backends.memcached_options import parse_servers
from tests.support.postgresql import PostgreSQL, postgresql
from tests.support.processes import SASL_PASSWORD, SASL_USER, Memcached, memcached, sasl_memcached


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


@pytest.fixture
def file_backend(tmp_path: Path) -> Iterator[FileBackend]:
    backend = FileBackend(data_dir=str(tmp_path))
    yield backend
    backend.close()


def connect(server: Memcached, **options: object) -> MemcachedBackend:
    """Return a backend on one server."""
    return MemcachedBackend(servers=parse_servers("127.0.0.1"), port=server.port, **options)


@pytest.fixture
def memcached_backend(memcached_server: Memcached) -> Iterator[MemcachedBackend]:
    backend = connect(memcached_server)
    backend.flush()
    yield backend
    backend.close()


@pytest.fixture(
    params=["file", "file with a prefix", "memcached", "memcached with a prefix", "sasl"]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Every backend, with and without a key prefix, empty at the start."""
    kind: str = request.param
    prefix = "app:" if kind.endswith("prefix") else ""
    if kind.startswith("file"):
        made: Backend = FileBackend(data_dir=str(tmp_path), prefix=prefix)
    elif kind == "sasl":
        server = request.getfixturevalue("sasl_server")
        made = connect(server, username=SASL_USER, password=SASL_PASSWORD)
        made.flush()
    else:
        server = request.getfixturevalue("memcached_server")
        assert server.say(b"flush_all\r\n") == b"OK\r\n"
        made = connect(server, prefix=prefix)
    yield made
    made.close()
