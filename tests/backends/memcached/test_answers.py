"""Servers that answer what was not hoped for: it is told, and none of them is taken for dead."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.base import MISSING, Item
from backends.errors import (
    AuthenticationFailed,
    Failed,
    LoginNotSent,
    OutOfMemory,
    Timeout,
    Unavailable,
)
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
from cacheapi.registry import trial
from tests.conftest import connect
from tests.support.certificates import Certificates
from tests.support.processes import (
    SASL_PASSWORD,
    SASL_USER,
    Memcached,
    Server,
    free_port,
    memcached,
    sasl_memcached,
)
from tests.support.redis import Redis

LARGE = b"x" * 900_000
LOGIN = {"username": SASL_USER, "password": SASL_PASSWORD}
NOBODY_THERE = "Nothing takes connections there"


def fill(server: Memcached) -> int:
    """Store values that are kept in pieces until the server is full; return how many it has."""
    with server._look() as connection:
        for number in range(200):
            connection.sendall(b"set full:%d 0 0 %d\r\n%b\r\n" % (number, len(LARGE), LARGE))
            said = connection.recv(100)
            if said != b"STORED\r\n":
                assert said == b"SERVER_ERROR Out of memory during read\r\n"
                return number
    raise AssertionError("it is never full")


WRITES: dict[str, Callable[[MemcachedBackend, str], object]] = {
    "set": lambda backend, key: backend.set(key, LARGE, None),
    "add": lambda backend, key: backend.add(f"new:{key}", LARGE, None),
    "replace": lambda backend, key: backend.replace(key, LARGE, None),
    "compare_and_set": lambda backend, key: backend.compare_and_set(
        key, LARGE, backend.get_with_token(key).token, None
    ),
    "set_many": lambda backend, key: raise_first(backend.set_many([Item(key, LARGE, None)])),
}


def raise_first(outcomes: list[object]) -> None:
    assert isinstance(outcomes[0], Exception)
    raise outcomes[0]


# A server that is full and says so


@pytest.mark.parametrize("kind", ["plain", "sasl"])
def test_a_full_server_says_so_of_every_write(kind: str) -> None:
    start = sasl_memcached if kind == "sasl" else memcached
    with start("-M", "-m", "64") as server:
        backend = connect(server, timeout_ms=2000, **(LOGIN if kind == "sasl" else {}))
        backend.set("old", b"old", None)
        fill(server)
        for write in WRITES.values():
            with pytest.raises(OutOfMemory, match=r"^SERVER_ERROR [Oo]ut of memory.* is full"):
                write(backend, "old")
            backend.set("old", b"old", None)
            assert backend.get("old") == b"old"
        backend.close()


def test_a_full_server_is_left_out_of_no_pool(caplog: pytest.LogCaptureFixture) -> None:
    with memcached("-M", "-m", "64") as full, memcached() as other:
        list_of_servers = parse_servers(f"127.0.0.1:{full.port},127.0.0.1:{other.port}")
        backend = MemcachedBackend(servers=list_of_servers, timeout_ms=2000)
        values = {f"key:{number}": b"%d" % number for number in range(100)}
        backend.set_many([Item(key, value, None) for key, value in values.items()])
        fill(full)
        held = [key for key in values if full.say(b"get %s\r\n" % key.encode()) != b"END\r\n"]
        assert held
        # What is new may be another server's.
        writes = [write for name, write in WRITES.items() if name != "add"]
        for key in held[:5]:
            for write in writes:
                with pytest.raises(OutOfMemory):
                    write(backend, key)
                assert backend.get(held[-1]) == values[held[-1]]
                backend.set(key, values[key], None)
        left = values.keys()
        assert backend.get_many(left) == {key: values[key] for key in left}
        backend.close()
    assert caplog.messages == []


@contextlib.contextmanager
def odd_server(said: bytes) -> Iterator[int]:
    """A server that knows its version, and says one thing to everything else."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                if not data.startswith(b"version"):
                    connection.sendall(said + b"\r\n")
                # Alone, or behind another command.
                if b"version" in data:
                    connection.sendall(b"VERSION 9.9\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


CALLS: dict[str, Callable[[MemcachedBackend], object]] = {
    "get": lambda backend: backend.get("k"),
    "get_many": lambda backend: backend.get_many(["k", "l"]),
    "get_with_token": lambda backend: backend.get_with_token("k"),
    "remaining_ttl": lambda backend: backend.remaining_ttl("k"),
    "set": lambda backend: backend.set("k", b"1", None),
    "add": lambda backend: backend.add("k", b"1", None),
    "replace": lambda backend: backend.replace("k", b"1", None),
    "touch": lambda backend: backend.touch("k", None),
    "delete": lambda backend: backend.delete("k"),
    "count": lambda backend: backend.count("k", 1),
    "flush": lambda backend: backend.flush(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_answer_that_is_known_to_nobody_is_told_and_leaves_no_server_out(
    call: Callable[[MemcachedBackend], object], caplog: pytest.LogCaptureFixture
) -> None:
    said = "SERVER_ERROR the moon is full"
    with odd_server(said.encode()) as one, odd_server(said.encode()) as two:
        servers = parse_servers(f"127.0.0.1:{one},127.0.0.1:{two}")
        backend = MemcachedBackend(servers=servers, timeout_ms=2000)
        for _ in range(3):
            with pytest.raises(Failed, match=said) as caught:
                call(backend)
            assert not isinstance(caught.value, Unavailable)
        backend.close()
    assert caplog.messages == []


# Something else than a memcached that can be used


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    """A server that takes nothing but HTTP, and says so as web servers do."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def causes(port: int, **login: str) -> set[str]:
    """Return what a read, a write, a flush, a trial and the statistics say; all say the same."""
    backend = MemcachedBackend(
        servers=parse_servers("127.0.0.1"), port=port, timeout_ms=500, **login
    )
    found = set()
    calls = (
        lambda: backend.get("k"),
        lambda: backend.set("k", b"1", None),
        lambda: backend.add("k", b"1", None),
        backend.flush,
    )
    for call in calls:
        with pytest.raises(Failed) as caught:
            call()
        assert "cannot be reached" not in str(caught.value)
        found.add(trial.cause_of(caught.value))
    found.add(str(trial.run_on(backend).cause))
    (told,) = backend.stats()
    assert told.error is not None
    assert "cannot be reached" not in told.error
    found.add(told.cause)
    backend.close()
    assert not any(NOBODY_THERE in cause for cause in found)
    return found


@pytest.fixture
def text_login(tmp_path: Path) -> Iterator[Memcached]:
    (tmp_path / "users").write_text("user:password\n")
    with memcached("-Y", str(tmp_path / "users")) as server:
        yield server


@pytest.mark.parametrize("login", [{}, LOGIN], ids=["without a login", "with a login"])
def test_a_text_login_that_is_wanted_is_named(text_login: Memcached, login: dict[str, str]) -> None:
    (cause,) = causes(text_login.port, **login)
    assert "-Y" in cause
    backend = connect(text_login, timeout_ms=500, **login)
    with pytest.raises(LoginNotSent, match="CLIENT_ERROR unauthenticated"):
        backend.get("k")
    backend.close()


def test_tls_that_is_wanted_is_named(certificates: Certificates) -> None:
    chain = f"ssl_chain_cert={certificates.server},ssl_key={certificates.server_key}"
    with memcached("-Z", "-o", chain) as server:
        (cause,) = causes(server.port)
    assert "TLS" in cause
    assert "-Z" in cause


def test_a_login_that_is_wanted_is_named(sasl_server: Memcached) -> None:
    (cause,) = causes(sasl_server.port)
    assert "-S" in cause


def test_a_server_that_takes_no_login_is_told_apart_from_a_wrong_password(
    memcached_server: Memcached, sasl_server: Memcached
) -> None:
    (cause,) = causes(memcached_server.port, **LOGIN)
    assert "without -S" in cause
    backend = connect(sasl_server, username=SASL_USER, password="wrong")
    for call in (lambda: backend.get("k"), lambda: backend.set("k", b"", None)):
        with pytest.raises(AuthenticationFailed, match="refused the configured") as caught:
            call()
        assert not isinstance(caught.value, LoginNotSent)
        assert trial.cause_of(caught.value).endswith("does not accept this user name and password.")
    backend.close()


@pytest.mark.parametrize("login", [{}, LOGIN], ids=["without a login", "with a login"])
def test_redis_on_the_port_of_memcached_is_named(redis_one: Redis, login: dict[str, str]) -> None:
    (cause,) = causes(redis_one.port, **login)
    assert "is Redis" in cause


def test_a_web_server_on_the_port_of_memcached_is_named() -> None:
    with web_server() as port:
        (cause,) = causes(port)
    assert "speaks HTTP" in cause


def test_a_server_that_is_not_there_is_said_to_be_not_there() -> None:
    backend = MemcachedBackend(servers=parse_servers("127.0.0.1"), port=free_port())
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        backend.get("k")
    assert NOBODY_THERE in trial.cause_of(caught.value)


# IPv6


def test_every_operation_works_over_ipv6() -> None:
    class OnIPv6(Memcached):
        host = "::1"

        def _run(self, command: list[str], environ: object = None) -> None:
            Server._run(self, [*command, "-l", "127.0.0.1"], None)

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = OnIPv6()
    try:
        backend = MemcachedBackend(servers=parse_servers(f"[::1]:{server.port}"))
        backend.set("k", b"1", None)
        assert backend.add("new", b"1", 60) is True
        assert backend.replace("k", b"5", 60) is True
        assert backend.touch("k", 90) is True
        assert backend.increment("k", 2) == 7
        assert backend.compare_and_set("k", b"8", backend.get_with_token("k").token, None) is True
        assert backend.get_and_delete("k") == b"8"
        assert backend.delete("new") is True
        assert backend.stats()[0].error is None
        backend.flush()
        assert backend.get("k") is MISSING
        backend.close()
        logged_in = MemcachedBackend(servers=parse_servers(f"[::1]:{server.port}"), **LOGIN)
        with pytest.raises(Unavailable, match="IPv4 alone") as caught:
            logged_in.get("k")
        assert not isinstance(caught.value, Timeout)
    finally:
        server.stop()
