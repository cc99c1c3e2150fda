"""Stores that have one answer together: sent to who has shown to know them, and to nobody else."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from backends.base import MISSING, Item
from backends.errors import ValueTooLarge
from backends.memcached import quiet
from backends.memcached.backend import MemcachedBackend
from backends.memcached.errors import TIMEOUT, CommandFailed
from backends.memcached.expiry import expiry
from backends.memcached.greeting import GREETING
from backends.memcached.link import Link
from backends.memcached.options import parse_servers
from backends.memcached.packing import pack
from backends.memcached.stores import STORES_AT_ONCE, Batch
from tests.support.nutcracker import nutcracker
from tests.support.processes import Memcached

MANY = quiet.LEAST
PROVEN = b"NF\r\nMN\r\n"


class Recorder:
    """A server of which each answer is said; it notes what it was sent, but for greetings."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(1024 * 1024):
                    if data == GREETING:
                        connection.sendall(b"VERSION 1.6.18\r\n")
                        continue
                    self.heard.append(data)
                    said = self._answer(data)
                    if said is None:
                        break
                    connection.sendall(said)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def recording(answer: Callable[[bytes], bytes | None]) -> Iterator[tuple[Recorder, Link]]:
    recorder = Recorder(answer)
    link = Link(f"127.0.0.1:{recorder.port}", 2.0)
    try:
        yield recorder, link
    finally:
        link.close()
        recorder.close()


def stored(link: Link, count: int = MANY) -> list[object]:
    """Store so many; return what became of them."""
    batch = Batch(pack("p:", [Item(f"k{number}", b"1", 60) for number in range(count)]))
    batch.run(link, lambda error: None)
    return batch.replies


def knows(data: bytes) -> bytes:
    """Answer as a memcached that knows quiet stores, and has done all."""
    if data == quiet.PROOF:
        return PROVEN
    return b"MN\r\n" if data.startswith(b"ms ") else b"STORED\r\n" * data.count(b"set ")


def test_many_have_one_answer_and_the_proof_is_given_once_a_connection() -> None:
    with recording(knows) as (server, link):
        assert stored(link) == stored(link) == [True] * MANY
        proof, first, second = server.heard
        assert (proof, first) == (quiet.PROOF, second)
        assert first.startswith(b"ms p:k0 1 T%d q\r\n1\r\nms p:k1 " % expiry(60))
        assert first.endswith(b"\r\n1\r\nmn\r\n")
        link.close()
        assert stored(link) == [True] * MANY
        assert server.heard[3:] == [quiet.PROOF, first]


def test_few_are_answered_each() -> None:
    with recording(knows) as (server, link):
        assert stored(link, MANY - 1) == [True] * (MANY - 1)
        assert [data[:4] for data in server.heard] == [b"set "]


@pytest.mark.parametrize(
    "said",
    [
        b"ERROR\r\n",
        b"ERROR\r\nERROR\r\n",
        b"CLIENT_ERROR invalid flag\r\nMN\r\n",
        b"NF\r\nERROR\r\n",
        b"HD\r\nMN\r\n",
        b"MN\r\nMN\r\n",
        None,
    ],
)
def test_who_does_not_show_it_is_sent_none(said: bytes | None) -> None:
    # It would take a value for a command.
    with recording(lambda data: said if data == quiet.PROOF else knows(data)) as (server, link):
        assert stored(link) == stored(link) == [True] * MANY
        assert [data[:4] for data in server.heard] == [b"md Y", b"set ", b"set "]


@pytest.mark.parametrize("said", [b"SERVER_ERROR out of memory\r\nMN\r\n", b"NS\r\nMN\r\n"])
def test_where_one_is_refused_each_is_asked_for_and_soon_no_more_quietly(said: bytes) -> None:
    def refuses(data: bytes) -> bytes:
        if data.startswith(b"ms "):
            return said
        if data.startswith(b"set "):
            return b"STORED\r\n" * (MANY - 1) + b"SERVER_ERROR object too large for cache\r\n"
        return knows(data)

    with recording(refuses) as (server, link):
        for _ in range(2):
            *replies, last = stored(link)
            assert (replies, type(last).__name__) == ([True] * (MANY - 1), "CommandFailed")
        assert [data[:3] for data in server.heard] == [b"md ", b"ms ", b"set", b"set"]


def test_where_their_answer_is_lost_all_may_have_been_done() -> None:
    with recording(lambda data: None if data.startswith(b"ms ") else knows(data)) as (_, link):
        batch = Batch(pack("", [Item(f"k{number}", b"1", 60) for number in range(MANY)]))
        with pytest.raises(CommandFailed) as caught:
            batch.run(link, lambda error: None)
        assert (caught.value.sent, batch.replies, batch.sent) == (True, [], MANY)
        assert batch.repeatable


def test_where_the_proof_does_not_come_in_time_nothing_is_sent() -> None:
    with recording(lambda data: b"" if data == quiet.PROOF else knows(data)) as (server, link):
        link._timeout = 0.3
        with pytest.raises(CommandFailed) as caught:
            stored(link)
        assert (caught.value.code, caught.value.sent) == (TIMEOUT, False)
        assert server.heard == [quiet.PROOF]
        link._timeout = 2.0
        # What says nothing to it may be well otherwise.
        assert stored(link) == [True] * MANY
        assert [data[:4] for data in server.heard[1:]] == [b"set "]


def test_what_is_stored_quietly_is_what_is_stored_each(
    memcached_backend: MemcachedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[bool] = []
    store = quiet.store

    def noted(link: Link, commands: bytes) -> bool:
        done.append(store(link, commands))
        return done[-1]

    monkeypatch.setattr(quiet, "store", noted)
    values = [b"", b"\r\nmn\r\n", b"MN\r\n", b"\r\nset a 0 0 1\r\n1\r\n", b"\x00\xff" * 5000]
    items = [
        Item(f"k{number}", values[number % len(values)], (None, 60, 90 * 86400.0, 0)[number % 4])
        for number in range(2 * STORES_AT_ONCE + 40)
    ]
    assert memcached_backend.set_many(items) == [True] * len(items)
    # The values of the last ones, too, are more than go at once.
    assert len(done) > 2
    assert all(done)
    assert memcached_backend.get_many([item.key for item in items]) == {
        item.key: item.value for item in items if item.ttl != 0
    }
    assert memcached_backend.get("a") is MISSING
    assert 50 < (memcached_backend.remaining_ttl("k1") or 0) <= 60
    assert memcached_backend.remaining_ttl("k0") is None


def test_of_many_one_that_is_too_large_is_named(memcached_backend: MemcachedBackend) -> None:
    items = [Item(f"k{number}", b"v", None) for number in range(MANY)]
    items[3] = Item("k3", b"v" * 2_000_000, None)
    outcomes = memcached_backend.set_many(items)
    assert isinstance(outcomes.pop(3), ValueTooLarge)
    assert outcomes == [True] * (MANY - 1)
    assert set(memcached_backend.get_many([item.key for item in items])) == {
        item.key for item in items if item.key != "k3"
    }


def test_behind_a_proxy_that_does_not_know_them_all_are_stored(memcached_server: Memcached) -> None:
    with nutcracker([memcached_server]) as proxy:
        backend = MemcachedBackend(
            servers=parse_servers("127.0.0.1"), port=proxy.port, timeout_ms=3000
        )
        for value in (b"1", b"2"):
            items = [Item(f"k{number}", value, None) for number in range(MANY)]
            assert backend.set_many(items) == [True] * MANY
            assert set(backend.get_many([item.key for item in items]).values()) == {value}
        backend.close()
