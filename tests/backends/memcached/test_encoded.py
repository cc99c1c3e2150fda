"""Keys with white space or control characters: sent encoded, and the same that others name."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from backends.base import MISSING, Flagged, Item, flags_of
from backends.errors import Failed, InvalidKey, NotRead
from backends.memcached.backend import MemcachedBackend
from backends.memcached.encoded import KEYS_AT_ONCE, LONGEST, encode, read_many
from backends.memcached.errors import CommandFailed
from backends.memcached.greeting import GREETING
from backends.memcached.libmemcached import pylibmc
from backends.memcached.options import parse_servers
from backends.operations import (
    Add,
    Delete,
    Exists,
    Get,
    GetAndDelete,
    Increment,
    Operation,
    Replace,
    Touch,
)
from tests.backends.memcached.test_reader import answering
from tests.conftest import connect
from tests.support.nutcracker import nutcracker
from tests.support.processes import Memcached, memcached

ODD = ["a b", " ", "a\tb", "\0", "a\r\nflush_all\r\nb", "\x7f", "é b", "x" * (LONGEST - 2) + " y"]


@pytest.mark.parametrize("key", ODD)
def test_every_verb_takes_them(memcached_backend: MemcachedBackend, key: str) -> None:
    backend = memcached_backend
    backend.check_key(key)
    backend.set("a", b"another", None)
    assert backend.get(key) is MISSING
    assert backend.remaining_ttl(key) is MISSING
    assert not backend.replace(key, b"1", None)
    assert not backend.touch(key, 60)
    assert not backend.delete(key)
    assert backend.increment(key, 1) is MISSING
    assert backend.get_with_token(key) is MISSING
    assert backend.add(key, Flagged(b"5", 7), 60)
    assert not backend.add(key, b"6", 60)
    stored = backend.get(key)
    assert (stored, flags_of(stored or b"")) == (b"5", 7)
    assert backend.increment(key, 3) == 8
    assert backend.increment(key, -10) == 0
    assert flags_of(backend.get(key) or b"") == 7
    assert 55 <= (backend.remaining_ttl(key) or 0) <= 60
    assert backend.touch(key, None)
    assert backend.remaining_ttl(key) is None
    found = backend.get_with_token(key)
    assert found is not MISSING
    assert backend.compare_and_set(key, b"new", found.token, None)
    assert not backend.compare_and_set(key, b"newer", found.token, None)
    assert not backend.compare_and_delete(key, found.token)
    assert backend.replace(key, b"\r\nEN\r\n", None)
    assert backend.get_and_delete(key) == b"\r\nEN\r\n"
    assert backend.get_and_delete(key) is MISSING
    backend.set(key, b"", 0)
    assert backend.get(key) is MISSING
    assert backend.get("a") == b"another"


def test_a_count_on_no_number_and_a_value_over_the_limit_are_refused(
    memcached_backend: MemcachedBackend,
) -> None:
    memcached_backend.set("a b", b"text", None)
    with pytest.raises(Exception, match="not a whole number"):
        memcached_backend.increment("a b", 1)
    with pytest.raises(Failed, match="object too large"):
        memcached_backend.set("a b", b"x" * 2_000_000, None)
    assert memcached_backend.add("c d", b"1", None)


def test_of_many_each_has_its_own(memcached_backend: MemcachedBackend) -> None:
    backend = memcached_backend
    keys = [f"k{' ' * (number % 2)}{number}" for number in range(4 * KEYS_AT_ONCE + 3)]
    items = [Item(key, key.encode(), None) for key in keys]
    assert backend.set_many(items) == [True] * len(keys)
    assert backend.get_many([*keys, "an absent"]) == {key: key.encode() for key in keys}
    assert backend.get_each(iter(keys)) == {key: key.encode() for key in keys}
    some = backend.get_each(["k 1", "k 3", "k 5", "no ne"], most=4)
    assert some["k 1"] == b"k 1"
    assert some["k 3"] == b"k 3"
    assert isinstance(some["k 5"], NotRead)
    assert backend.get("k 5") == b"k 5"
    assert backend.delete_many([*keys[::2], keys[1], "an absent"]) == [
        *[True] * (len(keys[::2]) + 1), False
    ]  # fmt: skip
    assert backend.get_many(keys).keys() == set(keys[3::2])


def test_operations_of_a_key_come_in_order(memcached_backend: MemcachedBackend) -> None:
    steps: list[tuple[Operation, object]] = [
        (Get("a b"), MISSING),
        (Increment("a b", 1), MISSING),
        (Increment("a b", 1, b"5", 60), 5),
        (Item("plain", b"1", None), True),
        (Increment("a b", 2), 7),
        (Get("a b"), b"7"),
        (Exists("a b"), True),
        (Add("a b", b"1", None), False),
        (Replace("a b", b"2", None), True),
        (Get("plain"), b"1"),
        (Touch("a b", 60), True),
        (GetAndDelete("a b"), b"2"),
        (GetAndDelete("plain"), b"1"),
        (Touch("a b", 60), False),
        (Add("a b", b"3", None), True),
        (Delete("a b"), True),
        (Delete("a b"), False),
    ]
    operations = [operation for operation, _ in steps]
    assert memcached_backend.perform(operations) == [outcome for _, outcome in steps]


def test_another_client_names_the_same_keys_of_the_same_servers() -> None:
    with memcached() as one, memcached() as other:
        addresses = f"127.0.0.1:{one.port},127.0.0.1:{other.port}"
        backend = MemcachedBackend(servers=parse_servers(addresses), ketama_compatible=True)
        client = pylibmc.Client(
            addresses.split(","), binary=True, behaviors={"ketama_weighted": True}
        )
        keys = [f"user {number}" for number in range(60)]
        for number, key in enumerate(keys):
            if number % 2:
                client.set(key, number)
            else:
                backend.set(key, b"%d" % number, None)
        assert backend.get_many(keys) == {key: b"%d" % n for n, key in enumerate(keys)}
        assert [int(client.get(key)) for key in keys] == list(range(60))
        assert min(items_on(one), items_on(other)) > 10
        client.disconnect_all()
        backend.close()


def items_on(server: Memcached) -> int:
    backend = connect(server)
    figures = backend.stats()[0].figures
    backend.close()
    assert figures is not None
    return figures.curr_items or 0


def test_a_key_that_is_too_long_when_it_is_encoded_is_refused(
    memcached_backend: MemcachedBackend,
) -> None:
    most = LONGEST
    assert len(encode(b"x" * most)) - len(" b") <= 250 < len(encode(b"x" * (most + 1)))
    memcached_backend.check_keys(["a", " " * most])
    for check in (
        memcached_backend.check_key,
        lambda key: memcached_backend.check_keys([key, "a"]),
    ):
        with pytest.raises(InvalidKey, match=f"takes at most {most}"):
            check(" " * (most + 1))


class Old:
    """A server that does not know the commands, and takes what stands behind them for others."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.answer = b"ERROR"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for line in connection.makefile("rb"):
                if line == GREETING:
                    connection.sendall(b"VERSION 1.4.0\r\n")
                    continue
                self.lines.append(line)
                plain = line.startswith((b"get ", b"stats"))
                connection.sendall(b"END\r\n" if plain else self.answer + b"\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.mark.parametrize("answer", [b"ERROR", b"CLIENT_ERROR invalid flag"])
def test_a_server_that_does_not_know_how_is_sent_no_value(answer: bytes) -> None:
    with contextlib.closing(Old()) as server:
        server.answer = answer
        backend = MemcachedBackend(servers=parse_servers("127.0.0.1"), port=server.port)
        evil = b"flush_all"
        for write in (backend.add, backend.replace, backend.set):
            with pytest.raises(InvalidKey, match=r"needs memcached 1\.6"):
                write("a b", evil, None)
        for ask in (backend.get, backend.delete, backend.get_with_token, backend.get_and_delete):
            with pytest.raises(InvalidKey, match=r"needs memcached 1\.6"):
                ask("a b")
        with pytest.raises(InvalidKey):
            backend.increment("a b", 1)
        with pytest.raises(InvalidKey):
            backend.touch("a b", 1)
        outcomes = backend.perform(
            [Get("a"), Get("a b"), Item("a b", evil, None), Delete("a b"), Increment("a b", 1)]
        )
        assert outcomes[0] is MISSING
        assert all(isinstance(outcome, InvalidKey) for outcome in outcomes[1:]), outcomes
        found = backend.get_each(["a", "a b"])
        assert isinstance(found["a b"], InvalidKey)
        assert not any(evil in line for line in server.lines)
        backend.close()


def test_behind_a_proxy_they_are_refused_and_cost_no_server(memcached_server: Memcached) -> None:
    with nutcracker([memcached_server]) as proxy:
        backend = MemcachedBackend(
            servers=parse_servers("127.0.0.1"), port=proxy.port, timeout_ms=3000
        )
        for ask in (backend.get, backend.delete, lambda key: backend.set(key, b"1", None)):
            with pytest.raises(InvalidKey, match="without a proxy"):
                ask("a b")
        outcomes = backend.perform([Item("a b", b"1", None), Item("a", b"1", None)])
        assert isinstance(outcomes[0], InvalidKey)
        assert outcomes[1] is True
        backend.learn_capabilities()
        # From now on it is known before anything is asked.
        with pytest.raises(InvalidKey, match="without a proxy"):
            backend.check_key("a b")
        backend.check_keys(["a", "b"])
        backend.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"VA 1 f0\r\n1\r\nEN\r\nEN\r\n",
        b"VA 2 f0\r\n1\r\nEN\r\n",
        b"VA x f0\r\n1\r\nEN\r\n",
        b"VA 1\r\n1\r\nEN\r\n",
        b"VA 1 f0 c1 t1\r\n1\r\nEN\r\n",
        b"HD\r\nEN\r\n",
        b"x" * 5000,
    ],
)
def test_no_other_reply_is_taken(reply: bytes) -> None:
    with answering(reply) as link, pytest.raises(CommandFailed):
        read_many(link, [b"a b", b"c d"])


def test_replies_are_taken_however_they_are_cut() -> None:
    reply = b"VA 4 f3\r\n\r\nEN\r\nEN\r\nVA 0 f0\r\n\r\n"
    for size in (1, 3, len(reply)):
        parts = [reply[start : start + size] for start in range(0, len(reply), size)]
        with answering(*parts) as link:
            assert read_many(link, [b"a b", b"c d", b"e f"]) == {b"a b": b"\r\nEN", b"e f": b""}
