"""Pools that are found: by the addresses of a name, or by what an endpoint lists."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Item
from backends.errors import BackendError, InvalidOption
from backends.memcached import discovery
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
from backends.statistics import Figures
from cacheapi.observing.advice import advise
from tests.conftest import connect
from tests.support.processes import REPOSITORY, Memcached, eventually, free_port, memcached
from tests.support.resolver import NotPermitted, silent_resolver

NAME = "pool.test.example"


# By a configuration endpoint


class Endpoint:
    """A stand-in of the one command of a managed cluster's endpoint."""

    def __init__(self) -> None:
        self.reply = b""
        self.asked = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def lists(self, *servers: Memcached, ip: str = "127.0.0.1") -> None:
        nodes = " ".join(f"127.0.0.1|{ip}|{server.port}" for server in servers)
        text = f"12\n{nodes}\n"
        self.reply = f"CONFIG cluster 0 {len(text)}\r\n{text}\r\nEND\r\n".encode()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"version"):
                    connection.sendall(b"VERSION 1.6.18\r\n")
                elif line == b"config get cluster\r\n":
                    self.asked += 1
                    # In two packets, as a long one comes.
                    connection.sendall(self.reply[:20])
                    connection.sendall(self.reply[20:])
                else:
                    connection.sendall(b"ERROR\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()
    yield running
    running.close()


def store_and_read(backend: MemcachedBackend, count: int = 60) -> None:
    items = [Item(f"k{number}", b"%d" % number, 60) for number in range(count)]
    assert set(backend.set_many(items)) == {True}
    assert backend.get_many(item.key for item in items) == {key: value for key, value, _ in items}


def ports(backend: MemcachedBackend) -> set[int]:
    return {int(found.server.rpartition(":")[2]) for found in backend.stats()}


def test_an_endpoints_servers_are_a_pool(
    endpoint: Endpoint, memcached_pool: list[Memcached], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = memcached_pool
    endpoint.lists(one, two)
    backend = connect(endpoint, discovery="config", timeout_ms=3000)  # type: ignore[arg-type]
    store_and_read(backend)
    assert ports(backend) == {one.port, two.port}
    assert endpoint.asked == 1
    assert len(backend.endpoints()) == 2
    # The same pool as if it were listed.
    listed = ",".join(f"127.0.0.1:{server.port}" for server in (one, two))
    other = MemcachedBackend(servers=parse_servers(listed), timeout_ms=3000)
    assert len(other.get_many(f"k{number}" for number in range(60))) == 60
    other.close()
    monkeypatch.setattr(discovery, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(backend._pool, "_again_at", 0.0)
    endpoint.lists(one, two, three, ip="")
    store_and_read(backend)
    assert ports(backend) == {one.port, two.port, three.port}
    # While it does not tell, what was told last holds. For what never ends it is asked once.
    monkeypatch.setattr(discovery, "FAILED_SECONDS", 60.0)
    for reply in (b"ERROR\r\n", b"CONFIG cluster 0 1\r\n\n\r\nEND\r\n", b"CONFIG cluster 0"):
        endpoint.reply = reply + b"\r\n"
        monkeypatch.setattr(backend._pool, "_again_at", 0.0)
        store_and_read(backend)
        assert len(ports(backend)) == 3
    backend.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"ERROR\r\n",
        b"CONFIG cluster 0 3\r\n12\n\r\nEND\r\n",
        b"CONFIG cluster 0 9\r\n12\na|b|0\n\r\nEND\r\n",
        b"CONFIG cluster 0 9\r\n12\na,b\n\r\nEND\r\n",
    ],
)
def test_an_endpoint_that_lists_nothing_is_an_error_and_no_miss(
    endpoint: Endpoint, reply: bytes
) -> None:
    endpoint.reply = reply
    backend = connect(endpoint, discovery="config", timeout_ms=3000)  # type: ignore[arg-type]
    for operation in (lambda: backend.get("k"), lambda: backend.set("k", b"1", None)):
        with pytest.raises(BackendError, match="Connection lost"):
            operation()
    with pytest.raises(BackendError, match="Connection lost"):
        backend.stats()
    backend.close()


def test_a_server_that_is_no_endpoint_and_one_that_is_gone(memcached_server: Memcached) -> None:
    backend = connect(memcached_server, discovery="config", timeout_ms=3000)
    with pytest.raises(BackendError):
        backend.get("k")
    backend.close()
    backend = MemcachedBackend(
        servers=parse_servers(f"127.0.0.1:{free_port()}"), discovery="config"
    )
    with pytest.raises(BackendError, match="cannot be reached"):
        backend.get("k")
    backend.close()


def test_what_cannot_be_found_so() -> None:
    for settings in ({"username": "a", "password": "b"}, {"servers": parse_servers("/a")}):
        given = {"servers": parse_servers("a"), "discovery": "config", **settings}
        with pytest.raises(InvalidOption, match="MEMCACHED_DISCOVERY"):
            MemcachedBackend(**given)  # type: ignore[arg-type]


# By a name


class On(Memcached):
    """A memcached on an address of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        super().__init__(port=port)

    def start(self) -> None:
        user = ("-u", "root") if os.getuid() == 0 else ()
        where = ("-l", self.host, "-p", str(self.port), "-U", "0")
        self._process = subprocess.Popen(["memcached", *where, *user])
        eventually(self._listens, 20)

    def _look(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), 5)

    def _listens(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex((self.host, self.port)) == 0


# Stores 60 values, says on which servers they are, and again whenever a line comes.
CODE = """
import logging, sys, threading
from backends.base import Item
from backends.memcached import discovery
from backends.memcached.backend import MemcachedBackend
from backends.memcached.options import parse_servers
discovery.AGAIN_SECONDS = 0.0
logging.basicConfig(stream=sys.stderr)
name, port, how = sys.argv[1:]
backend = MemcachedBackend(
    servers=parse_servers(name), port=int(port), discovery=how, timeout_ms=3000
)
items = [Item(f"k{number}", b"1", 60) for number in range(60)]
for _ in sys.stdin:
    assert set(backend.set_many(items)) == {True}
    # A key may have moved in between.
    assert backend.get_many(item.key for item in items)
    print(*sorted(found.server for found in backend.stats()), flush=True)
for thread in threading.enumerate():
    if thread.name == "names":
        thread.join(10)
"""


@pytest.fixture
def three() -> Iterator[list[On]]:
    """Three servers on addresses of their own, all on one port."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        servers = []
        for number in (1, 2, 3):
            server = On(f"127.45.{os.getpid() % 250}.{number}", port)
            stack.callback(server.stop)
            servers.append(server)
        yield servers


def run(within: tuple[str, ...], three: list[On], how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*within, sys.executable, "-c", CODE, NAME, str(three[0].port), how],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_all_addresses_of_a_name_are_a_pool_and_it_is_looked_up_again(
    tmp_path: Path, three: list[On]
) -> None:
    hosts = [server.host for server in three]
    try:
        with silent_resolver(tmp_path, {NAME: hosts[:2]}) as within:
            child = run(within, three, "dns")
            assert child.stdin is not None
            assert child.stdout is not None

            def servers() -> list[str]:
                child.stdin.write("\n")
                child.stdin.flush()
                return [each.rpartition(":")[0] for each in child.stdout.readline().split()]

            try:
                assert servers() == hosts[:2]
                assert all(int(each.statistics()["curr_items"]) > 0 for each in three[:2])
                known = "".join(f"{host} {NAME}\n" for host in hosts)
                (tmp_path / "hosts").write_text(f"127.0.0.1 localhost\n{known}")
                assert eventually(lambda: servers() == hosts, 20)
                # They may have become three after the stores of that line.
                assert servers() == hosts
                assert int(three[2].statistics()["curr_items"]) > 0
            finally:
                child.communicate()
    except NotPermitted as error:
        pytest.skip(f"no names of its own here: {error}")


def test_a_name_with_several_addresses_is_warned_of(tmp_path: Path, three: list[On]) -> None:
    try:
        with silent_resolver(tmp_path, {NAME: [server.host for server in three]}) as within:
            child = run(within, three, "off")
            _, said = child.communicate("\n", timeout=60)
    except NotPermitted as error:
        pytest.skip(f"no names of its own here: {error}")
    assert f"The name {NAME} has 3 addresses. Set MEMCACHED_DISCOVERY=dns" in said


# Under two names


def test_a_server_under_two_names_is_told(memcached_server: Memcached) -> None:
    port = memcached_server.port
    with memcached() as other:
        listed = parse_servers(f"127.0.0.1:{port},localhost:{port},127.0.0.1:{other.port}")
        backend = MemcachedBackend(servers=listed, timeout_ms=3000)
        (found,) = [
            advice for advice in advise(Figures(), backend.stats()) if advice.rule == "twice"
        ]
        assert f"127.0.0.1:{port} and localhost:{port} " in found.message
        assert str(other.port) not in found.message
        backend.close()
