"""Connections that went silent while they were idle: nobody but the next one notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from backends.base import Item
from backends.memcached.backend import MemcachedBackend
from backends.memcached.link import IDLE_SECONDS
from tests.conftest import connect
from tests.support.processes import (
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    memcached,
    sasl_memcached,
)
from tests.support.proxy import Proxy, proxy
from tests.support.timing import Stopwatch

# Long, for a machine that may be busy; half of it is waited for in each call.
LIMIT = 3.0
THREADS = 6


@pytest.fixture(params=["by text", "with a login"])
def login(request: pytest.FixtureRequest) -> dict[str, str]:
    own = {"username": SASL_USER, "password": SASL_PASSWORD}
    return own if request.param == "with a login" else {}


@pytest.fixture
def server(login: dict[str, str]) -> Iterator[Memcached]:
    with sasl_memcached() if login else memcached() as running:
        yield running


@pytest.fixture
def line(server: Memcached) -> Iterator[Proxy]:
    with proxy(server.port) as running:
        yield running


@pytest.fixture
def backend(line: Proxy, login: dict[str, str]) -> Iterator[MemcachedBackend]:
    made = connect(line, timeout_ms=round(LIMIT * 1000), **login)
    yield made
    made.close()


CALLS: dict[str, tuple[Callable[[MemcachedBackend], object], object]] = {
    "get": (lambda backend: backend.get("k"), b"5"),
    "get_many": (lambda backend: backend.get_many(["k", "absent"]), {"k": b"5"}),
    "get_with_token": (lambda backend: backend.get_with_token("k").value, b"5"),
    "set_many": (lambda backend: backend.set_many([Item("k", b"6", None)]), [True]),
    "add": (lambda backend: backend.add("new", b"1", None), True),
    "count": (lambda backend: backend.increment("k", 1), 6),
    "delete": (lambda backend: backend.delete("k"), True),
    "flush": (lambda backend: backend.flush(), None),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_finds_a_silent_connection_is_asked_on_a_fresh_one_within_the_limit(
    name: str, backend: MemcachedBackend, line: Proxy
) -> None:
    call, expected = CALLS[name]
    backend.set("k", b"5", None)
    time.sleep(IDLE_SECONDS + 0.1)
    # With a login its name is looked up by a connection of its own.
    assert line.forget() >= 1
    taken = Stopwatch()
    assert call(backend) == expected
    assert taken() < LIMIT


def test_one_call_pays_for_all_that_were_idle_as_long(
    backend: MemcachedBackend, line: Proxy
) -> None:
    backend.set("k", b"5", None)
    barrier = threading.Barrier(THREADS)
    real = backend._members._members[0]._clients.acquire

    def together(*_: object) -> object:
        client = real()
        barrier.wait(10)
        return client

    backend._members._members[0]._clients.acquire = together  # type: ignore[method-assign]
    threads = [threading.Thread(target=backend.get, args=("k",)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    backend._members._members[0]._clients.acquire = real  # type: ignore[method-assign]
    time.sleep(IDLE_SECONDS + 0.1)
    assert line.forget() >= THREADS
    taken = Stopwatch()
    assert [backend.get("k") for _ in range(THREADS)] == [b"5"] * THREADS
    assert taken() < LIMIT
    clients = backend._members._members[0]._clients
    # Two at once want a second connection, and those that were forgotten are gone.
    one, two = clients.acquire(), clients.acquire()
    taken = Stopwatch()
    assert one.read(b"absent") is two.read(b"absent") is None
    assert taken() < LIMIT / 2
    one.close()
    two.close()


def test_what_is_in_use_is_not_tried_before_each_command(
    backend: MemcachedBackend, server: Memcached, login: dict[str, str]
) -> None:
    backend.set("k", b"5", None)
    # Two headers of the binary protocol, and the key.
    size = 24 + 24 + 1 if login else len(b"get k\r\n")
    before = int(server.statistics()["bytes_read"])
    for _ in range(50):
        backend.get("k")
    # And the statistics that were asked for themselves.
    assert int(server.statistics()["bytes_read"]) - before <= 50 * size + 20
