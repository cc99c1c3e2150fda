"""Every reply of memcached broken off at every byte, and what is said of a write without reply."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from backends.base import MISSING, Item
from backends.errors import NotAnInteger, OutOfMemory, Timeout, Unavailable, ValueTooLarge
from backends.memcached.backend import MemcachedBackend
from tests.conftest import connect
from tests.support import scripts
from tests.support.processes import SASL_PASSWORD, SASL_USER, Memcached, memcached
from tests.support.proxy import Proxy, proxy
from tests.support.timing import Stopwatch

UNKNOWN = "Whether the change was made is unknown"


class Line:
    """A backend behind a proxy."""

    def __init__(self, backend: MemcachedBackend, spoiler: Proxy, server: Memcached) -> None:
        self.backend = backend
        self.server = server
        self._proxy = spoiler

    @contextlib.contextmanager
    def spoiled(
        self, mode: str, size: int = 0, seconds: float = 0.0, skip: int = 0
    ) -> Iterator[None]:
        """Prove the connections, so that the next command (after ``skip``) is what is spoiled."""
        self.backend.set("proof", b"proof", None)
        assert self.backend.touch("proof", None) is True
        assert self.backend.get("proof") == b"proof"
        self._proxy.skip = skip
        self._proxy.size, self._proxy.seconds, self._proxy.mode = size, seconds, mode
        try:
            yield
        finally:
            self._proxy.mode = "pass"

    def raw(self, key: str) -> bytes:
        """Return the first value line that the server itself has for a key."""
        lines = self.server.say(b"get %s\r\n" % key.encode()).split(b"\r\n")
        return lines[1] if len(lines) > 2 else b""


@pytest.fixture
def line(memcached_server: Memcached) -> Iterator[Line]:
    assert memcached_server.say(b"flush_all\r\n") == b"OK\r\n"
    with proxy(memcached_server.port) as spoiler:
        backend = connect(spoiler, timeout_ms=500)
        backend.set("proof", b"proof", None)
        yield Line(backend, spoiler, memcached_server)
        backend.close()


@pytest.mark.parametrize("mode", ["cut", "hold"])
@pytest.mark.parametrize(("key", "expected"), [("hit", b"the value"), ("absent", MISSING)])
@pytest.mark.parametrize("command", ["get", "gets"])
def test_a_reply_that_ends_early_at_any_byte_is_an_error(
    line: Line, mode: str, command: str, key: str, expected: object
) -> None:
    line.backend.set("hit", b"the value", None)
    whole = len(line.server.say(b"%s %s\r\n" % (command.encode(), key.encode())))
    read = line.backend.get if command == "get" else line.backend.get_with_token
    sizes = range(whole) if mode == "cut" else range(0, whole, 8)
    for size in sizes:
        with line.spoiled(mode, size), pytest.raises(Unavailable):
            read(key)
        assert line.backend.get(key) == expected
        assert line.backend.get("proof") == b"proof"


def test_a_batch_that_ends_early_is_an_error_and_never_a_part(line: Line) -> None:
    values = {f"key{number}": os.urandom(300) for number in range(20)}
    line.backend.set_many([Item(key, value, None) for key, value in values.items()])
    for size in (0, 1, 3, 330, 1000, 3333, 6000):
        with line.spoiled("cut", size), pytest.raises(Unavailable):
            line.backend.get_many([*values, "absent"])
        assert line.backend.get_many([*values, "absent"]) == values


@pytest.mark.parametrize("mode", ["reset", "garbage", "swallow"])
def test_no_read_takes_a_broken_reply_for_an_answer(line: Line, mode: str) -> None:
    reads: list[Callable[[], object]] = [
        lambda: line.backend.get("proof"),
        lambda: line.backend.get("absent"),
        lambda: line.backend.get_many(["proof", "absent"]),
        lambda: line.backend.get_with_token("proof"),
        lambda: line.backend.get_and_delete("proof"),
        lambda: line.backend.delete_many(["absent"])[0],
    ]
    for read in reads[:-1]:
        with line.spoiled(mode), pytest.raises(Unavailable):
            read()
    with line.spoiled(mode):
        assert isinstance(reads[-1](), Unavailable)
    assert line.backend.get_many(["proof", "absent"]) == {"proof": b"proof"}


@pytest.mark.parametrize(("mode", "size"), [("swallow", 0), ("hold", 1), ("cut", 1), ("reset", 0)])
def test_a_write_that_is_not_repeated_is_made_once_and_said_to_be_unknown(
    line: Line, mode: str, size: int
) -> None:
    backend = line.backend
    backend.set_many([Item("count", b"7", None), Item("deleted", b"1", None)])
    backend.set("compared", b"1", None)
    token = backend.get_with_token("compared").token
    # A count looks at the value first.
    writes: list[tuple[Callable[[], object], int, str, bytes]] = [
        (lambda: backend.increment("count", 5), 1, "count", b"12"),
        (lambda: backend.increment("count", -2), 1, "count", b"10"),
        (lambda: backend.add("added", b"1", None), 0, "added", b"1"),
        (lambda: backend.delete("deleted"), 0, "deleted", b""),
        (lambda: backend.compare_and_set("compared", b"2", token, None), 0, "compared", b"2"),
    ]
    for write, skip, key, after in writes:
        with line.spoiled(mode, size, skip=skip), pytest.raises(Unavailable, match=UNKNOWN):
            write()
        assert line.raw(key) == after
    assert backend.increment("count", 1) == 11


@pytest.mark.parametrize("mode", ["swallow", "hold", "cut", "reset", "garbage"])
def test_a_store_whose_reply_is_lost_is_an_error_and_never_half_a_value(
    line: Line, mode: str
) -> None:
    for value in (b"second" * 1000, b"third"):
        with line.spoiled(mode), pytest.raises(Unavailable, match=UNKNOWN):
            line.backend.set("key", value, None)
        assert line.backend.get("key") == value
    with line.spoiled(mode):
        outcomes = line.backend.set_many([Item("key", b"4", None), Item("b", b"", None)])
    # Both were sent before a reply was waited for.
    assert [UNKNOWN in str(outcome) for outcome in outcomes] == [True, True]
    assert line.backend.get_many(["key", "b"]) == {"key": b"4", "b": b""}
    for change in (
        lambda: line.backend.touch("key", 60),
        lambda: line.backend.replace("key", b"5", 60),
    ):
        with line.spoiled(mode), pytest.raises(Unavailable, match=UNKNOWN):
            change()


@pytest.mark.parametrize("mode", ["swallow", "cut"])
def test_a_read_whose_reply_is_lost_leaves_nothing_unknown(line: Line, mode: str) -> None:
    line.backend.set("key", b"1", None)
    with line.spoiled(mode), pytest.raises(Unavailable) as failure:
        line.backend.get("key")
    assert UNKNOWN not in str(failure.value)


def test_a_count_on_a_connection_found_broken_is_not_made(line: Line) -> None:
    line.backend.set("count", b"7", None)
    with line.spoiled("swallow"):
        # What is idle is tried before it carries a count.
        time.sleep(0.6)
        with pytest.raises(Unavailable) as failure:
            line.backend.increment("count", 1)
    assert UNKNOWN not in str(failure.value)
    assert line.raw("count") == b"7"
    assert line.backend.increment("count", 1) == 8


def test_after_a_lost_connection_a_batch_waits_once(line: Line) -> None:
    items = [Item(f"key{number}", b"", None) for number in range(100)]
    with line.spoiled("swallow"):
        taken = Stopwatch()
        outcomes = [*line.backend.set_many(items), *line.backend.delete_many(["a", "b"])]
        assert taken() < 2
    assert {type(outcome) for outcome in outcomes} <= {Unavailable, Timeout}


def test_a_slow_reply_within_the_limit_is_right(line: Line) -> None:
    with line.spoiled("delay", seconds=0.03):
        assert line.backend.get("proof") == b"proof"
        assert line.backend.get("absent") is MISSING


def test_late_replies_reach_nobody(line: Line) -> None:
    values = {f"key{number}": b"value %d" % number for number in range(10)}
    line.backend.set_many([Item(key, value, None) for key, value in values.items()])
    for key in values:
        with line.spoiled("delay", seconds=0.9), pytest.raises(Timeout):
            line.backend.get(key)
        assert {other: line.backend.get(other) for other in values} == values


def test_a_full_server_takes_values_again_after_a_delete() -> None:
    with memcached("-M", "-m", "2") as server:
        backend = connect(server)
        value = b"x" * 10_000
        outcomes = backend.set_many([Item(f"key{number}", value, None) for number in range(1000)])
        stored = [f"key{number}" for number, outcome in enumerate(outcomes) if outcome is True]
        assert {type(outcome) for outcome in outcomes if outcome is not True} == {OutOfMemory}
        assert backend.get_many(stored) == dict.fromkeys(stored, value)
        for name, write in (("add", backend.add), ("set", backend.set)):
            with pytest.raises(OutOfMemory):
                write(name, value, None)
        assert backend.delete(stored[0]) is True
        backend.set("again", value, None)
        assert backend.get("again") == value
        backend.close()


@pytest.mark.parametrize("kind", ["plain", "sasl"])
def test_a_refusal_costs_no_connection(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("sasl_server" if kind == "sasl" else "memcached_server")
    user = {"username": SASL_USER, "password": SASL_PASSWORD} if kind == "sasl" else {}
    backend = connect(server, **user)
    backend.set("text", b"no number", None)
    assert backend.get("text") == b"no number"
    assert backend.touch("text", None) is True
    before = connections(server) if kind == "plain" else 0
    for _ in range(5):
        with pytest.raises(NotAnInteger):
            backend.increment("text", 1)
        assert backend.get("text") == b"no number"
        for write in (backend.set, backend.add, backend.replace):
            with pytest.raises(ValueTooLarge):
                write("large", b"x" * 1_100_000, None)
    first, second, third = backend.set_many(
        [Item("a", b"1", None), Item("b", b"x" * 1_100_000, None), Item("c", b"3", None)]
    )
    assert (first, type(second), third) == (True, ValueTooLarge, True)
    assert backend.get_many(["a", "b", "c"]) == {"a": b"1", "c": b"3"}
    if kind == "plain":
        # And the connection that asked for the statistics.
        assert connections(server) == before + 1
    backend.close()


def connections(server: Memcached) -> int:
    return int(server.statistics()["total_connections"])


def test_each_thread_has_a_connection_of_its_own(memcached_backend: MemcachedBackend) -> None:
    barrier = threading.Barrier(16)

    def work(thread: int) -> list[str]:
        barrier.wait(10)
        wrong = []
        for step in range(100):
            key = f"key{(thread * 7 + step * 13) % 60}"
            value = key.encode() * (1 + step % 50)
            memcached_backend.set(key, value, None)
            got = memcached_backend.get_many([key, "shared"])
            if set(got[key].split(key.encode())) != {b""} or got["shared"] != b"shared":
                wrong.append(key)
        return wrong

    memcached_backend.set("shared", b"shared", None)
    with ThreadPoolExecutor(16) as pool:
        assert [wrong for wrong in pool.map(work, range(16)) if wrong] == []


def test_children_forked_after_use_read_beside_their_parent(memcached_server: Memcached) -> None:
    output = scripts.run(
        """
        import os, random, sys
        from backends.memcached.backend import MemcachedBackend
        from backends.memcached.options import parse_servers
        backend = MemcachedBackend(servers=parse_servers("127.0.0.1"), port=int(sys.argv[1]))
        keys = [f"fork{number}" for number in range(100)]
        for key in keys:
            backend.set(key, key.encode(), None)

        def right():
            choices = random.choices(keys, k=400)
            return all(backend.get(key) == key.encode() for key in choices)

        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                os._exit(0 if right() else 1)
            children.append(child)
        print(right(), [os.waitpid(child, 0)[1] for child in children])
        """,
        memcached_server.port,
    )
    assert output == "True [0, 0, 0, 0]\n"


def test_a_batch_counts_as_the_server_counts() -> None:
    with memcached() as server:
        backend = connect(server)
        backend.set_many([Item(f"key{number}", b"", None) for number in range(80)])
        backend.get_many([f"key{number}" for number in range(100)])
        figures = server.statistics()
        names = ("cmd_set", "get_hits", "get_misses")
        assert [figures[name] for name in names] == ["80", "80", "20"]
        backend.close()
