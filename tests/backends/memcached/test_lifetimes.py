"""What is stored for so long is never gone before, whenever the server's clock ticks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from backends.base import MISSING, Item
from backends.memcached.backend import MemcachedBackend
from tests.conftest import connect
from tests.support.processes import SASL_PASSWORD, SASL_USER, eventually
from tests.support.timing import starved

# So many tries of each way to store, spread evenly over a tick of the server's clock.
TRIES = 12
SECONDS = 1.0


def _compare_and_set(backend: MemcachedBackend, key: str) -> None:
    backend.set(key, b"0", 60)
    token = backend.get_with_token(key).token
    assert backend.compare_and_set(key, b"0", token, 1) is True


def _replace(backend: MemcachedBackend, key: str) -> None:
    backend.set(key, b"0", 60)
    assert backend.replace(key, b"0", 1) is True


def _touch(backend: MemcachedBackend, key: str) -> None:
    backend.set(key, b"0", 60)
    assert backend.touch(key, 1) is True


WRITES: dict[str, Callable[[MemcachedBackend, str], object]] = {
    "set": lambda backend, key: backend.set(key, b"0", 1),
    "set_many": lambda backend, key: backend.set_many([Item(key, b"0", 1)]),
    "add": lambda backend, key: backend.add(key, b"0", 1),
    "replace": _replace,
    "compare_and_set": _compare_and_set,
    "touch": _touch,
}


@pytest.fixture(params=["plain", "sasl"])
def backend(request: pytest.FixtureRequest) -> Iterator[MemcachedBackend]:
    sasl = request.param == "sasl"
    server = request.getfixturevalue("sasl_server" if sasl else "memcached_server")
    user = {"username": SASL_USER, "password": SASL_PASSWORD} if sasl else {}
    made = connect(server, timeout_ms=5000, **user)
    yield made
    made.close()


def lives(backend: MemcachedBackend, write: Callable[..., object], key: str) -> tuple[float, bool]:
    """Store for a second; return how long it was surely waited for, and if it was there then."""
    write(backend, key)
    stored_at = time.monotonic()
    time.sleep(0.9)
    there = backend.get(key) is not MISSING
    return time.monotonic() - stored_at, there


def test_a_second_is_never_shorter_than_a_second(backend: MemcachedBackend) -> None:
    def attempt(kind: str, number: int) -> tuple[str, float, bool]:
        time.sleep(number * SECONDS / TRIES)
        return kind, *lives(backend, WRITES[kind], f"second:{kind}:{number}")

    with ThreadPoolExecutor(TRIES * len(WRITES)) as pool:
        made = [pool.submit(attempt, kind, number) for kind in WRITES for number in range(TRIES)]
        tries = [each.result() for each in made]
    # On a busy machine some were looked at too late to tell.
    in_time = [(kind, there) for kind, seconds, there in tries if seconds < 1]
    assert len(in_time) > TRIES * len(WRITES) / 10
    assert [kind for kind, there in in_time if not there] == []


def test_it_stays_at_most_two_seconds_longer(backend: MemcachedBackend) -> None:
    backend.set("longer", b"0", 1)
    eventually(lambda: backend.get("longer") is MISSING, within=3.2)


def test_a_lock_that_is_made_for_a_second_is_made_once_in_it(backend: MemcachedBackend) -> None:
    backend.delete("lock")
    made: list[tuple[float, float, float]] = []
    end = time.monotonic() + 30
    while len(made) < 2 and time.monotonic() < end:
        asked_at = time.monotonic()
        if backend.add("lock", b"", 1):
            made.append((asked_at, time.monotonic(), starved()))
        time.sleep(0.01)
    first, then = made
    # It is made somewhere between the question and the answer. The clock of a server that gets
    # no processor stands, and what it then stores begins in its past.
    assert then[1] - first[0] >= 1 - (then[2] - first[2])


def test_what_is_told_of_a_lifetime_is_what_was_asked_for(
    memcached_backend: MemcachedBackend,
) -> None:
    memcached_backend.set("told", b"0", 60)
    assert memcached_backend.remaining_ttl("told") in (59, 60)
    memcached_backend.set("told", b"0", 1)
    assert memcached_backend.remaining_ttl("told") == 1
    memcached_backend.set("told", b"0", None)
    assert memcached_backend.remaining_ttl("told") is None
